//! Who we are: passwords, tokens, identity tokens, helpers; and that nobody else ever learns a secret.

#![allow(missing_docs)]

mod server;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use conex_oci::{Reference, media_type};
use conex_registry::{Client, Credential, Credentials, Error, Kept, Options, Secret};
use conex_tests::{PASSWORD, Registry, TokenServer, USER, archive, skip};
use server::{Reply, Server};

const MANIFEST: &[u8] = br#"{"schemaVersion":2,"config":{},"layers":[]}"#;

fn manifest() -> Reply {
    Reply::status(200).header("Content-Type", media_type::MANIFEST).body(MANIFEST)
}

fn anna() -> Credential {
    Credential::Password { username: USER.into(), password: Secret::new(PASSWORD) }
}

fn client(credentials: Credentials) -> Client {
    Client::new(Options { credentials, attempts: 2, backoff: Duration::from_millis(1), ..Options::default() })
}

/// A directory whose `config.json` is the file of credentials.
fn home() -> (tempfile::TempDir, PathBuf, Credentials) {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("config.json");
    let credentials = Credentials::at([file.clone()]);
    (directory, file, credentials)
}

#[test]
fn a_password_at_a_real_registry() {
    let Some(alpine) = archive("alpine-3.20.oci.tar") else { skip!("no alpine image (CONEX_TEST_IMAGES)") };
    let Some(registry) = Registry::start_with_password() else { skip!("no docker-registry or skopeo") };
    registry.fill(&alpine, "some/alpine:3.20");
    let reference: Reference = format!("{}/some/alpine:3.20", registry.address()).parse().unwrap();
    let (_home, file, credentials) = home();

    let error = client(credentials.clone()).resolve(&reference).unwrap_err();
    assert!(matches!(error, Error::AuthenticationRequired { .. }), "{error}");
    let wrong = Credential::Password { username: USER.into(), password: Secret::new("wrong-password") };
    let error = client(credentials.clone()).login(&registry.address(), &wrong).unwrap_err();
    assert!(
        matches!(error, Error::Unauthorized { .. }) && !error.to_string().contains("wrong-password"),
        "{error}"
    );
    assert!(!file.exists(), "what was not taken is not kept");

    let done = client(credentials.clone()).login(&registry.address(), &anna()).unwrap();
    assert_eq!(done.kept, Kept::File(file.clone()));
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(client(credentials.clone()).resolve(&reference).is_ok());

    // A repository's own entry goes before the registry's.
    let mut document: serde_json::Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    let own = format!("{}/some", registry.address());
    document["auths"][&own] = serde_json::json!({"username": "bob", "password": "x"});
    fs::write(&file, document.to_string()).unwrap();
    let error = client(credentials).resolve(&reference).unwrap_err();
    assert!(matches!(&error, Error::Unauthorized { user, .. } if user == "bob"), "{error}");
}

#[test]
fn tokens_at_a_real_registry() {
    let Some(alpine) = archive("alpine-3.20.oci.tar") else { skip!("no alpine image (CONEX_TEST_IMAGES)") };
    let Some(tokens) = TokenServer::start() else { skip!("no openssl") };
    let Some(registry) = Registry::start_with_tokens(&tokens) else { skip!("no docker-registry or skopeo") };
    registry.fill(&alpine, "public/alpine:3.20");
    registry.fill(&alpine, "private/alpine:3.20");
    let reference = |repository: &str| -> Reference {
        format!("{}/{repository}/alpine:3.20", registry.address()).parse().unwrap()
    };
    let (_home, file, credentials) = home();
    let before = tokens.asked().len();

    client(credentials.clone()).resolve(&reference("public")).unwrap();
    let asked = tokens.asked().split_off(before);
    assert_eq!(asked.len(), 1);
    assert_eq!(
        (asked[0].known, asked[0].scopes.as_slice()),
        (false, &["repository:public/alpine:pull".to_owned()][..])
    );
    let error = client(credentials.clone()).resolve(&reference("private")).unwrap_err();
    assert!(matches!(error, Error::AuthenticationRequired { .. }), "{error}");

    // The login is given an identity token, and keeps that.
    client(credentials.clone()).login(&registry.address(), &anna()).unwrap();
    let text = fs::read_to_string(&file).unwrap();
    assert!(text.contains("identitytoken") && !text.contains(PASSWORD), "{text}");
    let before = tokens.asked().len();
    client(credentials.clone()).resolve(&reference("private")).unwrap();
    let asked = tokens.asked().split_off(before);
    assert_eq!((asked.len(), asked[0].method.as_str(), asked[0].known), (1, "POST", true));

    let error = client(credentials).login(
        &registry.address(),
        &Credential::Password { username: USER.into(), password: Secret::new("wrong") },
    );
    assert!(matches!(error, Err(Error::Unauthorized { .. })), "{error:?}");
}

#[test]
fn a_token_that_is_no_longer_taken_is_replaced() {
    let given = AtomicU32::new(0);
    let uses = Mutex::new(0);
    let server = Server::start(move |asked| {
        if asked.path.starts_with("/token") {
            let number = given.fetch_add(1, Ordering::SeqCst);
            return Reply::status(200).body(format!(r#"{{"token":"t{number}","expires_in":3600}}"#));
        }
        let mut uses = uses.lock().unwrap();
        let fresh = format!("Bearer t{}", if *uses < 2 { 0 } else { 1 });
        if asked.header("authorization") == Some(&fresh) {
            *uses += 1;
            return manifest();
        }
        let host = asked.header("host").unwrap().to_owned();
        Reply::status(401).header("WWW-Authenticate", format!(r#"Bearer realm="http://{host}/token""#))
    });
    let client = client(Credentials::none());
    let reference: Reference = format!("{}/a:t", server.address()).parse().unwrap();
    for _ in 0..4 {
        client.resolve(&reference).unwrap();
    }
    assert_eq!(server.asked().iter().filter(|asked| asked.path.starts_with("/token")).count(), 2);
}

/// Helpers that work are tested by the command line's tests: they are found by PATH, which is a process's own.
#[test]
fn a_helper_that_is_not_there_is_named() {
    let (_home, file, credentials) = home();
    fs::write(&file, r#"{"credHelpers":{"127.0.0.1:1":"nobody-has-this","127.0.0.1:2":"../evil"}}"#).unwrap();
    let error = credentials.find("127.0.0.1:1", "a").unwrap_err().to_string();
    assert!(
        error.contains("docker-credential-nobody-has-this") && error.contains("not installed"),
        "{error}"
    );
    let error = credentials.find("127.0.0.1:2", "a").unwrap_err().to_string();
    assert!(error.contains("no name of a helper"), "{error}");
    assert_eq!(credentials.find("127.0.0.1:3", "a").unwrap(), None);
}

#[test]
fn secrets_go_to_their_registry_only() {
    let elsewhere = Server::start(|_| Reply::status(200).body("0123456789"));
    let cdn = elsewhere.address();
    let basic = Server::start(move |asked| match asked.header("authorization") {
        Some(_) if asked.path.contains("/blobs/") => {
            Reply::status(307).header("Location", format!("http://{cdn}/signed?X-Signature=s3cr3t"))
        }
        Some(_) => manifest(),
        None => Reply::status(401).header("WWW-Authenticate", r#"Basic realm="x""#),
    });
    let (_home, _, credentials) = home();
    client(credentials.clone()).login(&basic.address(), &anna()).unwrap();
    let client = client(credentials);
    let reference: Reference = format!("{}/a:t", basic.address()).parse().unwrap();
    client.resolve(&reference).unwrap();
    let layer = conex_oci::Descriptor::new(media_type::LAYER, conex_oci::Digest::of(b"0123456789"), 10);
    std::io::copy(&mut client.fetch(&reference, &layer).unwrap(), &mut std::io::sink()).unwrap();
    let leaked = elsewhere.asked();
    assert!(
        !leaked.is_empty() && leaked.iter().all(|asked| asked.header("authorization").is_none()),
        "{leaked:?}"
    );

    // Where a redirect fails, the signature in it is not told either.
    let gone = {
        let gone = Server::start(|_| Reply::status(200));
        gone.address()
    };
    let server = Server::start(move |_| {
        Reply::status(307).header("Location", format!("http://{gone}/x?X-Signature=s3cr3t"))
    });
    let reference: Reference = format!("{}/a:t", server.address()).parse().unwrap();
    let error = client.resolve(&reference).unwrap_err();
    assert!(!error.to_string().contains("s3cr3t") && !format!("{error:?}").contains("s3cr3t"), "{error:?}");
    let server = Server::start(|_| Reply::status(307).header("Location", "ftp://x/?X-Signature=s3cr3t"));
    let reference: Reference = format!("{}/a:t", server.address()).parse().unwrap();
    let error = client.resolve(&reference).unwrap_err();
    assert!(!error.to_string().contains("s3cr3t") && !format!("{error:?}").contains("s3cr3t"), "{error:?}");
}

#[test]
fn a_password_that_would_break_out_of_its_line_is_not_sent() {
    let (_home, _, credentials) = home();
    for (username, password) in [("a:b", "x"), ("a", "x\r\nHost: evil"), ("", "x"), ("a", "")] {
        let credential = Credential::Password { username: username.into(), password: Secret::new(password) };
        let error = client(credentials.clone()).login("127.0.0.1:1", &credential).unwrap_err();
        assert!(matches!(error, Error::MalformedCredential), "{error}");
    }
    let error = client(credentials).login("no registry", &anna()).unwrap_err();
    assert!(matches!(error, Error::NoRegistry { .. }), "{error}");
}
