//! From an OCI runtime spec to a process.
//!
//! [`create`] makes the container: one clone3 with all new namespaces, straight into its cgroup; the child builds its
//! root filesystem from mounts held by descriptor, drops its rights and waits. [`Waiting::start`] lets it exec.
//! [`exec`] puts another process into a running container. The caller is the parent of what it makes, must have one
//! thread, and reaps through the pidfd.
//!
//! ```no_run
//! # fn demo(spec: &conex_oci::runtime::Spec, rootfs: std::os::fd::OwnedFd, cgroup: &conex_cgroup::Cgroup)
//! #     -> Result<(), conex_runtime::Error> {
//! use conex_runtime::{Create, Rootfs, Stdio, Terms, create};
//! let created = create(Create {
//!     spec,
//!     rootfs: Rootfs::Mount(rootfs),
//!     cgroup: Some(cgroup),
//!     stdio: Stdio::Terminal,
//!     seccomp: None,
//!     init: None,
//!     terms: Terms::default(),
//! })?;
//! let terminal = created.terminal; // the pseudo-terminal's master
//! let running = created.process.start()?; // execve has happened
//! # Ok(()) }
//! ```
//!
//! This crate never writes state to disk and never decides policy: what the spec says is done or refused.

mod beneath;
pub mod bundle;
pub mod capability;
mod channel;
mod create;
mod default_devices;
mod error;
mod exec;
mod fault;
mod foreign;
pub mod hooks;
mod idmap;
mod init;
pub mod intel_rdt;
mod listener;
mod mount_points;
mod namespaces;
mod network;
mod nodes;
mod options;
mod plan;
pub mod program;
mod rlimits;
mod rootless;
mod scheduling;
mod sources;
mod start;
pub mod state;
mod sysctl;
mod terms;
mod waiting;

use std::os::fd::OwnedFd;

pub use create::{Create, Created, Rootfs, create};
pub use default_devices::with_default_devices;
pub use error::Error;
pub use exec::{Exec, exec};
pub use listener::Listener;
pub use mount_points::make_mount_points;
pub use options::MOUNT_OPTIONS;
pub use plan::{check, warnings};
pub use rootless::map_ids;
pub use start::{listen, start};
pub use terms::{Inside, Start, Terms};
pub use waiting::{Running, Waiting};

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
    /// The caller's.
    Inherited,
    /// A pseudo-terminal made in the container's own devpts.
    Terminal,
}
