//! One client of a supervisor: what it asked, and what it has not read yet (at most one chunk of output, plus a reply).

use std::io::IoSlice;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::net::{RecvFlags, SendAncillaryBuffer, SendFlags};

use super::wire::{self, Decoder, Reply, Request, kind};
use crate::LogStream;
use crate::health::HealthStatus;

/// An attached client that reads nothing for so long is let go, and one that asks for nothing. The one that started the container never
/// is: output waits for it as a pipe would make it wait.
const PATIENCE: Duration = Duration::from_secs(10);

/// What a client sent.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Message {
    Request(Request),
    Stdin(Vec<u8>),
    CloseStdin,
    Resize(u16, u16),
}

/// What a client is here for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// It has not said yet.
    Silent,
    /// The exit status, or one answer.
    Wait,
    /// The container is frozen while it is here.
    Hold,
    /// The end of a probe.
    Probe,
    /// That the container's health is so.
    Health(HealthStatus),
    /// Streams.
    Streams { stdin: bool, stdout: bool, stderr: bool },
}

#[derive(Debug)]
pub(super) struct Client {
    socket: OwnedFd,
    decoder: Decoder,
    unsent: Vec<u8>,
    /// Since when it has taken nothing of `unsent`.
    stalled: Option<Instant>,
    /// Since when it is here.
    since: Instant,
    pub(super) role: Role,
    /// The `run` that started the container: its end of input is the container's.
    pub(super) first: bool,
    gone: bool,
}

impl Client {
    pub(super) fn new(socket: OwnedFd, role: Role, first: bool) -> Self {
        Self {
            socket,
            decoder: Decoder::default(),
            unsent: Vec::new(),
            stalled: None,
            since: Instant::now(),
            role,
            first,
            gone: false,
        }
    }

    /// Whether it has to be forgotten.
    pub(super) fn gone(&self) -> bool {
        self.gone
    }

    /// Whether something waits for it to read.
    pub(super) fn pending(&self) -> bool {
        !self.unsent.is_empty()
    }

    /// Whether it sends input to the container.
    pub(super) fn sends_input(&self) -> bool {
        matches!(self.role, Role::Streams { stdin: true, .. })
    }

    /// When patience with it ends.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let silent = (self.role == Role::Silent && self.unsent.is_empty()).then_some(self.since);
        if self.first { None } else { self.stalled.or(silent).map(|since| since + PATIENCE) }
    }

    /// Lets it go when it has been stalled for too long.
    pub(super) fn expire(&mut self, now: Instant) {
        if self.deadline().is_some_and(|deadline| deadline <= now) {
            self.gone = true;
        }
    }

    /// Output, if it wants this stream.
    pub(super) fn output(&mut self, stream: LogStream, bytes: &[u8]) {
        let (wanted, kind) = match (self.role, stream) {
            (Role::Streams { stdout, .. }, LogStream::Stdout) => (stdout, kind::STDOUT),
            (Role::Streams { stderr, .. }, LogStream::Stderr) => (stderr, kind::STDERR),
            _ => (false, 0),
        };
        if wanted {
            self.frame(kind, bytes);
        }
    }

    /// The exit status, if it waits for one.
    pub(super) fn exit(&mut self, code: i32) {
        match self.role {
            Role::Silent => {}
            // It sees that there will be none.
            Role::Probe | Role::Health(_) => self.gone = true,
            _ => self.frame(kind::EXIT, &code.to_le_bytes()),
        }
    }

    /// What came of a probe, if it waits for one.
    pub(super) fn probed(&mut self, code: i32) {
        if self.role == Role::Probe {
            self.frame(kind::EXIT, &i32::from(code != 0).to_le_bytes());
            self.role = Role::Silent;
        }
    }

    /// The container's health, if it waits for it to be so.
    pub(super) fn health(&mut self, status: HealthStatus) {
        if self.role == Role::Health(status) {
            self.frame(kind::EXIT, &0_i32.to_le_bytes());
            self.role = Role::Silent;
        }
    }

    pub(super) fn reply(&mut self, reply: &Reply) {
        let payload = serde_json::to_vec(reply).unwrap_or_else(|error| unreachable!("{error}"));
        self.frame(kind::REPLY, &payload);
    }

    fn frame(&mut self, kind: u8, payload: &[u8]) {
        let head = wire::head(kind, payload.len());
        let mut sent = 0;
        if self.unsent.is_empty() && !self.gone {
            let parts = [IoSlice::new(&head), IoSlice::new(payload)];
            let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
            match rustix::net::sendmsg(&self.socket, &parts, &mut SendAncillaryBuffer::default(), flags) {
                Ok(count) => sent = count,
                Err(Errno::AGAIN | Errno::INTR) => {}
                Err(_) => self.gone = true,
            }
        }
        if sent < 5 + payload.len() {
            self.unsent.extend_from_slice(&head[sent.min(5)..]);
            self.unsent.extend_from_slice(&payload[sent.saturating_sub(5)..]);
            self.stalled.get_or_insert_with(Instant::now);
        }
    }

    /// Sends what waits, as far as it goes.
    pub(super) fn flush(&mut self) {
        match rustix::net::send(&self.socket, &self.unsent, SendFlags::NOSIGNAL | SendFlags::DONTWAIT) {
            Ok(count) => {
                self.unsent.drain(..count);
                self.stalled = None;
                if self.unsent.is_empty() {
                    self.unsent = Vec::new();
                } else {
                    self.stalled = Some(Instant::now());
                }
            }
            Err(Errno::AGAIN | Errno::INTR) => {}
            Err(_) => self.gone = true,
        }
    }

    /// Reads what it sent, at most a buffer full.
    pub(super) fn receive(&mut self, buffer: &mut [u8]) -> Vec<Message> {
        let mut messages = Vec::new();
        let count = match rustix::net::recv(&self.socket, &mut *buffer, RecvFlags::DONTWAIT) {
            Ok((0, _)) => {
                self.gone = true;
                return messages;
            }
            Ok((count, _)) => count,
            Err(Errno::AGAIN | Errno::INTR) => return messages,
            Err(_) => {
                self.gone = true;
                return messages;
            }
        };
        let fed = self.decoder.feed(&buffer[..count], |kind, payload| {
            let message = match (kind, payload) {
                (kind::REQUEST, json) => serde_json::from_slice(json).ok().map(Message::Request),
                (kind::STDIN, bytes) => Some(Message::Stdin(bytes.to_vec())),
                (kind::CLOSE_STDIN, _) => Some(Message::CloseStdin),
                (kind::RESIZE, &[a, b, c, d]) => {
                    Some(Message::Resize(u16::from_le_bytes([a, b]), u16::from_le_bytes([c, d])))
                }
                _ => None,
            };
            messages.extend(message);
        });
        if fed.is_err() {
            self.gone = true;
        }
        messages
    }
}

impl AsFd for Client {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
