//! One probe of a container's health, in a process of its own: an `exec` whose output is kept, and whose time is bounded.
//!
//! The supervisor forks it, so that nothing a container does can hold the supervisor up: a group that is frozen, a program that
//! floods its pipe, one that forks and lets the pipe be held. The probe's process runs in a group of its own below the container's,
//! so that all that it has forked can be killed, and only that. It says how the probe went in one message, and ends; when the
//! supervisor closes its end first, the probe is killed and nobody is told.

use std::io::IoSlice;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::time::{Duration, Instant};

use conex_cgroup::Cgroup;
use conex_oci::ContainerId;
use rustix::event::{PollFd, PollFlags};
use rustix::net::{AddressFamily, RecvFlags, SendAncillaryBuffer, SendFlags, SocketFlags, SocketType};
use rustix::process::{Pid, Signal};

use super::container::reap;
use super::ends::Ends;
use super::exec::{group, start};
use super::spawn::spawn_apart;
use crate::engine::Parts;
use crate::rootless::Member;
use crate::store::Process;
use crate::time::{go_duration, timespec};
use crate::verbs::{ExecOptions, hold};
use crate::{Error, LogStream, Result};

/// Docker's: more of what a probe says is cut.
const MOST_OUTPUT: usize = 4096;
/// Of one that has ended: what others go on to write is not its.
const MOST_DRAINED: usize = 1 << 20;
/// Tries to move what a probe has left running out of its group, while it forks.
const MOVES: usize = 10;

/// How a probe went.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Outcome {
    /// -1 for one that was not run, or took too long.
    pub(super) code: i32,
    pub(super) output: String,
}

/// A probe that runs. Dropping it kills it.
#[derive(Debug)]
pub(super) struct Running {
    socket: OwnedFd,
}

/// What is run.
pub(super) struct Question<'a> {
    pub(super) id: &'a ContainerId,
    /// The container's first process.
    pub(super) target: &'a Process,
    pub(super) command: Vec<String>,
    pub(super) timeout: Duration,
    /// The group below the container's; `None` where there can be none.
    pub(super) group: Option<&'a Cgroup>,
}

impl Running {
    /// Forks a process that asks.
    ///
    /// # Errors
    /// [`Error::Supervisor`]
    pub(super) fn start(parts: &Parts, question: &Question<'_>) -> Result<Self> {
        let fail = |source| Error::Supervisor { source };
        let flags = SocketFlags::CLOEXEC;
        let (ours, theirs) = rustix::net::socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)
            .map_err(|errno| fail(errno.into()))?;
        let mut keep = vec![theirs.as_raw_fd()];
        keep.extend(question.group.and_then(Cgroup::clone_into).map(|fd| fd.as_raw_fd()));
        spawn_apart(c"conex-probe", &keep, || ask(parts, question, &theirs)).map_err(fail)?;
        Ok(Self { socket: ours })
    }

    /// How it went; `None` when it is not over. One whose process was killed went wrong.
    pub(super) fn outcome(&self) -> Option<Outcome> {
        let mut message = [0; 4 + MOST_OUTPUT + 512];
        match rustix::net::recv(&self.socket, &mut message[..], RecvFlags::DONTWAIT) {
            Ok((count, _)) if count >= 4 => {
                let (code, output) = message[..count].split_at(4);
                Some(Outcome {
                    code: i32::from_le_bytes([code[0], code[1], code[2], code[3]]),
                    output: String::from_utf8_lossy(output).into_owned(),
                })
            }
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => None,
            _ => Some(Outcome { code: -1, output: "the process that ran the probe was killed".to_owned() }),
        }
    }
}

impl AsFd for Running {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// The probe's process.
fn ask(parts: &Parts, question: &Question<'_>, socket: &OwnedFd) {
    let _member = Member::or_warn(&parts.paths.run);
    let outcome = match run(parts, question, socket) {
        Ok(Some(outcome)) => outcome,
        // Nobody wants to know.
        Ok(None) => return,
        Err(error) => Outcome { code: -1, output: error.to_string() },
    };
    let code = outcome.code.to_le_bytes();
    let output = outcome.output.as_bytes();
    let parts = [IoSlice::new(&code), IoSlice::new(&output[..output.len().min(MOST_OUTPUT + 256)])];
    let _ = rustix::net::sendmsg(socket, &parts, &mut SendAncillaryBuffer::default(), SendFlags::NOSIGNAL);
}

fn run(parts: &Parts, question: &Question<'_>, socket: &OwnedFd) -> Result<Option<Outcome>> {
    let deadline = Instant::now().checked_add(question.timeout);
    let record = parts.store.must_record(question.id)?;
    let name = record.name.to_string();
    let pidfd = hold(question.target)?.ok_or(Error::NotRunning { name })?;
    let options = ExecOptions { command: question.command.clone(), ..ExecOptions::default() };
    let job = parts.exec_job(record, question.target, pidfd, &options, None)?;
    let outer = group(parts, &job)?;
    let (process, ends, _) = start(parts, job, question.group.or(Some(&outer)))?;
    let mut asked = Asked { process, ends, output: Output::default(), code: None };
    let end = asked.watch(socket, deadline);
    if end != End::Over {
        asked.kill(question.group);
    }
    asked.drain();
    if end == End::Over
        && let Some(inner) = question.group
    {
        let_stay(inner, &outer);
    }
    let output = asked.output.text();
    Ok(match end {
        End::Unwanted => None,
        End::Over => Some(Outcome { code: asked.code.unwrap_or(-1), output }),
        // Docker's words.
        End::TooLate => {
            let separator = if output.is_empty() { "" } else { ": " };
            let time = go_duration(question.timeout);
            Some(Outcome {
                code: -1,
                output: format!("Health check exceeded timeout ({time}){separator}{output}"),
            })
        }
    })
}

/// How the wait for a probe ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// Its process has ended.
    Over,
    /// It took too long.
    TooLate,
    /// The supervisor has no use for it any more, or is gone.
    Unwanted,
}

/// A probe's process, and what it has said.
struct Asked {
    process: OwnedFd,
    ends: Ends,
    output: Output,
    code: Option<i32>,
}

impl Asked {
    fn watch(&mut self, socket: &OwnedFd, deadline: Option<Instant>) -> End {
        loop {
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            if left.is_some_and(|left| left.is_zero()) {
                return End::TooLate;
            }
            let streams = [LogStream::Stdout, LogStream::Stderr];
            let mut fds = vec![
                PollFd::from_borrowed_fd(self.process.as_fd(), PollFlags::IN),
                PollFd::from_borrowed_fd(socket.as_fd(), PollFlags::IN),
            ];
            let open = streams.into_iter().filter_map(|stream| self.ends.output(stream));
            fds.extend(open.map(|fd| PollFd::from_borrowed_fd(fd.as_fd(), PollFlags::IN)));
            if rustix::event::poll(&mut fds, left.map(timespec).as_ref()).is_err() {
                continue;
            }
            let seen = |number: usize| fds.get(number).is_some_and(|fd| !fd.revents().is_empty());
            let (over, unwanted) = (seen(0), seen(1));
            drop(fds);
            if unwanted {
                return End::Unwanted;
            }
            // One chunk a turn: a flood does not keep the clock from being looked at.
            for stream in streams {
                self.read(stream);
            }
            if over {
                self.code = reap(&self.process);
                return End::Over;
            }
        }
    }

    /// One chunk; whether there was one.
    fn read(&mut self, stream: LogStream) -> bool {
        let mut buffer = [0; 16 << 10];
        let Some(fd) = self.ends.output(stream) else { return false };
        match rustix::io::read(fd, &mut buffer[..]) {
            Ok(count) if count > 0 => {
                self.output.add(&buffer[..count]);
                true
            }
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => false,
            _ => {
                self.ends.end_output(stream);
                false
            }
        }
    }

    /// What is left in the pipes, which others may hold open and write to for ever.
    fn drain(&mut self) {
        for stream in [LogStream::Stdout, LogStream::Stderr] {
            for _ in 0..MOST_DRAINED / (16 << 10) {
                if !self.read(stream) {
                    break;
                }
            }
        }
    }

    /// All of it: what is in its group, or without one what is in its session's first group of processes.
    fn kill(&self, group: Option<&Cgroup>) {
        if let Some(group) = group {
            if let Err(error) = group.kill() {
                log::warn!("{error}");
            }
            return;
        }
        // Held, its number is its own.
        if let Some(pid) = pid_of(&self.process) {
            let _ = rustix::process::kill_process_group(pid, Signal::KILL);
        }
        let _ = conex_sys::signal::send(self.process.as_fd(), Signal::KILL.as_raw());
    }
}

/// The number of a process that is held, in our pid namespace (`/proc/self/fdinfo`, Linux 5.3).
fn pid_of(process: &OwnedFd) -> Option<Pid> {
    let text = std::fs::read_to_string(format!("/proc/self/fdinfo/{}", process.as_raw_fd())).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("Pid:"))?;
    Pid::from_raw(line.trim().parse().ok().filter(|pid| *pid > 1)?)
}

/// What a probe that has ended leaves running belongs to the container: the next probe's end is not its end.
fn let_stay(inner: &Cgroup, outer: &Cgroup) {
    for _ in 0..MOVES {
        match inner.procs() {
            Ok(left) if !left.is_empty() => {
                for pid in left {
                    // It may have ended, or the container's own group takes none (it has groups with controllers below it).
                    let _ = outer.add(pid);
                }
            }
            _ => return,
        }
    }
}

/// The first 4096 bytes of what is said.
#[derive(Debug, Default)]
struct Output {
    bytes: Vec<u8>,
    cut: bool,
}

impl Output {
    fn add(&mut self, bytes: &[u8]) {
        let room = MOST_OUTPUT - self.bytes.len();
        self.bytes.extend_from_slice(&bytes[..bytes.len().min(room)]);
        self.cut |= bytes.len() > room;
    }

    /// As text, which bytes that are none may make no longer.
    fn text(&self) -> String {
        let mut text = String::new();
        for chunk in self.bytes.utf8_chunks() {
            text.push_str(chunk.valid());
            if !chunk.invalid().is_empty() {
                text.push('?');
            }
        }
        if self.cut {
            text.push_str("...");
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn output_is_cut_and_is_text() {
        let mut output = Output::default();
        output.add(&[b'x'; MOST_OUTPUT - 1]);
        output.add(b"y");
        assert_eq!(output.text().len(), MOST_OUTPUT);
        output.add(b"z");
        assert!(output.text().ends_with("xy..."));
        let mut output = Output::default();
        output.add(&[0xff; MOST_OUTPUT]);
        assert_eq!(output.text(), "?".repeat(MOST_OUTPUT));
    }
}
