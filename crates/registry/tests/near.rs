//! A registry elsewhere does not send us to this machine or to its link: not by a redirect, not for tokens, not with an
//! upload. The registry of these tests is at the machine's own address on its network, which is not loopback.

#![allow(missing_docs)]

mod server;

use std::net::{IpAddr, UdpSocket};
use std::time::{Duration, Instant};

use conex_oci::{Descriptor, Digest, Reference, media_type};
use conex_registry::{Client, Error, Options, Source};
use conex_tests::skip;
use server::{Reply, Server};

/// An address of this machine that is not near; connecting a socket of datagrams sends nothing.
fn own_address() -> Option<IpAddr> {
    let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
    socket.connect("192.0.2.1:9").ok()?;
    let address = socket.local_addr().ok()?.ip();
    (!address.is_loopback() && !address.is_unspecified()).then_some(address)
}

macro_rules! own_address {
    () => {{
        let Some(address) = own_address() else { skip!("this machine has no address but loopback") };
        address
    }};
}

fn client(server: &Server) -> Client {
    Client::new(Options {
        insecure: vec![server.address()],
        attempts: 2,
        backoff: Duration::from_millis(1),
        patience: Duration::from_secs(5),
        ..Options::default()
    })
}

fn reference(server: &Server) -> Reference {
    format!("{}/a:t", server.address()).parse().unwrap()
}

/// Addresses that lead near, on `port` where something listens.
fn near(port: &str) -> Vec<String> {
    let mut hosts: Vec<String> = [
        "127.0.0.1",
        "127.9.9.9",
        "localhost",
        "x.localhost",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "0.0.0.0",
        "169.254.169.254",
        "[fe80::1]",
        "[fd00:ec2::254]",
        "[::ffff:a9fe:a9fe]",
    ]
    .map(str::to_owned)
    .to_vec();
    // A name that only a look-up tells.
    let listed = std::fs::read_to_string("/etc/hosts").unwrap_or_default();
    if listed.split_whitespace().any(|word| word == "ip6-loopback") {
        hosts.push("ip6-loopback".to_owned());
    }
    hosts.into_iter().map(|host| format!("{host}:{port}")).collect()
}

#[test]
fn redirects() {
    let address = own_address!();
    let secret = Server::start(|_| Reply::status(200).body("credentials of the machine"));
    let port = secret.address().rsplit_once(':').unwrap().1.to_owned();
    for place in near(&port) {
        let location = format!("http://{place}/latest/meta-data/?sig=s3cr3t");
        let server = Server::start_at(address, move |_| Reply::status(307).header("Location", &location));
        let began = Instant::now();
        let error = client(&server).resolve(&reference(&server)).unwrap_err();
        assert!(matches!(error, Error::Redirect { .. }), "{place}: {error}");
        let text = error.to_string();
        assert!(text.contains("leads to this machine or a link-local address"), "{text}");
        assert!(text.lines().count() == 1 && !text.contains("s3cr3t"), "{text}");
        assert!(began.elapsed() < Duration::from_secs(5), "{place} was tried");
    }
    assert!(secret.asked().is_empty(), "{:?}", secret.asked());
    // From loopback to loopback is nothing new.
    let there = secret.address();
    let server = Server::start(move |_| Reply::status(307).header("Location", format!("http://{there}/")));
    let error = client(&server).resolve(&reference(&server)).unwrap_err();
    assert!(matches!(error, Error::NotAManifest { .. }), "{error}");
    assert!(!secret.asked().is_empty());
}

#[test]
fn tokens() {
    let address = own_address!();
    let secret = Server::start(|_| Reply::status(200).body(r#"{"token":"x"}"#));
    let port = secret.address().rsplit_once(':').unwrap().1.to_owned();
    for place in near(&port) {
        let realm = format!(r#"Bearer realm="http://{place}/token""#);
        let server =
            Server::start_at(address, move |_| Reply::status(401).header("WWW-Authenticate", &realm));
        let error = client(&server).resolve(&reference(&server)).unwrap_err();
        assert!(matches!(error, Error::Token { .. }), "{place}: {error}");
    }
    assert!(secret.asked().is_empty(), "{:?}", secret.asked());
}

#[test]
fn uploads() {
    let address = own_address!();
    let secret = Server::start(|_| Reply::status(201));
    let there = secret.address();
    let server = Server::start_at(address, move |asked| match asked.method.as_str() {
        "HEAD" => Reply::status(404),
        "POST" => Reply::status(202).header("Location", format!("http://{there}/admin")),
        _ => Reply::status(200),
    });
    let file = tempfile::tempfile().unwrap();
    let blob = Descriptor::new(media_type::LAYER, Digest::of(b""), 0);
    let source = Source { file: &file, mount_from: &[] };
    let error = client(&server).push_blob(&reference(&server), &blob, source, &|_| {}).unwrap_err();
    assert!(matches!(error, Error::Redirect { .. }), "{error}");
    assert!(secret.asked().is_empty(), "{:?}", secret.asked());
}
