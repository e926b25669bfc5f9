//! `volume rm`, `volume prune`

use conex_volume::VolumeName;

use super::VolumeFilter;
use super::list::size_of;
use crate::events::Event;
use crate::{Engine, Error, Result};

/// What `volume prune` took away.
#[derive(Debug, Default)]
pub struct PrunedVolumes {
    /// Their names.
    pub removed: Vec<VolumeName>,
    /// Bytes that they took on the disk.
    pub bytes: u64,
    /// Volumes that should have gone and could not.
    pub left: Vec<(VolumeName, Error)>,
}

impl Engine {
    /// Removes a volume and all its data.
    ///
    /// # Errors
    /// When there is no such volume, or a container has it, running or not.
    pub fn volume_remove(&self, name: &str) -> Result<()> {
        let missing = || conex_volume::Error::NotFound { name: name.chars().take(140).collect() };
        let name: VolumeName = name.parse().map_err(|_| missing())?;
        if !self.parts.volumes().directory(&name).exists() {
            return Err(missing().into());
        }
        match self.erase_volume(&name) {
            // It has gone with its container, which was a dead one's.
            Err(Error::Volume(conex_volume::Error::NotFound { .. })) => Ok(()),
            done => done,
        }
    }

    fn erase_volume(&self, name: &VolumeName) -> Result<()> {
        let store = &self.parts.store;
        // The container of a dead `run --rm` goes now, and is no user then. Before the lock is taken: it may have volumes that go, too.
        for user in store.users_of(name)? {
            let id = user.parse().map_err(|source| Error::Id { source })?;
            if let Err(error) = store.state(&id) {
                log::warn!("container {}: {error}", id.short());
            }
        }
        self.parts.volumes().remove(name, || store.users_of(name))?;
        self.event(&Event::new("volume", "destroy", name.as_str()).with("driver", "local"));
        Ok(())
    }

    /// Removes the volumes that no container has: anonymous ones, or `all` of them.
    ///
    /// # Errors
    /// When the volumes or the containers cannot be read.
    pub fn volume_prune(&self, filter: &VolumeFilter, all: bool) -> Result<PrunedVolumes> {
        let volumes = self.parts.volumes();
        let mut pruned = PrunedVolumes::default();
        for summary in self.volumes(filter, false)? {
            if summary.links > 0 || !(all || summary.volume.anonymous) {
                continue;
            }
            let bytes = size_of(&volumes, &summary.volume).unwrap_or(0);
            let name = summary.volume.name;
            match self.erase_volume(&name) {
                Ok(()) => {
                    pruned.bytes += bytes;
                    pruned.removed.push(name);
                }
                // A container has come by it meanwhile, or somebody else was faster.
                Err(Error::Volume(
                    conex_volume::Error::InUse { .. } | conex_volume::Error::NotFound { .. },
                )) => {}
                Err(error) => pruned.left.push((name, error)),
            }
        }
        self.event(&Event::new("volume", "prune", "").with("reclaimed", pruned.bytes));
        Ok(pruned)
    }
}
