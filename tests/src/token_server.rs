//! A server of tokens as distribution's token specification wants it, for a real `docker-registry` that trusts it: it
//! signs what [`USER`] asks for (RS256, by `openssl`), gives identity tokens, and remembers what it was asked.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::json;
use tempfile::TempDir;

use crate::finish;
use crate::registry::{PASSWORD, USER};
use crate::wait::installed;

/// What it takes for the identity token that it gives.
const IDENTITY: &str = "identity-token-of-anna";

/// What was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenAsked {
    /// `GET` with a password (or without), `POST` with an identity token.
    pub method: String,
    /// As they came, decoded.
    pub scopes: Vec<String>,
    /// Whether who asked is known.
    pub known: bool,
}

/// The server; ends when dropped.
#[derive(Debug)]
pub struct TokenServer {
    address: SocketAddr,
    directory: TempDir,
    asked: Arc<Mutex<Vec<TokenAsked>>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl TokenServer {
    /// `None` when `openssl` is not installed.
    ///
    /// # Panics
    /// When it cannot start.
    pub fn start() -> Option<Self> {
        if !installed("openssl") {
            return None;
        }
        let directory = tempfile::Builder::new().prefix("conex-tokens-").tempdir().expect("a directory");
        let made = finish(
            Command::new("openssl")
                .args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=tokens"])
                .args(["-keyout", "key.pem", "-out", "cert.pem"])
                .current_dir(directory.path()),
        );
        assert_eq!(made.code, 0, "openssl: {}", made.stderr);
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let address = listener.local_addr().expect("its address");
        let (asked, stop) = (Arc::<Mutex<Vec<TokenAsked>>>::default(), Arc::new(AtomicBool::new(false)));
        let (log, stopped, home) = (Arc::clone(&asked), Arc::clone(&stop), directory.path().to_owned());
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if stopped.load(Ordering::SeqCst) {
                    return;
                }
                let _ = serve(stream, &home, &log);
            }
        });
        Some(Self { address, directory, asked, stop, thread: Some(thread) })
    }

    /// Its address, for a registry's configuration.
    pub fn realm(&self) -> String {
        format!("http://{}/token", self.address)
    }

    /// What signs its tokens (PEM).
    pub fn certificate(&self) -> PathBuf {
        self.directory.path().join("cert.pem")
    }

    /// All that was asked so far.
    ///
    /// # Panics
    /// When its thread has.
    pub fn asked(&self) -> Vec<TokenAsked> {
        self.asked.lock().expect("a log").clone()
    }
}

impl Drop for TokenServer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn serve(stream: TcpStream, home: &Path, log: &Mutex<Vec<TokenAsked>>) -> Option<()> {
    let mut reader = BufReader::new(&stream);
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let mut words = line.split(' ').map(str::to_owned);
    let (method, path) = (words.next()?, words.next()?);
    let (mut length, mut authorization) = (0, None);
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(": ") else { break };
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.parse().ok()?,
            "authorization" => authorization = Some(value.to_owned()),
            _ => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let text = String::from_utf8(body).ok()?;
    let query = if method == "POST" { text.as_str() } else { path.split_once('?').map_or("", |(_, q)| q) };
    let fields: Vec<(String, String)> = query
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .map(|(k, v)| (decode(k), decode(v)))
        .collect();
    let field = |name: &str| fields.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
    let scopes: Vec<String> = fields
        .iter()
        .filter(|(key, _)| key == "scope")
        .flat_map(|(_, value)| value.split(' ').map(str::to_owned).collect::<Vec<_>>())
        .collect();
    let expected = format!("Basic {}", STANDARD.encode(format!("{USER}:{PASSWORD}")));
    let known = match method.as_str() {
        "POST" => field("refresh_token") == Some(IDENTITY) && field("grant_type") == Some("refresh_token"),
        _ => authorization.as_deref() == Some(expected.as_str()),
    };
    log.lock().ok()?.push(TokenAsked { method, scopes: scopes.clone(), known });
    let (status, answer) = if !known && (authorization.is_some() || length > 0) {
        (401, json!({"details": "incorrect username or password"}))
    } else {
        let token = sign(home, &scopes, known)?;
        let refresh = (known && field("offline_token") == Some("true")).then_some(IDENTITY);
        (200, json!({"token": token, "access_token": token, "expires_in": 300, "refresh_token": refresh}))
    };
    let answer = answer.to_string();
    let mut stream = &stream;
    write!(
        stream,
        "HTTP/1.1 {status} X\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{answer}",
        answer.len()
    )
    .ok()
}

/// A JSON web token (RFC 7519) for the scopes; strangers may only read what is `public/…`.
fn sign(home: &Path, scopes: &[String], known: bool) -> Option<String> {
    let pem = std::fs::read_to_string(home.join("cert.pem")).ok()?;
    let der: String = pem.lines().filter(|line| !line.starts_with("-----")).collect();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).ok()?.as_secs();
    let access: Vec<_> = scopes
        .iter()
        .filter_map(|scope| {
            let mut parts = scope.splitn(2, ':');
            let (kind, rest) = (parts.next()?, parts.next()?);
            let (name, actions) = rest.rsplit_once(':')?;
            let allowed: Vec<_> = actions
                .split(',')
                .filter(|action| known || (name.starts_with("public/") && *action == "pull"))
                .collect();
            Some(json!({"type": kind, "name": name, "actions": allowed}))
        })
        .collect();
    let head = json!({"typ": "JWT", "alg": "RS256", "x5c": [der]});
    let claims = json!({"iss": "test", "sub": if known { USER } else { "" }, "aud": "test", "exp": now + 300,
        "nbf": now - 10, "iat": now, "jti": format!("{now}"), "access": access});
    let text = [head, claims].map(|part| URL_SAFE_NO_PAD.encode(part.to_string())).join(".");
    let mut child = Command::new("openssl")
        .args(["dgst", "-sha256", "-sign", "key.pem"])
        .current_dir(home)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .ok()?;
    child.stdin.take()?.write_all(text.as_bytes()).ok()?;
    let signature = child.wait_with_output().ok()?.stdout;
    Some(format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature)))
}

fn decode(text: &str) -> String {
    let (mut bytes, mut rest) = (Vec::new(), text.bytes());
    while let Some(byte) = rest.next() {
        match byte {
            b'%' => {
                let digits: String = rest.by_ref().take(2).map(char::from).collect();
                bytes.push(u8::from_str_radix(&digits, 16).unwrap_or(b'?'));
            }
            b'+' => bytes.push(b' '),
            other => bytes.push(other),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
