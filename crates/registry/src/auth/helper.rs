//! Credential helpers: `docker-credential-NAME get|store|erase`, with the question on standard input and the answer on
//! standard output (docker-credential-helpers' protocol). A helper that hangs or babbles is ended.

use std::io::{self, Read, Write};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use serde::Deserialize;
use serde_json::json;

use super::{Credential, Secret, TOKEN};
use crate::error::clean;

/// How long a helper may take; it may have to ask its user for a passphrase.
const PATIENCE: Duration = Duration::from_secs(60);
/// The most that a helper says, in bytes. What we tell it is less, and fits a pipe.
const LIMIT: u64 = 64 << 10;

/// A helper's name, safe to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Helper<'a> {
    name: &'a str,
    patience: Duration,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    #[serde(default)]
    username: String,
    #[serde(default)]
    secret: String,
}

impl<'a> Helper<'a> {
    pub(super) fn new(name: &'a str) -> Result<Self, String> {
        let safe = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        if name.is_empty() || !name.bytes().all(safe) {
            return Err("that is no name of a helper".to_owned());
        }
        Ok(Self { name, patience: PATIENCE })
    }

    /// What the helper keeps for `server`.
    pub(super) fn get(&self, server: &str) -> Result<Option<Credential>, String> {
        let (worked, output) = self.run("get", server.as_bytes())?;
        if !worked {
            // The protocol's own words, and those of helpers that use others.
            let words = String::from_utf8_lossy(&output);
            let absent = words.contains("not found") || words.contains("no credentials");
            return if absent { Ok(None) } else { Err(self.said(&words)) };
        }
        let answer: Answer = serde_json::from_slice(&output)
            .map_err(|_| "its answer is not the JSON it should be".to_owned())?;
        if answer.secret.is_empty() {
            return Ok(None);
        }
        let secret = Secret(answer.secret);
        Ok(Some(match answer.username {
            username if username == TOKEN => Credential::IdentityToken { username, token: secret },
            username => Credential::Password { username, password: secret },
        }))
    }

    /// Gives the helper a credential to keep.
    pub(super) fn store(&self, server: &str, credential: &Credential) -> Result<(), String> {
        let (username, secret) = match credential {
            Credential::Password { username, password } => (username.as_str(), password),
            Credential::IdentityToken { token, .. } | Credential::RegistryToken(token) => (TOKEN, token),
        };
        let question = json!({"ServerURL": server, "Username": username, "Secret": secret.reveal()});
        let (worked, output) = self.run("store", question.to_string().as_bytes())?;
        if worked {
            return Ok(());
        }
        let words = String::from_utf8_lossy(&output).replace(secret.reveal(), "…");
        Err(self.said(&words))
    }

    /// Makes the helper forget.
    pub(super) fn erase(&self, server: &str) -> Result<(), String> {
        let (worked, output) = self.run("erase", server.as_bytes())?;
        if worked { Ok(()) } else { Err(self.said(&String::from_utf8_lossy(&output))) }
    }

    fn said(&self, words: &str) -> String {
        let words = clean(words);
        if words.is_empty() { "it failed without a word".to_owned() } else { format!("it says: {words}") }
    }

    /// Whether it ended well, and what it said.
    fn run(&self, verb: &str, question: &[u8]) -> Result<(bool, Vec<u8>), String> {
        let program = format!("docker-credential-{}", self.name);
        log::debug!("{program} {verb}");
        let mut child = Command::new(&program)
            .arg(verb)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| match error.kind() {
                io::ErrorKind::NotFound => "it is not installed, or not in PATH".to_owned(),
                _ => format!("it cannot be started: {error}"),
            })?;
        let spoken = self.converse(&mut child, question);
        if spoken.is_err() {
            let _ = child.kill();
        }
        let status = child.wait().map_err(|error| error.to_string())?;
        spoken.map(|output| (status.success(), output))
    }

    fn converse(&self, child: &mut Child, question: &[u8]) -> Result<Vec<u8>, String> {
        let deadline = Instant::now() + self.patience;
        if question.len() as u64 >= LIMIT {
            return Err("the secret is too long for it".to_owned());
        }
        if let Some(mut stdin) = child.stdin.take() {
            // One that does not read is known by how it ends.
            let _ = stdin.write_all(question);
        }
        let Some(mut stdout) = child.stdout.take() else { return Ok(Vec::new()) };
        let (mut output, mut buffer) = (Vec::new(), [0; 4096]);
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let wait = Timespec { tv_sec: left.as_secs().cast_signed(), tv_nsec: left.subsec_nanos().into() };
            match poll(&mut [PollFd::new(&stdout, PollFlags::IN)], Some(&wait)) {
                Err(rustix::io::Errno::INTR) => continue,
                Err(error) => return Err(error.to_string()),
                Ok(0) => return Err(format!("it does not answer within {} s", self.patience.as_secs())),
                Ok(_) => {}
            }
            match stdout.read(&mut buffer) {
                Ok(0) => break,
                Ok(count) => output.extend_from_slice(&buffer[..count]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.to_string()),
            }
            if output.len() as u64 > LIMIT {
                return Err("its answer is too long".to_owned());
            }
        }
        // It may close its output and go on.
        while child.try_wait().map_err(|error| error.to_string())?.is_none() {
            if Instant::now() >= deadline {
                return Err(format!("it does not end within {} s", self.patience.as_secs()));
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        Ok(output)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_no_paths() {
        for bad in ["", "../x", "a/b", "a b", "a\n"] {
            assert!(Helper::new(bad).is_err(), "{bad}");
        }
        let absent = Helper::new("that-nobody-has").unwrap();
        assert!(absent.get("x").unwrap_err().contains("not installed"));
    }
}
