//! From an OCI runtime spec to a process.
//!
//! [`create`] makes the container: one clone3 with all new namespaces, straight into its cgroup; the child builds its
//! root filesystem from mounts held by descriptor, drops its rights and waits. [`Created::start`] lets it exec.
//! [`exec`] puts another process into a running container. The caller is the parent of what it makes, must have one
//! thread, and reaps through the pidfd.
//!
//! ```no_run
//! # fn demo(spec: &conex_oci::runtime::Spec, rootfs: std::os::fd::OwnedFd, cgroup: &conex_cgroup::Cgroup)
//! #     -> Result<(), conex_runtime::Error> {
//! use conex_runtime::{Create, Rootfs, Stdio, create};
//! let created = create(Create {
//!     spec,
//!     rootfs: Rootfs::Mount(rootfs),
//!     cgroup: Some(cgroup),
//!     stdio: Stdio::Terminal,
//!     seccomp: None,
//!     init: None,
//! })?;
//! let terminal = created.terminal; // the pseudo-terminal's master
//! let running = created.process.start()?; // execve has happened
//! # Ok(()) }
//! ```
//!
//! This crate never writes state to disk and never decides policy: what the spec says is done or refused.

mod error;

use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::PathBuf;

use conex_cgroup::Cgroup;
use conex_oci::runtime::{Process, Spec};

pub use error::Error;

/// What [`create`] needs.
pub struct Create<'a> {
    /// The spec; `root.path` is not looked at.
    pub spec: &'a Spec,
    /// The root filesystem.
    pub rootfs: Rootfs,
    /// Where the container lives, limits in force; `None` leaves it in the caller's groups.
    pub cgroup: Option<&'a Cgroup>,
    /// What becomes of descriptors 0, 1 and 2.
    pub stdio: Stdio,
    /// The compiled filter; `None` installs none.
    pub seccomp: Option<&'a conex_seccomp::Program>,
    /// An init program (a static ELF file) that runs as PID 1 and starts the spec's process as `init -- args…`.
    pub init: Option<&'a [u8]>,
}

/// Where the root filesystem comes from.
#[derive(Debug)]
pub enum Rootfs {
    /// A detached mount (fsmount, open_tree with OPEN_TREE_CLONE).
    Mount(OwnedFd),
    /// A directory; its mount is cloned, recursively.
    Path(PathBuf),
}

/// What becomes of descriptors 0, 1 and 2.
#[derive(Debug)]
pub enum Stdio {
    /// These.
    Pipes {
        /// 0
        stdin: OwnedFd,
        /// 1
        stdout: OwnedFd,
        /// 2
        stderr: OwnedFd,
    },
    /// A pseudo-terminal made in the container's own devpts.
    Terminal,
}

/// A process that is set up and waits to exec.
#[derive(Debug)]
pub struct Created {
    /// The process.
    pub process: Waiting,
    /// The pseudo-terminal's master, when `Stdio::Terminal` was asked.
    pub terminal: Option<OwnedFd>,
}

/// A process before its exec. Dropping it kills it.
#[derive(Debug)]
#[must_use = "dropping it kills the process"]
pub struct Waiting {}

impl Waiting {
    /// In the caller's pid namespace.
    pub fn pid(&self) -> u32 {
        todo!()
    }

    /// Lets it exec and returns when it has.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::NotExecutable`].
    pub fn start(self) -> Result<Running, Error> {
        todo!()
    }
}

/// A process after its exec. Dropping it leaves it running.
#[derive(Debug)]
pub struct Running {
    /// In the caller's pid namespace.
    pub pid: u32,
    /// Readable when it has exited; the caller reaps with waitid(P_PIDFD).
    pub pidfd: OwnedFd,
}

/// Makes a container's first process.
///
/// # Errors
/// Any [`Error`]; nothing is left running.
pub fn create(_request: Create<'_>) -> Result<Created, Error> {
    todo!()
}

/// What [`exec`] needs.
pub struct Exec<'a> {
    /// What runs.
    pub process: &'a Process,
    /// The container's first process, in the caller's pid namespace.
    pub target: u32,
    /// The same, held: the process joins all its namespaces.
    pub target_pidfd: BorrowedFd<'a>,
    /// The container's cgroup.
    pub cgroup: Option<&'a Cgroup>,
    /// What becomes of descriptors 0, 1 and 2.
    pub stdio: Stdio,
    /// The compiled filter; `None` installs none.
    pub seccomp: Option<&'a conex_seccomp::Program>,
}

/// Puts another process into a running container. The calling process's pid namespace for children changes for good: call
/// it in a process made for this one exec.
///
/// # Errors
/// Any [`Error`]; nothing is left running.
pub fn exec(_request: Exec<'_>) -> Result<Created, Error> {
    todo!()
}
