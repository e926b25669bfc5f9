//! Verbs that the dashboard runs: each is this program again, as a child, so that nothing they wait for holds the screen up.
//!
//! What a child says is read from a pipe that never blocks, and no more of it at a time than a screen can show soon: a
//! container that writes without end is held back by its pipe, not kept in memory.

use std::ffi::OsString;
use std::io::{self, ErrorKind, PipeReader, Read};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};

use conex_engine::Paths;
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};

/// How much is read of one child between two looks at the keys, in bytes.
const SHARE: usize = 256 * 1024;

/// How much of an action's words is kept, in bytes: its outcome is one line.
const OUTCOME: usize = 8 * 1024;

/// How many may be under way at once.
const AT_ONCE: usize = 16;

/// How this program is started again, on the same stores.
#[derive(Debug)]
pub(super) struct Program(Vec<OsString>);

impl Program {
    pub(super) fn new(paths: &Paths) -> Self {
        let words =
            ["--root".into(), paths.root.clone().into(), "--run-root".into(), paths.run.clone().into()];
        Self(words.into())
    }

    pub(super) fn command(&self, words: &[String]) -> Command {
        let mut command = Command::new("/proc/self/exe");
        command.args(&self.0).args(words);
        command
    }
}

/// A child whose two outputs come through one pipe.
#[derive(Debug)]
pub(super) struct Captured {
    child: Child,
    pipe: PipeReader,
}

impl Captured {
    fn spawn(command: &mut Command) -> io::Result<Self> {
        let (pipe, end) = io::pipe()?;
        fcntl_setfl(&pipe, fcntl_getfl(&pipe)? | OFlags::NONBLOCK)?;
        // In a process group of its own: an action that has begun is not cut short by the end of the terminal.
        let child =
            command.stdin(Stdio::null()).stdout(end.try_clone()?).stderr(end).process_group(0).spawn();
        // The command holds the ends for writing, and with them the pipe open, until it is given others.
        command.stdout(Stdio::null()).stderr(Stdio::null());
        Ok(Self { child: child?, pipe })
    }

    /// What has come since the last time; false when no more will.
    fn read(&mut self, take: &mut dyn FnMut(&[u8])) -> bool {
        let mut buffer = [0; 16 * 1024];
        let mut left = SHARE;
        while left > 0 {
            match self.pipe.read(&mut buffer) {
                Ok(0) => return false,
                Ok(count) => {
                    take(&buffer[..count]);
                    left = left.saturating_sub(count);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return error.kind() == ErrorKind::WouldBlock,
            }
        }
        true
    }
}

/// What follows something, as `logs -f`; it ends with this.
#[derive(Debug)]
pub(super) struct Follower(Captured);

impl Follower {
    pub(super) fn start(program: &Program, words: &[String]) -> io::Result<Self> {
        Captured::spawn(&mut program.command(words)).map(Self)
    }

    /// As [`Captured::read`].
    pub(super) fn read(&mut self, take: &mut dyn FnMut(&[u8])) -> bool {
        self.0.read(take)
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        // One that has ended by itself cannot be killed, and is waited for all the same.
        let _ = self.0.child.kill();
        let _ = self.0.child.wait();
    }
}

/// How an action ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Outcome {
    /// One line, as the child wrote it: not yet made visible.
    pub(super) text: String,
    pub(super) failed: bool,
}

#[derive(Debug)]
struct Action {
    what: String,
    child: Captured,
    said: Vec<u8>,
}

impl Action {
    /// Its outcome, once it has ended.
    fn outcome(&mut self) -> Option<Outcome> {
        let said = &mut self.said;
        let mut keep = |bytes: &[u8]| {
            let room = OUTCOME.saturating_sub(said.len());
            said.extend_from_slice(&bytes[..bytes.len().min(room)]);
        };
        self.child.read(&mut keep);
        let ended = match self.child.child.try_wait() {
            Ok(None) => return None,
            Ok(Some(status)) => {
                // What it wrote between the last read and its end.
                self.child.read(&mut keep);
                status.success()
            }
            Err(_) => false,
        };
        let said = String::from_utf8_lossy(&self.said);
        let text = match said.lines().rfind(|line| !line.trim().is_empty()) {
            Some(line) if !ended => format!("{}: {line}", self.what),
            _ if ended => format!("{}: done", self.what),
            _ => format!("{}: failed", self.what),
        };
        Some(Outcome { text, failed: !ended })
    }
}

/// The actions under way.
#[derive(Debug, Default)]
pub(super) struct Actions(Vec<Action>);

impl Actions {
    /// Starts one; `what` is what the status line calls it. What went wrong at once is told instead.
    pub(super) fn start(&mut self, program: &Program, words: &[String], what: String) -> Result<(), String> {
        if self.0.len() >= AT_ONCE {
            return Err(format!("{what}: {AT_ONCE} others are under way; wait for one to end"));
        }
        match Captured::spawn(&mut program.command(words)) {
            Ok(child) => {
                self.0.push(Action { what, child, said: Vec::new() });
                Ok(())
            }
            Err(error) => Err(format!("{what}: cannot be started: {error}")),
        }
    }

    /// Those that have ended since the last time.
    pub(super) fn ended(&mut self) -> Vec<Outcome> {
        let mut ended = Vec::new();
        self.0.retain_mut(|action| {
            let outcome = action.outcome();
            let goes_on = outcome.is_none();
            ended.extend(outcome);
            goes_on
        });
        ended
    }

    pub(super) fn are_under_way(&self) -> bool {
        !self.0.is_empty()
    }
}
