//! What a program printed and how it ended, collected without a chance to hang.

use std::io::Read;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Instant;

use crate::PATIENCE;
use crate::wait::eventually;

/// How a program ended.
#[derive(Debug, Clone)]
pub struct Output {
    /// The exit code; 128+n when signal n killed it.
    pub code: i32,
    /// All of standard output; bytes that are no UTF-8 become U+FFFD.
    pub stdout: String,
    /// All of standard error, likewise.
    pub stderr: String,
}

/// A program that runs beside the test. Killed when dropped before its end.
#[derive(Debug)]
pub struct Background {
    child: Child,
    stdout: Receiver<Vec<u8>>,
    stderr: Receiver<Vec<u8>>,
    shown: String,
}

impl Background {
    /// Starts `command`, reading both its outputs from now on.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn spawn(command: &mut Command) -> Self {
        let shown = format!("{command:?}");
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {shown}: {error}"));
        let stdout = drain(child.stdout.take());
        let stderr = drain(child.stderr.take());
        Self { child, stdout, stderr, shown }
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Its standard input, when it was given a pipe.
    pub fn stdin(&mut self) -> Option<std::process::ChildStdin> {
        self.child.stdin.take()
    }

    /// Whether it has ended.
    ///
    /// # Panics
    /// When the kernel does not say.
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().expect("try_wait").is_some()
    }

    /// Sends SIGKILL, as a crash would.
    pub fn kill(&mut self) {
        // It may have ended by itself, which is as good.
        let _ = self.child.kill();
    }

    /// Waits for the end.
    ///
    /// # Panics
    /// When it does not end in time, or when something it left behind keeps its output open: a person's
    /// `id=$(conex run -d …)` would hang then.
    #[track_caller]
    pub fn finish(mut self) -> Output {
        let deadline = Instant::now() + PATIENCE;
        let status = loop_wait(&mut self.child, &self.shown);
        let collect = |from: &Receiver<Vec<u8>>, what: &str| {
            let left = deadline.saturating_duration_since(Instant::now());
            let bytes = from.recv_timeout(left).unwrap_or_else(|_| {
                panic!("{} has ended, but somebody it left behind keeps its {what} open", self.shown)
            });
            String::from_utf8_lossy(&bytes).into_owned()
        };
        let (stdout, stderr) = (collect(&self.stdout, "stdout"), collect(&self.stderr, "stderr"));
        Output { code: code(status), stdout, stderr }
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs `command` to its end.
///
/// # Panics
/// As [`Background::finish`].
#[track_caller]
pub fn finish(command: &mut Command) -> Output {
    Background::spawn(command).finish()
}

fn loop_wait(child: &mut Child, shown: &str) -> ExitStatus {
    eventually(&format!("the end of {shown}"), || child.try_wait().expect("try_wait"))
}

fn code(status: ExitStatus) -> i32 {
    status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0))
}

fn drain(from: Option<impl Read + Send + 'static>) -> Receiver<Vec<u8>> {
    let (send, receive) = channel();
    if let Some(mut from) = from {
        std::thread::spawn(move || {
            let mut bytes = Vec::new();
            let _ = from.read_to_end(&mut bytes);
            // The test may be gone already.
            let _ = send.send(bytes);
        });
    }
    receive
}
