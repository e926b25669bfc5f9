//! Limits put in force while the container's process is already at work on its mounts: on a v2 host it is born into a group
//! without them, and the maker enforces them on another processor. It must not be let go on to the container's program before.

use conex_oci::runtime::Resources;

use crate::cgroup::Cgroup;
use crate::create::{Making, Needs};
use crate::devices;
use crate::error::Result;
use crate::host::{Host, Version};
use crate::path::CgroupPath;
use crate::systemd::Properties;

impl Cgroup {
    /// Makes the groups and leaves the limits to [`Cgroup::enforce`], where that can be: elsewhere (v1, a scope of systemd's) it
    /// is [`Cgroup::create_with`].
    ///
    /// # Errors
    /// As for [`Cgroup::create_with`].
    pub fn create_unlimited(
        host: &Host,
        path: &CgroupPath,
        resources: &Resources,
        properties: &Properties,
    ) -> Result<Self> {
        if host.version() != Version::V2 || path.scope.is_some() {
            return Self::create_with(host, path, resources, properties);
        }
        let needs = Needs::of(host, resources)?;
        let mut making = Making::of(Self::new(host, path));
        if let Some(cgroup) = making.cgroup() {
            cgroup.make(needs)?;
            cgroup.unlimited = true;
        }
        making.finish()
    }

    /// Puts in force what [`Cgroup::create_unlimited`] left; nothing else.
    ///
    /// # Errors
    /// As for [`Cgroup::create`]. The groups stay, for [`Cgroup::delete`].
    pub fn enforce(&self, resources: &Resources) -> Result<()> {
        match &self.unified {
            Some(group) if self.unlimited => {
                self.write(resources)?;
                if devices::is_needed(&resources.devices)? {
                    self.filter_devices_v2(group, &resources.devices)?;
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }
}
