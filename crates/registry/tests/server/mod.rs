//! A tiny HTTP server on loopback that says whatever a test wants said.
//! Each test file that includes it uses a part of it.

#![allow(dead_code)]

use std::io::{BufRead, BufReader, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

/// What was asked.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) method: String,
    pub(crate) path: String,
    headers: Vec<(String, String)>,
}

impl Asked {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }
}

/// What is said: written as it stands, then the connection is closed.
#[derive(Debug, Clone)]
pub(crate) struct Reply {
    head: String,
    body: Vec<u8>,
    length: Option<u64>,
    endless: bool,
}

impl Reply {
    pub(crate) fn status(status: u16) -> Self {
        Self {
            head: format!("HTTP/1.1 {status} Whatever\r\n"),
            body: Vec::new(),
            length: None,
            endless: false,
        }
    }

    pub(crate) fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    pub(crate) fn header(mut self, name: &str, value: impl std::fmt::Display) -> Self {
        self.head.push_str(&format!("{name}: {value}\r\n"));
        self
    }

    /// Claims a length other than the body's.
    pub(crate) fn length(mut self, length: u64) -> Self {
        self.length = Some(length);
        self
    }

    /// A body that never ends, without a length.
    pub(crate) fn endless(mut self) -> Self {
        self.endless = true;
        self
    }

    fn send(&self, stream: &mut TcpStream) -> std::io::Result<()> {
        stream.write_all(self.head.as_bytes())?;
        if self.endless {
            stream.write_all(b"Connection: close\r\n\r\n")?;
            loop {
                stream.write_all(&[b' '; 4096])?;
            }
        }
        let length = self.length.unwrap_or(self.body.len() as u64);
        write!(stream, "Content-Length: {length}\r\nConnection: close\r\n\r\n")?;
        stream.write_all(&self.body)
    }
}

/// The server; ends when dropped.
pub(crate) struct Server {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<Asked>>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    pub(crate) fn start(answer: impl Fn(&Asked) -> Reply + Send + 'static) -> Self {
        Self::start_at(Ipv4Addr::LOCALHOST.into(), answer)
    }

    /// At another of this machine's addresses.
    pub(crate) fn start_at(host: IpAddr, answer: impl Fn(&Asked) -> Reply + Send + 'static) -> Self {
        let listener = TcpListener::bind((host, 0)).expect("a port");
        let address = listener.local_addr().expect("its address");
        let (asked, stop) = (Arc::<Mutex<Vec<Asked>>>::default(), Arc::new(AtomicBool::new(false)));
        let (log, stopped) = (Arc::clone(&asked), Arc::clone(&stop));
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if stopped.load(Ordering::SeqCst) {
                    return;
                }
                let mut stream = stream;
                if let Some(question) = read(&stream) {
                    let reply = answer(&question);
                    log.lock().unwrap().push(question);
                    // A client may hang up on what it does not like.
                    let _ = reply.send(&mut stream);
                }
            }
        });
        Self { address, asked, stop, thread: Some(thread) }
    }

    /// `127.0.0.1:port`
    pub(crate) fn address(&self) -> String {
        self.address.to_string()
    }

    /// All that was asked so far.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// The head of a request; nothing for what is no HTTP (a TLS greeting).
fn read(stream: &TcpStream) -> Option<Asked> {
    let mut reader = BufReader::new(stream);
    if reader.fill_buf().ok()?.first()? == &0x16 {
        return None;
    }
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let mut words = line.split_whitespace().map(str::to_owned);
    let (method, path) = (words.next()?, words.next()?);
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        headers.push((name.to_owned(), value.trim().to_owned()));
    }
    Some(Asked { method, path, headers })
}
