//! What can go wrong between a spec and a process.

use std::io;
use std::path::PathBuf;

use rustix::io::Errno;

/// A failure of create, start or exec. Displays as one line.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The spec asks for something that cannot be, before anything was made.
    #[error("invalid spec: {what}")]
    Spec {
        /// Which field and why.
        what: String,
    },
    /// A namespace to join cannot be opened.
    #[error("cannot open the namespace {}: {source}", path.display())]
    Namespace {
        /// `/proc/PID/ns/…` or another path.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The user namespace's id mappings cannot be written.
    #[error("cannot write the user namespace's {file}: {why}")]
    IdMap {
        /// `uid_map` or `gid_map`
        file: &'static str,
        /// Why, and what to do.
        why: String,
    },
    /// A call of the parent's.
    #[error("cannot {what}: {source}")]
    Parent {
        /// What was being done.
        what: &'static str,
        /// Why.
        source: io::Error,
    },
    /// A step inside the container.
    #[error("cannot {what}: {errno}")]
    Init {
        /// What was being done, on what.
        what: String,
        /// Why.
        errno: Errno,
    },
    /// The container's limits, put in force while it is being made.
    #[error(transparent)]
    Cgroup(#[from] conex_cgroup::Error),
    /// The seccomp profile.
    #[error("cannot compile the seccomp profile: {0}")]
    Seccomp(#[from] conex_seccomp::Error),
    /// There is no such program in the container; exit status 127.
    #[error("exec {program:?}: {}", if *in_path { "executable file not found in $PATH" } else { "no such file or directory" })]
    NotFound {
        /// As the user wrote it.
        program: String,
        /// Whether `$PATH` was searched.
        in_path: bool,
    },
    /// The program is there and cannot be executed; exit status 126.
    #[error("exec {program:?}: {errno}")]
    NotExecutable {
        /// As the user wrote it.
        program: String,
        /// EACCES, ENOEXEC, EISDIR, …
        errno: Errno,
    },
    /// What the process did on the caller's behalf ([`Inside`](crate::Inside)), hooks.
    #[error("{message}")]
    Inside {
        /// The error there.
        message: String,
    },
    /// Nobody waits to be started: the process has been started already, or is dead.
    #[error("the container's first process does not wait to be started")]
    NotWaiting,
    /// A hook; the container is given up, but for a poststart or poststop hook's.
    #[error("{kind} hook #{index} ({}) failed: {why}", path.display())]
    Hook {
        /// When it ran.
        kind: crate::hooks::HookKind,
        /// Its place among those of its kind, from 0.
        index: usize,
        /// The program.
        path: PathBuf,
        /// How it ended, and what it said.
        why: String,
    },
    /// The process died before it came to exec, without a word.
    #[error("the container's first process died during set-up ({status})")]
    Died {
        /// How.
        status: String,
    },
}
