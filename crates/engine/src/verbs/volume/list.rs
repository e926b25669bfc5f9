//! `volume ls`, and what `system df` says of volumes.

use std::os::fd::AsFd;
use std::path::PathBuf;

use conex_volume::{Backing, Volume, Volumes, usage};
use rustix::fs::{Mode, OFlags};

use crate::filter::{has_label, invalid, known};
use crate::{Engine, Result};

const KEYS: [&str; 5] = ["dangling", "driver", "label", "label!", "name"];

/// `--filter`
#[derive(Debug, Clone, Default)]
pub struct VolumeFilter {
    filters: Vec<(String, String)>,
}

/// A row of `volume ls`.
#[derive(Debug, Clone)]
pub struct VolumeSummary {
    /// What it is.
    pub volume: Volume,
    /// Where its data are.
    pub mountpoint: PathBuf,
    /// How many containers have it.
    pub links: usize,
    /// Bytes on the disk, when they were asked for and can be told.
    pub size: Option<u64>,
}

impl VolumeFilter {
    /// Adds a `--filter key=value`. Values of one key are alternatives (labels all hold), keys all hold.
    ///
    /// # Errors
    /// An unknown key, or a value that it does not take.
    pub fn add(&mut self, filter: &str) -> Result<()> {
        let (key, value) = known(filter, &KEYS)?;
        if key == "dangling" && !matches!(value.as_str(), "true" | "false" | "1" | "0") {
            return Err(invalid(filter, "expected true or false"));
        }
        self.filters.push((key, value));
        Ok(())
    }

    pub(super) fn passes(&self, volume: &Volume, links: usize) -> bool {
        let of = |key: &'static str| self.filters.iter().filter(move |(name, _)| name == key);
        let any = |key: &'static str, fits: &dyn Fn(&str) -> bool| {
            of(key).next().is_none() || of(key).any(|(_, value)| fits(value))
        };
        let label = |wanted: &str| has_label(&volume.labels, wanted);
        any("dangling", &|value| matches!(value, "true" | "1") == (links == 0))
            && any("driver", &|value| volume.driver == value)
            && any("name", &|value| volume.name.as_str().contains(value))
            && of("label").all(|(_, value)| label(value))
            && !of("label!").any(|(_, value)| label(value))
    }
}

impl Engine {
    /// The volumes that pass the filter, by name; with `sizes`, what each takes on the disk.
    ///
    /// # Errors
    /// When they, or the containers, cannot be read.
    pub fn volumes(&self, filter: &VolumeFilter, sizes: bool) -> Result<Vec<VolumeSummary>> {
        let volumes = self.parts.volumes();
        let links = self.parts.store.volume_links()?;
        let mut found = Vec::new();
        for volume in volumes.list()? {
            let links = links.get(&volume.name).copied().unwrap_or(0);
            if filter.passes(&volume, links) {
                let size = if sizes { size_of(&volumes, &volume) } else { None };
                found.push(VolumeSummary { mountpoint: volumes.data(&volume.name), links, size, volume });
            }
        }
        Ok(found)
    }
}

/// Bytes on the disk; `None` for what is somewhere else, or cannot be read.
pub(super) fn size_of(volumes: &Volumes, volume: &Volume) -> Option<u64> {
    let Ok(Backing::Directory { .. }) = volume.backing() else { return None };
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    // The whole of it: an image file is beside the data.
    let root = rustix::fs::open(volumes.directory(&volume.name), flags, Mode::empty()).ok()?;
    let directories = 4096;
    usage(root.as_fd()).ok().map(|bytes| bytes.saturating_sub(2 * directories))
}
