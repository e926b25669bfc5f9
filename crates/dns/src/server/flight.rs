//! Questions that other name servers are asked: each from a socket of its own, so that port and number are the kernel's dice; the next
//! server when one refuses, fails or does not say anything for a second; the first good answer wins.

use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::io::Errno;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, connect, recv, send};

use super::asked::Origin;
use super::{Server, Source};
use crate::message::{Reply, answer, is_answer_to, is_useless, read_query};

/// Questions of one container, and of all, that are under way.
const MOST: usize = 256;
const MOST_OF_ALL: usize = 1024;
/// How long a server may be silent before the next is asked, too.
const PATIENCE: Duration = Duration::from_secs(1);
/// How long an answer is waited for: resolvers ask again after five seconds (resolv.conf(5), `timeout`).
const LONGEST: Duration = Duration::from_secs(5);
/// How often servers are asked.
const ATTEMPTS: usize = 4;

/// A question under way.
#[derive(Debug)]
pub(super) struct Flight {
    /// Whose.
    pub(super) door: u64,
    origin: Origin,
    query: Vec<u8>,
    servers: Vec<SocketAddr>,
    asked: usize,
    attempts: Vec<u64>,
    /// What a server said that may not be the last word.
    poor: Option<Vec<u8>>,
    alarm: Instant,
    deadline: Instant,
}

/// The question at one server.
#[derive(Debug)]
pub(super) struct Attempt {
    pub(super) socket: OwnedFd,
    flight: u64,
    server: SocketAddr,
    /// As it is sent, with a number of its own.
    query: Vec<u8>,
    /// Over TCP: what is to be sent, and what has come.
    tcp: Option<(Vec<u8>, Vec<u8>)>,
}

impl Server {
    /// Asks others for a container.
    pub(super) fn take_off(&mut self, door: u64, origin: Origin, query: &[u8]) {
        let now = Instant::now();
        let own = self.directory.get(door).map(|container| container.servers.as_slice());
        let servers = self.upstreams.choose(own.unwrap_or_default(), now);
        let full = self.flights.len() >= MOST_OF_ALL
            || !matches!(self.sources.get(&door), Some(Source::Door(owner)) if owner.flights < MOST);
        if servers.is_empty() || full {
            return self.fail(&origin, query);
        }
        let number = self.number();
        let alarm = now + PATIENCE;
        self.alarms.insert((alarm, number));
        if let Some(Source::Door(owner)) = self.sources.get_mut(&door) {
            owner.flights += 1;
        }
        let query = query.to_vec();
        let (attempts, deadline) = (Vec::new(), now + LONGEST);
        let flight = Flight { door, origin, query, servers, asked: 0, attempts, poor: None, alarm, deadline };
        self.flights.insert(number, flight);
        self.try_next(number);
    }

    fn fail(&mut self, origin: &Origin, query: &[u8]) {
        if let Ok(read) = read_query(query) {
            let over_tcp = matches!(origin, Origin::Stream(_));
            self.tell(origin, &answer(query, &read, &Reply::Failure, over_tcp));
        }
    }

    /// Ends a flight, without a word.
    pub(super) fn land(&mut self, number: u64) -> Option<Flight> {
        let flight = self.flights.remove(&number)?;
        self.alarms.remove(&(flight.alarm, number));
        for attempt in &flight.attempts {
            self.unwatch(*attempt);
        }
        if let Some(Source::Door(owner)) = self.sources.get_mut(&flight.door) {
            owner.flights -= 1;
        }
        Some(flight)
    }

    /// Ends a flight with an answer, or with what there is.
    fn arrive(&mut self, number: u64, answer: Option<Vec<u8>>) {
        let Some(flight) = self.land(number) else { return };
        match answer.or(flight.poor) {
            Some(mut message) => {
                message[..2].copy_from_slice(&flight.query[..2]);
                self.tell(&flight.origin, &message);
            }
            None => self.fail(&flight.origin, &flight.query),
        }
    }

    /// Asks the next server; without one ends the flight, unless there is somebody to wait for.
    fn try_next(&mut self, number: u64) {
        loop {
            let Some(flight) = self.flights.get_mut(&number) else { return };
            let most = flight.servers.len().clamp(2, ATTEMPTS);
            if flight.asked >= most {
                if flight.attempts.is_empty() {
                    self.arrive(number, None);
                }
                return;
            }
            let server = flight.servers[flight.asked % flight.servers.len()];
            flight.asked += 1;
            let over_tcp = matches!(flight.origin, Origin::Stream(_));
            let sent = attempt(number, server, &flight.query, over_tcp).and_then(|attempt| {
                let flags = if over_tcp { EventFlags::IN | EventFlags::OUT } else { EventFlags::IN };
                self.watch(Source::Attempt(attempt), flags).map_err(|_| Errno::NOMEM)
            });
            match sent {
                Ok(attempt) => {
                    if let Some(flight) = self.flights.get_mut(&number) {
                        flight.attempts.push(attempt);
                    }
                    return;
                }
                Err(_) => self.upstreams.is_silent(server, Instant::now()),
            }
        }
    }

    /// A second has gone by, or all of them.
    pub(super) fn wake_flight(&mut self, number: u64, now: Instant) {
        let Some(flight) = self.flights.get_mut(&number) else { return };
        flight.alarm = (now + PATIENCE).min(flight.deadline.max(now + Duration::from_millis(1)));
        self.alarms.insert((flight.alarm, number));
        let is_over = now >= flight.deadline;
        if let Some(Source::Attempt(last)) = flight.attempts.last().and_then(|last| self.sources.get(last)) {
            self.upstreams.is_silent(last.server, now);
        }
        if is_over { self.arrive(number, None) } else { self.try_next(number) }
    }

    /// Something comes from a server.
    pub(super) fn step_attempt(&mut self, number: u64, flags: EventFlags) {
        let Some(Source::Attempt(attempt)) = self.sources.get_mut(&number) else { return };
        let (flight, server) = (attempt.flight, attempt.server);
        match attempt.step(&mut self.buffer, flags) {
            Ok(None) => {
                let sends = attempt.tcp.as_ref().is_some_and(|(output, _)| !output.is_empty());
                let wanted = if sends { EventFlags::IN | EventFlags::OUT } else { EventFlags::IN };
                let _ = epoll::modify(&self.epoll, &attempt.socket, EventData::new_u64(number), wanted);
            }
            Ok(Some(message)) if is_useless(&message) => {
                self.drop_attempt(flight, number, Some(message));
            }
            Ok(Some(message)) => {
                self.upstreams.answers(server);
                self.arrive(flight, Some(message));
            }
            Err(_) => {
                self.upstreams.is_silent(server, Instant::now());
                self.drop_attempt(flight, number, None);
            }
        }
    }

    fn drop_attempt(&mut self, number: u64, attempt: u64, poor: Option<Vec<u8>>) {
        self.unwatch(attempt);
        let Some(flight) = self.flights.get_mut(&number) else { return };
        flight.attempts.retain(|one| *one != attempt);
        flight.poor = poor.or(flight.poor.take());
        // Who is the only one to ask is not asked the same again at once.
        if flight.servers.len() == 1 && flight.poor.is_some() {
            return self.arrive(number, None);
        }
        self.try_next(number);
    }
}

/// Sends a question to a server.
fn attempt(flight: u64, server: SocketAddr, query: &[u8], over_tcp: bool) -> Result<Attempt, Errno> {
    let mut query = query.to_vec();
    rustix::rand::getrandom(&mut query[..2], rustix::rand::GetRandomFlags::empty())?;
    let family = if server.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let kind = if over_tcp { SocketType::STREAM } else { SocketType::DGRAM };
    let socket = rustix::net::socket_with(family, kind, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK, None)?;
    match connect(&socket, &server) {
        Ok(()) | Err(Errno::INPROGRESS) => {}
        Err(errno) => return Err(errno),
    }
    let tcp = match over_tcp {
        true => {
            let length = u16::try_from(query.len()).map_err(|_| Errno::MSGSIZE)?;
            Some(([&length.to_be_bytes()[..], &query].concat(), Vec::new()))
        }
        false => {
            send(&socket, &query, SendFlags::DONTWAIT | SendFlags::NOSIGNAL)?;
            None
        }
    };
    Ok(Attempt { socket, flight, server, query, tcp })
}

impl Attempt {
    /// Goes on as far as it goes: the answer, or that there is none yet.
    fn step(&mut self, buffer: &mut [u8], flags: EventFlags) -> Result<Option<Vec<u8>>, Errno> {
        let Some((output, input)) = &mut self.tcp else {
            loop {
                match recv(&self.socket, &mut *buffer, RecvFlags::DONTWAIT) {
                    // Somebody may guess at it: what is no answer is passed over.
                    Ok((count, _)) if is_answer_to(&self.query, &buffer[..count]) => {
                        return Ok(Some(buffer[..count].to_vec()));
                    }
                    Ok(_) | Err(Errno::INTR) => {}
                    Err(Errno::AGAIN) => return Ok(None),
                    Err(errno) => return Err(errno),
                }
            }
        };
        while flags.contains(EventFlags::OUT) && !output.is_empty() {
            match send(&self.socket, output, SendFlags::DONTWAIT | SendFlags::NOSIGNAL) {
                Ok(count) => drop(output.drain(..count)),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => break,
                Err(errno) => return Err(errno),
            }
        }
        match recv(&self.socket, &mut *buffer, RecvFlags::DONTWAIT) {
            Ok((0, _)) => return Err(Errno::CONNRESET),
            Ok((count, _)) => input.extend_from_slice(&buffer[..count]),
            Err(Errno::INTR | Errno::AGAIN | Errno::NOTCONN) => {}
            Err(errno) => return Err(errno),
        }
        let Some(&[high, low]) = input.get(..2) else { return Ok(None) };
        let length = usize::from(u16::from_be_bytes([high, low]));
        match input.get(2..2 + length) {
            Some(message) if is_answer_to(&self.query, message) => Ok(Some(message.to_vec())),
            Some(_) => Err(Errno::PROTO),
            None => Ok(None),
        }
    }
}
