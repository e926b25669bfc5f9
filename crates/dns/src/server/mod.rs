//! The process that answers: one thread, one epoll(7), nothing that waits for anybody.
//!
//! What it watches has a number ([`Source`]); the numbers are never used again, so that an event of what is gone by then finds nothing.
//! Everything is bounded: what one container may have under way, what all may, how long a message is, how long it is waited.

mod asked;
mod door;
mod flight;

use std::collections::{BTreeSet, HashMap};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::event::Timespec;
use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::fs::FlockOperation;
use rustix::io::Errno;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use self::asked::Stream;
use self::door::Door;
use self::flight::{Attempt, Flight};
use crate::client::{SOCKET, lock};
use crate::directory::Directory;
use crate::upstream::Upstreams;

/// How long it goes on without a container.
const LINGER: Duration = Duration::from_secs(1);
/// Events that are taken at once.
const EVENTS: usize = 64;
/// Room for the longest message (over TCP its length has 16 bits) and for a registration.
const BUFFER: usize = 64 << 10;

/// What is watched.
#[derive(Debug)]
enum Source {
    /// New connections of supervisors.
    Listener(OwnedFd),
    /// A supervisor.
    Door(Door),
    /// Datagrams of a container's, by the number of its door.
    Datagrams { socket: OwnedFd, door: u64 },
    /// New connections of a container's resolver.
    Connections { socket: OwnedFd, door: u64 },
    /// A resolver over TCP.
    Stream(Stream),
    /// A question on its way to a name server.
    Attempt(Attempt),
}

impl AsFd for Source {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Listener(socket) | Self::Datagrams { socket, .. } | Self::Connections { socket, .. } => {
                socket.as_fd()
            }
            Self::Door(door) => door.connection.as_fd(),
            Self::Stream(stream) => stream.socket.as_fd(),
            Self::Attempt(attempt) => attempt.socket.as_fd(),
        }
    }
}

struct Server {
    path: PathBuf,
    epoll: OwnedFd,
    sources: HashMap<u64, Source>,
    flights: HashMap<u64, Flight>,
    next: u64,
    /// When something has to be looked at that no event tells of.
    alarms: BTreeSet<(Instant, u64)>,
    directory: Directory,
    upstreams: Upstreams,
    doors: usize,
    streams: usize,
    alone_since: Option<Instant>,
    buffer: Vec<u8>,
}

/// Serves those who connect to `listener` (bound to `sock` in `directory`), until there has been nobody for a second.
///
/// # Errors
/// When the kernel refuses epoll.
pub fn serve(listener: OwnedFd, directory: &Path) -> io::Result<()> {
    // A few descriptors for each container.
    let limit = getrlimit(Resource::Nofile);
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
    let mut server = Server {
        path: directory.to_owned(),
        epoll: epoll::create(epoll::CreateFlags::CLOEXEC)?,
        sources: HashMap::new(),
        flights: HashMap::new(),
        next: 0,
        alarms: BTreeSet::new(),
        directory: Directory::default(),
        upstreams: Upstreams::new("/etc/resolv.conf".into()),
        doors: 0,
        streams: 0,
        alone_since: Some(Instant::now()),
        buffer: vec![0; BUFFER],
    };
    let front = server.watch(Source::Listener(listener), EventFlags::IN)?;
    let mut space = [MaybeUninit::<epoll::Event>::uninit(); EVENTS];
    loop {
        let timeout = server.timeout();
        let events: Vec<(u64, EventFlags)> = match epoll::wait(&server.epoll, &mut space, timeout.as_ref()) {
            Ok((events, _)) => events.iter().map(|event| (event.data.u64(), event.flags)).collect(),
            Err(Errno::INTR) => continue,
            Err(errno) => return Err(errno.into()),
        };
        for (number, flags) in events {
            server.ready(number, flags);
        }
        server.ring();
        let alone = server.alone_since.is_some_and(|since| since.elapsed() >= LINGER);
        if alone && server.leaves(front) {
            return Ok(());
        }
    }
}

impl Server {
    fn watch(&mut self, source: Source, flags: EventFlags) -> io::Result<u64> {
        let number = self.number();
        epoll::add(&self.epoll, source.as_fd(), EventData::new_u64(number), flags)?;
        self.sources.insert(number, source);
        Ok(number)
    }

    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    /// Closing takes it out of the epoll's list, too: nobody else has the descriptor. But a supervisor has a container's sockets.
    fn unwatch(&mut self, number: u64) -> Option<Source> {
        let source = self.sources.remove(&number)?;
        let _ = epoll::delete(&self.epoll, &source);
        Some(source)
    }

    fn timeout(&self) -> Option<Timespec> {
        let linger = self.alone_since.map(|since| since + LINGER);
        let alarm = self.alarms.first().map(|(at, _)| *at);
        let until = [linger, alarm].into_iter().flatten().min()?;
        let left = until.saturating_duration_since(Instant::now());
        let seconds = i64::try_from(left.as_secs()).unwrap_or(i64::MAX);
        Some(Timespec { tv_sec: seconds, tv_nsec: left.subsec_nanos().into() })
    }

    fn ready(&mut self, number: u64, flags: EventFlags) {
        match self.sources.get(&number) {
            Some(Source::Listener(_)) => self.admit(number),
            Some(Source::Door(_)) => self.listen_at(number),
            Some(Source::Datagrams { .. }) => self.read_datagrams(number),
            Some(Source::Connections { .. }) => self.accept_stream(number),
            Some(Source::Stream(_)) => self.step_stream(number, flags),
            Some(Source::Attempt(_)) => self.step_attempt(number, flags),
            // Of what has gone in this round.
            None => {}
        }
    }

    /// Looks at all whose time has come.
    fn ring(&mut self) {
        let now = Instant::now();
        while let Some(&(at, number)) = self.alarms.first() {
            if at > now {
                break;
            }
            self.alarms.remove(&(at, number));
            if self.flights.contains_key(&number) {
                self.wake_flight(number, now);
            } else {
                self.close_stream(number);
            }
        }
    }

    /// Ends, unless somebody comes: who starts a server holds the lock, and who has connected waits at the door.
    fn leaves(&mut self, front: u64) -> bool {
        let _lock = match lock(&self.path, FlockOperation::NonBlockingLockExclusive) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.alone_since = Some(Instant::now());
                return false;
            }
            // The directory is gone, say: then nobody can come.
            lock => lock.ok(),
        };
        self.admit(front);
        if self.alone_since.is_none() {
            return false;
        }
        let _ = rustix::fs::unlink(self.path.join(SOCKET));
        // Before the lock is let go of.
        self.unwatch(front);
        true
    }
}
