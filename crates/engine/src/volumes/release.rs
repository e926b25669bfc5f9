//! What a container that has ended gives back: the shared mounts of volumes that are in memory alone, when it was the last.

use conex_oci::ContainerId;
use conex_volume::VolumeName;

use crate::store::lock::Presence;
use crate::store::{Record, Store};

/// The volumes of a container that [`release`] has to see to; mostly none.
pub(crate) fn volatile(record: &Record) -> Vec<VolumeName> {
    let mut names: Vec<_> =
        record.volumes.iter().filter(|volume| volume.volatile).map(|volume| volume.name.clone()).collect();
    names.sort();
    names.dedup();
    names
}

/// Unmounts those that no other container has that runs. Nothing is lost when this fails: the next end, or `volume rm`, does it. False
/// when some are left to others: of two containers that end at once each sees the other run, and looks once more without its lock.
pub(crate) fn release(store: &Store, id: &ContainerId, names: &[VolumeName]) -> bool {
    let volumes = store.volumes();
    let mut all = true;
    for name in names {
        // Alone: who starts with it attaches it under the same lock, and is seen to run before.
        let Ok(Some((volume, _held))) = volumes.hold_alone_soon(name) else { continue };
        let runs = |other: &ContainerId| {
            other != id && !matches!(store.presence(other), Ok(Presence::Absent | Presence::Dead))
        };
        match store.volume_users() {
            Ok(users) if users.iter().any(|(other, names)| names.contains(name) && runs(other)) => {
                all = false;
            }
            Ok(_) => volumes.detach(&volume),
            Err(error) => log::warn!("volume {name}: {error}"),
        }
    }
    all
}
