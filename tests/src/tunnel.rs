//! The way to a registry on this machine under a name of its own.

use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};

/// A proxy that tunnels every CONNECT to one address, whatever port of `registry.example` was asked for.
#[derive(Debug)]
pub struct Tunnel {
    port: u16,
}

impl Tunnel {
    /// To `address` (`host:port`), until the test's process ends.
    ///
    /// # Panics
    /// When there is no port to be had.
    pub fn to(address: String) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let port = listener.local_addr().expect("its address").port();
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let address = address.clone();
                std::thread::spawn(move || tunnel(client, &address));
            }
        });
        Self { port }
    }

    /// For `https_proxy`.
    pub fn proxy(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }
}

fn tunnel(client: TcpStream, address: &str) -> Option<()> {
    let mut reader = BufReader::new(client.try_clone().ok()?);
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    if !line.starts_with("CONNECT registry.example:") {
        return None;
    }
    while line != "\r\n" {
        line.clear();
        reader.read_line(&mut line).ok()?;
    }
    let server = TcpStream::connect(address).ok()?;
    (&client).write_all(b"HTTP/1.1 200 OK\r\n\r\n").ok()?;
    let (mut up, mut down) = (server.try_clone().ok()?, client);
    let upward = std::thread::spawn(move || {
        let _ = std::io::copy(&mut reader, &mut up);
        let _ = up.shutdown(Shutdown::Write);
    });
    let _ = std::io::copy(&mut &server, &mut down);
    let _ = down.shutdown(Shutdown::Both);
    upward.join().ok()
}
