//! A container's groups, one in each hierarchy that it needs: the v2 group wherever there is a v2 tree, and of v1 only
//! those that a limit asks for (each costs a mkdir and its writes, which the kernel serialises across the machine).

use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::fs::OFlags;
use rustix::io::Errno;

use crate::controllers::Controller;
use crate::error::{Error, Result};
use crate::group::Group;
use crate::host::Host;
use crate::path::CgroupPath;
use crate::systemd::{Side, StandIn};

/// A container's groups, held by file descriptor (close-on-exec). Dropping it removes nothing: the processes live on.
#[derive(Debug)]
pub struct Cgroup {
    pub(crate) host: Host,
    pub(crate) path: CgroupPath,
    pub(crate) unified: Option<Group>,
    /// One a hierarchy.
    pub(crate) v1: Vec<Group>,
    /// `cgroup.procs` of each of `v1`.
    pub(crate) join: Vec<OwnedFd>,
    /// Keeps a new scope alive until the container's process is in it.
    pub(crate) stand_in: Mutex<Option<StandIn>>,
    /// Whether the limits are still to be put in force.
    pub(crate) unlimited: bool,
}

impl Cgroup {
    /// Nothing yet.
    pub(crate) fn new(host: &Host, path: &CgroupPath) -> Self {
        Self {
            host: host.clone(),
            path: path.clone(),
            unified: None,
            v1: Vec::new(),
            join: Vec::new(),
            stand_in: Mutex::new(None),
            unlimited: false,
        }
    }

    /// Finds the groups of a container that exist; none at all is no error (see [`Cgroup::exists`]).
    ///
    /// # Errors
    /// [`Error::Open`].
    pub fn open(host: &Host, path: &CgroupPath) -> Result<Self> {
        let mut cgroup = Self::new(host, path);
        if let Some(unified) = &host.unified {
            cgroup.unified = Group::open(unified, path)?;
        }
        for hierarchy in &host.v1 {
            if let Some(group) = Group::open(hierarchy, path)? {
                cgroup.hold(group)?;
            }
        }
        if path.scope.is_some() {
            cgroup.hold_systemds_own()?;
        }
        Ok(cgroup)
    }

    /// Keeps a v1 group, with its `cgroup.procs` open.
    pub(crate) fn hold(&mut self, group: Group) -> Result<()> {
        let join = group.file("cgroup.procs", OFlags::WRONLY);
        self.v1.push(group);
        self.join.push(join?);
        Ok(())
    }

    /// On v1 systemd knows a scope's processes by a tree of its own: they join it as well.
    pub(crate) fn hold_systemds_own(&mut self) -> Result<()> {
        let group = self.host.systemd.as_ref().map(|systemd| Group::open(systemd, &self.path));
        match group.transpose()?.flatten() {
            Some(group) => self.hold(group),
            None => Ok(()),
        }
    }

    /// Where the groups are: to be recorded, since with systemd only a made scope knows it.
    pub fn path(&self) -> &CgroupPath {
        &self.path
    }

    /// Says that the container's process is in the groups: a scope then stands by itself. Until then (or until this is dropped) a
    /// process of ours keeps it alive. Nothing with the cgroupfs driver.
    pub fn settled(&self) {
        drop(self.stand_in().take());
    }

    pub(crate) fn stand_in(&self) -> MutexGuard<'_, Option<StandIn>> {
        self.stand_in.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether any group was found.
    pub fn exists(&self) -> bool {
        self.unified.is_some() || !self.v1.is_empty()
    }

    /// The v2 group, for `clone3(CLONE_INTO_CGROUP)`; absent on a pure v1 host.
    pub fn clone_into(&self) -> Option<BorrowedFd<'_>> {
        self.unified.as_ref().map(Group::directory)
    }

    /// Open `cgroup.procs` files of the v1 groups: the new process writes `0` to each before it does anything else.
    pub fn join_fds(&self) -> &[OwnedFd] {
        &self.join
    }

    /// Puts a process and its threads into every group, from outside. Where an ordinary user may not move it himself, systemd is
    /// asked to: into a scope, from a login session (clone3 fails with EACCES there).
    ///
    /// # Errors
    /// [`Error::Write`], or [`Error::Unit`] from systemd.
    pub fn add(&self, pid: u32) -> Result<()> {
        let added = self.all().try_for_each(|group| group.write("cgroup.procs", &pid.to_string()));
        match (added, &self.path.scope) {
            (Err(Error::Write { source: Errno::ACCESS | Errno::PERM, .. }), Some(scope)) => scope.attach(pid),
            (added, _) => added,
        }
    }

    /// Whether the caller may not move processes into the group himself, so that clone3 would fail with EACCES, while
    /// [`Cgroup::add`] does it by systemd: an ordinary user's scope, seen from a login session.
    pub fn is_out_of_reach(&self) -> bool {
        let is_users = self.path.scope.as_ref().is_some_and(|scope| scope.side == Side::User);
        let (true, Some(unified), Some(group)) = (is_users, &self.host.unified, &self.unified) else {
            return false;
        };
        let own = unified.mount.join(unified.own.trim_start_matches('/'));
        // To move a process takes the right to the group that is above both places (cgroup-v2.rst, "Delegation Containment").
        let common = group.path().ancestors().find(|above| own.starts_with(above)).unwrap_or(&unified.mount);
        let procs = common.join("cgroup.procs");
        rustix::fs::accessat(
            rustix::fs::CWD,
            procs,
            rustix::fs::Access::WRITE_OK,
            rustix::fs::AtFlags::EACCESS,
        )
        .is_err()
    }

    /// The processes, also of groups below, in the caller's pid namespace; sorted.
    ///
    /// # Errors
    /// [`Error::Read`].
    pub fn procs(&self) -> Result<Vec<u32>> {
        let mut pids = Vec::new();
        if let Some(group) = self.tracking() {
            group.walk(&mut |group| {
                // A threaded group has no such file to read; its processes are in the domain above it.
                let text = group.read_if_there("cgroup.procs")?.unwrap_or_default();
                // 0 is a process that the caller's pid namespace does not see.
                pids.extend(text.lines().filter_map(|line| line.parse::<u32>().ok()).filter(|pid| *pid != 0));
                Ok(())
            })?;
        }
        pids.sort_unstable();
        pids.dedup();
        if let Some(stand_in) = &*self.stand_in() {
            pids.retain(|pid| *pid != stand_in.pid());
        }
        Ok(pids)
    }

    /// How many processes the kernel killed because the group's memory limit was reached; in groups below as well.
    /// Always 0 without a memory controller's group.
    ///
    /// # Errors
    /// [`Error::Read`].
    pub fn oom_kills(&self) -> Result<u64> {
        // Another process may have set the first memory limit since this one opened the groups.
        let made_since = match (self.host.v1_of("memory"), self.v1_of(Controller::Memory)) {
            (Some(hierarchy), None) => Group::open(hierarchy, &self.path)?,
            _ => None,
        };
        let Some(group) = made_since.as_ref().or_else(|| self.group_of(Controller::Memory)) else {
            return Ok(0);
        };
        // v2 counts what happened below as well, v1 does not.
        if group.is_v2() {
            return Ok(
                field(&group.read_if_there("memory.events")?.unwrap_or_default(), "oom_kill").unwrap_or(0)
            );
        }
        let mut kills = 0;
        group.walk(&mut |group| {
            kills += field(&group.read_if_there("memory.oom_control")?.unwrap_or_default(), "oom_kill")
                .unwrap_or(0);
            Ok(())
        })?;
        Ok(kills)
    }

    /// The directories of the groups; the v2 one first.
    pub fn paths(&self) -> Vec<PathBuf> {
        self.all().map(|group| group.path().to_owned()).collect()
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = &Group> {
        self.unified.iter().chain(&self.v1)
    }

    /// The v1 group of a controller.
    pub(crate) fn v1_of(&self, controller: Controller) -> Option<&Group> {
        self.v1.iter().find(|group| group.carries(controller.v1()))
    }

    /// Where a controller's files are: v1 where the host has it there, else the v2 group.
    pub(crate) fn group_of(&self, controller: Controller) -> Option<&Group> {
        match self.host.v1_of(controller.v1()) {
            Some(_) => self.v1_of(controller),
            None => controller.v2().and(self.unified.as_ref()),
        }
    }

    /// The group that knows every process: v2's, else v1's freezer, which is always made.
    pub(crate) fn tracking(&self) -> Option<&Group> {
        self.unified.as_ref().or_else(|| self.v1_of(Controller::Freezer)).or_else(|| self.v1.first())
    }

    /// The group's directory for messages, also when it does not exist.
    pub(crate) fn name(&self) -> PathBuf {
        self.tracking().map_or_else(|| PathBuf::from(self.path.name()), |group| group.path().to_owned())
    }

    pub(crate) fn gone(&self) -> Error {
        Error::Open { path: self.name(), source: Errno::NOENT }
    }

    /// The directories of the groups by the name they have below /sys/fs/cgroup in a container: empty for the one of a pure v2
    /// host, else the hierarchy's (`unified`, `memory`, `cpu,cpuacct`).
    pub fn directories(&self) -> Vec<(String, PathBuf)> {
        let pure = self.host.v1.is_empty();
        let name = |group: &Group| {
            if pure && group.is_v2() {
                return String::new();
            }
            let mut mounts = self.host.unified.iter().chain(&self.host.v1).map(|hierarchy| &hierarchy.mount);
            let mount = mounts.find(|mount| group.path().starts_with(mount));
            mount
                .and_then(|mount| mount.file_name())
                .map_or_else(String::new, |name| name.to_string_lossy().into_owned())
        };
        self.all().map(|group| (name(group), group.path().to_owned())).collect()
    }
}

/// The number behind a word, in a file of `WORD NUMBER` lines.
pub(crate) fn field(text: &str, name: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.trim().parse().ok())
}
