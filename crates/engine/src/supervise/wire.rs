//! The frames between a supervisor and its clients: one byte of kind, four of length (little endian), then the payload.
//!
//! A client's first frame is a [`Request`]; the supervisor answers it with a [`Reply`]. Streams follow. Whoever sends a
//! frame that is too long or makes no sense is disconnected.

use std::io::{self, Read};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::Failure;
use crate::health::HealthStatus;
use crate::options::UpdateOptions;

/// No frame's payload is longer.
pub const LARGEST: usize = 64 << 10;

/// Kinds of frames.
pub mod kind {
    /// To the supervisor: JSON, [`super::Request`].
    pub const REQUEST: u8 = 0;
    /// To the supervisor: bytes of standard input.
    pub const STDIN: u8 = 1;
    /// To the supervisor: the end of standard input.
    pub const CLOSE_STDIN: u8 = 2;
    /// To the supervisor: rows and columns, two u16.
    pub const RESIZE: u8 = 3;
    /// To the client: JSON, [`super::Reply`].
    pub const REPLY: u8 = 16;
    /// To the client: bytes of standard output or of the terminal.
    pub const STDOUT: u8 = 17;
    /// To the client: bytes of standard error.
    pub const STDERR: u8 = 18;
    /// To the client: the exit status, an i32.
    pub const EXIT: u8 = 19;
}

/// What a client wants.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Request {
    /// Streams, and the exit status at the end.
    Attach {
        /// Sends input.
        stdin: bool,
        /// Receives standard output.
        stdout: bool,
        /// Receives standard error.
        stderr: bool,
        /// Rows and columns.
        size: Option<(u16, u16)>,
    },
    /// The exit status of the run's end, nothing else.
    Wait,
    /// A signal to the first process; SIGKILL to all.
    Signal {
        /// Its number.
        signal: i32,
        /// What follows the end.
        then: After,
        /// SIGKILL after that, should whoever asked be there no more.
        kill_after: Option<Duration>,
    },
    /// What the container is called, or is connected to, has changed: it is to be told to the name service.
    Names,
    /// Freeze.
    Pause,
    /// Thaw.
    Unpause,
    /// Freeze for as long as the client stays connected, or until somebody thaws: a client that is killed leaves no frozen
    /// container behind.
    Hold,
    /// A probe of its health now, or the one that runs: the exit frame then has 0 for well and 1 for not.
    Probe,
    /// An exit frame, with 0, as soon as its health is so.
    Health(HealthStatus),
    /// Ends a hold. What a person has frozen or thawed meanwhile stays as it is.
    Release,
    /// Limits and the restart policy become others, in force and on record.
    Update(Box<UpdateOptions>),
}

/// What follows a container's end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum After {
    /// What the restart policy says.
    Policy,
    /// Nothing: a person stopped it.
    Stop,
    /// A new start at once, whatever the policy says.
    Restart,
    /// Nothing, and no person's doing: the machine goes down, or its health is bad. `--restart unless-stopped` counts it as
    /// running.
    Rest,
    /// A new start after the policy's back-off: its health is bad.
    Unhealthy,
}

/// The supervisor's answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reply {
    /// Done.
    Ok,
    /// Not done.
    Error {
        /// As exit codes see it.
        failure: Failure,
        /// One line.
        message: String,
    },
}

/// A frame's head.
pub fn head(kind: u8, length: usize) -> [u8; 5] {
    let [a, b, c, d] = u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes();
    [kind, a, b, c, d]
}

/// A whole frame of a serialisable payload.
pub fn json<T: Serialize>(kind: u8, value: &T) -> Vec<u8> {
    let payload = serde_json::to_vec(value).unwrap_or_else(|error| unreachable!("{error}"));
    let mut frame = head(kind, payload.len()).to_vec();
    frame.extend(payload);
    frame
}

/// Reads one frame, blocking. `None` at the end of the stream, also in the middle of a frame.
///
/// # Errors
/// What the reader says; `InvalidData` for a frame that is too long.
pub fn read(mut from: impl Read) -> io::Result<Option<(u8, Vec<u8>)>> {
    let mut head = [0; 5];
    match from.read_exact(&mut head) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        done => done?,
    }
    let length = u32::from_le_bytes([head[1], head[2], head[3], head[4]]) as usize;
    if length > LARGEST {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut payload = vec![0; length];
    match from.read_exact(&mut payload) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
        done => done.map(|()| Some((head[0], payload))),
    }
}

/// Frames out of bytes that come as they come. Holds at most one frame.
#[derive(Debug, Default)]
pub struct Decoder {
    pending: Vec<u8>,
}

/// A peer that does not speak this protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a frame of {0} bytes is too long")]
pub struct TooLong(usize);

impl Decoder {
    /// Takes `bytes` and hands every frame that is complete to `each`.
    ///
    /// # Errors
    /// [`TooLong`]; the stream cannot be understood from there on.
    pub fn feed(&mut self, mut bytes: &[u8], mut each: impl FnMut(u8, &[u8])) -> Result<(), TooLong> {
        while !bytes.is_empty() {
            let want = match self.length()? {
                Some(length) => 5 + length,
                None => 5,
            };
            let take = bytes.len().min(want - self.pending.len());
            self.pending.extend_from_slice(&bytes[..take]);
            bytes = &bytes[take..];
            if self.length()?.is_some_and(|length| self.pending.len() == 5 + length) {
                each(self.pending[0], &self.pending[5..]);
                self.pending.clear();
                self.pending.shrink_to(256);
            }
        }
        Ok(())
    }

    fn length(&self) -> Result<Option<usize>, TooLong> {
        let Some(&[a, b, c, d]) = self.pending.get(1..5) else { return Ok(None) };
        let length = u32::from_le_bytes([a, b, c, d]) as usize;
        if length > LARGEST { Err(TooLong(length)) } else { Ok(Some(length)) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn frames_survive_any_cutting(frames in prop::collection::vec((any::<u8>(), prop::collection::vec(any::<u8>(), 0..300)), 0..8),
                                      cuts in prop::collection::vec(1usize..70, 1..200)) {
            let mut stream = Vec::new();
            for (kind, payload) in &frames {
                stream.extend(head(*kind, payload.len()));
                stream.extend(payload);
            }
            let (mut decoder, mut seen, mut rest) = (Decoder::default(), Vec::new(), &stream[..]);
            let mut cuts = cuts.iter().cycle();
            while !rest.is_empty() {
                let (now, later) = rest.split_at(rest.len().min(*cuts.next().unwrap()));
                decoder.feed(now, |kind, payload| seen.push((kind, payload.to_vec()))).unwrap();
                rest = later;
            }
            prop_assert_eq!(&seen, &frames);
            let mut reader = &stream[..];
            for frame in &frames {
                let read = read(&mut reader).unwrap();
                prop_assert_eq!(read.as_ref(), Some(frame));
            }
            prop_assert_eq!(read(&mut reader).unwrap(), None);
        }

        #[test]
        fn noise_neither_panics_nor_grows(noise in prop::collection::vec(any::<u8>(), 0..4096)) {
            let mut decoder = Decoder::default();
            let _ = decoder.feed(&noise, |_, _| {});
            prop_assert!(decoder.pending.len() <= 5 + LARGEST);
        }
    }

    #[test]
    fn too_long_is_refused_before_it_is_read() {
        assert!(Decoder::default().feed(&[1, 255, 255, 255, 255], |_, _| {}).is_err());
        assert!(read(&[1u8, 255, 255, 255, 255][..]).is_err());
    }
}
