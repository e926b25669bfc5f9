//! What is done with what a client says to `registry serve`: it comes over a real connection to a store of its own, which has one
//! image. Whatever it is, it is answered in whole HTTP messages and the connection ends; what is in the store has its digest.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::Path;

use conex_content::{Content, Name, Root};
use conex_distribution::{Options, Server};
use conex_oci::{Descriptor, Digest, media_type};

/// Bytes of requests: with their answers they fit into the kernel's buffers, so that one thread can be client and server.
const MOST: usize = 8 << 10;

/// The image's configuration, and what its blobs are called in requests: the corpus has their digests.
const CONFIG: &[u8] = b"{}";

pub(crate) fn requests(bytes: &[u8]) {
    let bytes = &bytes[..bytes.len().min(MOST)];
    let root = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).expect("a directory");
    let content = store(root.path());
    let listen = ([127, 0, 0, 1], 0).into();
    let options = Options { listen, read_only: false, connections: 1 };
    let server = Server::bind(content, &options).expect("a port");
    let listener = TcpListener::bind(listen).expect("another port");
    let mut client = TcpStream::connect(listener.local_addr().expect("its address")).expect("a connection");
    let (accepted, _) = listener.accept().expect("a connection");
    client.write_all(bytes).expect("room for a request");
    client.shutdown(Shutdown::Write).expect("the end");
    // What is wrong with the connection itself is the client's doing: it has said no more.
    let _ = server.answer(&accepted);
    accepted.shutdown(Shutdown::Write).expect("the end");
    let mut answers = Vec::new();
    // A server that closes with requests unread resets the connection.
    let _ = client.read_to_end(&mut answers);
    whole(&answers, bytes);
    let content = Content::open(root.path()).expect("the store");
    for digest in content.blobs().expect("its blobs") {
        let mut blob = Vec::new();
        content.reader(&digest).expect("a blob").read_to_end(&mut blob).expect("its bytes");
        assert_eq!(Digest::of(&blob), digest, "a blob has other bytes");
    }
    for root in content.roots().expect("its references") {
        assert!(content.read(&root.target).is_ok(), "{root:?} leads to nothing");
    }
}

/// A store with the image `a:t`.
fn store(root: &Path) -> Content {
    let content = Content::open(root).expect("a store");
    let config = content.put(CONFIG).expect("a blob");
    let manifest = format!(
        r#"{{"schemaVersion":2,"mediaType":"{}","config":{{"mediaType":"{}","digest":"{config}","size":2}},"layers":[]}}"#,
        media_type::MANIFEST,
        media_type::CONFIG
    );
    let digest = content.put(manifest.as_bytes()).expect("a blob");
    let target = Descriptor::new(media_type::MANIFEST, digest, manifest.len() as u64);
    let name = Name::Reference("a:t".parse().expect("a reference"));
    content.set_all(&[Root { name, target }]).expect("a reference");
    content
}

/// That the answers are whole messages, one after the other, each with as many bytes as it says or, to a `HEAD`, none.
fn whole(mut answers: &[u8], requests: &[u8]) {
    let asks_heads = requests.windows(5).any(|word| word == b"HEAD ");
    while !answers.is_empty() {
        let mut headers = [httparse::EMPTY_HEADER; 32];
        let mut answer = httparse::Response::new(&mut headers);
        let head = match answer.parse(answers) {
            Ok(httparse::Status::Complete(head)) => head,
            other => panic!("{other:?}: {:?}", String::from_utf8_lossy(answers)),
        };
        let code = answer.code.expect("a status");
        assert!(
            matches!(code, 100 | 200..=206 | 400..=431 | 503),
            "{code}: {:?}",
            String::from_utf8_lossy(answers)
        );
        let length = answer.headers.iter().find(|header| header.name == "Content-Length");
        let length: usize = length
            .map_or(0, |header| std::str::from_utf8(header.value).expect("text").parse().expect("a number"));
        let after = &answers[head..];
        // The next message begins behind the body, or at once.
        let begins = |bytes: &[u8]| bytes.is_empty() || bytes.starts_with(b"HTTP/1.1 ");
        answers = match after.get(length..) {
            Some(rest) if begins(rest) => rest,
            _ => {
                assert!(asks_heads && begins(after), "{:?}", String::from_utf8_lossy(answers));
                after
            }
        };
    }
}
