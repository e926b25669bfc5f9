//! Control groups: v2 as the model, v1 and hybrid hosts behind the same face.
//!
//! A container's life with them: [`Host::detect`] once, [`Host::container_path`] for where, [`Cgroup::create`] makes
//! the groups and puts the limits in force; the process is born inside ([`Cgroup::clone_into`] for v2, a write of `0` to
//! each of [`Cgroup::join_fds`] for v1); [`Cgroup::freeze`], [`Cgroup::kill`], [`Cgroup::oom_kills`], [`Cgroup::stats`]
//! while it lives; [`Cgroup::delete`] at the end. A later command, from any process, begins with [`Cgroup::open`] and
//! the recorded [`CgroupPath`].
//!
//! A limit that the host cannot enforce is an error that names the controller; none is ever dropped. Nothing here
//! forks, mounts or touches a group that was not asked for.

mod cgroup;
mod controllers;
mod create;
mod delete;
mod devices;
mod error;
mod freeze;
mod group;
mod host;
mod kill;
mod path;
mod stats;
#[cfg(test)]
mod v1_tests;

pub use cgroup::Cgroup;
pub use error::{Error, Result};
pub use host::{Hierarchy, Host, Version};
pub use path::CgroupPath;
pub use stats::{CpuStats, IoStats, MemoryStats, PidsStats, Stats};
