//! What containers ask, over UDP and over TCP (RFC 7766), and what they are told.

use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::io::Errno;
use rustix::net::{
    RecvFlags, SendFlags, SocketAddrAny, SocketFlags, accept_with, recv, recvfrom, send, sendto,
};

use super::{Server, Source};
use crate::message::{Refusal, Reply, answer, read_query};

/// Datagrams that are read before it is another's turn.
const AT_ONCE: usize = 32;
/// No query is longer, in bytes.
const LARGEST_QUERY: usize = 4096;
/// Connections of one container's resolvers, and of all.
const MOST_STREAMS: usize = 8;
const MOST_STREAMS_OF_ALL: usize = 128;
/// How long a resolver may be connected.
const PATIENCE: Duration = Duration::from_secs(10);

/// A resolver over TCP.
#[derive(Debug)]
pub(super) struct Stream {
    pub(super) socket: OwnedFd,
    /// Whose.
    pub(super) door: u64,
    input: Vec<u8>,
    output: Vec<u8>,
    /// Another server is being asked: what it asks next waits.
    is_waiting: bool,
    alarm: Instant,
}

/// Who asked, to be told.
#[derive(Debug, Clone)]
pub(super) enum Origin {
    /// Somebody behind a container's socket.
    Datagram { socket: u64, address: SocketAddrAny },
    /// A resolver over TCP.
    Stream(u64),
}

/// What becomes of a question.
enum Verdict {
    Answer(Vec<u8>),
    Forward,
    Nothing,
}

impl Server {
    fn judge(&mut self, door: u64, message: &[u8], over_tcp: bool) -> Verdict {
        let query = match read_query(message) {
            Ok(query) => query,
            Err(Refusal::Reply(reply)) => return Verdict::Answer(reply),
            Err(Refusal::Silent) => return Verdict::Nothing,
        };
        let reply = match self.directory.answer(door, &query.asked) {
            Some(reply) => reply,
            None if self.directory.get(door).is_some_and(|container| container.forwards) => {
                return Verdict::Forward;
            }
            None => Reply::NoSuchName,
        };
        Verdict::Answer(answer(message, &query, &reply, over_tcp))
    }

    pub(super) fn read_datagrams(&mut self, number: u64) {
        let mut buffer = std::mem::take(&mut self.buffer);
        for _ in 0..AT_ONCE {
            let Some(Source::Datagrams { socket, door }) = self.sources.get(&number) else { break };
            let door = *door;
            let (count, address) = match recvfrom(socket, &mut buffer[..], RecvFlags::DONTWAIT) {
                Ok((count, _, Some(address))) => (count, address),
                Ok(_) => continue,
                Err(Errno::INTR) => continue,
                // Nothing more, or what the kernel has to say of an earlier answer.
                Err(_) => break,
            };
            let message = &buffer[..count];
            let origin = Origin::Datagram { socket: number, address };
            if count > LARGEST_QUERY {
                continue;
            }
            match self.judge(door, message, false) {
                Verdict::Answer(reply) => self.tell(&origin, &reply),
                Verdict::Forward => self.take_off(door, origin, message),
                Verdict::Nothing => {}
            }
        }
        self.buffer = buffer;
    }

    /// Says something to who asked, if it is there still.
    pub(super) fn tell(&mut self, origin: &Origin, message: &[u8]) {
        match origin {
            Origin::Datagram { socket, address } => {
                if let Some(Source::Datagrams { socket, .. }) = self.sources.get(socket) {
                    let _ = sendto(socket, message, SendFlags::DONTWAIT | SendFlags::NOSIGNAL, address);
                }
            }
            Origin::Stream(number) => {
                let Some(Source::Stream(stream)) = self.sources.get_mut(number) else { return };
                if !stream.say(message) {
                    return;
                }
                stream.is_waiting = false;
                // It goes on when its turn comes.
                let wanted = EventFlags::IN | EventFlags::OUT;
                let _ = epoll::modify(&self.epoll, &stream.socket, EventData::new_u64(*number), wanted);
            }
        }
    }

    pub(super) fn accept_stream(&mut self, number: u64) {
        loop {
            let Some(Source::Connections { socket, door }) = self.sources.get(&number) else { return };
            let door = *door;
            let stream = match accept_with(socket, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK) {
                Ok(stream) => stream,
                Err(Errno::INTR | Errno::CONNABORTED) => continue,
                Err(_) => return,
            };
            let Some(Source::Door(owner)) = self.sources.get(&door) else { return };
            if owner.streams >= MOST_STREAMS || self.streams >= MOST_STREAMS_OF_ALL {
                continue;
            }
            let alarm = Instant::now() + PATIENCE;
            let stream = Stream {
                socket: stream,
                door,
                input: Vec::new(),
                output: Vec::new(),
                is_waiting: false,
                alarm,
            };
            if let Ok(number) = self.watch(Source::Stream(stream), EventFlags::IN) {
                self.alarms.insert((alarm, number));
                self.streams += 1;
                if let Some(Source::Door(owner)) = self.sources.get_mut(&door) {
                    owner.streams += 1;
                }
            }
        }
    }

    pub(super) fn close_stream(&mut self, number: u64) {
        if !matches!(self.sources.get(&number), Some(Source::Stream(_))) {
            return;
        }
        if let Some(Source::Stream(stream)) = self.unwatch(number) {
            self.alarms.remove(&(stream.alarm, number));
            self.streams -= 1;
            if let Some(Source::Door(owner)) = self.sources.get_mut(&stream.door) {
                owner.streams -= 1;
            }
        }
    }

    /// Reads, answers and writes as far as it goes.
    pub(super) fn step_stream(&mut self, number: u64, flags: EventFlags) {
        let Some(Source::Stream(stream)) = self.sources.get_mut(&number) else { return };
        let open = !flags.intersects(EventFlags::HUP | EventFlags::ERR)
            && stream.write()
            && (!flags.contains(EventFlags::IN) || stream.read());
        if !open {
            return self.close_stream(number);
        }
        while let Some(Source::Stream(stream)) = self.sources.get_mut(&number) {
            let Some(message) = stream.next_message() else { break };
            let door = stream.door;
            match self.judge(door, &message, true) {
                Verdict::Answer(reply) => {
                    if let Some(Source::Stream(stream)) = self.sources.get_mut(&number) {
                        stream.say(&reply);
                    }
                }
                Verdict::Forward => {
                    if let Some(Source::Stream(stream)) = self.sources.get_mut(&number) {
                        stream.is_waiting = true;
                    }
                    self.take_off(door, Origin::Stream(number), &message);
                }
                Verdict::Nothing => return self.close_stream(number),
            }
        }
        let Some(Source::Stream(stream)) = self.sources.get(&number) else { return };
        let mut wanted = EventFlags::empty();
        wanted.set(EventFlags::OUT, !stream.output.is_empty());
        wanted.set(EventFlags::IN, stream.output.is_empty() && !stream.is_waiting);
        let _ = epoll::modify(&self.epoll, &stream.socket, EventData::new_u64(number), wanted);
    }
}

impl Stream {
    /// Says a message, its length before it (RFC 1035, section 4.2.2), as far as it goes at once. False for one that is too long.
    fn say(&mut self, message: &[u8]) -> bool {
        let Ok(length) = u16::try_from(message.len()) else { return false };
        self.output.extend_from_slice(&length.to_be_bytes());
        self.output.extend_from_slice(message);
        self.write();
        true
    }

    /// False at the end.
    fn write(&mut self) -> bool {
        while !self.output.is_empty() {
            match send(&self.socket, &self.output, SendFlags::DONTWAIT | SendFlags::NOSIGNAL) {
                Ok(count) => drop(self.output.drain(..count)),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return true,
                Err(_) => return false,
            }
        }
        self.output = Vec::new();
        true
    }

    /// False at the end, and when it says too much.
    fn read(&mut self) -> bool {
        let mut buffer = [0; LARGEST_QUERY + 2];
        match recv(&self.socket, &mut buffer[..], RecvFlags::DONTWAIT) {
            Ok((0, _)) => false,
            Ok((count, _)) => {
                self.input.extend_from_slice(&buffer[..count]);
                self.input.len() <= 2 * buffer.len()
            }
            Err(Errno::AGAIN | Errno::INTR) => true,
            Err(_) => false,
        }
    }

    /// The next question, when its turn has come. One that is too long is read as empty, and ends the connection.
    fn next_message(&mut self) -> Option<Vec<u8>> {
        if self.is_waiting || !self.output.is_empty() {
            return None;
        }
        let length = usize::from(u16::from_be_bytes([*self.input.first()?, *self.input.get(1)?]));
        if length > LARGEST_QUERY {
            return Some(Vec::new());
        }
        let message = self.input.get(2..2 + length)?.to_vec();
        self.input.drain(..2 + length);
        Some(message)
    }
}
