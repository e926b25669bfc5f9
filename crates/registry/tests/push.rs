//! Push, referrers, tags and artifacts, against Debian's `docker-registry`, with connections that break on the way.

#![allow(missing_docs)]

mod server;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::PathBuf;
use std::time::Duration;

use conex_oci::{Descriptor, Digest, Reference, media_type};
use conex_registry::{ArtifactFile, ArtifactOptions, Client, Credentials, Delivery, Error, Options, Source};
use conex_tests::{Flaky, PASSWORD, Registry, TokenServer, USER, skip};
use serde_json::json;
use server::{Reply, Server};

fn options(chunk: u64) -> Options {
    Options { chunk, attempts: 4, backoff: Duration::from_millis(1), ..Options::default() }
}

/// Bytes that do not repeat, and their file.
fn blob(size: usize) -> (tempfile::NamedTempFile, Descriptor, Vec<u8>) {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let bytes: Vec<u8> = std::iter::repeat_with(|| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    })
    .take(size)
    .collect();
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(&bytes).unwrap();
    let descriptor = Descriptor::new(media_type::LAYER, Digest::of(&bytes), size as u64);
    (file, descriptor, bytes)
}

fn send(
    client: &Client,
    name: &str,
    blob: &Descriptor,
    file: &File,
    from: &[&str],
) -> Result<Delivery, Error> {
    let from: Vec<String> = from.iter().map(|name| (*name).to_owned()).collect();
    client.push_blob(&name.parse().unwrap(), blob, Source { file, mount_from: &from }, &|_| {})
}

fn fetched(client: &Client, name: &str, blob: &Descriptor) -> Vec<u8> {
    let mut bytes = Vec::new();
    client.fetch(&name.parse().unwrap(), blob).unwrap().read_to_end(&mut bytes).unwrap();
    bytes
}

#[test]
fn whole_in_chunks_mounted_and_there() {
    let Some(registry) = Registry::start() else { skip!("no docker-registry or skopeo") };
    let (file, descriptor, bytes) = blob(5 << 20);
    let name = |repository: &str| format!("{}/{repository}", registry.address());
    for (chunk, repository) in [(64 << 20, "whole"), (1 << 20, "chunks"), ((1 << 20) + 7, "odd")] {
        let client = Client::new(options(chunk));
        let sent = RefCell::new(Vec::new());
        let reference: Reference = name(repository).parse().unwrap();
        let source = Source { file: file.as_file(), mount_from: &[] };
        let tell = |count| sent.borrow_mut().push(count);
        assert_eq!(client.push_blob(&reference, &descriptor, source, &tell).unwrap(), Delivery::Pushed);
        assert_eq!(sent.borrow().last(), Some(&descriptor.size));
        assert!(sent.borrow().is_sorted());
        assert_eq!(fetched(&client, &name(repository), &descriptor), bytes);
        assert_eq!(
            send(&client, &name(repository), &descriptor, file.as_file(), &[]).unwrap(),
            Delivery::Exists
        );
    }
    let client = Client::new(options(1 << 20));
    let mounted = send(&client, &name("mounted"), &descriptor, file.as_file(), &["whole"]).unwrap();
    assert_eq!(mounted, Delivery::Mounted { from: "whole".to_owned() });
    assert_eq!(fetched(&client, &name("mounted"), &descriptor), bytes);
    // Where it is not, it is sent.
    let (other, descriptor, _) = blob(1000);
    let sent = send(&client, &name("mounted"), &descriptor, other.as_file(), &["whole"]).unwrap();
    assert_eq!(sent, Delivery::Pushed);
    // And no blob at all is one too.
    let (empty, descriptor, _) = blob(0);
    assert_eq!(send(&client, &name("whole"), &descriptor, empty.as_file(), &[]).unwrap(), Delivery::Pushed);
}

#[test]
fn a_broken_upload_goes_on() {
    let Some(registry) = Registry::start() else { skip!("no docker-registry or skopeo") };
    let (file, descriptor, bytes) = blob(6 << 20);
    for chunk in [1 << 20, 64 << 20] {
        let flaky = Flaky::up(&registry.address(), [2_500_000, 1_300_000]);
        let name = format!("{}/chunk{chunk}", flaky.address());
        let client = Client::new(options(chunk));
        assert_eq!(send(&client, &name, &descriptor, file.as_file(), &[]).unwrap(), Delivery::Pushed);
        assert_eq!(flaky.cuts(), 2);
        assert_eq!(fetched(&client, &name, &descriptor), bytes);
    }
    // One that always breaks is given up.
    let flaky = Flaky::up(&registry.address(), [100_000; 40]);
    let name = format!("{}/never", flaky.address());
    let error = send(&Client::new(options(1 << 20)), &name, &descriptor, file.as_file(), &[]).unwrap_err();
    assert!(matches!(error, Error::Unreachable { .. }), "{error}");
    assert!(flaky.cuts() < 10);
}

#[test]
fn another_idea_of_the_range_is_followed() {
    // Says 416 to the second chunk, then that it has half of it.
    let server = Server::start(|asked| match (asked.method.as_str(), asked.header("content-range")) {
        ("HEAD", _) => Reply::status(404),
        ("GET", _) if asked.path == "/v2/" => Reply::status(200),
        ("GET", _) => Reply::status(204).header("Location", "/v2/a/blobs/uploads/1").header("Range", "0-5"),
        ("POST", _) => Reply::status(202).header("Location", "/v2/a/blobs/uploads/1"),
        ("PATCH", Some("0-3")) => {
            Reply::status(202).header("Location", "/v2/a/blobs/uploads/1").header("Range", "0-3")
        }
        ("PATCH", Some("4-7")) => Reply::status(416),
        ("PUT", Some("6-9")) => Reply::status(201),
        (method, range) => panic!("{method} {range:?}"),
    });
    let (file, descriptor, _) = blob(10);
    let name = format!("{}/a", server.address());
    assert_eq!(
        send(&Client::new(options(4)), &name, &descriptor, file.as_file(), &[]).unwrap(),
        Delivery::Pushed
    );
    let put = server.asked().into_iter().find(|asked| asked.method == "PUT").unwrap();
    assert!(put.path.starts_with("/v2/a/blobs/uploads/1?digest=sha256%3A"), "{}", put.path);

    // Wants no chunks: is sent the whole.
    let server = Server::start(|asked| match asked.method.as_str() {
        "HEAD" => Reply::status(404),
        "GET" => Reply::status(200),
        "POST" => Reply::status(202).header("Location", "/v2/a/blobs/uploads/1"),
        "PATCH" => Reply::status(405),
        _ if asked.header("content-range").is_none() => Reply::status(201),
        _ => Reply::status(400),
    });
    let name = format!("{}/a", server.address());
    assert_eq!(
        send(&Client::new(options(4)), &name, &descriptor, file.as_file(), &[]).unwrap(),
        Delivery::Pushed
    );

    // Keeps nothing of what it takes: an end, not a loop.
    let server = Server::start(|asked| match asked.method.as_str() {
        "HEAD" => Reply::status(404),
        "GET" if asked.path == "/v2/" => Reply::status(200),
        "GET" => Reply::status(204).header("Range", "0-0"),
        "POST" => Reply::status(202).header("Location", "/v2/a/blobs/uploads/1"),
        _ => Reply::status(202).header("Location", "/v2/a/blobs/uploads/1").header("Range", "0-0"),
    });
    let name = format!("{}/a", server.address());
    let error = send(&Client::new(options(4)), &name, &descriptor, file.as_file(), &[]).unwrap_err();
    assert!(matches!(error, Error::Malformed { .. }), "{error}");
    assert!(server.asked().len() < 30);
}

#[test]
fn an_upload_is_not_sent_where_it_must_not_go() {
    let elsewhere = Server::start(|_| Reply::status(201));
    let there = elsewhere.address();
    for (location, goes) in [
        (format!("http://{there}/upload?signed=1"), true),
        ("file:///etc/passwd".to_owned(), false),
        (format!("http://user:secret@{there}/"), false),
        (String::new(), false),
    ] {
        let server = Server::start(move |asked| match asked.method.as_str() {
            "HEAD" => Reply::status(404),
            "POST" => Reply::status(202).header("Location", &location),
            _ => Reply::status(200),
        });
        let (file, descriptor, _) = blob(10);
        let name = format!("{}/a", server.address());
        let sent = send(&Client::new(options(64)), &name, &descriptor, file.as_file(), &[]);
        assert_eq!(sent.is_ok(), goes, "{sent:?}");
        assert!(sent.is_ok() || matches!(sent, Err(Error::Redirect { .. })), "{sent:?}");
    }
    assert!(elsewhere.asked().iter().all(|asked| asked.header("authorization").is_none()));
}

#[test]
fn tokens_for_two_repositories() {
    let Some(tokens) = TokenServer::start() else { skip!("no openssl") };
    let Some(registry) = Registry::start_with_tokens(&tokens) else { skip!("no docker-registry or skopeo") };
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("config.json");
    let entry = json!({"auths": {registry.address(): {"username": USER, "password": PASSWORD}}});
    fs::write(&file, entry.to_string()).unwrap();
    let client = Client::new(Options { credentials: Credentials::at([file]), ..options(64 << 20) });
    let (file, descriptor, _) = blob(1000);
    let name = |repository: &str| format!("{}/{repository}", registry.address());
    send(&client, &name("one/a"), &descriptor, file.as_file(), &[]).unwrap();
    let mounted = send(&client, &name("two/b"), &descriptor, file.as_file(), &["one/a"]).unwrap();
    assert_eq!(mounted, Delivery::Mounted { from: "one/a".to_owned() });
    let asked: Vec<Vec<String>> = tokens.asked().into_iter().map(|asked| asked.scopes).collect();
    assert!(asked.contains(&vec!["repository:one/a:pull,push".to_owned()]), "{asked:?}");
    let both = vec!["repository:one/a:pull".to_owned(), "repository:two/b:pull,push".to_owned()];
    assert!(asked.contains(&both), "{asked:?}");
    assert_eq!(asked.len(), 3, "one for each set of scopes: {asked:?}");
    // Somebody without a password may not.
    let error =
        send(&Client::new(options(64)), &name("one/a"), &descriptor, file.as_file(), &[]).unwrap_err();
    assert!(matches!(error, Error::AuthenticationRequired { .. }), "{error}");
}

#[test]
fn files_there_and_back() {
    let Some(registry) = Registry::start() else { skip!("no docker-registry or skopeo") };
    let client = Client::new(options(64 << 20));
    // Names are paths from where one stands: the tests' own sources are here.
    let files = [("src/lib.rs", Some("text/x-rust")), ("Cargo.toml", None)]
        .map(|(path, kind)| ArtifactFile { path: PathBuf::from(path), media_type: kind.map(str::to_owned) });
    let reference: Reference = format!("{}/some/files:v1", registry.address()).parse().unwrap();
    let options = ArtifactOptions {
        artifact_type: Some("application/vnd.example.sources".to_owned()),
        annotations: BTreeMap::from([("a".to_owned(), "b".to_owned())]),
        subject: None,
    };
    let told = RefCell::new(Vec::new());
    let tell =
        |name: &str, _: &Descriptor, how: &Delivery| told.borrow_mut().push((name.to_owned(), how.clone()));
    let pushed = client.push_artifact(&reference, false, &files, &options, &tell).unwrap();
    assert_eq!(told.borrow()[0], ("src/lib.rs".to_owned(), Delivery::Pushed));
    let out = tempfile::tempdir().unwrap();
    let resolved = client.pull_artifact(&reference, out.path(), &|_| {}).unwrap();
    assert_eq!(resolved.descriptor, pushed.manifest);
    for file in &files {
        assert_eq!(fs::read(out.path().join(&file.path)).unwrap(), fs::read(&file.path).unwrap());
    }
    let document: serde_json::Value = serde_json::from_slice(&resolved.bytes).unwrap();
    assert_eq!(document["artifactType"], "application/vnd.example.sources");
    assert_eq!(document["annotations"]["a"], "b");
    assert_eq!(document["layers"][0]["mediaType"], "text/x-rust");
    assert_eq!(document["layers"][0]["annotations"]["org.opencontainers.image.title"], "src/lib.rs");
    assert_eq!(client.tags(&reference).unwrap(), ["v1"]);

    // Attachments are listed with their subject; this registry has no referrers API, so under a tag.
    let attached = ArtifactOptions { subject: Some(pushed.manifest.clone()), ..options };
    let signature = client.push_artifact(&reference, true, &files[1..], &attached, &|_, _, _| {}).unwrap();
    let other =
        ArtifactOptions { artifact_type: Some("application/vnd.example.other".to_owned()), ..attached };
    client.push_artifact(&reference, true, &[], &other, &|_, _, _| {}).unwrap();
    client.push_artifact(&reference, true, &[], &other, &|_, _, _| {}).unwrap();
    let digest = pushed.manifest.digest;
    assert_eq!(client.referrers(&reference, &digest, None).unwrap().len(), 2);
    let listed = client.referrers(&reference, &digest, Some("application/vnd.example.sources")).unwrap();
    assert_eq!(listed.len(), 1);
    assert_eq!(listed[0].digest, signature.manifest.digest);
    assert_eq!(listed[0].annotation("a"), Some("b"));
    let mut tags = client.tags(&reference).unwrap();
    tags.sort();
    assert_eq!(tags, [format!("sha256-{}", digest.hex()), "v1".to_owned()]);
    assert!(client.referrers(&reference, &Digest::of(b"nobody's"), None).unwrap().is_empty());

    for bad in ["../registry/Cargo.toml", "/etc/hostname", "src"] {
        let file = ArtifactFile { path: PathBuf::from(bad), media_type: None };
        let error = client.push_artifact(&reference, false, &[file], &other, &|_, _, _| {}).unwrap_err();
        assert!(matches!(error, Error::ArtifactName { .. } | Error::File { .. }), "{bad}: {error}");
    }
}

#[test]
fn a_hostile_artifact_stays_in_its_directory() {
    let bytes = b"0123456789";
    for (title, lie) in [("../evil", false), ("/tmp/evil", false), ("a/../../evil", false), ("fine", true)] {
        let mut layer = Descriptor::new("text/plain", Digest::of(bytes), bytes.len() as u64);
        layer.annotations =
            Some(BTreeMap::from([("org.opencontainers.image.title".to_owned(), title.to_owned())]));
        let config = Descriptor::new("application/vnd.oci.empty.v1+json", Digest::of(b"{}"), 2);
        let manifest = json!({"schemaVersion": 2, "config": config, "layers": [layer]}).to_string();
        let server = Server::start(move |asked| {
            if asked.path.contains("/manifests/") {
                return Reply::status(200)
                    .header("Content-Type", media_type::MANIFEST)
                    .body(manifest.clone());
            }
            Reply::status(200).body(if lie { &b"9876543210"[..] } else { &bytes[..] })
        });
        let out = tempfile::tempdir().unwrap();
        let inner = out.path().join("inner");
        let reference = format!("{}/a:t", server.address()).parse().unwrap();
        let error = Client::new(options(64)).pull_artifact(&reference, &inner, &|_| {}).unwrap_err();
        assert!(matches!(error, Error::ArtifactName { .. } | Error::Digest { .. }), "{title}: {error}");
        let left = |path: &std::path::Path| fs::read_dir(path).map_or(0, Iterator::count);
        assert_eq!((left(out.path()), left(&inner)), (usize::from(lie), 0), "{title}: something is left");
    }
}

#[test]
fn referrers_by_the_api_in_pages() {
    let descriptor = |name: &str, kind: &str| {
        let mut descriptor = Descriptor::new(media_type::MANIFEST, Digest::of(name.as_bytes()), 1);
        descriptor.artifact_type = Some(kind.to_owned());
        descriptor
    };
    let index = |list: &[Descriptor]| json!({"schemaVersion": 2, "manifests": list}).to_string();
    let (first, second) =
        (index(&[descriptor("1", "x"), descriptor("2", "y")]), index(&[descriptor("3", "x")]));
    let server = Server::start(move |asked| {
        let reply = Reply::status(200).header("Content-Type", media_type::INDEX);
        match asked.path.as_str() {
            "/v2/" => Reply::status(200),
            path if path.contains("page=2") => reply.body(second.clone()),
            path => reply.header("Link", format!("<{path}&page=2>; rel=\"next\"")).body(first.clone()),
        }
    });
    let reference = format!("{}/a:t", server.address()).parse().unwrap();
    // It says nothing of a filter: we filter.
    let found = Client::new(options(64)).referrers(&reference, &Digest::of(b"s"), Some("x")).unwrap();
    assert_eq!(found, [descriptor("1", "x"), descriptor("3", "x")]);

    // A list without an end has one.
    let server = Server::start(|asked| {
        Reply::status(200).header("Link", format!("<{}>; rel=next", asked.path)).body(r#"{"tags":["a"]}"#)
    });
    let reference: Reference = format!("{}/a:t", server.address()).parse().unwrap();
    let error = Client::new(options(64)).tags(&reference).unwrap_err();
    assert!(matches!(error, Error::Malformed { .. }), "{error}");
}
