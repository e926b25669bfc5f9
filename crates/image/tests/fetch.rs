//! How blobs come: taken up where somebody stopped, in pieces over several connections, once for all who want them, and
//! not at all from a peer that drips.

#![allow(missing_docs)]

#[path = "../../registry/tests/server/mod.rs"]
mod server;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};
use std::time::{Duration, Instant};

use conex_image::{Error, Silent, Store};
use conex_oci::{Descriptor, DiffId, Digest, Platform, Reference, media_type};
use conex_registry::{Client, Options};
use conex_tests::{Flaky, needs_root};
use serde_json::json;
use server::{Asked, Reply, Server};

const MEGABYTE: usize = 1 << 20;

fn options() -> Options {
    Options { attempts: 1, backoff: Duration::from_millis(1), ..Options::default() }
}

/// A layer's tar with one file of bytes that do not repeat.
fn layer(size: usize) -> Vec<u8> {
    let mut header = [0_u8; 512];
    header[..4].copy_from_slice(b"data");
    header[100..108].copy_from_slice(b"0000644\0");
    header[108..116].copy_from_slice(b"0000000\0");
    header[116..124].copy_from_slice(b"0000000\0");
    header[124..136].copy_from_slice(format!("{size:011o}\0").as_bytes());
    header[136..148].copy_from_slice(b"00000000000\0");
    header[156] = b'0';
    header[257..265].copy_from_slice(b"ustar\x0000");
    header[148..156].copy_from_slice(b"        ");
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    let mut tar = header.to_vec();
    let mut state = 88_172_645_463_325_252_u64;
    tar.extend(
        std::iter::repeat_with(|| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state as u8
        })
        .take(size),
    );
    tar.resize(tar.len().next_multiple_of(512) + 1024, 0);
    tar
}

/// An image of one layer: how to answer for all but the layer, and what the layer is.
fn image(bytes: &[u8]) -> (impl Fn(&Asked) -> Option<Reply> + Clone + Send + 'static, Descriptor) {
    let layer = Descriptor::new(media_type::LAYER, Digest::of(bytes), bytes.len() as u64);
    let config = json!({"architecture": Platform::host().architecture, "os": "linux",
        "rootfs": {"type": "layers", "diff_ids": [DiffId(layer.digest)]}})
    .to_string();
    let descriptor = Descriptor::new(media_type::CONFIG, Digest::of(config.as_bytes()), config.len() as u64);
    let manifest = json!({"schemaVersion": 2, "mediaType": media_type::MANIFEST, "config": descriptor, "layers": [layer]});
    let (manifest, config_path) = (manifest.to_string(), descriptor.digest.to_string());
    let answer = move |asked: &Asked| {
        if asked.path.contains("/manifests/") {
            return Some(
                Reply::status(200).header("Content-Type", media_type::MANIFEST).body(manifest.clone()),
            );
        }
        if asked.path == "/v2/" {
            return Some(Reply::status(200));
        }
        asked.path.ends_with(&config_path).then(|| Reply::status(200).body(config.clone()))
    };
    (answer, layer)
}

/// The part of `bytes` that was asked for.
fn part(asked: &Asked, bytes: &[u8]) -> Reply {
    let Some(range) = asked.header("range") else { return Reply::status(200).body(bytes) };
    let (first, last) = range.strip_prefix("bytes=").unwrap().split_once('-').unwrap();
    let first: usize = first.parse().unwrap();
    let last = last.parse().unwrap_or(bytes.len() - 1);
    let said = format!("bytes {first}-{last}/{}", bytes.len());
    Reply::status(206).header("Content-Range", said).body(&bytes[first..=last])
}

fn pull(store: &Store, server: &str, options: Options) -> Result<(), Error> {
    let reference: Reference = format!("{server}/a:t").parse().unwrap();
    store.pull_with(&Client::new(options), &reference, None, &Silent).map(|_| ())
}

fn store() -> (tempfile::TempDir, Store) {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path()).unwrap();
    (directory, store)
}

fn temporaries(store: &Store) -> Vec<String> {
    let entries = std::fs::read_dir(store.root().join("tmp")).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[test]
fn half_a_layer_is_taken_up_by_the_next_pull() {
    needs_root!();
    let bytes = layer(MEGABYTE);
    let (answer, descriptor) = image(&bytes);
    let whole = bytes.clone();
    let server = Server::start(move |asked| answer(asked).unwrap_or_else(|| part(asked, &whole)));
    let (_directory, store) = store();
    let flaky = Flaky::down(&server.address(), [700_000]);
    pull(&store, &flaky.address(), options()).unwrap_err();
    assert_eq!(temporaries(&store), [format!("partial-{}", descriptor.digest.hex())]);
    assert!(store.content().roots().unwrap().is_empty());
    pull(&store, &flaky.address(), options()).unwrap();
    let ranges: Vec<String> =
        server.asked().iter().filter_map(|asked| asked.header("range")).map(str::to_owned).collect();
    let from: usize = ranges[0].trim_start_matches("bytes=").trim_end_matches('-').parse().unwrap();
    assert!(ranges.len() == 1 && (500_000..700_000).contains(&from), "{ranges:?}");
    assert!(temporaries(&store).is_empty());
}

#[test]
fn half_a_layer_that_has_rotted_is_fetched_again() {
    needs_root!();
    let bytes = layer(MEGABYTE);
    let (answer, descriptor) = image(&bytes);
    let server = Server::start(move |asked| answer(asked).unwrap_or_else(|| part(asked, &bytes)));
    let (directory, store) = store();
    let partial = directory.path().join("tmp").join(format!("partial-{}", descriptor.digest.hex()));
    std::fs::write(partial, vec![7; 1000]).unwrap();
    pull(&store, &server.address(), options()).unwrap();
    assert!(temporaries(&store).is_empty());
}

#[test]
fn a_large_layer_comes_in_pieces() {
    needs_root!();
    let bytes = layer(4 * MEGABYTE);
    let (answer, _) = image(&bytes);
    let piece = 256 << 10;
    let wide = Options { wide: MEGABYTE as u64, piece, ranges: 4, attempts: 2, ..options() };
    let whole = bytes.clone();
    let documents = answer.clone();
    let server = Server::start(move |asked| documents(asked).unwrap_or_else(|| part(asked, &whole)));
    let (_directory, one) = store();
    pull(&one, &server.address(), wide.clone()).unwrap();
    let pieces = bytes.len().div_ceil(piece as usize);
    let asked = || server.asked().iter().filter(|asked| asked.header("range").is_some()).count();
    assert_eq!(asked(), pieces);

    // Broken off in the middle: what is there is not asked for again.
    let (documents, whole, given) = (answer.clone(), bytes.clone(), AtomicUsize::new(0));
    let breaking = Server::start(move |asked| {
        documents(asked).unwrap_or_else(|| match given.fetch_add(1, Ordering::SeqCst) {
            9 => Reply::status(503),
            _ => part(asked, &whole),
        })
    });
    let (_other, two) = store();
    pull(&two, &breaking.address(), Options { attempts: 1, ..wide.clone() }).unwrap_err();
    let kept = temporaries(&two);
    assert!(kept.len() == 2 && kept.iter().any(|name| name.ends_with(".map")), "{kept:?}");
    let before = breaking.asked().iter().filter(|asked| asked.header("range").is_some()).count();
    pull(&two, &breaking.address(), wide.clone()).unwrap();
    let after = breaking.asked().iter().filter(|asked| asked.header("range").is_some()).count();
    assert!(after - before < pieces - 3, "some pieces were there: {} of {pieces}", after - before);
    assert!(temporaries(&two).is_empty());

    // A registry that knows no ranges gives it whole.
    let simple =
        Server::start(move |asked| answer(asked).unwrap_or_else(|| Reply::status(200).body(&bytes[..])));
    let (_third, three) = store();
    pull(&three, &simple.address(), wide).unwrap();
}

#[test]
fn pieces_that_lie_are_refused() {
    needs_root!();
    let bytes = layer(2 * MEGABYTE);
    let (answer, _) = image(&bytes);
    let wide = Options { wide: 1, piece: 256 << 10, ranges: 4, ..options() };
    for forged in [
        // Other bytes.
        |asked: &Asked, bytes: &[u8]| part(asked, &vec![1; bytes.len()]),
        // Another range than was asked for.
        |_: &Asked, bytes: &[u8]| {
            Reply::status(206).header("Content-Range", "bytes 5-9/10").body(&bytes[5..10])
        },
        // More than was asked for.
        |asked: &Asked, bytes: &[u8]| {
            let range = asked.header("range").unwrap_or("bytes=0-0").trim_start_matches("bytes=").to_owned();
            Reply::status(206).header("Content-Range", format!("bytes {range}/{}", bytes.len())).body(bytes)
        },
    ] {
        let (answer, whole) = (answer.clone(), bytes.clone());
        let server = Server::start(move |asked| answer(asked).unwrap_or_else(|| forged(asked, &whole)));
        let (_directory, store) = store();
        let error = pull(&store, &server.address(), wide.clone()).unwrap_err();
        assert_eq!(error.to_string().lines().count(), 1, "{error}");
        assert!(temporaries(&store).is_empty(), "{error}: {:?}", temporaries(&store));
        assert!(store.content().roots().unwrap().is_empty());
    }
}

#[test]
fn several_who_want_a_blob_fetch_it_once() {
    needs_root!();
    let bytes = layer(MEGABYTE);
    let (answer, descriptor) = image(&bytes);
    let fetched = Arc::new(AtomicUsize::new(0));
    let (count, path) = (Arc::clone(&fetched), format!("blobs/{}", descriptor.digest));
    let server = Server::start(move |asked| {
        if asked.path.ends_with(&path) {
            count.fetch_add(1, Ordering::SeqCst);
            std::thread::sleep(Duration::from_millis(50));
        }
        answer(asked).unwrap_or_else(|| part(asked, &bytes))
    });
    let (directory, _) = store();
    let barrier = Barrier::new(4);
    std::thread::scope(|scope| {
        for number in 0..4 {
            let (directory, barrier, address) = (&directory, &barrier, server.address());
            scope.spawn(move || {
                let store = Store::open(directory.path()).unwrap();
                let reference: Reference = format!("{address}/repository{number}:t").parse().unwrap();
                barrier.wait();
                store.pull_with(&Client::new(options()), &reference, None, &Silent).unwrap();
            });
        }
    });
    assert_eq!(fetched.load(Ordering::SeqCst), 1);
}

#[test]
fn a_peer_that_drips_is_given_up() {
    use std::io::{Read, Write};
    // Speaks HTTP, and then a byte every few milliseconds for ever.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = Arc::clone(&stop);
    let bytes = layer(MEGABYTE);
    let (_, descriptor) = image(&bytes);
    let size = bytes.len();
    let thread = std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            if stopped.load(Ordering::SeqCst) {
                return;
            }
            let mut stream = stream;
            std::thread::spawn(move || {
                let mut buffer = [0; 4096];
                let count = stream.read(&mut buffer).unwrap_or(0);
                if count == 0 || buffer[0] == 0x16 {
                    return;
                }
                let _ =
                    write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {size}\r\nConnection: close\r\n\r\n");
                while stream.write_all(b"x").is_ok() {
                    std::thread::sleep(Duration::from_millis(10));
                }
            });
        }
    });
    let patient = Options { attempts: 2, patience: Duration::from_millis(500), slowest: 1024, ..options() };
    let began = Instant::now();
    let client = Client::new(patient);
    let reference: Reference = format!("{address}/a:t").parse().unwrap();
    let mut sink = std::io::sink();
    let mut blob = client.fetch(&reference, &descriptor).unwrap();
    let error = std::io::copy(&mut blob, &mut sink).unwrap_err().to_string();
    assert!(error.contains("cannot reach registry") && error.contains("it only drips"), "{error}");
    assert!(began.elapsed() < Duration::from_secs(10));
    stop.store(true, Ordering::SeqCst);
    let _ = std::net::TcpStream::connect(&address);
    thread.join().unwrap();
}
