//! The wire between the parent and the process it makes: a SOCK_SEQPACKET pair, one message a packet.
//!
//! Both ends are close-on-exec, so that the parent's end reads end-of-file when execve has happened (or the child is
//! dead). What a child sends is never trusted beyond its shape: by then it may be inside a hostile container.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::{Errno, retry_on_intr};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType,
};

use crate::Error;
use crate::fault::{Fault, Kind};

/// One end.
#[derive(Debug)]
pub(crate) struct Channel(OwnedFd);

/// From the child.
#[derive(Debug)]
pub(crate) enum Report {
    /// An intermediate process has made the real one.
    Made { pid: u32 },
    /// In its namespaces, its mounts made; waits for [`Channel::proceed`].
    Staged,
    /// About to install a filter that notifies, by a descriptor of this number; waits for [`Order::Listened`].
    Filtering { number: i32 },
    /// Set up; waits for [`Order::Start`] or [`Order::Leave`].
    Ready { terminal: Option<OwnedFd> },
    /// It failed, and exits.
    Failed(Error),
    /// The other end is closed.
    Closed,
}

/// From the parent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Order {
    /// The id mappings are written.
    Mapped = b'M',
    /// Exec.
    Start = b'S',
    /// Wait for somebody else's order.
    Leave = b'L',
    /// The filter's notifications are listened to.
    Listened = b'N',
    /// Somebody else has put the process into the container's cgroup.
    Attached = b'A',
    /// Let the parent reach its descriptors.
    Show = b'D',
}

const TEXT_LIMIT: usize = 1024;

impl Channel {
    /// Both ends.
    pub(crate) fn pair() -> io::Result<(Self, Self)> {
        let (ours, theirs) =
            rustix::net::socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
        Ok((Self(ours), Self(theirs)))
    }

    pub(crate) fn order(&self, order: Order) -> io::Result<()> {
        retry_on_intr(|| rustix::net::send(&self.0, &[order as u8], SendFlags::NOSIGNAL))?;
        Ok(())
    }

    /// One of `wanted`; anything else, the parent's death included, is an error.
    pub(crate) fn await_one_of(&self, wanted: &[Order]) -> Result<Order, Fault> {
        let mut byte = [0];
        let lost = |errno| Fault::new("hear from the parent process", errno);
        let (read, _) =
            retry_on_intr(|| rustix::net::recv(&self.0, &mut byte, RecvFlags::empty())).map_err(lost)?;
        let order = wanted.iter().find(|order| read == 1 && byte[0] == **order as u8);
        order.copied().ok_or_else(|| lost(Errno::PIPE))
    }

    /// Whether a report, or the end of reports, is there to be read.
    pub(crate) fn has_report(&self) -> bool {
        let look = RecvFlags::PEEK | RecvFlags::DONTWAIT;
        rustix::net::recv(&self.0, &mut [0], look) != Err(Errno::AGAIN)
    }

    /// The connection that brings the order to start. One that brings anything else, or nothing, is forgotten.
    pub(crate) fn accept_start(listener: BorrowedFd<'_>) -> Result<Self, Fault> {
        loop {
            let connection =
                retry_on_intr(|| rustix::net::accept_with(listener, SocketFlags::CLOEXEC)).map(Self);
            match connection {
                Ok(connection) if connection.await_order(Order::Start).is_ok() => return Ok(connection),
                Ok(_) | Err(Errno::CONNABORTED) => {}
                Err(errno) => return Err(Fault::new("wait to be started", errno)),
            }
        }
    }

    /// Waits for `wanted`; anything else, the parent's death included, is an error.
    pub(crate) fn await_order(&self, wanted: Order) -> Result<(), Fault> {
        self.await_one_of(&[wanted]).map(drop)
    }

    /// Lets a staged process go on and tells it its number in the parent's pid namespace.
    pub(crate) fn proceed(&self, pid: u32) -> io::Result<()> {
        let mut packet = [b'G', 0, 0, 0, 0];
        packet[1..].copy_from_slice(&pid.to_ne_bytes());
        retry_on_intr(|| rustix::net::send(&self.0, &packet, SendFlags::NOSIGNAL))?;
        Ok(())
    }

    /// Says that it is staged, and waits for [`proceed`](Self::proceed).
    pub(crate) fn stage(&self) -> Result<u32, Fault> {
        let lost = |errno| Fault::new("hear from the parent process", errno);
        retry_on_intr(|| rustix::net::send(&self.0, b"T", SendFlags::NOSIGNAL)).map_err(lost)?;
        let mut packet = [0; 5];
        match retry_on_intr(|| rustix::net::recv(&self.0, &mut packet, RecvFlags::empty())) {
            Ok((5, _)) if packet[0] == b'G' => {
                Ok(u32::from_ne_bytes([packet[1], packet[2], packet[3], packet[4]]))
            }
            Ok(_) => Err(lost(Errno::PIPE)),
            Err(errno) => Err(lost(errno)),
        }
    }

    pub(crate) fn report_made(&self, pid: u32) -> io::Result<()> {
        let mut packet = [b'P', 0, 0, 0, 0];
        packet[1..].copy_from_slice(&pid.to_ne_bytes());
        retry_on_intr(|| rustix::net::send(&self.0, &packet, SendFlags::NOSIGNAL))?;
        Ok(())
    }

    pub(crate) fn report_filtering(&self, number: i32) -> Result<(), Fault> {
        let mut packet = [b'F', 0, 0, 0, 0];
        packet[1..].copy_from_slice(&number.to_ne_bytes());
        retry_on_intr(|| rustix::net::send(&self.0, &packet, SendFlags::NOSIGNAL))
            .map_err(|errno| Fault::new("report to the parent process", errno))?;
        Ok(())
    }

    pub(crate) fn report_ready(&self, terminal: Option<BorrowedFd<'_>>) -> Result<(), Fault> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        let fds: Vec<_> = terminal.into_iter().collect();
        if !fds.is_empty() {
            control.push(SendAncillaryMessage::ScmRights(&fds));
        }
        rustix::net::sendmsg(&self.0, &[IoSlice::new(b"R")], &mut control, SendFlags::NOSIGNAL)
            .map_err(|errno| Fault::new("report to the parent process", errno))?;
        Ok(())
    }

    /// Best effort: a parent that is gone learns nothing.
    pub(crate) fn report_failure(&self, fault: &Fault) {
        let _ = retry_on_intr(|| rustix::net::send(&self.0, &fault.packet(), SendFlags::NOSIGNAL));
    }

    /// The next report. A packet of the wrong shape reads as a closed channel.
    pub(crate) fn report(&self) -> io::Result<Report> {
        let mut packet = [0; TEXT_LIMIT + 16];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let read = retry_on_intr(|| {
            rustix::net::recvmsg(
                &self.0,
                &mut [IoSliceMut::new(&mut packet)],
                &mut control,
                RecvFlags::CMSG_CLOEXEC,
            )
        })?;
        let mut terminal = None;
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(mut fds) = message {
                terminal = fds.next();
            }
        }
        Ok(match &packet[..read.bytes] {
            [b'R'] => Report::Ready { terminal },
            [b'T'] => Report::Staged,
            [b'P', pid @ ..] if pid.len() == 4 => {
                Report::Made { pid: u32::from_ne_bytes([pid[0], pid[1], pid[2], pid[3]]) }
            }
            [b'F', a, b, c, d] => Report::Filtering { number: i32::from_ne_bytes([*a, *b, *c, *d]) },
            [b'E', kind, a, b, c, d, text @ ..] => {
                let errno = Errno::from_raw_os_error(i32::from_ne_bytes([*a, *b, *c, *d]));
                let what = String::from_utf8_lossy(text).into_owned();
                Report::Failed(Fault { kind: Kind::from_byte(*kind), what, errno }.into())
            }
            _ => Report::Closed,
        })
    }
}

impl Fault {
    /// As it travels: the kind, the errno in bytes 2 to 5, the text.
    pub(crate) fn packet(&self) -> Vec<u8> {
        let text = &self.what.as_bytes()[..self.what.len().min(TEXT_LIMIT)];
        let mut packet = Vec::with_capacity(6 + text.len());
        packet.extend_from_slice(&[b'E', self.kind as u8]);
        packet.extend_from_slice(&self.errno.raw_os_error().to_ne_bytes());
        packet.extend_from_slice(text);
        packet
    }
}

impl From<OwnedFd> for Channel {
    fn from(socket: OwnedFd) -> Self {
        Self(socket)
    }
}

impl AsFd for Channel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
