//! A netlink socket: requests with the kernel's acknowledgement, dumps, and nftables' transactions.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{AddressFamily, Protocol, RecvFlags, SendFlags, SocketFlags, SocketType};

use crate::attributes::{find, text, u32_of};
use crate::error::{Error, Result};
use crate::message::Message;

pub(crate) const NLM_F_REQUEST: u16 = 0x1;
pub(crate) const NLM_F_ACK: u16 = 0x4;
pub(crate) const NLM_F_REPLACE: u16 = 0x100;
pub(crate) const NLM_F_EXCL: u16 = 0x200;
pub(crate) const NLM_F_CREATE: u16 = 0x400;
pub(crate) const NLM_F_APPEND: u16 = 0x800;
const NLM_F_DUMP: u16 = 0x300;
const NLM_F_DUMP_INTR: u16 = 0x10;
/// The acknowledgement does not quote the request.
const NLM_F_CAPPED: u16 = 0x100;
/// Attributes follow the acknowledgement.
const NLM_F_ACK_TLVS: u16 = 0x200;
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const NLMSGERR_ATTR_MSG: u16 = 1;
const HEADER: usize = 16;
/// What the kernel fills at most for one answer to a dump.
const BUFFER: usize = 64 << 10;
/// A dump during which the kernel's list changed is asked for again, so often.
const AGAIN: u32 = 16;

/// A socket in the network namespace that it was opened in.
#[derive(Debug)]
pub(crate) struct Socket {
    fd: OwnedFd,
    sequence: u32,
}

impl Socket {
    /// In the namespace of the calling thread.
    pub(crate) fn open(protocol: Option<Protocol>) -> Result<Self> {
        let opened = || -> io::Result<OwnedFd> {
            let (family, flags) = (AddressFamily::NETLINK, SocketFlags::CLOEXEC);
            let fd = rustix::net::socket_with(family, SocketType::RAW, flags, protocol)?;
            rustix::net::bind(&fd, &SocketAddrNetlink::new(0, 0))?;
            conex_sys::network::extended_acknowledgements(fd.as_fd())?;
            Ok(fd)
        };
        opened().map(|fd| Self { fd, sequence: 0 }).map_err(|source| Error::Open { source })
    }

    /// In another namespace, which the calling thread enters for a moment.
    pub(crate) fn open_in(namespace: BorrowedFd<'_>, protocol: Option<Protocol>) -> Result<Self> {
        let opened = conex_sys::namespace::visit_network(namespace, || Self::open(protocol));
        opened.map_err(|source| Error::Open { source })?
    }

    /// Asks for a change, described by `what` for people, and waits for the kernel's answer.
    pub(crate) fn request(&mut self, message: &Message, what: &dyn Fn() -> String) -> Result<()> {
        let sequence = self.send(message, NLM_F_REQUEST | NLM_F_ACK, what)?;
        self.answers(sequence, what, &mut |_, _| ())
    }

    /// Asks for one thing: the type and payload of the first answer. `None` when it is not there.
    pub(crate) fn get(
        &mut self,
        message: &Message,
        what: &dyn Fn() -> String,
    ) -> Result<Option<(u16, Vec<u8>)>> {
        let sequence = self.send(message, NLM_F_REQUEST | NLM_F_ACK, what)?;
        let mut found = None;
        match self.answers(sequence, what, &mut |kind, payload| {
            found.get_or_insert_with(|| (kind, payload.to_vec()));
        }) {
            Ok(()) => Ok(found),
            Err(error) if error.is_gone() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Lists all: the type and payload of every answer.
    pub(crate) fn dump(
        &mut self,
        message: &Message,
        what: &dyn Fn() -> String,
    ) -> Result<Vec<(u16, Vec<u8>)>> {
        for _ in 0..AGAIN {
            let sequence = self.send(message, NLM_F_REQUEST | NLM_F_DUMP, what)?;
            let mut all = Vec::new();
            match self.answers(sequence, what, &mut |kind, payload| all.push((kind, payload.to_vec()))) {
                Err(Error::Refused { source, .. }) if source.kind() == io::ErrorKind::Interrupted => {}
                answered => return answered.map(|()| all),
            }
        }
        Err(Error::Refused { what: what(), source: Errno::INTR.into(), words: None })
    }

    /// Sends all of `messages` in one packet, of which the last is acknowledged, between `begin` and `end`. The kernel does all or
    /// nothing; the error is that of the first message that it refuses, with its place in the list.
    pub(crate) fn transact(
        &mut self,
        begin: &Message,
        messages: &[Message],
        end: &Message,
        what: &dyn Fn(usize) -> String,
    ) -> Result<()> {
        let Some(last) = messages.len().checked_sub(1) else { return Ok(()) };
        let mut packet = Vec::new();
        let first = self.sequence.wrapping_add(1);
        for (index, message) in [begin].into_iter().chain(messages).chain([end]).enumerate() {
            // What fails is told of without it.
            let ack = if index == last + 1 { NLM_F_ACK } else { 0 };
            self.sequence = self.sequence.wrapping_add(1);
            write(&mut packet, message, NLM_F_REQUEST | ack, self.sequence);
        }
        self.write(&packet, &|| what(0))?;
        let mut failure = None;
        let mut buffer = vec![0; BUFFER];
        loop {
            let count = self.receive(&mut buffer, &|| what(0))?;
            for answer in Answers::of(&buffer[..count]) {
                let answer = answer.ok_or_else(|| Error::Malformed { what: what(0) })?;
                let place = answer.sequence.wrapping_sub(first) as usize;
                if answer.kind != NLMSG_ERROR || place > messages.len() {
                    continue;
                }
                if let Err(error) = acknowledged(&answer, &|| what(place.saturating_sub(1))) {
                    failure.get_or_insert(error);
                    // Of the beginning itself: nothing was looked at, or all was taken back at the end.
                    if place == 0 {
                        return Err(failure.expect("it is set"));
                    }
                }
                if place == last + 1 {
                    return failure.map_or(Ok(()), Err);
                }
            }
        }
    }

    fn send(&mut self, message: &Message, flags: u16, what: &dyn Fn() -> String) -> Result<u32> {
        self.sequence = self.sequence.wrapping_add(1);
        let mut packet = Vec::with_capacity(HEADER + message.payload.len());
        write(&mut packet, message, flags, self.sequence);
        self.write(&packet, what)?;
        Ok(self.sequence)
    }

    fn write(&self, packet: &[u8], what: &dyn Fn() -> String) -> Result<()> {
        let sent = rustix::net::sendto(&self.fd, packet, SendFlags::empty(), &SocketAddrNetlink::new(0, 0));
        sent.map(drop).map_err(|errno| Error::Refused { what: what(), source: errno.into(), words: None })
    }

    fn receive(&self, buffer: &mut [u8], what: &dyn Fn() -> String) -> Result<usize> {
        let received =
            rustix::io::retry_on_intr(|| rustix::net::recv(&self.fd, &mut *buffer, RecvFlags::empty()));
        let (count, _) =
            received.map_err(|errno| Error::Refused { what: what(), source: errno.into(), words: None })?;
        Ok(count)
    }

    /// Until the acknowledgement, or the end of the dump.
    fn answers(
        &self,
        sequence: u32,
        what: &dyn Fn() -> String,
        each: &mut dyn FnMut(u16, &[u8]),
    ) -> Result<()> {
        let mut buffer = vec![0; BUFFER];
        let mut interrupted = false;
        loop {
            let count = self.receive(&mut buffer, what)?;
            for answer in Answers::of(&buffer[..count]) {
                let answer = answer.ok_or_else(|| Error::Malformed { what: what() })?;
                // Left over from a request that was given up.
                if answer.sequence != sequence {
                    continue;
                }
                interrupted |= answer.flags & NLM_F_DUMP_INTR != 0;
                match answer.kind {
                    NLMSG_DONE if interrupted => {
                        return Err(Error::Refused { what: what(), source: Errno::INTR.into(), words: None });
                    }
                    NLMSG_DONE => {
                        return match u32_of(answer.payload).cast_signed() {
                            0.. => Ok(()),
                            _ => acknowledged(&answer, what),
                        };
                    }
                    NLMSG_ERROR => return acknowledged(&answer, what),
                    kind => each(kind, answer.payload),
                }
            }
        }
    }
}

fn write(packet: &mut Vec<u8>, message: &Message, flags: u16, sequence: u32) {
    let length = u32::try_from(HEADER + message.payload.len()).expect("a message has less than 4 GiB");
    packet.extend_from_slice(&length.to_ne_bytes());
    packet.extend_from_slice(&message.kind.to_ne_bytes());
    packet.extend_from_slice(&(message.flags | flags).to_ne_bytes());
    packet.extend_from_slice(&sequence.to_ne_bytes());
    packet.extend_from_slice(&[0; 4]);
    packet.extend_from_slice(&message.payload);
}

/// One message of the kernel's.
struct Answer<'a> {
    kind: u16,
    flags: u16,
    sequence: u32,
    payload: &'a [u8],
}

/// The messages in a packet; `None` where one does not fit, and then no more.
struct Answers<'a>(&'a [u8]);

impl<'a> Answers<'a> {
    fn of(packet: &'a [u8]) -> Self {
        Self(packet)
    }
}

impl<'a> Iterator for Answers<'a> {
    type Item = Option<Answer<'a>>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let (Some(header), length) = (self.0.first_chunk::<HEADER>(), u32_of(self.0) as usize) else {
            self.0 = &[];
            return Some(None);
        };
        let Some(payload) = self.0.get(HEADER..length) else {
            self.0 = &[];
            return Some(None);
        };
        self.0 = self.0.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some(Some(Answer {
            kind: u16::from_ne_bytes([header[4], header[5]]),
            flags: u16::from_ne_bytes([header[6], header[7]]),
            sequence: u32_of(&header[8..]),
            payload,
        }))
    }
}

/// `struct nlmsgerr`: a number, the request or its header, and what the kernel has to say.
fn acknowledged(answer: &Answer<'_>, what: &dyn Fn() -> String) -> Result<()> {
    let number = u32_of(answer.payload).cast_signed();
    if number == 0 {
        return Ok(());
    }
    let quoted = match answer.payload.get(4..).map(u32_of) {
        Some(length) if answer.flags & NLM_F_CAPPED == 0 => (length as usize).next_multiple_of(4),
        _ => HEADER,
    };
    let said = (answer.flags & NLM_F_ACK_TLVS != 0)
        .then(|| find(answer.payload.get(4 + quoted..)?, NLMSGERR_ATTR_MSG).map(text))
        .flatten();
    let source = io::Error::from_raw_os_error(number.saturating_neg());
    Err(Error::Refused { what: what(), source, words: said.filter(|said| !said.is_empty()) })
}
