//! The client's end of a container's streams.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use crate::Result;

/// What comes from a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Bytes of standard output, or of the terminal.
    Stdout(Vec<u8>),
    /// Bytes of standard error.
    Stderr(Vec<u8>),
    /// It ended with this status (128+n for signal n); all output came before. Nothing follows. With `--rm` it has
    /// been removed.
    Exit(i32),
    /// The supervisor is gone without a word (it was killed); `Engine::wait` tells the status.
    Lost,
}

/// A connection to a container's streams; dropping it detaches.
///
/// Poll the descriptor for input, then call [`Attachment::recv`] once: nothing is buffered on this side.
#[derive(Debug)]
pub struct Attachment {
    socket: OwnedFd,
}

impl Attachment {
    /// The next event; blocks until there is one.
    ///
    /// # Errors
    /// When the socket fails or the peer speaks another protocol.
    pub fn recv(&mut self) -> Result<Event> {
        todo!()
    }

    /// Sends input; blocks while the container does not read. A container that reads no more is not an error.
    ///
    /// # Errors
    /// When the socket fails.
    pub fn send_stdin(&mut self, bytes: &[u8]) -> Result<()> {
        let _ = bytes;
        todo!()
    }

    /// Says that no more input comes.
    ///
    /// # Errors
    /// When the socket fails.
    pub fn close_stdin(&mut self) -> Result<()> {
        todo!()
    }

    /// Tells the terminal's size.
    ///
    /// # Errors
    /// When the socket fails.
    pub fn resize(&mut self, rows: u16, columns: u16) -> Result<()> {
        let _ = (rows, columns);
        todo!()
    }
}

impl AsFd for Attachment {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
