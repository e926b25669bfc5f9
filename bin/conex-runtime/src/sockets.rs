//! Unix sockets of callers: descriptors are sent there.

use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::Duration;

use rustix::fs::{CWD, Mode, OFlags};
use rustix::io::Errno;
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{
    AddressFamily, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketAddrUnix, SocketFlags,
    SocketType,
};

use crate::error::Error;

/// What a terminal's master is called when it is sent.
const MASTER: &[u8] = b"/dev/ptmx";

/// How long a caller may take to have room for one more connection.
const PATIENCE: Duration = Duration::from_secs(10);

/// A caller's socket, connected.
pub(crate) struct Receiver(OwnedFd);

impl Receiver {
    /// The one at `path`.
    pub(crate) fn connect(path: &Path, what: &'static str) -> Result<Self, Error> {
        let open = || -> Result<OwnedFd, Errno> {
            let socket = rustix::net::socket_with(
                AddressFamily::UNIX,
                SocketType::STREAM,
                SocketFlags::CLOEXEC,
                None,
            )?;
            // A full backlog makes connect(2) wait (socket(7)).
            set_socket_timeout(&socket, Timeout::Send, Some(PATIENCE))?;
            match with_address(path, |address| rustix::net::connect(&socket, address)) {
                Err(Errno::AGAIN) => Err(Errno::TIMEDOUT),
                connected => connected.map(|()| socket),
            }
        };
        open().map(Self).map_err(|errno| Error::io(what, path, errno))
    }

    /// Sends a terminal's master.
    pub(crate) fn send_master(&self, master: BorrowedFd<'_>) -> Result<(), Error> {
        self.send(MASTER, master)
            .map_err(|errno| Error::io("send the terminal to", "the console socket", errno))
    }

    /// Sends the descriptor of a process, with the kind that runc gives it (`standard`, `setns`).
    pub(crate) fn send_process(&self, kind: &str, pidfd: BorrowedFd<'_>) -> Result<(), Error> {
        self.send(kind.as_bytes(), pidfd)
            .map_err(|errno| Error::io("send the process to", "the pidfd socket", errno))
    }

    fn send(&self, data: &[u8], descriptor: BorrowedFd<'_>) -> Result<(), io::Error> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        let descriptors = [descriptor];
        control.push(SendAncillaryMessage::ScmRights(&descriptors));
        rustix::net::sendmsg(&self.0, &[IoSlice::new(data)], &mut control, SendFlags::NOSIGNAL)?;
        Ok(())
    }
}

/// Calls `act` with the address of `path`; one too long for an address (107 bytes) goes by its directory's descriptor.
pub(crate) fn with_address<T>(
    path: &Path,
    act: impl Fn(&SocketAddrUnix) -> Result<T, Errno>,
) -> Result<T, Errno> {
    match SocketAddrUnix::new(path) {
        Ok(address) => act(&address),
        Err(Errno::NAMETOOLONG) => {
            let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
                return Err(Errno::NAMETOOLONG);
            };
            let directory = rustix::fs::openat(CWD, parent, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
            let short = format!("/proc/self/fd/{}", directory.as_fd().as_raw_fd());
            act(&SocketAddrUnix::new(Path::new(&short).join(name))?)
        }
        Err(errno) => Err(errno),
    }
}
