//! A network that breaks: a proxy in front of a registry that cuts connections after so many bytes.

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

/// Which way the bytes go that are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Up,
    Down,
}

/// The proxy; ends when dropped.
#[derive(Debug)]
pub struct Flaky {
    address: SocketAddr,
    cut: Arc<AtomicUsize>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Flaky {
    /// Cuts the first connection that has carried `limits[0]` bytes to `server` (`host:port`), then the first that has
    /// carried `limits[1]`, and so on; afterwards none.
    pub fn up(server: &str, limits: impl IntoIterator<Item = usize>) -> Self {
        Self::start(server, limits.into_iter().collect(), Way::Up)
    }

    /// The same for bytes from `server`.
    pub fn down(server: &str, limits: impl IntoIterator<Item = usize>) -> Self {
        Self::start(server, limits.into_iter().collect(), Way::Down)
    }

    fn start(server: &str, limits: VecDeque<usize>, way: Way) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let address = listener.local_addr().expect("its address");
        let (cut, stop) = (Arc::<AtomicUsize>::default(), Arc::<AtomicBool>::default());
        let (limits, server) = (Arc::new(Mutex::new(limits)), server.to_owned());
        let (counted, stopped) = (Arc::clone(&cut), Arc::clone(&stop));
        let thread = std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                if stopped.load(Ordering::SeqCst) {
                    return;
                }
                let Ok(upstream) = TcpStream::connect(&server) else { continue };
                for (from, to, here) in [(&client, &upstream, Way::Up), (&upstream, &client, Way::Down)] {
                    let (Ok(from), Ok(to)) = (from.try_clone(), to.try_clone()) else { continue };
                    let limits = (here == way).then(|| Arc::clone(&limits));
                    let counted = Arc::clone(&counted);
                    std::thread::spawn(move || carry(from, to, limits.as_deref(), &counted));
                }
            }
        });
        Self { address, cut, stop, thread: Some(thread) }
    }

    /// `127.0.0.1:port`
    pub fn address(&self) -> String {
        self.address.to_string()
    }

    /// Connections that it has cut.
    pub fn cuts(&self) -> usize {
        self.cut.load(Ordering::SeqCst)
    }
}

fn carry(mut from: TcpStream, mut to: TcpStream, limits: Option<&Mutex<VecDeque<usize>>>, cut: &AtomicUsize) {
    let (mut carried, mut buffer) = (0, vec![0; 16 << 10]);
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        carried += count;
        let mut allowed = count;
        let reached = limits.and_then(|limits| {
            let mut limits = limits.lock().expect("limits");
            limits.front().is_some_and(|limit| carried >= *limit).then(|| limits.pop_front())?
        });
        if let Some(limit) = reached {
            allowed = count - (carried - limit).min(count);
            cut.fetch_add(1, Ordering::SeqCst);
        }
        if to.write_all(&buffer[..allowed]).is_err() || reached.is_some() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Both);
    let _ = from.shutdown(Shutdown::Both);
}

impl Drop for Flaky {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
