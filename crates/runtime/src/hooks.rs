//! Hooks (config.md#posix-platform-hooks): programs run at points of the life cycle, by the parent or, for createContainer
//! and startContainer, by the container's first process, in whose namespaces they are then.
//!
//! A hook has the container's state on its standard input, exactly the environment that it asks for, none of our
//! descriptors, and its timeout. What it prints is kept for the error message and goes nowhere else.

use std::ffi::{CStr, CString};
use std::fmt;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::time::{Duration, Instant};

use conex_oci::runtime::Hook;
use conex_sys::process::{Forked, Strings, cloexec_from, die_with, execve, exit_now, fork_to_execute};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{MemfdFlags, SeekFrom};
use rustix::io::{Errno, retry_on_intr};
use rustix::pipe::PipeFlags;
use rustix::process::{
    Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, WaitIdStatus, pidfd_open, pidfd_send_signal, waitid,
};

use crate::Error;
use crate::program::ended;

/// When a hook runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HookKind {
    /// In the runtime's namespaces, before pivot_root; deprecated.
    Prestart,
    /// In the runtime's namespaces, before pivot_root.
    CreateRuntime,
    /// In the container's namespaces, before pivot_root.
    CreateContainer,
    /// In the container, before its process.
    StartContainer,
    /// In the runtime's namespaces, after start.
    Poststart,
    /// In the runtime's namespaces, after delete.
    Poststop,
}

impl fmt::Display for HookKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Prestart => "prestart",
            Self::CreateRuntime => "createRuntime",
            Self::CreateContainer => "createContainer",
            Self::StartContainer => "startContainer",
            Self::Poststart => "poststart",
            Self::Poststop => "poststop",
        })
    }
}

/// How much of its output an error message repeats, in bytes.
const SHOWN: usize = 512;

/// Runs `hooks` in order, each with `state` (the state document of runtime.md#state) on its standard input; the first that
/// fails is the last. The caller leaves its children to this function.
///
/// # Errors
/// [`Error::Hook`]: it could not be executed, ended with another status than 0, or took too long (and was killed).
pub fn run(kind: HookKind, hooks: &[Hook], state: &[u8]) -> Result<(), Error> {
    hooks.iter().enumerate().try_for_each(|(index, hook)| run_one(kind, index, hook, state))
}

/// Runs all of `hooks`, whatever becomes of each, and tells `failed` of those that fail.
pub fn run_all(kind: HookKind, hooks: &[Hook], state: &[u8], mut failed: impl FnMut(Error)) {
    for (index, hook) in hooks.iter().enumerate() {
        if let Err(error) = run_one(kind, index, hook, state) {
            failed(error);
        }
    }
}

fn run_one(kind: HookKind, index: usize, hook: &Hook, state: &[u8]) -> Result<(), Error> {
    perform(hook, state).map_err(|why| Error::Hook { kind, index, path: hook.path.clone(), why })
}

fn perform(hook: &Hook, state: &[u8]) -> Result<(), String> {
    if !hook.path.is_absolute() {
        return Err("its path is not absolute".to_owned());
    }
    let deadline = match hook.timeout {
        // runc and the JSON schema take only what is above 0.
        Some(seconds) => Some(Instant::now() + limit(seconds)?),
        None => None,
    };
    let process = Started::spawn(hook, state)?;
    process.finish(deadline)
}

fn limit(seconds: i64) -> Result<Duration, String> {
    match u64::try_from(seconds) {
        // A year is as good as for ever, and cannot overflow.
        Ok(seconds @ 1..) => Ok(Duration::from_secs(seconds.min(31_536_000))),
        _ => Err(format!("its timeout of {seconds} s is not above 0")),
    }
}

struct Started {
    pidfd: OwnedFd,
    output: OwnedFd,
}

impl Started {
    fn spawn(hook: &Hook, state: &[u8]) -> Result<Self, String> {
        let program = CString::new(hook.path.as_os_str().as_bytes()).ok();
        let arguments = match hook.args.is_empty() {
            true => Strings::new([hook.path.as_os_str().as_bytes()]),
            false => Strings::new(&hook.args),
        };
        let (Some(program), Some(arguments), Some(environment)) =
            (program, arguments, Strings::new(&hook.env))
        else {
            return Err("a NUL byte in its path, arguments or environment".to_owned());
        };
        let failed = |what: &str| {
            let what = what.to_owned();
            move |errno: Errno| format!("{what}: {errno}")
        };
        // A file and no pipe: a hook that never reads must not stop us.
        let input = stdin(state).map_err(failed("keep the state for it"))?;
        let (output, theirs) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)
            .map_err(failed("make a pipe"))?;
        // The hook's end blocks as any pipe does.
        rustix::io::ioctl_fionbio(&theirs, false).map_err(failed("make a pipe"))?;
        let parent = rustix::process::getpid();
        match fork_to_execute().map_err(|error| format!("fork: {error}"))? {
            Forked::Child => {
                let error = become_hook(parent, &program, &arguments, &environment, &input, &theirs);
                let _ = rustix::io::write(&theirs, format!("cannot execute it: {error}").as_bytes());
                exit_now(127)
            }
            Forked::Parent { pid } => {
                let pid = Pid::from_raw(pid.cast_signed()).ok_or("fork gave no process")?;
                let pidfd = pidfd_open(pid, PidfdFlags::empty()).map_err(failed("hold its process"))?;
                Ok(Self { pidfd, output })
            }
        }
    }

    /// Reads what it prints and waits for its end, not for that of what it leaves behind.
    fn finish(&self, deadline: Option<Instant>) -> Result<(), String> {
        let mut seen = Vec::new();
        let mut open = true;
        loop {
            let mut fds =
                vec![PollFd::new(&self.pidfd, PollFlags::IN), PollFd::new(&self.output, PollFlags::IN)];
            fds.truncate(if open { 2 } else { 1 });
            let left = deadline.map(|deadline| timespec(deadline.saturating_duration_since(Instant::now())));
            match retry_on_intr(|| poll(&mut fds, left.as_ref())) {
                Ok(0) => return self.too_late(),
                Ok(_) => {}
                Err(errno) => return Err(format!("wait for it: {errno}")),
            }
            let ended = !fds[0].revents().is_empty();
            open = open && drain(self.output.as_fd(), &mut seen);
            if ended {
                break;
            }
        }
        let status = waitid(WaitId::PidFd(self.pidfd.as_fd()), WaitIdOptions::EXITED);
        match status {
            Ok(Some(status)) if status.exit_status() == Some(0) => Ok(()),
            Ok(status) => Err(told(status, &seen)),
            Err(errno) => Err(format!("wait for it: {errno}")),
        }
    }

    fn too_late(&self) -> Result<(), String> {
        let _ = pidfd_send_signal(&self.pidfd, Signal::KILL);
        let _ = waitid(WaitId::PidFd(self.pidfd.as_fd()), WaitIdOptions::EXITED);
        Err("it did not end within its timeout and was killed".to_owned())
    }
}

/// In the child: returns only with an error.
fn become_hook(
    parent: Pid,
    program: &CStr,
    arguments: &Strings,
    environment: &Strings,
    input: &OwnedFd,
    output: &OwnedFd,
) -> io::Error {
    let prepare = || -> io::Result<()> {
        // What it does is for a container that nobody makes any more when we are killed.
        die_with(parent)?;
        rustix::stdio::dup2_stdin(input)?;
        rustix::stdio::dup2_stdout(output)?;
        rustix::stdio::dup2_stderr(output)?;
        cloexec_from(3)
    };
    if let Err(error) = prepare() {
        return error;
    }
    conex_sys::signal::reset();
    execve(program, arguments, environment)
}

fn stdin(state: &[u8]) -> Result<OwnedFd, Errno> {
    let file = rustix::fs::memfd_create("state", MemfdFlags::CLOEXEC)?;
    let mut rest = state;
    while !rest.is_empty() {
        rest = &rest[retry_on_intr(|| rustix::io::write(&file, rest))?..];
    }
    rustix::fs::seek(&file, SeekFrom::Start(0))?;
    Ok(file)
}

/// Takes what is there; false at the end. Of a long output the end is kept.
fn drain(output: BorrowedFd<'_>, seen: &mut Vec<u8>) -> bool {
    let mut buffer = [0; 4096];
    loop {
        match retry_on_intr(|| rustix::io::read(output, &mut buffer)) {
            Ok(0) => return false,
            Ok(count) => {
                seen.extend_from_slice(&buffer[..count]);
                seen.drain(..seen.len().saturating_sub(SHOWN));
            }
            Err(errno) => return errno == Errno::AGAIN,
        }
    }
}

fn told(status: Option<WaitIdStatus>, seen: &[u8]) -> String {
    let ended = ended(status);
    let seen = String::from_utf8_lossy(seen);
    let lines: Vec<_> = seen.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    if lines.is_empty() { ended } else { format!("{ended}, it said: {}", lines.join("; ")) }
}

fn timespec(duration: Duration) -> Timespec {
    Timespec { tv_sec: duration.as_secs().cast_signed(), tv_nsec: duration.subsec_nanos().into() }
}
