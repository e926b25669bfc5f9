//! Anonymous volumes that go with their container: with `--rm`, with `rm -v`, and when a creation was killed.

use std::path::Path;

use conex_oci::ContainerId;
use conex_volume::VolumeName;
use serde::Deserialize;

use super::VolumeUse;
use crate::store::{Store, write};
use crate::{Error, Result};

/// In a container's directory: the anonymous volumes of a container that is being made.
const NOTE: &str = "anonymous.json";
/// In a container's directory: its anonymous volumes go with it.
const REAP: &str = "reap";

/// What reaping needs of a record.
#[derive(Deserialize)]
struct Remains {
    #[serde(default)]
    volumes: Vec<VolumeUse>,
    options: Asked,
}

#[derive(Deserialize)]
struct Asked {
    #[serde(default)]
    auto_remove: bool,
}

/// Writes down which volumes are about to be made for a container.
pub(super) fn note(directory: &Path, names: Vec<VolumeName>) -> Result<()> {
    if names.is_empty() { Ok(()) } else { write::new_file(&directory.join(NOTE), &write::to_json(&names)) }
}

/// Has a container's anonymous volumes go with it, whoever removes the rest of it.
pub(crate) fn mark(store: &Store, id: &ContainerId) -> Result<()> {
    write::new_file(&store.directory(id).join(REAP), b"")
}

/// Removes the anonymous volumes of a container that is no more, if they are to go: the last step before its directory goes. What another
/// container has stays.
pub(crate) fn reap(store: &Store, id: &ContainerId) -> Result<()> {
    let directory = store.directory(id);
    let names = match write::read_json::<Remains>(&directory.join("draft.json")) {
        Ok(Some(remains)) if remains.options.auto_remove || directory.join(REAP).exists() => {
            remains.volumes.into_iter().filter(|volume| volume.anonymous).map(|volume| volume.name).collect()
        }
        // It was a container, and they stay.
        Ok(Some(_)) => Vec::new(),
        // It never was one.
        Ok(None) if !directory.join("config.json").exists() => {
            write::read_json::<Vec<VolumeName>>(&directory.join(NOTE)).unwrap_or_default().unwrap_or_default()
        }
        Ok(None) | Err(_) => Vec::new(),
    };
    let volumes = store.volumes();
    for name in names {
        match volumes.remove_soon(&name, || store.users_of(&name)) {
            Ok(()) => {}
            // Held by who exports it, say, or in use: it is dangling then, and `volume prune` has another try.
            Err(Error::Volume(conex_volume::Error::InUse { .. } | conex_volume::Error::NotFound { .. })) => {}
            Err(error) => log::warn!("volume {name}: {error}"),
        }
    }
    // Without these nothing of what is left of the directory can be taken for a creation that was killed.
    write::unlink(&directory.join(NOTE))
}
