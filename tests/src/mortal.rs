//! A server that dies half-way: a proxy that, after so many bytes, breaks all connections and takes no more, until it is revived.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

/// Which way the bytes go that are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// To the server: what is pushed.
    Up,
    /// From the server: what is pulled.
    Down,
}

/// The proxy; ends when dropped.
#[derive(Debug)]
pub struct Mortal {
    address: SocketAddr,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    server: String,
    way: Way,
    /// Bytes, on all connections together.
    carried: AtomicU64,
    limit: AtomicU64,
    dead: AtomicBool,
    stop: AtomicBool,
    life: Mutex<Life>,
    changed: Condvar,
}

#[derive(Default)]
struct Life {
    open: Vec<TcpStream>,
    last_deed: Option<Box<dyn FnOnce() + Send>>,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?} {:?} of {:?} to {}", self.way, self.carried, self.limit, self.server)
    }
}

impl Mortal {
    /// Before `server` (`host:port`), for as long as it has carried less than `limit` bytes that way.
    ///
    /// # Panics
    /// When there is no port.
    pub fn new(server: &str, way: Way, limit: u64) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let address = listener.local_addr().expect("its address");
        let shared = Arc::new(Shared {
            server: server.to_owned(),
            way,
            carried: AtomicU64::new(0),
            limit: AtomicU64::new(limit),
            dead: AtomicBool::new(false),
            stop: AtomicBool::new(false),
            life: Mutex::default(),
            changed: Condvar::new(),
        });
        let serving = Arc::clone(&shared);
        let thread = std::thread::spawn(move || serve(&serving, listener, address));
        Self { address, shared, thread: Some(thread) }
    }

    /// What it does as it dies.
    #[must_use]
    pub fn with_last_deed(self, deed: impl FnOnce() + Send + 'static) -> Self {
        self.shared.life().last_deed = Some(Box::new(deed));
        self
    }

    /// `127.0.0.1:port`
    pub fn address(&self) -> String {
        self.address.to_string()
    }

    /// Bytes that it has carried.
    pub fn carried(&self) -> u64 {
        self.shared.carried.load(Ordering::SeqCst)
    }

    /// Whether it has died.
    pub fn is_dead(&self) -> bool {
        self.shared.dead.load(Ordering::SeqCst)
    }

    /// Takes connections again, on the same port and for ever.
    pub fn revive(&self) {
        self.shared.limit.store(u64::MAX, Ordering::SeqCst);
        self.shared.dead.store(false, Ordering::SeqCst);
        drop(self.shared.life());
        self.shared.changed.notify_all();
        crate::eventually("the revived server", || TcpStream::connect(self.address).ok());
    }
}

impl Shared {
    fn life(&self) -> MutexGuard<'_, Life> {
        self.life.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn die(&self) {
        if self.dead.swap(true, Ordering::SeqCst) {
            return;
        }
        let mut life = self.life();
        if let Some(deed) = life.last_deed.take() {
            deed();
        }
        for stream in life.open.drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

/// Takes connections while it lives; a dead one's port is closed.
fn serve(shared: &Arc<Shared>, listener: TcpListener, address: SocketAddr) {
    let mut listener = Some(listener);
    while !shared.stop.load(Ordering::SeqCst) {
        if shared.dead.load(Ordering::SeqCst) {
            drop(listener.take());
            let life = shared.life();
            let asleep =
                |_: &mut Life| shared.dead.load(Ordering::SeqCst) && !shared.stop.load(Ordering::SeqCst);
            drop(shared.changed.wait_while(life, asleep));
            continue;
        }
        let open = listener
            .get_or_insert_with(|| crate::eventually("its old port", || TcpListener::bind(address).ok()));
        let Ok((client, _)) = open.accept() else { continue };
        if shared.dead.load(Ordering::SeqCst) || shared.stop.load(Ordering::SeqCst) {
            continue;
        }
        let Ok(upstream) = TcpStream::connect(&shared.server) else { continue };
        for (from, to, here) in [(&client, &upstream, Way::Up), (&upstream, &client, Way::Down)] {
            let (Ok(from), Ok(to), Ok(kept)) = (from.try_clone(), to.try_clone(), from.try_clone()) else {
                continue;
            };
            shared.life().open.push(kept);
            let shared = Arc::clone(shared);
            std::thread::spawn(move || carry(&shared, from, to, here, address));
        }
    }
}

fn carry(shared: &Shared, mut from: TcpStream, mut to: TcpStream, here: Way, address: SocketAddr) {
    let mut buffer = vec![0; 8 << 10];
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        let (mut allowed, mut last) = (count, false);
        if here == shared.way {
            let carried = shared.carried.fetch_add(count as u64, Ordering::SeqCst) + count as u64;
            let beyond = carried.saturating_sub(shared.limit.load(Ordering::SeqCst));
            last = beyond > 0;
            allowed = count.saturating_sub(usize::try_from(beyond).unwrap_or(usize::MAX));
        }
        if shared.dead.load(Ordering::SeqCst) || to.write_all(&buffer[..allowed]).is_err() {
            break;
        }
        if last {
            shared.die();
            // Who waits for connections sees it.
            let _ = TcpStream::connect(address);
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Both);
    let _ = from.shutdown(Shutdown::Both);
}

impl Drop for Mortal {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        drop(self.shared.life());
        self.shared.changed.notify_all();
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
