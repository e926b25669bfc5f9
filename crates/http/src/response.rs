//! An answer: a status, headers, and bytes or a part of a file.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::net::TcpStream;

use crate::pace::Pace;

/// Bytes of a file between two looks at how fast they go.
const STRETCH: u64 = 1 << 20;

/// What follows the head.
#[derive(Debug)]
pub enum Payload {
    /// All of it.
    Bytes(Vec<u8>),
    /// A part of a file: where it begins, and how many bytes.
    File(File, u64, u64),
}

/// An answer.
#[derive(Debug)]
pub struct Response {
    /// 200 to 599.
    pub status: u16,
    /// Beside those that say where the message ends.
    pub headers: Vec<(&'static str, String)>,
    /// What follows them.
    pub payload: Payload,
}

impl Response {
    /// Without a body.
    #[must_use]
    pub fn new(status: u16) -> Self {
        Self { status, headers: Vec::new(), payload: Payload::Bytes(Vec::new()) }
    }

    /// With a header.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl std::fmt::Display) -> Self {
        // No value of ours has a line break; one that had would end here.
        let value: String = value.to_string().chars().filter(|c| !c.is_control()).collect();
        self.headers.push((name, value));
        self
    }

    /// With a body of a media type.
    #[must_use]
    pub fn bytes(mut self, kind: &str, bytes: Vec<u8>) -> Self {
        self = self.with("Content-Type", kind);
        self.payload = Payload::Bytes(bytes);
        self
    }

    fn length(&self) -> u64 {
        match &self.payload {
            Payload::Bytes(bytes) => bytes.len() as u64,
            Payload::File(_, _, length) => *length,
        }
    }

    /// Sends it; of a `HEAD` only what a `GET` would have begun with.
    pub(crate) fn send(self, mut stream: &TcpStream, keeps: bool, only_head: bool) -> io::Result<()> {
        let mut head = format!("HTTP/1.1 {} {}\r\n", self.status, reason(self.status));
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        if self.status != 204 {
            head.push_str(&format!("Content-Length: {}\r\n", self.length()));
        }
        if !keeps {
            head.push_str("Connection: close\r\n");
        }
        head.push_str("\r\n");
        let mut bytes = head.into_bytes();
        match self.payload {
            Payload::Bytes(body) => {
                if !only_head {
                    bytes.extend_from_slice(&body);
                }
                stream.write_all(&bytes)
            }
            Payload::File(mut file, offset, length) => {
                stream.write_all(&bytes)?;
                if only_head {
                    return Ok(());
                }
                file.seek(SeekFrom::Start(offset))?;
                let (mut left, mut pace) = (length, Pace::new());
                while left > 0 {
                    // From the page cache to the socket (sendfile).
                    let moved = io::copy(&mut (&mut file).take(left.min(STRETCH)), &mut stream)?;
                    if moved == 0 {
                        return Err(io::ErrorKind::UnexpectedEof.into());
                    }
                    left -= moved;
                    pace.moved(moved)?;
                }
                Ok(())
            }
        }
    }
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        201 => "Created",
        202 => "Accepted",
        204 => "No Content",
        206 => "Partial Content",
        400 => "Bad Request",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        413 => "Content Too Large",
        416 => "Range Not Satisfiable",
        431 => "Request Header Fields Too Large",
        503 => "Service Unavailable",
        _ => "Internal Server Error",
    }
}
