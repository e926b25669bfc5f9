//! Control groups: v2 as the model, v1 and hybrid hosts behind the same face.
//!
//! A container's life with them: [`Host::detect`] once; [`Host::container_path`] or [`Host::bundle_path`] for where and by which
//! [`Driver`]; [`Cgroup::create`] makes the groups and puts the limits in force; the process is born inside
//! ([`Cgroup::clone_into`] for v2, a write of `0` to each of [`Cgroup::join_fds`] for v1), and the maker says so
//! ([`Cgroup::settled`]); [`Cgroup::freeze`], [`Cgroup::kill`], [`Cgroup::update`], [`Cgroup::stats`], [`Cgroup::watch_oom`] while it
//! lives; [`Cgroup::delete`] at the end. A later command, from any process, begins with [`Cgroup::open`] and the recorded
//! [`Cgroup::path`].
//!
//! Both drivers are used the same way. With cgroupfs we make the groups. With systemd a transient scope is made over D-Bus with a
//! process of ours in it, which keeps it alive until [`Cgroup::settled`]; the container's process is born in the scope as it would be
//! in a group of ours. [`Properties`] are what a bundle's annotations ask of the scope beside its limits.
//!
//! An ordinary user has what was delegated to him: [`Cgroup::create_if_allowed`] goes without groups where nothing needs one.
//!
//! A limit that the host cannot enforce is an error that names the controller; none is ever dropped. Nothing here
//! mounts or touches a group that was not asked for.
//!
//! ```no_run
//! # use conex_cgroup::{Cgroup, Driver, Host, Properties, Result};
//! # fn demo(spec: &conex_oci::runtime::Spec, resources: &conex_oci::runtime::Resources) -> Result<()> {
//! let host = Host::detect()?;
//! let path = host.bundle_path(Driver::Systemd, Some("machine.slice:conex:web"), "web")?;
//! let properties = Properties::from_annotations(&spec.annotations)?;
//! let cgroup = Cgroup::create_with(&host, &path, resources, &properties)?;
//! // clone3 with cgroup.clone_into() …
//! cgroup.settled();
//! let recorded = cgroup.path().to_string();
//! # drop(recorded);
//! // … and some day, in another process:
//! cgroup.kill()?;
//! cgroup.delete()
//! # }
//! ```

mod below;
mod cgroup;
mod controllers;
mod count;
mod create;
mod delegate;
mod delete;
mod devices;
mod enforce;
mod error;
mod freeze;
mod group;
mod host;
mod journal;
mod kill;
mod path;
mod rootless;
mod stats;
mod systemd;
mod update;
#[cfg(test)]
mod v1_tests;
mod watch;

pub use cgroup::Cgroup;
pub use error::{Error, Result};
pub use host::{Hierarchy, Host, Version};
pub use path::{CgroupPath, Driver};
pub use stats::{
    BlkioEntry, BlkioStats, Counted, CpuStats, CpuUsage, CpusetStats, Event, HugetlbStats, IntelRdtStats,
    MemoryEntry, MemoryStats, PidsStats, Pressure, PressureShare, Stats, Throttling,
};
pub use systemd::Properties;
pub use watch::{Notice, OomWatch};
