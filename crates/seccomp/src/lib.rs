//! Seccomp: which system calls a container may make.
//!
//! The way of a profile: [`Profile`] (Docker's format or the one built in) is resolved for a set of capabilities into
//! the runtime specification's [`Seccomp`](conex_oci::runtime::Seccomp), which [`compile`] turns into a [`Program`] of
//! classic BPF, which [`Program::install`] hands to the kernel. [`Cache`] keeps compiled programs on disk.
//!
//! No C library: the compiler, the tables of system call numbers and the default policy are here. This crate never
//! decides *when* a program is installed, nor what becomes of a notification fd.
//!
//! ```no_run
//! let capabilities = vec!["CAP_CHOWN".to_owned()];
//! let seccomp = conex_seccomp::Profile::builtin().resolve(&capabilities);
//! let program = conex_seccomp::Cache::new("/var/lib/conex/cache/seccomp").program(&(&seccomp).into())?;
//! program.install()?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod action;
mod arch;
mod cache;
mod compile;
mod condition;
mod error;
pub mod known;
mod multiplexed;
mod profile;
mod program;
mod rules;
mod syscalls;

pub use cache::Cache;
pub use compile::compile;
pub use error::Error;
pub use profile::Profile;
pub use program::Program;

/// What this crate returns.
pub type Result<T> = std::result::Result<T, Error>;
