//! Groups below a container's own. Those that the container itself has made, for a process that is to join one of them: the
//! container may do with them what it likes; a path is followed beneath its own group only. And those that we make there, for
//! what is to be killed by itself.

use conex_oci::runtime::Resources;

use crate::cgroup::Cgroup;
use crate::error::{Error, Result};
use crate::group::Group;

impl Cgroup {
    /// These groups with that of a controller replaced by `group` below it: the one of v2 without a controller's name.
    ///
    /// # Errors
    /// [`Error::NoController`] where the container has no group of that controller; [`Error::Open`] when the group does not exist or
    /// is not beneath.
    pub fn below(mut self, controller: Option<&str>, group: &str) -> Result<Self> {
        let group = group.trim_matches('/');
        let missing = |controller: &str| Error::NoController {
            controller: controller.to_owned(),
            limit: format!("the group {group:?}"),
            hint: "on cgroup v1 name one that the container has a group of, on v2 none",
        };
        match controller {
            None => {
                let own = self.unified.as_ref().ok_or_else(|| missing("v2"))?;
                self.unified = Some(own.below(group)?);
            }
            Some(name) => {
                let index =
                    self.v1.iter().position(|group| group.carries(name)).ok_or_else(|| missing(name))?;
                let below = self.v1[index].below(group)?;
                self.join[index] = below.file("cgroup.procs", rustix::fs::OFlags::WRONLY)?;
                self.v1[index] = below;
            }
        }
        Ok(self)
    }

    /// A group of ours below the container's, made when it is not there: its limits are the container's, and what is in it can
    /// be killed, with all that it has forked, and nothing else. `None` where that takes more than a v2 group: in v1 each
    /// hierarchy that limits the container would need one.
    ///
    /// # Errors
    /// [`Error::Path`] for a name that no group can have; when it cannot be made.
    pub fn inner(&self, name: &str) -> Result<Option<Self>> {
        if self.unified.is_none() || !self.v1.is_empty() {
            return Ok(None);
        }
        Self::create(&self.host, &self.path.inner(name)?, &Resources::default()).map(Some)
    }

    /// These groups with v2's replaced by the one that `pid` is in, when that is beneath: a v2 group with controllers and groups
    /// below it takes no process, so the container's first one has moved away.
    ///
    /// # Errors
    /// [`Error::Detect`], [`Error::Open`].
    pub fn beside(self, pid: u32) -> Result<Self> {
        let (Some(unified), Some(own)) = (&self.host.unified, &self.unified) else { return Ok(self) };
        let text = std::fs::read_to_string(format!("/proc/{pid}/cgroup"))
            .map_err(|source| Error::Detect { path: "/proc/PID/cgroup", source })?;
        let theirs = text.lines().find_map(|line| line.strip_prefix("0::")).unwrap_or_default();
        let place = unified.mount.join(theirs.trim_start_matches('/'));
        match place.strip_prefix(own.path()).ok().and_then(|below| below.to_str()) {
            Some(below) if !below.is_empty() => {
                let below = below.to_owned();
                self.below(None, &below)
            }
            _ => Ok(self),
        }
    }
}

impl Group {
    /// An existing group beneath this one.
    fn below(&self, group: &str) -> Result<Self> {
        self.open_beneath(if group.is_empty() { "." } else { group })
    }
}
