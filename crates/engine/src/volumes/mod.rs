//! What a container has of volumes and of other images: settled when it is made (`settle`), filled once (`fill`), mounted at each
//! start (`sources`), given back at its end (`release`, `reap`).
//!
//! A container's record names its volumes; that is what keeps them. Whoever makes a container holds its volumes' locks, shared, until the
//! record is written; whoever removes a volume holds its lock alone and reads all records. Nobody who holds one shared waits for one
//! alone.

mod fill;
mod reap;
mod release;
mod settle;
mod sources;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use conex_oci::{ContainerId, Digest};
use conex_volume::{VolumeName, Volumes};
use serde::{Deserialize, Serialize};

use crate::Result;
use crate::engine::Parts;
use crate::options::Relabel;
use crate::store::record::Summary;
use crate::store::{Store, write};

pub use conex_volume::{Error, NewVolume, Volume};
pub(crate) use fill::fill;
pub(crate) use reap::{mark, reap};
pub(crate) use release::{release, volatile};
pub(crate) use settle::Settled;
pub(crate) use sources::{resting, sources};

/// A volume in a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VolumeUse {
    /// Its name.
    pub name: VolumeName,
    /// Absolute, in the container.
    pub target: PathBuf,
    /// On the host, as `inspect` shows it.
    pub source: PathBuf,
    /// `ro`
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub read_only: bool,
    /// It was made for a container, and goes with the last.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub anonymous: bool,
    /// It does not get what the image has there.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub no_copy: bool,
    /// Relative to the volume's root.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subpath: Option<PathBuf>,
    /// `U`
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub chown: bool,
    /// `z`, `Z`
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub relabel: Option<Relabel>,
    /// Its mount is given by descriptor: the path does not name it, or not for sure.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub detached: bool,
    /// Its data are in memory alone, in a mount that the containers that run share.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub volatile: bool,
}

/// Another image's files in a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageUse {
    /// The image's id.
    pub image: Digest,
    /// As it was asked for.
    pub source: String,
    /// Absolute, in the container.
    pub target: PathBuf,
    /// Relative to the image's root.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subpath: Option<PathBuf>,
}

impl Store {
    /// The volumes.
    pub fn volumes(&self) -> Volumes {
        Volumes::open(self.root())
    }

    /// Each container with the names of the volumes that it has.
    ///
    /// # Errors
    /// When a record cannot be read: then nobody can say that a volume is free.
    pub fn volume_users(&self) -> Result<Vec<(ContainerId, BTreeSet<VolumeName>)>> {
        let mut users = Vec::new();
        for id in self.ids()? {
            users.extend(self.volumes_of(&id)?.map(|names| (id, names)));
        }
        Ok(users)
    }

    /// How many containers have each volume. For people to look at: a container that cannot be read does not count.
    ///
    /// # Errors
    /// When the containers cannot be listed.
    pub fn volume_links(&self) -> Result<BTreeMap<VolumeName, usize>> {
        let mut links = BTreeMap::new();
        for id in self.ids()? {
            match self.volumes_of(&id) {
                Ok(names) => {
                    for name in names.into_iter().flatten() {
                        *links.entry(name).or_default() += 1;
                    }
                }
                Err(error) => log::warn!("container {}: {error}", id.short()),
            }
        }
        Ok(links)
    }

    /// `None` when it has none, or is no container (any more).
    fn volumes_of(&self, id: &ContainerId) -> Result<Option<BTreeSet<VolumeName>>> {
        let summary = write::read_json::<Summary>(&self.directory(id).join("config.json"))?;
        let names: BTreeSet<_> =
            summary.into_iter().flat_map(|summary| summary.volumes).map(|volume| volume.name).collect();
        Ok(Some(names).filter(|names| !names.is_empty()))
    }

    /// The containers that have a volume, as full ids.
    ///
    /// # Errors
    /// As [`Store::volume_users`].
    pub fn users_of(&self, name: &VolumeName) -> Result<Vec<String>> {
        let users = self.volume_users()?.into_iter();
        Ok(users.filter(|(_, names)| names.contains(name)).map(|(id, _)| id.to_string()).collect())
    }
}

impl Parts {
    /// The volumes.
    pub(crate) fn volumes(&self) -> Volumes {
        self.store.volumes()
    }
}
