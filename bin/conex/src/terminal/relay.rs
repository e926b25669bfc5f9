//! Bytes, sizes and signals between this process and a container, until one of them ends it.
//!
//! One poll(2) loop. What cannot be written now is held, and while something is held nothing more is read from the
//! other side: memory is bounded by one event and one read, and a full pipe at one end is felt at the other.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use conex_engine::{Attachment, Event};
use conex_sys::signal::SignalFd;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::FileType;
use rustix::io::Errno;
use rustix::process::Signal;

use super::keys::{DetachKeys, Scanner};
use super::signals::{self, Signals};
use super::{Raw, size};

/// Read at once from standard input, and written at once to a pipe: after POLLOUT that much does not block.
const CHUNK: usize = 4096;

/// How it ended.
#[derive(Debug)]
pub(crate) enum Ended {
    /// The container's process did, with this status.
    Exited(i32),
    /// The user typed the detach keys.
    Detached,
    /// The supervisor is gone; the engine tells the status.
    Lost,
    /// This process was asked to end by this signal.
    Signalled(i32),
}

/// A client attached to a container.
pub(crate) struct Relay<'r> {
    /// The container's streams.
    pub(crate) attachment: Attachment,
    /// Taken before the container started.
    pub(crate) signals: Signals,
    /// Whether standard input is passed on.
    pub(crate) stdin: bool,
    /// The container has a terminal: it follows the size of this one, if there is one.
    pub(crate) follow_size: bool,
    /// With a terminal on both sides that is typed at: what to type to leave.
    pub(crate) terminal: Option<DetachKeys>,
    /// Without one: where signals go, unless `--sig-proxy=false`.
    pub(crate) proxy: Option<&'r mut dyn FnMut(i32)>,
}

impl Relay<'_> {
    /// Runs until the container ends, the user leaves or a signal asks for it. The terminal is raw only in between.
    ///
    /// # Errors
    /// When a stream of this process cannot be read or written (a closed pipe), or the attachment breaks.
    pub(crate) fn run(self) -> Result<Ended, RelayError> {
        let raw = match &self.terminal {
            Some(_) => Some(Raw::enter().map_err(RelayError::Terminal)?),
            None => None,
        };
        let mut session = Session {
            attachment: self.attachment,
            input: if self.stdin { Input::Open } else { Input::Absent },
            scanner: self.terminal.map(Scanner::new),
            follow_size: self.follow_size,
            raw,
            signals: self.signals.0,
            proxy: self.proxy,
            output: Vec::new(),
            written: 0,
            to_stderr: false,
            requests: 0,
        };
        session.resize()?;
        loop {
            if let Some(ended) = session.step()? {
                return Ok(ended);
            }
        }
    }
}

/// Why a relay broke.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RelayError {
    /// Raw mode.
    #[error("cannot set the terminal to raw mode: {0}")]
    Terminal(#[source] io::Error),
    /// poll, signalfd.
    #[error("cannot wait for the container's streams: {0}")]
    Poll(#[source] io::Error),
    /// Standard output or error; EPIPE when the reader has gone.
    #[error("cannot write the container's output: {0}")]
    Write(#[source] io::Error),
    /// The other end.
    #[error(transparent)]
    Engine(#[from] conex_engine::Error),
}

/// Standard input.
#[derive(Debug)]
enum Input {
    /// Not passed on, or at its end.
    Absent,
    /// To be read.
    Open,
    /// Read, not yet sent.
    Held(Vec<u8>),
}

struct Session<'r> {
    attachment: Attachment,
    input: Input,
    scanner: Option<Scanner>,
    follow_size: bool,
    raw: Option<Raw>,
    signals: Option<SignalFd>,
    proxy: Option<&'r mut dyn FnMut(i32)>,
    /// Received, not yet written, from `written` on.
    output: Vec<u8>,
    written: usize,
    to_stderr: bool,
    /// How often somebody asked to end it.
    requests: u32,
}

/// What poll found.
struct Ready {
    attachment_in: bool,
    attachment_out: bool,
    stdin: bool,
    out: bool,
    signals: bool,
}

impl Session<'_> {
    fn step(&mut self) -> Result<Option<Ended>, RelayError> {
        let ready = self.wait()?;
        if ready.signals
            && let Some(ended) = self.signals()?
        {
            return Ok(Some(ended));
        }
        if ready.out {
            self.write()?;
        }
        if ready.stdin
            && let Some(ended) = self.read_input()?
        {
            return Ok(Some(ended));
        }
        if ready.attachment_out
            && let Input::Held(bytes) = std::mem::replace(&mut self.input, Input::Open)
        {
            self.attachment.send_stdin(&bytes)?;
        }
        if ready.attachment_in {
            match self.attachment.recv()? {
                Event::Stdout(bytes) => self.hold(bytes, false)?,
                Event::Stderr(bytes) => self.hold(bytes, true)?,
                Event::Exit(status) => return Ok(Some(Ended::Exited(status))),
                Event::Lost => return Ok(Some(Ended::Lost)),
            }
        }
        Ok(None)
    }

    /// Waits until something can be done. A descriptor that is of no use now is left out: its hang-up would make
    /// this a busy loop.
    fn wait(&self) -> Result<Ready, RelayError> {
        let stdin = rustix::stdio::stdin();
        let target = self.target();
        let mut fds = Vec::with_capacity(4);
        let holding = self.written < self.output.len();
        let mut flags = PollFlags::empty();
        flags.set(PollFlags::IN, !holding);
        flags.set(PollFlags::OUT, matches!(self.input, Input::Held(_)));
        let attachment = (!flags.is_empty()).then(|| add(&mut fds, self.attachment.as_fd(), flags));
        let out = holding.then(|| add(&mut fds, target, PollFlags::OUT));
        let input = matches!(self.input, Input::Open).then(|| add(&mut fds, stdin, PollFlags::IN));
        let signals = self.signals.as_ref().map(|signals| add(&mut fds, signals.as_fd(), PollFlags::IN));
        match poll(&mut fds, None) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(RelayError::Poll(error.into())),
        }
        let gone = PollFlags::HUP | PollFlags::ERR;
        let is = |index: Option<usize>, flags: PollFlags| {
            index.is_some_and(|index| fds[index].revents().intersects(flags))
        };
        Ok(Ready {
            attachment_in: !holding && is(attachment, PollFlags::IN | gone),
            attachment_out: matches!(self.input, Input::Held(_)) && is(attachment, PollFlags::OUT | gone),
            stdin: is(input, PollFlags::IN | gone | PollFlags::NVAL),
            out: is(out, PollFlags::OUT | gone | PollFlags::NVAL),
            signals: is(signals, PollFlags::IN),
        })
    }

    fn target(&self) -> BorrowedFd<'static> {
        if self.to_stderr { rustix::stdio::stderr() } else { rustix::stdio::stdout() }
    }

    /// Takes output to be written; a regular file takes it at once.
    fn hold(&mut self, bytes: Vec<u8>, to_stderr: bool) -> Result<(), RelayError> {
        self.output = bytes;
        self.written = 0;
        self.to_stderr = to_stderr;
        let regular = rustix::fs::fstat(self.target())
            .is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile);
        while regular && self.written < self.output.len() {
            self.write()?;
        }
        Ok(())
    }

    fn write(&mut self) -> Result<(), RelayError> {
        let rest = &self.output[self.written..];
        match rustix::io::write(self.target(), &rest[..rest.len().min(CHUNK)]) {
            Ok(count) => {
                self.written += count;
                Ok(())
            }
            Err(Errno::INTR | Errno::AGAIN) => Ok(()),
            Err(error) => Err(RelayError::Write(error.into())),
        }
    }

    fn read_input(&mut self) -> Result<Option<Ended>, RelayError> {
        let mut buffer = [0; CHUNK];
        let typed = match rustix::io::read(rustix::stdio::stdin(), &mut buffer) {
            Err(Errno::INTR | Errno::AGAIN) => return Ok(None),
            // A terminal that was hung up, a directory: there is no more to come.
            Ok(0) | Err(_) => {
                self.input = Input::Absent;
                self.attachment.close_stdin()?;
                return Ok(None);
            }
            Ok(count) => &buffer[..count],
        };
        let (bytes, leave) = match &mut self.scanner {
            Some(scanner) => scanner.feed(typed),
            None => (typed.to_vec(), false),
        };
        if leave {
            if !bytes.is_empty() {
                self.attachment.send_stdin(&bytes)?;
            }
            return Ok(Some(Ended::Detached));
        }
        if !bytes.is_empty() {
            self.input = Input::Held(bytes);
        }
        Ok(None)
    }

    fn signals(&mut self) -> Result<Option<Ended>, RelayError> {
        while let Some(signals) = &self.signals
            && let Some(signal) = signals.next().map_err(RelayError::Poll)?
        {
            match (&self.raw, &mut self.proxy) {
                _ if signal == Signal::WINCH.as_raw() => self.resize()?,
                (Some(raw), _) if signal == Signal::CONT.as_raw() => {
                    raw.again();
                    self.resize()?;
                }
                (None, Some(proxy)) => {
                    self.requests += u32::from(signals::is_request_to_end(signal));
                    if self.requests >= 3 {
                        return Ok(Some(Ended::Signalled(signal)));
                    }
                    proxy(signal);
                }
                _ => return Ok(Some(Ended::Signalled(signal))),
            }
        }
        Ok(None)
    }

    fn resize(&mut self) -> Result<(), RelayError> {
        if self.follow_size
            && let Some((rows, columns)) = size()
        {
            self.attachment.resize(rows, columns)?;
        }
        Ok(())
    }
}

/// Adds a descriptor to wait for; its index.
fn add<'f>(fds: &mut Vec<PollFd<'f>>, fd: BorrowedFd<'f>, flags: PollFlags) -> usize {
    fds.push(PollFd::from_borrowed_fd(fd, flags));
    fds.len() - 1
}
