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
    /// Set up; waits for [`Order::Start`].
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

    /// Waits for `wanted`; anything else, the parent's death included, is an error.
    pub(crate) fn await_order(&self, wanted: Order) -> Result<(), Fault> {
        let mut byte = [0];
        match retry_on_intr(|| rustix::net::recv(&self.0, &mut byte, RecvFlags::empty())) {
            Ok((1, _)) if byte[0] == wanted as u8 => Ok(()),
            Ok(_) => Err(Fault::new("hear from the parent process", Errno::PIPE)),
            Err(errno) => Err(Fault::new("hear from the parent process", errno)),
        }
    }

    pub(crate) fn report_made(&self, pid: u32) -> io::Result<()> {
        let mut packet = [b'P', 0, 0, 0, 0];
        packet[1..].copy_from_slice(&pid.to_ne_bytes());
        retry_on_intr(|| rustix::net::send(&self.0, &packet, SendFlags::NOSIGNAL))?;
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
        let mut packet = vec![b'E', fault.kind as u8];
        packet.extend_from_slice(&fault.errno.raw_os_error().to_ne_bytes());
        packet.extend_from_slice(&fault.what.as_bytes()[..fault.what.len().min(TEXT_LIMIT)]);
        let _ = retry_on_intr(|| rustix::net::send(&self.0, &packet, SendFlags::NOSIGNAL));
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
            [b'P', pid @ ..] if pid.len() == 4 => {
                Report::Made { pid: u32::from_ne_bytes([pid[0], pid[1], pid[2], pid[3]]) }
            }
            [b'E', kind, a, b, c, d, text @ ..] => {
                let errno = Errno::from_raw_os_error(i32::from_ne_bytes([*a, *b, *c, *d]));
                let what = String::from_utf8_lossy(text).into_owned();
                Report::Failed(Fault { kind: Kind::from_byte(*kind), what, errno }.into())
            }
            _ => Report::Closed,
        })
    }
}

impl AsFd for Channel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
