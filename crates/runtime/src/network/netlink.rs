//! As much of rtnetlink(7) as moving a network device takes: requests with an acknowledgement, and dumps.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};

pub(super) const RTM_NEWLINK: u16 = 16;
pub(super) const RTM_GETLINK: u16 = 18;
pub(super) const RTM_NEWADDR: u16 = 20;
pub(super) const RTM_GETADDR: u16 = 22;

pub(super) const IFLA_IFNAME: u16 = 3;
pub(super) const IFLA_NET_NS_FD: u16 = 28;

const NLM_F_REQUEST: u16 = 0x1;
const NLM_F_ACK: u16 = 0x4;
const NLM_F_EXCL: u16 = 0x200;
const NLM_F_CREATE: u16 = 0x400;
const NLM_F_DUMP: u16 = 0x300;
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const HEADER: usize = 16;

/// A socket in the network namespace that it was made in.
pub(super) struct Socket(OwnedFd);

/// One message: its fixed part and its attributes.
pub(super) struct Message {
    bytes: Vec<u8>,
}

impl Message {
    /// `struct ifinfomsg`; `flags` are changed to `up`.
    pub(super) fn link(index: u32, up: Option<bool>) -> Self {
        const IFF_UP: u32 = 1;
        let (flags, change) = up.map_or((0, 0), |up| (u32::from(up), IFF_UP));
        let mut bytes = vec![0; 4];
        for word in [index, flags, change] {
            bytes.extend_from_slice(&word.to_ne_bytes());
        }
        Self { bytes }
    }

    /// `struct ifaddrmsg`
    pub(super) fn address(family: u8, prefix: u8, scope: u8, index: u32) -> Self {
        let mut bytes = vec![family, prefix, 0, scope];
        bytes.extend_from_slice(&index.to_ne_bytes());
        Self { bytes }
    }

    pub(super) fn attribute(mut self, kind: u16, value: &[u8]) -> Self {
        let length = u16::try_from(value.len() + 4).unwrap_or(u16::MAX);
        self.bytes.extend_from_slice(&length.to_ne_bytes());
        self.bytes.extend_from_slice(&kind.to_ne_bytes());
        self.bytes.extend_from_slice(value);
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
        self
    }
}

impl Socket {
    pub(super) fn open() -> io::Result<Self> {
        // No protocol is NETLINK_ROUTE, which is zero.
        let (family, flags) = (AddressFamily::NETLINK, SocketFlags::CLOEXEC);
        Ok(Self(rustix::net::socket_with(family, SocketType::RAW, flags, None)?))
    }

    /// Asks for a change and waits for the kernel's answer.
    pub(super) fn request(&self, kind: u16, message: &Message) -> io::Result<()> {
        self.send(kind, NLM_F_REQUEST | NLM_F_ACK, message)?;
        self.answers(|_, _| ())
    }

    /// Likewise, for something that must not be there yet.
    pub(super) fn create(&self, kind: u16, message: &Message) -> io::Result<()> {
        self.send(kind, NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL, message)?;
        self.answers(|_, _| ())
    }

    /// Lists all; `each` gets the type and payload of every answer.
    pub(super) fn dump(&self, kind: u16, message: &Message, each: impl FnMut(u16, &[u8])) -> io::Result<()> {
        self.send(kind, NLM_F_REQUEST | NLM_F_DUMP, message)?;
        self.answers(each)
    }

    fn send(&self, kind: u16, flags: u16, message: &Message) -> io::Result<()> {
        let length = u32::try_from(HEADER + message.bytes.len()).unwrap_or(u32::MAX);
        let mut packet = Vec::with_capacity(HEADER + message.bytes.len());
        packet.extend_from_slice(&length.to_ne_bytes());
        packet.extend_from_slice(&kind.to_ne_bytes());
        packet.extend_from_slice(&flags.to_ne_bytes());
        packet.extend_from_slice(&[0; 8]);
        packet.extend_from_slice(&message.bytes);
        rustix::net::send(&self.0, &packet, SendFlags::empty())?;
        Ok(())
    }

    /// Until the acknowledgement or the end of the dump.
    fn answers(&self, mut each: impl FnMut(u16, &[u8])) -> io::Result<()> {
        // What the kernel fills at most for one answer to a dump.
        let mut buffer = vec![0; 64 * 1024];
        loop {
            let (read, _) = rustix::io::retry_on_intr(|| {
                rustix::net::recv(&self.0, buffer.as_mut_slice(), RecvFlags::empty())
            })?;
            let mut rest = &buffer[..read];
            while rest.len() >= HEADER {
                let length = word(rest, 0) as usize;
                if length < HEADER || length > rest.len() {
                    return Err(Errno::BADMSG.into());
                }
                let kind = u16::from_ne_bytes([rest[4], rest[5]]);
                let payload = &rest[HEADER..length];
                match kind {
                    NLMSG_DONE => return Ok(()),
                    NLMSG_ERROR => {
                        return match word(payload, 0).cast_signed() {
                            0 => Ok(()),
                            errno => Err(io::Error::from_raw_os_error(-errno)),
                        };
                    }
                    kind => each(kind, payload),
                }
                rest = &rest[length.next_multiple_of(4).min(rest.len())..];
            }
        }
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// The attributes after the fixed part of a message.
pub(super) fn attributes(mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let length = usize::from(u16::from_ne_bytes([*bytes.first()?, *bytes.get(1)?]));
        let kind = u16::from_ne_bytes([*bytes.get(2)?, *bytes.get(3)?]);
        let value = bytes.get(4..length)?;
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        // The two top bits are flags of the attribute.
        Some((kind & 0x3fff, value))
    })
}

/// A word in the machine's order; zero beyond the end.
pub(super) fn word(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..at + 4).map_or(0, |b| u32::from_ne_bytes([b[0], b[1], b[2], b[3]]))
}
