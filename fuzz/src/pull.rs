//! What is done with an image that a registry has whose documents were made up: it comes over real connections from this process.
//! What cannot be pulled is refused with one line and leaves nothing; what can be can be used and removed.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use conex_image::Silent;
use conex_oci::{Digest, Platform, Reference};
use conex_registry::{Client, Options};

use crate::pieces::{Bed, pieces};

/// What the registry has: the tag's document first.
type Shelf = Arc<Mutex<Vec<Vec<u8>>>>;

struct Line {
    bed: Bed,
    client: Client,
    address: SocketAddr,
    shelf: Shelf,
}

thread_local! {
    static LINE: Line = Line::new();
}

/// The first piece is what the tag names; all are there by digest. Gives whether an image was pulled.
pub(crate) fn pull(bytes: &[u8]) -> bool {
    LINE.with(|line| {
        *line.shelf.lock().expect("nobody panics") = pieces(bytes);
        let reference: Reference = format!("{}/a:t", line.address).parse().expect("a reference");
        let amd64 = Platform::linux("amd64");
        let pulled = line.bed.store().pull_with(&line.client, &reference, Some(&amd64), &Silent);
        line.bed.check(pulled.map(|pulled| vec![pulled.image]))
    })
}

impl Line {
    fn new() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
        let address = listener.local_addr().expect("its address");
        let shelf = Shelf::default();
        let served = Arc::clone(&shelf);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                // A client that has gone is none of ours.
                let _ = stream.and_then(|stream| answer(&stream, &served));
            }
        });
        let options = Options { attempts: 1, backoff: Duration::ZERO, ..Options::default() };
        Self { bed: Bed::new(), client: Client::new(options), address, shelf }
    }
}

/// One request a connection.
fn answer(mut stream: &TcpStream, shelf: &Shelf) -> std::io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(1)))?;
    let mut lines = BufReader::new(stream).lines();
    // The greeting of TLS is no text.
    let request = lines.next().transpose()?.unwrap_or_default();
    while lines.next().transpose()?.is_some_and(|line| !line.is_empty()) {}
    let name = request.split(' ').nth(1).and_then(|path| path.rsplit('/').next()).unwrap_or_default();
    let digest: Option<Digest> = name.parse().ok();
    let shelf = shelf.lock().expect("nobody panics");
    let found = match digest {
        Some(digest) => shelf.iter().find(|piece| Digest::of(piece) == digest),
        None => shelf.first(),
    };
    let (status, body) = found.map_or(("404 Not Found", &b"{}"[..]), |piece| ("200 OK", piece));
    write!(stream, "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len())?;
    if request.starts_with("HEAD ") { Ok(()) } else { stream.write_all(body) }
}
