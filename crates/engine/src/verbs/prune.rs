//! `container prune`, and what the pruning of images has to know of containers.

use conex_image::{PruneFilter, PruneOptions, Pruned, Removed, Users};
use conex_oci::ContainerId;

use super::list::tree_size;
use crate::events::{Event, Subject};
use crate::options::PodPart;
use crate::store::record::Summary;
use crate::store::writable::WritableLayer;
use crate::store::write;
use crate::{Engine, Error, Result};

/// What `container prune` took away.
#[derive(Debug, Default)]
pub struct PrunedContainers {
    /// Their ids.
    pub removed: Vec<ContainerId>,
    /// Bytes of their writable layers.
    pub bytes: u64,
    /// Containers that should have gone and could not.
    pub left: Vec<(ContainerId, Error)>,
}

impl Engine {
    /// Removes the containers that do not run and pass the filter. One that another command is at work on stays: a `run`
    /// owns its container from before it exists until it has ended.
    ///
    /// # Errors
    /// When the containers cannot be listed.
    pub fn prune_containers(&self, filter: &PruneFilter) -> Result<PrunedContainers> {
        let mut pruned = PrunedContainers::default();
        for id in self.parts.store.ids()? {
            match self.prune_container(&id, filter) {
                Ok(Some(bytes)) => {
                    pruned.bytes += bytes;
                    pruned.removed.push(id);
                }
                Ok(None) => {}
                Err(error) => pruned.left.push((id, error)),
            }
        }
        self.event(&Event::new("container", "prune", "").with("reclaimed", pruned.bytes));
        Ok(pruned)
    }

    /// Bytes of its writable layer; `None` when it stays, or is none (any more).
    fn prune_container(&self, id: &ContainerId, filter: &PruneFilter) -> Result<Option<u64>> {
        let store = &self.parts.store;
        let at_rest = store.state(id)?.is_some_and(|state| !state.is_live());
        if !at_rest {
            return Ok(None);
        }
        let directory = store.directory(id);
        let Some(summary) = write::read_json::<Summary>(&directory.join("config.json"))? else {
            // The rest of one.
            store.sweep(id)?;
            return Ok(None);
        };
        if !filter.passes(Some(summary.created.0.into()), &summary.labels) {
            return Ok(None);
        }
        // A pod goes as a whole (`pod prune`).
        if matches!(summary.options.pod, Some(PodPart::Infra(_))) {
            return Ok(None);
        }
        let Some(owned) = store.own_settled(id)? else { return Ok(None) };
        let bytes = WritableLayer::open(&directory).map_or(0, |layer| tree_size(&layer.scratch.upper));
        let subject = store.record(id)?.as_ref().map(Subject::from);
        store.erase(id)?;
        subject.iter().for_each(|subject| self.parts.event(&subject.event("destroy")));
        self.exec_ids(id);
        owned.finish()?;
        Ok(Some(bytes))
    }

    /// Removes the images that no container was made from and that pass the filter.
    ///
    /// # Errors
    /// When the store cannot be read, or the image of a container cannot be told: then no image goes.
    pub fn prune_images(&self, options: &PruneOptions) -> Result<Pruned> {
        let pruned = self.parts.images.prune(options, || self.images_in_use())?;
        for removed in &pruned.removed {
            self.event(&match removed {
                Removed::Untagged { name, id } => {
                    Event::new("image", "untag", id.to_string()).with("name", name)
                }
                Removed::Deleted(id) => Event::new("image", "delete", id.to_string()).with("name", id),
            });
        }
        self.event(&Event::new("image", "prune", "").with("reclaimed", pruned.bytes));
        Ok(pruned)
    }

    /// The images that containers were made from, running or not.
    ///
    /// # Errors
    /// When a container's record cannot be read.
    pub fn images_in_use(&self) -> Result<Users> {
        let store = &self.parts.store;
        let mut users = Users::new();
        for id in store.ids()? {
            // A dead owner's `--rm` container goes now. One that cannot be settled uses its image like any other.
            if let Err(error) = store.state(&id) {
                log::warn!("container {}: {error}", id.short());
            }
            if let Some(summary) = write::read_json::<Summary>(&store.directory(&id).join("config.json"))? {
                for image in summary.images {
                    users.entry(image.image).or_default().insert(id.to_string());
                }
                users.entry(summary.image_id).or_default().insert(id.to_string());
            }
        }
        Ok(users)
    }
}
