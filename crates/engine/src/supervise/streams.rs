//! A process's standard streams between it, the log and the clients: one turn of poll(2) at a time.
//!
//! What one side does not take, the other does not read: no more than one chunk a direction is ever in memory.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Instant;

use conex_sys::signal::SignalFd;
use rustix::event::{PollFd, PollFlags};
use rustix::io::Errno;
use rustix::net::SocketFlags;

use super::client::{Client, Message, Role};
use super::ends::Ends;
use super::wire::Request;
use crate::LogStream;
use crate::log::Sink;
use crate::time::timespec;

/// More clients than this are turned away: each costs a descriptor.
const MOST_CLIENTS: usize = 256;
const CHUNK: usize = 16 << 10;
/// More than a pipe's buffer holds (pipe(7): 1 MiB without CAP_SYS_RESOURCE).
const MOST_DRAINED: usize = 4 << 20;

/// What a turn found out that is not about streams.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Happening {
    /// The process has ended and can be reaped.
    Ended,
    /// Client number so wants something.
    Asked(usize, Request),
    /// A signal to the supervisor itself.
    Signal(i32),
    /// A client's terminal has so many rows and columns now.
    Resized(u16, u16),
    /// The name service has something to say, or is gone.
    Names,
    /// The probe of its health has something to say, or is gone.
    Probe,
    /// The container has something for the service manager.
    Notice,
}

/// What a turn looks at besides the streams.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Watched<'a> {
    /// The process's end.
    pub(super) process: Option<BorrowedFd<'a>>,
    /// The name service.
    pub(super) names: Option<BorrowedFd<'a>>,
    /// The probe that runs.
    pub(super) probe: Option<BorrowedFd<'a>>,
    /// The container's notices for the service manager.
    pub(super) notices: Option<BorrowedFd<'a>>,
}

/// The streams, and those who take part in them.
#[derive(Debug)]
pub(super) struct Streams {
    pub(super) clients: Vec<Client>,
    pub(super) ends: Ends,
    pub(super) sink: Sink,
    listener: Option<OwnedFd>,
    pub(super) signals: Option<SignalFd>,
    /// Input that the process has not taken.
    input: Vec<u8>,
    /// Input ends when it has taken that.
    closing: bool,
    buffer: Vec<u8>,
}

#[derive(Clone, Copy)]
enum Source {
    Process,
    Names,
    Probe,
    Notices,
    Signals,
    Listener,
    Output(LogStream),
    Input,
    Client(usize),
}

impl Streams {
    pub(super) fn new(listener: Option<OwnedFd>, sink: Sink) -> Self {
        Self {
            clients: Vec::new(),
            ends: Ends::closed(),
            sink,
            listener,
            signals: None,
            input: Vec::new(),
            closing: false,
            buffer: vec![0; CHUNK],
        }
    }

    /// Another run begins.
    pub(super) fn begin(&mut self, ends: Ends) {
        self.ends = ends;
        self.input = Vec::new();
        self.closing = false;
    }

    /// Nobody can connect any more.
    pub(super) fn close_listener(&mut self) {
        self.listener = None;
    }

    /// Waits until something happens, at most until `deadline`, and does what concerns the streams.
    pub(super) fn turn(&mut self, watched: Watched<'_>, deadline: Option<Instant>) -> Vec<Happening> {
        let ready = self.wait(watched, deadline);
        let mut happenings = Vec::new();
        for (source, flags) in ready {
            match source {
                Source::Process => happenings.push(Happening::Ended),
                Source::Names => happenings.push(Happening::Names),
                Source::Probe => happenings.push(Happening::Probe),
                Source::Notices => happenings.push(Happening::Notice),
                Source::Signals => {
                    while let Some(Ok(Some(signal))) = self.signals.as_ref().map(SignalFd::next) {
                        happenings.push(Happening::Signal(signal));
                    }
                }
                Source::Listener => self.accept(),
                Source::Output(stream) => {
                    self.read_output(stream);
                }
                Source::Input => self.write_input(),
                Source::Client(number) => {
                    if self.clients[number].pending() && flags.intersects(PollFlags::OUT | PollFlags::ERR) {
                        self.clients[number].flush();
                    }
                    if flags.intersects(PollFlags::IN | PollFlags::HUP | PollFlags::ERR) {
                        self.hear(number, &mut happenings);
                    }
                }
            }
        }
        let now = Instant::now();
        for client in &mut self.clients {
            client.expire(now);
        }
        happenings
    }

    /// Forgets clients that are gone; not within a turn, whose happenings number them.
    pub(super) fn forget_gone(&mut self) {
        let closes = self.clients.iter().any(|client| client.gone() && client.first && client.sends_input());
        self.clients.retain(|client| !client.gone());
        if closes && !matches!(self.ends, Ends::Terminal { .. }) {
            self.close_input();
        }
    }

    fn wait(&self, watched: Watched<'_>, mut deadline: Option<Instant>) -> Vec<(Source, PollFlags)> {
        let blocked = self.clients.iter().any(Client::pending);
        let mut sources = Vec::with_capacity(8 + self.clients.len());
        let mut fds = Vec::with_capacity(8 + self.clients.len());
        let mut add = |source, fd, flags| {
            sources.push(source);
            fds.push(PollFd::from_borrowed_fd(fd, flags));
        };
        let Watched { process, names, probe, notices } = watched;
        let besides = [
            (Source::Process, process),
            (Source::Names, names),
            (Source::Probe, probe),
            (Source::Notices, notices),
        ];
        for (source, fd) in besides {
            if let Some(fd) = fd {
                add(source, fd, PollFlags::IN);
            }
        }
        if let Some(signals) = &self.signals {
            add(Source::Signals, signals.as_fd(), PollFlags::IN);
        }
        if let Some(listener) = &self.listener {
            add(Source::Listener, listener.as_fd(), PollFlags::IN);
        }
        for stream in [LogStream::Stdout, LogStream::Stderr] {
            if let (Some(fd), false) = (self.ends.output(stream), blocked) {
                add(Source::Output(stream), fd.as_fd(), PollFlags::IN);
            }
        }
        if let (Some(fd), false) = (self.ends.input(), self.input.is_empty()) {
            add(Source::Input, fd.as_fd(), PollFlags::OUT);
        }
        for (number, client) in self.clients.iter().enumerate() {
            let mut flags = PollFlags::empty();
            flags.set(PollFlags::OUT, client.pending());
            flags.set(PollFlags::IN, self.input.is_empty() || !client.sends_input());
            add(Source::Client(number), client.as_fd(), flags);
            deadline = [deadline, client.deadline()].into_iter().flatten().min();
        }
        let timeout = deadline.map(|deadline| timespec(deadline.saturating_duration_since(Instant::now())));
        match rustix::event::poll(&mut fds, timeout.as_ref()) {
            Ok(0) | Err(_) => Vec::new(),
            Ok(_) => sources
                .into_iter()
                .zip(fds.iter().map(PollFd::revents))
                .filter(|(_, flags)| !flags.is_empty())
                .collect(),
        }
    }

    fn accept(&mut self) {
        let Some(listener) = &self.listener else { return };
        while let Ok(socket) = rustix::net::accept_with(listener, SocketFlags::CLOEXEC) {
            // A dropped one sees the end of the stream.
            if self.clients.len() < MOST_CLIENTS {
                self.clients.push(Client::new(socket, Role::Silent, false));
            }
        }
    }

    /// Reads one chunk of output and hands it on. False when there is none now, or none any more.
    fn read_output(&mut self, stream: LogStream) -> bool {
        let Some(fd) = self.ends.output(stream) else { return false };
        match rustix::io::read(fd, &mut self.buffer[..]) {
            Ok(count) if count > 0 => {
                let bytes = &self.buffer[..count];
                self.sink.write(stream, bytes);
                for client in &mut self.clients {
                    client.output(stream, bytes);
                }
                true
            }
            Err(Errno::AGAIN) => false,
            Err(Errno::INTR) => true,
            // The end of a pipe is 0, of a terminal EIO.
            Ok(_) | Err(_) => {
                self.ends.end_output(stream);
                false
            }
        }
    }

    /// The process has ended, and with it all that wrote: takes what is left in the kernel's buffers (which bounds it),
    /// whether the clients keep up or not, and ends the log's unfinished lines.
    pub(super) fn drain(&mut self) {
        for stream in [LogStream::Stdout, LogStream::Stderr] {
            // Somebody outside who was handed the pipe could write for ever.
            for _ in 0..MOST_DRAINED / CHUNK {
                if !self.read_output(stream) {
                    break;
                }
            }
        }
        self.sink.finish();
        self.ends = Ends::closed();
    }

    fn hear(&mut self, number: usize, happenings: &mut Vec<Happening>) {
        let mut buffer = std::mem::take(&mut self.buffer);
        let messages = self.clients[number].receive(&mut buffer);
        self.buffer = buffer;
        for message in messages {
            let streams = matches!(self.clients[number].role, Role::Streams { .. });
            match message {
                Message::Request(request) => happenings.push(Happening::Asked(number, request)),
                Message::Stdin(bytes)
                    if self.clients[number].sends_input() && !self.closing && self.ends.input().is_some() =>
                {
                    self.input.extend(bytes);
                    self.write_input();
                }
                Message::CloseStdin if self.clients[number].sends_input() && self.clients[number].first => {
                    self.close_input();
                }
                Message::Resize(rows, columns) if streams => {
                    self.ends.resize(rows, columns);
                    happenings.push(Happening::Resized(rows, columns));
                }
                _ => {}
            }
        }
    }

    fn close_input(&mut self) {
        self.closing = true;
        if self.input.is_empty() {
            self.ends.end_input();
        }
    }

    fn write_input(&mut self) {
        let Some(fd) = self.ends.input() else {
            self.input = Vec::new();
            return;
        };
        while !self.input.is_empty() {
            match rustix::io::write(fd, &self.input) {
                Ok(count) => drop(self.input.drain(..count)),
                Err(Errno::AGAIN) => return,
                Err(Errno::INTR) => {}
                // It closed its end: what comes now goes nowhere.
                Err(_) => {
                    self.input = Vec::new();
                    self.ends.end_input();
                    return;
                }
            }
        }
        self.input = Vec::new();
        if self.closing {
            self.ends.end_input();
        }
    }

    /// Tells everybody the exit status; those who were here for it have had what they came for.
    pub(super) fn tell_exit(&mut self, code: i32) {
        for client in &mut self.clients {
            client.exit(code);
        }
        self.forget_gone();
    }

    /// Goes on until every client has read all that was for it, or is gone, or has tried our patience.
    pub(super) fn linger(&mut self) {
        self.clients.retain(|client| client.pending() && !client.gone());
        while !self.clients.is_empty() {
            self.turn(Watched::default(), None);
            self.clients.retain(|client| client.pending() && !client.gone());
        }
    }
}
