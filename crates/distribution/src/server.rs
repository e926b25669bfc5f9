//! Connections: accepted up to a number, one thread each, requests one after the other on each.

use std::io::BufReader;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use conex_content::Content;

use crate::api::{self, Api};
use crate::holds::Holds;
use crate::http::{Body, Fault, read_head};
use crate::uploads::Sessions;
use crate::{Error, Result};

/// How long a silent client is waited for within a request, and one that does not read.
const PATIENCE: Duration = Duration::from_secs(30);
/// Requests of one connection.
const REQUESTS: usize = 10_000;

/// How to serve.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where to listen; port 0 is one that is free.
    pub listen: SocketAddr,
    /// Whether nothing may be pushed or deleted.
    pub read_only: bool,
    /// The most connections at once; others wait to be accepted.
    pub connections: usize,
}

/// A registry that listens.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    api: Arc<Api>,
    slots: Arc<Slots>,
}

impl Server {
    /// Listens; nothing is answered before [`run`](Self::run).
    pub fn bind(content: Content, options: &Options) -> Result<Self> {
        let failed = |source| Error::Listen { address: options.listen, source };
        let listener = TcpListener::bind(options.listen).map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let (holds, sessions) = (Holds::default(), Sessions::default());
        let api = Api { content, holds, sessions, read_only: options.read_only };
        let slots = Slots { free: Mutex::new(options.connections.max(1)), freed: Condvar::new() };
        Ok(Self { listener, address, api: Arc::new(api), slots: Arc::new(slots) })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers the requests of one connection that somebody else has accepted, in order, until it ends.
    ///
    /// # Errors
    /// What the connection itself says; whatever is wrong with a request is answered.
    pub fn answer(&self, stream: &TcpStream) -> std::io::Result<()> {
        serve(&self.api, stream)
    }

    /// Answers until it cannot any more.
    pub fn run(&self) -> Result<()> {
        loop {
            let slot = Slots::take(&self.slots);
            match self.listener.accept() {
                Ok((stream, peer)) => {
                    let api = Arc::clone(&self.api);
                    let serve = move || {
                        let _slot = slot;
                        if let Err(error) = serve(&api, &stream) {
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
                Err(error) => return Err(Error::Accept(error)),
            }
        }
    }
}

/// Whether the next accept may do better: the client has gone, or descriptors are short just now (accept(2)).
fn is_passing(error: &std::io::Error) -> bool {
    use std::io::ErrorKind;
    // EMFILE, ENFILE, ENOBUFS, ENOMEM
    matches!(error.kind(), ErrorKind::ConnectionAborted | ErrorKind::ConnectionReset | ErrorKind::Interrupted)
        || matches!(error.raw_os_error(), Some(24 | 23 | 105 | 12))
}

/// Requests of one connection, in order.
fn serve(api: &Api, stream: &TcpStream) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut reader = BufReader::with_capacity(64 << 10, stream);
    for _ in 0..REQUESTS {
        let head = match read_head(&mut reader) {
            Ok(Some(head)) => head,
            Ok(None) => return Ok(()),
            Err(Fault::Gone(error)) => return Err(error),
            Err(Fault::Refused(status, why)) => {
                return api::error(status, "UNSUPPORTED", why).send(stream, false, false);
            }
        };
        stream.set_read_timeout(Some(PATIENCE))?;
        let mut body = Body::new(&mut reader, &head);
        let response = api.answer(&head, &mut body);
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
