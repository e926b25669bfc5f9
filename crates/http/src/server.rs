//! Connections: accepted up to a number, one thread each, requests one after the other on each.

use std::io::{self, BufReader};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use crate::{Body, Fault, Head, Response, read_head};

/// How long a silent client is waited for within a request, and one that does not read.
const PATIENCE: Duration = Duration::from_secs(30);
/// Requests of one connection.
const REQUESTS: usize = 10_000;

/// What requests are answered by, from several threads at once.
pub trait Handler: Send + Sync + 'static {
    /// The answer to a request; what is not read of the body is read past.
    fn answer(&self, head: &Head, body: &mut Body<'_, '_>) -> Response;

    /// The answer to what is no request that is taken, in the words of this handler's errors.
    fn refuse(&self, status: u16, why: &'static str) -> Response;
}

/// A handler that listens.
#[derive(Debug)]
pub struct Server<H> {
    listener: TcpListener,
    address: SocketAddr,
    handler: Arc<H>,
    slots: Arc<Slots>,
}

impl<H: Handler> Server<H> {
    /// Listens for at most `connections` at once, others wait to be accepted; port 0 is one that is free. Nothing is answered
    /// before [`run`](Self::run).
    ///
    /// # Errors
    /// When the address cannot be listened on.
    pub fn bind(listen: SocketAddr, connections: usize, handler: H) -> io::Result<Self> {
        let listener = TcpListener::bind(listen)?;
        let address = listener.local_addr()?;
        let slots = Slots { free: Mutex::new(connections.max(1)), freed: Condvar::new() };
        Ok(Self { listener, address, handler: Arc::new(handler), slots: Arc::new(slots) })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers the requests of one connection that somebody else has accepted, in order, until it ends.
    ///
    /// # Errors
    /// What the connection itself says; whatever is wrong with a request is answered.
    pub fn answer(&self, stream: &TcpStream) -> io::Result<()> {
        serve(&*self.handler, stream)
    }

    /// Answers until it cannot any more.
    ///
    /// # Errors
    /// When no connection can be accepted any more.
    pub fn run(&self) -> io::Result<()> {
        loop {
            let slot = Slots::take(&self.slots);
            match self.listener.accept() {
                Ok((stream, peer)) => {
                    let handler = Arc::clone(&self.handler);
                    let serve = move || {
                        let _slot = slot;
                        if let Err(error) = serve(&*handler, &stream) {
                            log::debug!("{peer}: {error}");
                        }
                    };
                    let spawned = std::thread::Builder::new().name("connection".to_owned()).spawn(serve);
                    if let Err(error) = spawned {
                        log::warn!("{peer}: no thread for it: {error}");
                    }
                }
                Err(error) if is_passing(&error) => {
                    log::debug!("accept: {error}");
                    std::thread::sleep(Duration::from_millis(20));
                }
                Err(error) => return Err(error),
            }
        }
    }
}

/// Whether the next accept may do better: the client has gone, or descriptors are short just now (accept(2)).
fn is_passing(error: &io::Error) -> bool {
    use io::ErrorKind;
    // EMFILE, ENFILE, ENOBUFS, ENOMEM
    matches!(error.kind(), ErrorKind::ConnectionAborted | ErrorKind::ConnectionReset | ErrorKind::Interrupted)
        || matches!(error.raw_os_error(), Some(24 | 23 | 105 | 12))
}

/// Requests of one connection, in order.
fn serve(handler: &impl Handler, stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut reader = BufReader::with_capacity(64 << 10, stream);
    for _ in 0..REQUESTS {
        let head = match read_head(&mut reader) {
            Ok(Some(head)) => head,
            Ok(None) => return Ok(()),
            Err(Fault::Gone(error)) => return Err(error),
            Err(Fault::Refused(status, why)) => {
                return handler.refuse(status, why).send(stream, false, false);
            }
        };
        stream.set_read_timeout(Some(PATIENCE))?;
        let mut body = Body::new(&mut reader, &head);
        let response = handler.answer(&head, &mut body);
        log::debug!("{} {} {}", head.method, head.path, response.status);
        let keeps = body.finish() && head.keeps;
        response.send(stream, keeps, head.method == "HEAD")?;
        if !keeps {
            return Ok(());
        }
    }
    Ok(())
}

/// As many as there may be connections.
#[derive(Debug)]
struct Slots {
    free: Mutex<usize>,
    freed: Condvar,
}

/// One connection's; free again when dropped.
struct Slot(Arc<Slots>);

impl Slots {
    fn take(slots: &Arc<Self>) -> Slot {
        let mut free = slots.free.lock().unwrap_or_else(PoisonError::into_inner);
        while *free == 0 {
            free = slots.freed.wait(free).unwrap_or_else(PoisonError::into_inner);
        }
        *free -= 1;
        Slot(Arc::clone(slots))
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        *self.0.free.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        self.0.freed.notify_one();
    }
}
