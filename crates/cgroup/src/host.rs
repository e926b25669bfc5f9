//! What control groups this machine has, from one read each of `/proc/self/mountinfo` and `/proc/self/cgroup`.

use std::path::PathBuf;

use crate::error::Result;
use crate::path::CgroupPath;

/// The host's kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Version {
    /// Only v1 hierarchies.
    V1,
    /// Controllers on v1, and a v2 tree (usually at `/sys/fs/cgroup/unified`) for everything else.
    Hybrid,
    /// Only the v2 tree.
    V2,
}

/// One mounted cgroup tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hierarchy {
    /// Where it is mounted.
    pub mount: PathBuf,
    /// v1: the controllers that it carries (`cpu`, `cpuacct`); empty for v2.
    pub controllers: Vec<String>,
    /// The caller's own group in it, from the mount point: `/` or `/a/b`.
    pub own: String,
}

/// The machine's control groups.
#[derive(Debug, Clone)]
pub struct Host {
    pub(crate) unified: Option<Hierarchy>,
    pub(crate) v1: Vec<Hierarchy>,
    pub(crate) v2_controllers: Vec<String>,
}

impl Host {
    /// Reads what is mounted; a fraction of a millisecond.
    ///
    /// # Errors
    /// [`crate::Error::Detect`] without /proc, [`crate::Error::NotMounted`] without any cgroup tree.
    pub fn detect() -> Result<Self> {
        todo!()
    }

    /// v1, hybrid or v2.
    pub fn version(&self) -> Version {
        todo!()
    }

    /// The names of all controllers, by their v2 names where they have one (`io`, not `blkio`).
    pub fn controllers(&self) -> Vec<String> {
        todo!()
    }

    /// The v2 tree.
    pub fn unified(&self) -> Option<&Hierarchy> {
        self.unified.as_ref()
    }

    /// The v1 trees.
    pub fn v1(&self) -> &[Hierarchy] {
        &self.v1
    }

    /// Whether memory+swap limits can be enforced (v1 `memory.memsw.*`, v2 `memory.swap.max`): a default that
    /// sets one should ask first.
    pub fn swap_limit(&self) -> bool {
        todo!()
    }

    /// Where a container's groups go: `/conex/ID`, or below `parent` (`--cgroup-parent`).
    ///
    /// # Errors
    /// [`crate::Error::Path`] when parent or id cannot be a part of a path.
    pub fn container_path(&self, parent: Option<&str>, id: &str) -> Result<CgroupPath> {
        let _ = (parent, id);
        todo!()
    }

    /// A `linux.cgroupsPath` of a bundle: an absolute one from the roots, a relative one from the caller's own groups
    /// (runtime-spec config-linux.md#cgroups-path).
    ///
    /// # Errors
    /// [`crate::Error::Path`].
    pub fn bundle_path(&self, text: &str) -> Result<CgroupPath> {
        let _ = text;
        todo!()
    }
}
