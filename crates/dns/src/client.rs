//! The supervisor's side: sockets in the container's namespace, a server that listens, a registration over the connection to it.

use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{FlockOperation, Mode, OFlags, flock};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketAddrUnix,
    SocketFlags, SocketType, sockopt,
};

use crate::registration::{LARGEST, Registration};

/// Where a container's resolver asks.
pub const ADDRESS: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 11);
/// At which port. The sockets have others, for a program of the container's may want this one, of all addresses.
pub const PORT: u16 = 53;
/// Bytes of a container's questions that wait, as the kernel counts them: more than a thousand questions. The usual 208 KiB are full
/// after 277.
const QUEUE: usize = 1 << 20;
pub(crate) const SOCKET: &str = "sock";
const LOCK: &str = ".lock";
const BACKLOG: i32 = 1024;
/// How long a server may take for a registration: it does nothing that waits.
const PATIENCE: Duration = Duration::from_secs(5);

/// A container's ends of the name service. The supervisor keeps them, so that nothing that is asked while a server is started again is
/// lost: it waits in them.
#[derive(Debug)]
pub struct Sockets {
    udp: OwnedFd,
    tcp: OwnedFd,
}

impl Sockets {
    /// Opens them in the network namespace of the calling thread, whose loopback device is up: an
    /// address that is bound before (`IP_FREEBIND`) is not the one that answers come from. At [`ADDRESS`], and ports of the kernel's choice,
    /// which somebody has to translate [`PORT`] to.
    ///
    /// # Errors
    /// EADDRNOTAVAIL, EPERM.
    pub fn open() -> io::Result<Self> {
        let address = SocketAddrV4::new(ADDRESS, 0);
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let open = |kind| -> rustix::io::Result<OwnedFd> {
            let socket = rustix::net::socket_with(AddressFamily::INET, kind, flags, None)?;
            rustix::net::bind(&socket, &address)?;
            Ok(socket)
        };
        let (udp, tcp) = (open(SocketType::DGRAM)?, open(SocketType::STREAM)?);
        // Beyond the machine's bound that is for its root.
        sockopt::set_socket_recv_buffer_size_force(&udp, QUEUE)
            .or_else(|_| sockopt::set_socket_recv_buffer_size(&udp, QUEUE))?;
        rustix::net::listen(&tcp, 64)?;
        Ok(Self { udp, tcp })
    }

    /// The ports of the sockets, over UDP and over TCP.
    ///
    /// # Errors
    /// None that is known.
    pub fn ports(&self) -> io::Result<(u16, u16)> {
        let port = |socket: &OwnedFd| -> io::Result<u16> {
            let address = SocketAddrV4::try_from(rustix::net::getsockname(socket)?)?;
            Ok(address.port())
        };
        Ok((port(&self.udp)?, port(&self.tcp)?))
    }
}

/// A connection to the server of `directory`. When there is none, `start` is given a listening socket, has to see to it that a process
/// calls [`crate::serve`] with it, and returns without waiting for that.
///
/// # Errors
/// What the kernel or `start` says.
pub fn reach(directory: &Path, start: impl FnOnce(OwnedFd) -> io::Result<()>) -> io::Result<OwnedFd> {
    if let Some(connection) = connect(directory)? {
        return Ok(connection);
    }
    make_directory(directory)?;
    let lock = lock(directory, FlockOperation::LockExclusive)?;
    if let Some(connection) = connect(directory)? {
        return Ok(connection);
    }
    match rustix::fs::unlink(directory.join(SOCKET)) {
        Ok(()) | Err(Errno::NOENT) => {}
        Err(errno) => return Err(errno.into()),
    }
    let listener = socket(SocketFlags::NONBLOCK)?;
    let (_held, address) = address(directory)?;
    rustix::net::bind(&listener, &address)?;
    rustix::net::listen(&listener, BACKLOG)?;
    start(listener)?;
    let connection = connect(directory)?;
    drop(lock);
    connection.ok_or_else(|| io::ErrorKind::ConnectionRefused.into())
}

/// Registers a container, whose names resolve from then on for as long as the connection is open.
///
/// # Errors
/// `ConnectionReset`, `BrokenPipe` or `UnexpectedEof` for a server that ended over it; `TimedOut`; `InvalidInput` for a
/// registration that is too long.
pub fn register(
    connection: BorrowedFd<'_>,
    registration: &Registration,
    sockets: &Sockets,
) -> io::Result<()> {
    send(connection, registration, &[sockets.udp.as_fd(), sockets.tcp.as_fd()])
}

/// Says what a registered container is called now, and where.
///
/// # Errors
/// As [`register`].
pub fn update(connection: BorrowedFd<'_>, registration: &Registration) -> io::Result<()> {
    send(connection, registration, &[])
}

fn send(connection: BorrowedFd<'_>, registration: &Registration, fds: &[BorrowedFd<'_>]) -> io::Result<()> {
    let packet = serde_json::to_vec(registration)?;
    if packet.len() > LARGEST {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "too many names"));
    }
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(2))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !fds.is_empty() {
        control.push(SendAncillaryMessage::ScmRights(fds));
    }
    wait(connection, PollFlags::OUT)?;
    let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
    rustix::io::retry_on_intr(|| {
        rustix::net::sendmsg(connection, &[IoSlice::new(&packet)], &mut control, flags)
    })?;
    wait(connection, PollFlags::IN)?;
    let mut word = [0u8; 1];
    match rustix::net::recv(connection, &mut word[..], RecvFlags::DONTWAIT)? {
        (0, _) => Err(io::ErrorKind::UnexpectedEof.into()),
        _ => Ok(()),
    }
}

fn wait(connection: BorrowedFd<'_>, flags: PollFlags) -> io::Result<()> {
    let timeout = Timespec { tv_sec: i64::try_from(PATIENCE.as_secs()).unwrap_or(i64::MAX), tv_nsec: 0 };
    let mut fds = [PollFd::from_borrowed_fd(connection, flags)];
    match rustix::io::retry_on_intr(|| poll(&mut fds, Some(&timeout)))? {
        0 => Err(io::ErrorKind::TimedOut.into()),
        _ => Ok(()),
    }
}

fn connect(directory: &Path) -> io::Result<Option<OwnedFd>> {
    let (_held, address) = match address(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        address => address?,
    };
    let connection = socket(SocketFlags::empty())?;
    match rustix::io::retry_on_intr(|| rustix::net::connect(&connection, &address)) {
        Ok(()) => Ok(Some(connection)),
        Err(Errno::NOENT | Errno::CONNREFUSED) => Ok(None),
        Err(errno) => Err(errno.into()),
    }
}

fn socket(flags: SocketFlags) -> rustix::io::Result<OwnedFd> {
    rustix::net::socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags | SocketFlags::CLOEXEC, None)
}

/// The socket's address through a descriptor, however long the path is (an address has 108 bytes).
fn address(directory: &Path) -> io::Result<(OwnedFd, SocketAddrUnix)> {
    use std::os::fd::AsRawFd;
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let held = rustix::fs::open(directory, flags, Mode::empty())?;
    let address = SocketAddrUnix::new(format!("/proc/self/fd/{}/{SOCKET}", held.as_raw_fd()))?;
    Ok((held, address))
}

fn make_directory(directory: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(directory)
}

/// The lock of who starts or ends a server, until the descriptor is closed.
pub(crate) fn lock(directory: &Path, operation: FlockOperation) -> io::Result<OwnedFd> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::CLOEXEC;
    let file = rustix::fs::open(directory.join(LOCK), flags, Mode::from_raw_mode(0o600))?;
    rustix::io::retry_on_intr(|| flock(&file, operation))?;
    Ok(file)
}
