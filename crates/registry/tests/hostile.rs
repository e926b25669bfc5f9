//! What a hostile or broken registry can do to us: nothing but a clear error.

#![allow(missing_docs)]

mod server;

use std::io::Read;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use conex_oci::{Descriptor, Digest, Reference, media_type};
use conex_registry::{Client, Error, Options};
use server::{Reply, Server};

const MANIFEST: &[u8] = br#"{"schemaVersion":2,"config":{},"layers":[]}"#;

fn client() -> Client {
    Client::new(Options {
        attempts: 3,
        backoff: Duration::from_millis(1),
        patience: Duration::from_secs(20),
        ..Options::default()
    })
}

fn reference(server: &Server, rest: &str) -> Reference {
    format!("{}/a/b{rest}", server.address()).parse().unwrap()
}

fn manifest() -> Reply {
    Reply::status(200).header("Content-Type", media_type::MANIFEST).body(MANIFEST)
}

fn blob(server: &Server, descriptor: &Descriptor) -> Result<Vec<u8>, Error> {
    let client = client();
    let mut blob = client.fetch(&reference(server, ""), descriptor)?;
    let (mut bytes, mut buffer) = (Vec::new(), [0; 7]);
    loop {
        match blob.next(&mut buffer)? {
            0 => return Ok(bytes),
            count => bytes.extend_from_slice(&buffer[..count]),
        }
    }
}

fn layer(bytes: &[u8]) -> Descriptor {
    Descriptor::new(media_type::LAYER, Digest::of(bytes), bytes.len() as u64)
}

#[test]
fn an_honest_manifest_resolves() {
    let server = Server::start(|_| manifest());
    let resolved = client().resolve(&reference(&server, ":t")).unwrap();
    assert_eq!(resolved.bytes, MANIFEST);
    assert_eq!(
        resolved.descriptor,
        Descriptor::new(media_type::MANIFEST, Digest::of(MANIFEST), MANIFEST.len() as u64)
    );
    assert!(server.asked().iter().any(|asked| asked.path == "/v2/a/b/manifests/t" && asked.method == "GET"));
}

#[test]
fn a_forged_manifest_is_refused() {
    let server = Server::start(|_| manifest());
    let digest = Digest::of(b"what was asked for");
    let error = client().resolve(&reference(&server, &format!("@{digest}"))).unwrap_err();
    assert!(matches!(error, Error::Digest { expected, .. } if expected == digest), "{error}");

    let server = Server::start(move |_| manifest().header("Docker-Content-Digest", digest));
    let error = client().resolve(&reference(&server, ":t")).unwrap_err();
    assert!(matches!(error, Error::Digest { .. }), "{error}");

    let server = Server::start(|_| manifest().header("Docker-Content-Digest", "sha256:../../etc"));
    let error = client().resolve(&reference(&server, ":t")).unwrap_err();
    assert!(matches!(error, Error::MalformedDigest { .. }), "{error}");
}

#[test]
fn an_endless_manifest_is_cut_off() {
    let server = Server::start(|_| Reply::status(200).header("Content-Type", media_type::MANIFEST).endless());
    let error = client().resolve(&reference(&server, ":t")).unwrap_err();
    assert!(matches!(error, Error::TooLarge { .. }), "{error}");
}

#[test]
fn what_is_no_manifest_is_refused() {
    for (kind, body) in [
        ("text/html", "<html>"),
        (media_type::INDEX, r#"{"layers":[]}"#),
        (media_type::MANIFEST, r#"{"layers":[],"manifests":[]}"#),
        ("application/json", r#"{"schemaVersion":1,"fsLayers":[]}"#),
        ("application/vnd.example", r#"{"mediaType":"application/vnd.example","layers":[]}"#),
    ] {
        let server = Server::start(move |_| Reply::status(200).header("Content-Type", kind).body(body));
        let error = client().resolve(&reference(&server, ":t")).unwrap_err();
        assert!(matches!(error, Error::NotAManifest { .. }), "{kind}: {error}");
    }
}

#[test]
fn a_blob_of_another_length_is_refused() {
    let descriptor = layer(b"0123456789");
    let longer = Server::start(|_| Reply::status(200).body("0123456789A"));
    let error = blob(&longer, &descriptor).unwrap_err();
    assert!(matches!(error, Error::Size { expected: 10, .. }), "{error}");

    let shorter = Server::start(|_| Reply::status(200).body("012345678"));
    assert!(matches!(blob(&shorter, &descriptor), Err(Error::Size { .. })));

    let endless = Server::start(|_| Reply::status(200).endless());
    assert!(matches!(blob(&endless, &descriptor), Err(Error::Size { .. })));

    // Breaks off each time, and never gets further.
    let broken = Server::start(|_| Reply::status(200).body("01234").length(10));
    let error = blob(&broken, &descriptor).unwrap_err();
    assert!(matches!(error, Error::Size { .. } | Error::Unreachable { .. }), "{error}");
}

#[test]
fn a_broken_download_is_taken_up_where_it_broke() {
    let bytes = b"0123456789";
    let server = Server::start(move |asked| match asked.header("range") {
        None => Reply::status(200).body(&bytes[..4]).length(10),
        Some("bytes=4-") => Reply::status(206).header("Content-Range", "bytes 4-9/10").body(&bytes[4..]),
        Some(other) => panic!("{other}"),
    });
    assert_eq!(blob(&server, &layer(bytes)).unwrap(), bytes);

    // A server without ranges sends all of it again.
    let tries = AtomicU32::new(0);
    let server = Server::start(move |_| match tries.fetch_add(1, Ordering::SeqCst) {
        // The first question is whether anybody speaks http at all.
        0 | 1 => Reply::status(200).body(&bytes[..4]).length(10),
        _ => Reply::status(200).body(bytes),
    });
    assert_eq!(blob(&server, &layer(bytes)).unwrap(), bytes);
}

#[test]
fn a_range_that_was_not_asked_for_is_refused() {
    let server = Server::start(|asked| match asked.header("range") {
        None => Reply::status(200).body("0123").length(10),
        Some(_) => Reply::status(206).header("Content-Range", "bytes 6-9/10").body("6789"),
    });
    assert!(matches!(blob(&server, &layer(b"0123456789")), Err(Error::Size { .. })));
}

#[test]
fn reading_gives_the_same_bytes_and_errors() {
    let server = Server::start(|_| Reply::status(200).body("0123456789"));
    let client = client();
    let mut text = String::new();
    client.fetch(&reference(&server, ""), &layer(b"0123456789")).unwrap().read_to_string(&mut text).unwrap();
    assert_eq!(text, "0123456789");
}

#[test]
fn a_busy_registry_is_asked_again() {
    let tries = AtomicU32::new(0);
    let server = Server::start(move |_| match tries.fetch_add(1, Ordering::SeqCst) {
        0 => Reply::status(503),
        1 => Reply::status(429).header("Retry-After", 0),
        _ => manifest(),
    });
    client().resolve(&reference(&server, ":t")).unwrap();

    let server = Server::start(|_| Reply::status(500));
    let error = client().resolve(&reference(&server, ":t")).unwrap_err();
    assert!(matches!(error, Error::Status { status: 500, .. }), "{error}");
    assert_eq!(server.asked().len(), 3, "no more often than allowed");
}

#[test]
fn a_token_is_asked_for_once_and_goes_to_the_registry_only() {
    let elsewhere = Server::start(|_| Reply::status(200).body("0123456789"));
    let cdn = elsewhere.address();
    let server = Server::start(move |asked| {
        if asked.path.starts_with("/token?") {
            return Reply::status(200).body(r#"{"token":"abc"}"#);
        }
        match asked.header("authorization") {
            Some("Bearer abc") if asked.path.contains("/blobs/") => {
                Reply::status(307).header("Location", format!("http://{cdn}/signed?x=1"))
            }
            Some("Bearer abc") => manifest(),
            _ => {
                let host = asked.header("host").unwrap().to_owned();
                let realm = format!(r#"Bearer realm="http://{host}/token",service="s""#);
                Reply::status(401).header("WWW-Authenticate", realm)
            }
        }
    });
    let client = client();
    let reference = reference(&server, ":t");
    client.resolve(&reference).unwrap();
    let mut bytes = Vec::new();
    client.fetch(&reference, &layer(b"0123456789")).unwrap().read_to_end(&mut bytes).unwrap();
    assert_eq!(bytes, b"0123456789");
    let tokens: Vec<_> =
        server.asked().into_iter().filter(|asked| asked.path.starts_with("/token")).collect();
    assert_eq!(tokens.len(), 1);
    assert_eq!(tokens[0].path, "/token?service=s&scope=repository%3Aa%2Fb%3Apull");
    let leaked = elsewhere.asked();
    assert!(
        !leaked.is_empty() && leaked.iter().all(|asked| asked.header("authorization").is_none()),
        "{leaked:?}"
    );
}

#[test]
fn a_blob_server_has_no_say_in_where_tokens_come_from() {
    let evil = Server::start(|_| Reply::status(200).body(r#"{"token":"evil"}"#));
    let realm = format!(r#"Bearer realm="http://{}/token""#, evil.address());
    let elsewhere = Server::start(move |_| Reply::status(401).header("WWW-Authenticate", &realm));
    let location = format!("http://{}/x", elsewhere.address());
    let server = Server::start(move |_| Reply::status(307).header("Location", &location));
    let error = blob(&server, &layer(b"0123456789")).unwrap_err();
    assert!(matches!(error, Error::AuthenticationRequired { .. }), "{error}");
    assert!(evil.asked().is_empty());
}

#[test]
fn a_registry_that_never_accepts_a_token_is_given_up() {
    let server = Server::start(|asked| {
        if asked.path.starts_with("/token") {
            return Reply::status(200).body(r#"{"access_token":"abc"}"#);
        }
        let host = asked.header("host").unwrap().to_owned();
        Reply::status(401).header("WWW-Authenticate", format!(r#"Bearer realm="http://{host}/token""#))
    });
    let error = client().resolve(&reference(&server, ":t")).unwrap_err();
    assert!(matches!(error, Error::AuthenticationRequired { .. }), "{error}");
}

#[test]
fn passwords_and_strange_tokens_are_clear_errors() {
    let server = Server::start(|_| Reply::status(401).header("WWW-Authenticate", r#"Basic realm="x""#));
    let error = client().resolve(&reference(&server, ":t")).unwrap_err();
    assert!(error.to_string().starts_with("authentication required: "), "{error}");

    for token in [r#"{"token":"a\r\nX: y"}"#, r#"{"token":""}"#, "{}", "<html>"] {
        let server = Server::start(move |asked| {
            if asked.path.starts_with("/token") {
                return Reply::status(200).body(token);
            }
            let host = asked.header("host").unwrap().to_owned();
            Reply::status(401).header("WWW-Authenticate", format!(r#"Bearer realm="http://{host}/token""#))
        });
        let error = client().resolve(&reference(&server, ":t")).unwrap_err();
        assert!(matches!(error, Error::Token { .. }), "{token}: {error}");
    }
    for realm in ["file:///etc/passwd", "gopher://x", "no address"] {
        let server = Server::start(move |_| {
            Reply::status(401).header("WWW-Authenticate", format!(r#"Bearer realm="{realm}""#))
        });
        let error = client().resolve(&reference(&server, ":t")).unwrap_err();
        assert!(matches!(error, Error::Token { .. }), "{realm}: {error}");
    }
}

#[test]
fn redirects_end_and_stay_on_http() {
    for location in ["file:///etc/passwd", "/v2/again", "", "https://u:p@127.0.0.1/"] {
        let server = Server::start(move |_| Reply::status(302).header("Location", location));
        let error = client().resolve(&reference(&server, ":t")).unwrap_err();
        assert!(matches!(error, Error::Redirect { .. }), "{location}: {error}");
        assert!(server.asked().len() < 20, "a loop");
    }
}

#[test]
fn errors_are_in_the_registrys_words_without_its_escapes() {
    let body = r#"{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest \u001b[31munknown\nreally"}]}"#;
    let server = Server::start(move |_| Reply::status(404).body(body));
    let error = client().resolve(&reference(&server, ":t")).unwrap_err();
    let text = error.to_string();
    assert!(
        matches!(error, Error::NotFound { .. }) && text.ends_with("manifest  [31munknown really"),
        "{text:?}"
    );
    assert!(!text.chars().any(char::is_control), "{text:?}");
}

#[test]
fn nobody_there_is_said_at_once() {
    let address = Server::start(|_| manifest()).address();
    let reference: Reference = format!("{address}/a:t").parse().unwrap();
    let error = client().resolve(&reference).unwrap_err();
    assert!(
        error.to_string().starts_with(&format!("cannot reach registry {address}: Connection refused")),
        "{error}"
    );
}

#[test]
fn a_look_gives_the_descriptor_without_the_document() {
    let digest = Digest::of(MANIFEST);
    let server = Server::start(move |asked| match asked.method.as_str() {
        "HEAD" => Reply::status(200)
            .header("Content-Type", media_type::MANIFEST)
            .header("Docker-Content-Digest", digest)
            .length(MANIFEST.len() as u64),
        _ => Reply::status(200),
    });
    let look = client().look(&reference(&server, ":t")).unwrap();
    assert_eq!(look, Some(Descriptor::new(media_type::MANIFEST, digest, MANIFEST.len() as u64)));
}

/// Answers each connection with `head`, then a byte every 20 ms for ever.
fn dripping(head: &'static str) -> String {
    use std::io::{BufRead, BufReader, Write};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    // Ends with the test's process.
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || {
                let mut reader = BufReader::new(&stream);
                if reader.fill_buf().ok().and_then(|bytes| bytes.first().copied()) == Some(0x16) {
                    return;
                }
                let mut stream = &stream;
                let _ = stream.write_all(head.as_bytes());
                while stream.write_all(b"a").is_ok() {
                    std::thread::sleep(Duration::from_millis(20));
                }
            });
        }
    });
    address
}

#[test]
fn a_peer_that_is_silent_or_drips_is_given_up() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    for address in [
        silent.local_addr().unwrap().to_string(),
        // A header that does not end, a document that does not.
        dripping("HTTP/1.1 200 OK\r\nX-"),
        dripping("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n"),
    ] {
        let client = Client::new(Options {
            attempts: 2,
            backoff: Duration::from_millis(1),
            patience: Duration::from_millis(300),
            whole: Duration::from_millis(600),
            ..Options::default()
        });
        let began = std::time::Instant::now();
        let error = client.resolve(&format!("{address}/a:t").parse().unwrap()).unwrap_err();
        assert!(matches!(error, Error::Unreachable { .. }), "{error}");
        assert!(began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());
    }
}

#[test]
fn endless_lists_and_tokens_are_cut_off() {
    let server = Server::start(|asked| match asked.path.as_str() {
        path if path.starts_with("/token") => Reply::status(200).endless(),
        _ => {
            let host = asked.header("host").unwrap().to_owned();
            Reply::status(401).header("WWW-Authenticate", format!(r#"Bearer realm="http://{host}/token""#))
        }
    });
    let error = client().resolve(&reference(&server, ":t")).unwrap_err();
    assert!(matches!(error, Error::Token { .. }), "{error}");

    let server = Server::start(|_| Reply::status(200).endless());
    let error = client().tags(&reference(&server, ":t")).unwrap_err();
    assert!(matches!(error, Error::TooLarge { .. }), "{error}");
    let error = client().referrers(&reference(&server, ":t"), &Digest::of(b"x"), None).unwrap_err();
    assert!(matches!(error, Error::TooLarge { .. }), "{error}");

    // A reason without an end, and one of many lines.
    let server = Server::start(|_| Reply::status(403).endless());
    let error = client().resolve(&reference(&server, ":t")).unwrap_err();
    assert!(matches!(error, Error::Denied { .. }) && error.to_string().len() < 400, "{error}");
}

#[test]
fn a_registry_that_always_asks_for_more_is_given_up() {
    // A new realm, a new scope and a new service each time.
    let times = AtomicU32::new(0);
    let server = Server::start(move |asked| {
        let number = times.fetch_add(1, Ordering::SeqCst);
        if asked.path.starts_with("/token") {
            return Reply::status(200).body(format!(r#"{{"token":"t{number}","expires_in":1}}"#));
        }
        let host = asked.header("host").unwrap().to_owned();
        let challenge = format!(
            r#"Bearer realm="http://{host}/token/{number}",service="{number}",scope="repository:x{number}:pull""#
        );
        Reply::status(401).header("WWW-Authenticate", challenge)
    });
    let error = client().resolve(&reference(&server, ":t")).unwrap_err();
    assert!(matches!(error, Error::AuthenticationRequired { .. }), "{error}");
    assert!(server.asked().len() < 8, "{}", server.asked().len());
}
