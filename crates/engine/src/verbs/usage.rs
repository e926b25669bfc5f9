//! `system df`: what images, containers and volumes take on the disk.

use conex_image::{DiskUsage, Users};

use super::{ContainerSummary, ListFilter, VolumeFilter, VolumeSummary};
use crate::{Engine, Result};

/// What everything takes.
#[derive(Debug, Clone)]
pub struct SystemUsage {
    /// The images.
    pub images: DiskUsage,
    /// All containers, newest first, with the sizes of their writable layers.
    pub containers: Vec<ContainerSummary>,
    /// All volumes, with their sizes.
    pub volumes: Vec<VolumeSummary>,
}

impl Engine {
    /// What images, containers and volumes take on the disk. Walks the writable layers and the volumes.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn disk_usage(&self) -> Result<SystemUsage> {
        let mut filter = ListFilter::default();
        (filter.all, filter.size) = (true, true);
        let containers = self.list(&filter)?;
        let mut users = Users::new();
        for container in &containers {
            users.entry(container.image_id).or_default().insert(container.id.to_string());
        }
        let volumes = self.volumes(&VolumeFilter::default(), true)?;
        Ok(SystemUsage { images: self.parts.images.disk_usage(&users)?, containers, volumes })
    }
}
