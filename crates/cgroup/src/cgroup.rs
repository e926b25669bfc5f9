//! A container's groups, one in each hierarchy that it needs.

use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::PathBuf;

use conex_oci::runtime::Resources;

use crate::error::Result;
use crate::host::Host;
use crate::path::CgroupPath;
use crate::stats::Stats;

/// A container's groups, held by file descriptor (close-on-exec). Dropping it removes nothing: the processes live on.
#[derive(Debug)]
pub struct Cgroup {}

impl Cgroup {
    /// Makes the groups that `resources` needs and puts every limit in force, before any process is in them.
    ///
    /// # Errors
    /// A limit that this host cannot enforce names its controller; whatever was made is removed again.
    pub fn create(host: &Host, path: &CgroupPath, resources: &Resources) -> Result<Self> {
        let _ = (host, path, resources);
        todo!()
    }

    /// Finds the groups of a container that exist; none at all is no error (see [`Cgroup::exists`]).
    ///
    /// # Errors
    /// [`crate::Error::Open`].
    pub fn open(host: &Host, path: &CgroupPath) -> Result<Self> {
        let _ = (host, path);
        todo!()
    }

    /// Whether any group was found.
    pub fn exists(&self) -> bool {
        todo!()
    }

    /// The v2 group, for `clone3(CLONE_INTO_CGROUP)`; absent on a pure v1 host.
    pub fn clone_into(&self) -> Option<BorrowedFd<'_>> {
        todo!()
    }

    /// Open `cgroup.procs` files of the v1 groups: the new process writes `0` to each before it does anything else.
    pub fn join_fds(&self) -> &[OwnedFd] {
        todo!()
    }

    /// Puts a process and its threads into every group, from outside.
    ///
    /// # Errors
    /// [`crate::Error::Write`].
    pub fn add(&self, pid: u32) -> Result<()> {
        let _ = pid;
        todo!()
    }

    /// Changes the limits that `resources` names; the others stay.
    ///
    /// # Errors
    /// As for [`Cgroup::create`].
    pub fn update(&mut self, resources: &Resources) -> Result<()> {
        let _ = resources;
        todo!()
    }

    /// Stops every process; returns when all have stopped.
    ///
    /// # Errors
    /// [`crate::Error::Timeout`] when one sits in an uninterruptible sleep; the group is thawed again then.
    pub fn freeze(&self) -> Result<()> {
        todo!()
    }

    /// Lets the processes go on.
    ///
    /// # Errors
    /// [`crate::Error::Write`].
    pub fn thaw(&self) -> Result<()> {
        todo!()
    }

    /// Whether the group is frozen or freezing.
    ///
    /// # Errors
    /// [`crate::Error::Read`].
    pub fn is_frozen(&self) -> Result<bool> {
        todo!()
    }

    /// Kills every process, also of groups below, frozen or not, and waits until none is left.
    ///
    /// # Errors
    /// [`crate::Error::Timeout`].
    pub fn kill(&self) -> Result<()> {
        todo!()
    }

    /// The processes, also of groups below, in the caller's pid namespace; sorted.
    ///
    /// # Errors
    /// [`crate::Error::Read`].
    pub fn procs(&self) -> Result<Vec<u32>> {
        todo!()
    }

    /// How many processes the kernel killed because the group's memory limit was reached.
    ///
    /// # Errors
    /// [`crate::Error::Read`].
    pub fn oom_kills(&self) -> Result<u64> {
        todo!()
    }

    /// What the group has used.
    ///
    /// # Errors
    /// [`crate::Error::Read`].
    pub fn stats(&self) -> Result<Stats> {
        todo!()
    }

    /// Removes the groups and those below; idempotent.
    ///
    /// # Errors
    /// [`crate::Error::Delete`] when processes are still in it; the other groups are removed all the same.
    pub fn delete(&self) -> Result<()> {
        todo!()
    }

    /// The directories of the groups.
    pub fn paths(&self) -> Vec<PathBuf> {
        todo!()
    }

    /// The directories of the groups by the name they have below /sys/fs/cgroup in a container: empty for the one of a pure v2
    /// host, else the hierarchy's (`unified`, `memory`, `cpu,cpuacct`).
    pub fn directories(&self) -> Vec<(String, PathBuf)> {
        todo!("by the owner of this crate")
    }
}
