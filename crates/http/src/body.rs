//! The body of a request, as a reader that ends where the message does.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;

use crate::pace::Pace;
use crate::{Framing, Head};

/// The longest line of a chunk's size, with extensions.
const LINE: u64 = 256;
/// The most lines of a trailer.
const TRAILERS: usize = 32;
/// What is read past to keep a connection that nobody wanted the body of, in bytes.
const PAST: u64 = 256 << 10;

/// A body.
#[derive(Debug)]
pub struct Body<'a, 'b> {
    reader: &'a mut BufReader<&'b TcpStream>,
    state: State,
    /// The client waits to be told to go on.
    waits: bool,
    pace: Pace,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Bytes left of the whole.
    Plain(u64),
    /// Bytes left of a chunk; the first has not begun at the beginning.
    Chunk {
        left: u64,
        first: bool,
    },
    Ended,
}

impl<'a, 'b> Body<'a, 'b> {
    pub(crate) fn new(reader: &'a mut BufReader<&'b TcpStream>, head: &Head) -> Self {
        let state = match head.framing {
            Framing::Length(0) => State::Ended,
            Framing::Length(length) => State::Plain(length),
            Framing::Chunked => State::Chunk { left: 0, first: true },
        };
        Self { reader, state, waits: head.expects, pace: Pace::new() }
    }

    /// Whether the connection can be used again: the body has been read, or is short enough to be read past.
    pub(crate) fn finish(mut self) -> bool {
        if self.state == State::Ended {
            return true;
        }
        // A client that was not told to go on sends nothing, or everything: nobody knows.
        if self.waits {
            return false;
        }
        let mut left = PAST;
        let mut buffer = [0; 8 << 10];
        while left > 0 {
            match self.read(&mut buffer) {
                Ok(0) => return true,
                Ok(count) => left = left.saturating_sub(count as u64),
                Err(_) => return false,
            }
        }
        false
    }

    /// Begins the next chunk, or ends.
    fn next_chunk(&mut self, first: bool) -> io::Result<State> {
        let malformed = || io::Error::new(io::ErrorKind::InvalidData, "a chunk is malformed");
        if !first && !self.line()?.is_empty() {
            return Err(malformed());
        }
        let line = self.line()?;
        let digits = line.split(';').next().unwrap_or_default().trim();
        if digits.is_empty() || digits.len() > 16 || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(malformed());
        }
        let left = u64::from_str_radix(digits, 16).map_err(|_| malformed())?;
        if left > 0 {
            return Ok(State::Chunk { left, first: false });
        }
        for _ in 0..TRAILERS {
            if self.line()?.is_empty() {
                return Ok(State::Ended);
            }
        }
        Err(malformed())
    }

    fn line(&mut self) -> io::Result<String> {
        let mut line = Vec::new();
        self.reader.by_ref().take(LINE).read_until(b'\n', &mut line)?;
        let text = line.strip_suffix(b"\r\n").map(<[u8]>::to_vec);
        let text = text.and_then(|text| String::from_utf8(text).ok());
        text.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "a line of a chunk is malformed"))
    }
}

impl Read for Body<'_, '_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() || self.state == State::Ended {
            return Ok(0);
        }
        if self.waits {
            self.waits = false;
            let mut stream = *self.reader.get_ref();
            stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
        }
        if let State::Chunk { left: 0, first } = self.state {
            self.state = self.next_chunk(first)?;
        }
        let (State::Plain(left) | State::Chunk { left, .. }) = self.state else { return Ok(0) };
        let room = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        let count = self.reader.read(&mut buffer[..room])?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.pace.moved(count as u64)?;
        let left = left - count as u64;
        self.state = match self.state {
            State::Plain(_) if left == 0 => State::Ended,
            State::Plain(_) => State::Plain(left),
            _ => State::Chunk { left, first: false },
        };
        Ok(count)
    }
}
