//! The client's end of a container's streams.

use std::io::{self, ErrorKind, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags};
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketAddrUnix, SocketFlags, SocketType};

use crate::supervise::wire::{self, Reply, Request, kind};
use crate::time::timespec;
use crate::{Error, Result};

/// A supervisor answers at once, but on a busy machine.
pub(crate) const LONGEST_ANSWER: Duration = Duration::from_secs(20);

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
/// Poll the descriptor for input, then call [`Attachment::recv`] once: nothing is buffered on this side. While
/// [`Attachment::pending`], poll it for output too, call [`Attachment::flush`], and read no more input meanwhile: a
/// container that does not read while it writes would otherwise block both ends for good.
#[derive(Debug)]
pub struct Attachment {
    socket: OwnedFd,
    /// Frames to the container that the socket did not take yet.
    unsent: Vec<u8>,
}

impl Attachment {
    pub(crate) fn new(socket: OwnedFd) -> Self {
        Self { socket, unsent: Vec::new() }
    }

    /// The next event; blocks until there is one.
    ///
    /// # Errors
    /// When the socket fails or the peer speaks another protocol.
    pub fn recv(&mut self) -> Result<Event> {
        loop {
            let frame = match wire::read(Socket(&self.socket)) {
                // Reset: killed while bytes of ours were on their way.
                Err(error) if error.kind() == ErrorKind::ConnectionReset => None,
                frame => frame.map_err(|source| Error::Attachment { source })?,
            };
            return Ok(match frame {
                None => Event::Lost,
                Some((kind::STDOUT, bytes)) => Event::Stdout(bytes),
                Some((kind::STDERR, bytes)) => Event::Stderr(bytes),
                Some((kind::EXIT, bytes)) => match bytes.try_into() {
                    Ok(code) => Event::Exit(i32::from_le_bytes(code)),
                    Err(_) => return Err(Error::Attachment { source: ErrorKind::InvalidData.into() }),
                },
                Some(_) => continue,
            });
        }
    }

    /// Sends input, as much as the socket takes now; the rest is [`Attachment::pending`]. A container that reads no
    /// more is not an error.
    ///
    /// # Errors
    /// When the socket fails.
    pub fn send_stdin(&mut self, bytes: &[u8]) -> Result<()> {
        for chunk in bytes.chunks(wire::LARGEST) {
            self.unsent.extend(wire::head(kind::STDIN, chunk.len()));
            self.unsent.extend_from_slice(chunk);
        }
        self.flush()
    }

    /// Says that no more input comes.
    ///
    /// # Errors
    /// When the socket fails.
    pub fn close_stdin(&mut self) -> Result<()> {
        self.unsent.extend(wire::head(kind::CLOSE_STDIN, 0));
        self.flush()
    }

    /// Tells the terminal's size.
    ///
    /// # Errors
    /// When the socket fails.
    pub fn resize(&mut self, rows: u16, columns: u16) -> Result<()> {
        self.unsent.extend(wire::head(kind::RESIZE, 4));
        self.unsent.extend(rows.to_le_bytes());
        self.unsent.extend(columns.to_le_bytes());
        self.flush()
    }

    /// Whether something waits for the socket to take it.
    pub fn pending(&self) -> bool {
        !self.unsent.is_empty()
    }

    /// Sends what is pending, as far as the socket takes it now.
    ///
    /// # Errors
    /// When the socket fails.
    pub fn flush(&mut self) -> Result<()> {
        while !self.unsent.is_empty() {
            match rustix::net::send(&self.socket, &self.unsent, SendFlags::NOSIGNAL | SendFlags::DONTWAIT) {
                Ok(sent) => drop(self.unsent.drain(..sent)),
                Err(rustix::io::Errno::AGAIN) => break,
                Err(rustix::io::Errno::INTR) => {}
                // Its end is on the way, or will be seen as lost.
                Err(rustix::io::Errno::PIPE | rustix::io::Errno::CONNRESET) => self.unsent.clear(),
                Err(errno) => return Err(Error::Attachment { source: errno.into() }),
            }
        }
        Ok(())
    }

    /// Sends a request and waits for the reply, [`LONGEST_ANSWER`] at most. `None` when the supervisor went away over it.
    pub(crate) fn ask(&mut self, request: &Request) -> Result<Option<Reply>> {
        let mut frame = wire::json(kind::REQUEST, request);
        while !frame.is_empty() {
            match rustix::net::send(&self.socket, &frame, SendFlags::NOSIGNAL) {
                Ok(sent) => drop(frame.drain(..sent)),
                Err(rustix::io::Errno::INTR) => {}
                Err(rustix::io::Errno::PIPE | rustix::io::Errno::CONNRESET) => return Ok(None),
                Err(rustix::io::Errno::AGAIN) => return Err(no_answer()),
                Err(errno) => return Err(Error::Attachment { source: errno.into() }),
            }
        }
        let longest = timespec(LONGEST_ANSWER);
        let mut fds = [PollFd::from_borrowed_fd(self.socket.as_fd(), PollFlags::IN)];
        let answered = rustix::io::retry_on_intr(|| rustix::event::poll(&mut fds, Some(&longest)));
        match answered {
            Ok(0) => Err(no_answer()),
            Ok(_) => self.reply(),
            Err(errno) => Err(Error::Attachment { source: errno.into() }),
        }
    }

    /// Waits for a reply. `None` when the supervisor went away before it.
    pub(crate) fn reply(&mut self) -> Result<Option<Reply>> {
        match wire::read(Socket(&self.socket)) {
            Ok(Some((kind::REPLY, bytes))) => serde_json::from_slice(&bytes)
                .map(Some)
                .map_err(|_| Error::Attachment { source: ErrorKind::InvalidData.into() }),
            Ok(Some(_)) => Err(Error::Attachment { source: ErrorKind::InvalidData.into() }),
            Ok(None) => Ok(None),
            Err(error) if error.kind() == ErrorKind::ConnectionReset => Ok(None),
            Err(source) => Err(Error::Attachment { source }),
        }
    }

    /// Connects to a supervisor's socket in its run directory. `None` when nobody listens there.
    pub(crate) fn connect(directory: &Path) -> Result<Option<Self>> {
        let fail = |errno: rustix::io::Errno| Error::Attachment { source: errno.into() };
        let Some((_held, address)) = address(directory).map_err(fail)? else { return Ok(None) };
        let socket =
            rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)
                .map_err(fail)?;
        // Else it would be waited for one that takes no more connections.
        set_socket_timeout(&socket, Timeout::Send, Some(LONGEST_ANSWER)).map_err(fail)?;
        loop {
            match rustix::net::connect(&socket, &address) {
                Ok(()) => return Ok(Some(Self::new(socket))),
                Err(rustix::io::Errno::AGAIN) => return Err(no_answer()),
                Err(rustix::io::Errno::NOENT | rustix::io::Errno::CONNREFUSED) => return Ok(None),
                Err(rustix::io::Errno::INTR) => {}
                Err(errno) => return Err(fail(errno)),
            }
        }
    }
}

impl AsFd for Attachment {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// What [`Attachment::ask`] says of a supervisor that is stopped, or hangs.
fn no_answer() -> Error {
    Error::Attachment { source: ErrorKind::TimedOut.into() }
}

/// The address of `directory/sock`, through a descriptor when the path is longer than an address may be (108 bytes). The
/// descriptor has to live as long as the address is used. `None` when there is no such directory.
pub(crate) fn address(directory: &Path) -> rustix::io::Result<Option<(Option<OwnedFd>, SocketAddrUnix)>> {
    address_of(directory, "sock")
}

/// The same for another socket in the directory.
pub(crate) fn address_of(
    directory: &Path,
    name: &str,
) -> rustix::io::Result<Option<(Option<OwnedFd>, SocketAddrUnix)>> {
    use std::os::fd::AsRawFd;
    let path = directory.join(name);
    if path.as_os_str().len() < 108 {
        return SocketAddrUnix::new(path).map(|address| Some((None, address)));
    }
    use rustix::fs::{Mode, OFlags};
    match rustix::fs::open(directory, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()) {
        Ok(held) => {
            let address = SocketAddrUnix::new(format!("/proc/self/fd/{}/{name}", held.as_raw_fd()))?;
            Ok(Some((Some(held), address)))
        }
        Err(rustix::io::Errno::NOENT) => Ok(None),
        Err(errno) => Err(errno),
    }
}

/// A socket as a reader.
struct Socket<'a>(&'a OwnedFd);

impl Read for Socket<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        Ok(rustix::net::recv(self.0, buffer, RecvFlags::empty()).map(|(count, _)| count)?)
    }
}
