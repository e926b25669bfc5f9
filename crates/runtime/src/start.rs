//! The order to start, from a process that did not make the container.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};

use crate::Error;
use crate::channel::{Channel, Order, Report};
use crate::plan::{parent, parent_errno};

/// A listening socket for [`Start::BySocket`](crate::Start::BySocket), as `name` in `directory`.
///
/// # Errors
/// [`Error::Parent`]; EADDRINUSE when the name is taken.
pub fn listen(directory: BorrowedFd<'_>, name: &str) -> Result<std::os::fd::OwnedFd, Error> {
    let make = || {
        let socket = socket()?;
        rustix::net::bind(&socket, &address(directory, name)?)?;
        rustix::net::listen(&socket, 1)?;
        Ok(socket)
    };
    make().map_err(parent_errno("make the socket that the container waits on"))
}

/// Starts the process that waits on the socket `name` in `directory`, and returns when its program runs.
///
/// # Errors
/// [`Error::NotWaiting`] when nobody listens there any more; else those of [`Waiting::start`](crate::Waiting::start).
pub fn start(directory: BorrowedFd<'_>, name: &str) -> Result<(), Error> {
    let connect = || {
        let socket = socket()?;
        rustix::net::connect(&socket, &address(directory, name)?)?;
        Ok(socket)
    };
    let channel = match connect() {
        Ok(socket) => Channel::from(socket),
        Err(Errno::CONNREFUSED | Errno::NOENT) => return Err(Error::NotWaiting),
        Err(errno) => return Err(parent_errno("reach the container's first process")(errno)),
    };
    channel.order(Order::Start).map_err(parent("start the container's first process"))?;
    match channel.report() {
        Ok(Report::Failed(error)) => Err(error),
        Ok(_) => Ok(()),
        // It was killed with the order unread.
        Err(error) if error.raw_os_error() == Some(Errno::CONNRESET.raw_os_error()) => Err(Error::NotWaiting),
        Err(error) => Err(parent("hear from the container's first process")(error)),
    }
}

fn socket() -> Result<std::os::fd::OwnedFd, Errno> {
    rustix::net::socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
}

/// Through the descriptor, since an address has room for 107 bytes and a path may be longer.
fn address(directory: BorrowedFd<'_>, name: &str) -> Result<SocketAddrUnix, Errno> {
    SocketAddrUnix::new(format!("/proc/self/fd/{}/{name}", directory.as_fd().as_raw_fd()))
}
