//! What of a container's mounts is made by descriptor at its start: volumes with a file system of their own, paths below a volume's
//! root, other images' files. They hang nowhere but in the container, and end with it.

use std::collections::BTreeMap;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use conex_image::rootfs::{self, RootfsRequest, Scratch};
use conex_oci::runtime::Spec;
use conex_volume::{Volumes, chown, mount, populate};
use rustix::fs::{Mode, OFlags};

use super::fill::{owners, source};
use super::{ImageUse, VolumeUse};
use crate::engine::Parts;
use crate::store::Record;
use crate::{Error, Result};

/// Directories that are never given to a container's user.
const SYSTEM: [&str; 16] = [
    "/", "/bin", "/boot", "/dev", "/etc", "/home", "/lib", "/lib64", "/opt", "/proc", "/root", "/run",
    "/sbin", "/sys", "/usr", "/var",
];

/// The mounts by their index in the spec's.
pub(crate) fn sources(
    parts: &Parts,
    record: &Record,
    spec: &Spec,
    rootfs: BorrowedFd<'_>,
) -> Result<BTreeMap<usize, OwnedFd>> {
    let mut given = BTreeMap::new();
    let owned = record.options.storage.binds.iter().any(|bind| bind.chown);
    if record.volumes.is_empty() && record.images.is_empty() && !owned {
        return Ok(given);
    }
    let volumes = parts.volumes();
    for volume in &record.volumes {
        let mount = open(&volumes, record, volume, rootfs)?;
        if volume.chown {
            give(spec, mount.as_fd())?;
        }
        if let Some(index) = index(spec, &volume.target).filter(|_| volume.detached) {
            given.insert(index, mount);
        }
    }
    for (number, image) in record.images.iter().enumerate() {
        if let Some(index) = index(spec, &image.target) {
            given.insert(index, image_mount(parts, record, number, image)?);
        }
    }
    for bind in record.options.storage.binds.iter().filter(|bind| bind.chown) {
        if SYSTEM.iter().any(|path| bind.source == Path::new(path)) {
            return Err(Error::SystemDirectory { path: bind.source.clone() });
        }
        let flags = OFlags::PATH | OFlags::CLOEXEC;
        let place = rustix::fs::open(&bind.source, flags, Mode::empty())
            .map_err(|errno| Error::Read { path: bind.source.clone(), source: errno.into() })?;
        give(spec, place.as_fd())?;
    }
    Ok(given)
}

/// The same for a look at a container that does not run, whose lock is held: nothing changes owners. Volumes that are in memory alone are
/// mounted; the caller has them released.
pub(crate) fn resting(
    parts: &Parts,
    record: &Record,
    spec: &Spec,
    rootfs: BorrowedFd<'_>,
) -> Result<BTreeMap<usize, OwnedFd>> {
    let (volumes, mut given) = (parts.volumes(), BTreeMap::new());
    for volume in record.volumes.iter().filter(|volume| volume.detached || volume.volatile) {
        let mount = open(&volumes, record, volume, rootfs)?;
        if let Some(index) = index(spec, &volume.target).filter(|_| volume.detached) {
            given.insert(index, mount);
        }
    }
    for (number, image) in record.images.iter().enumerate() {
        if let Some(index) = index(spec, &image.target) {
            given.insert(index, image_mount(parts, record, number, image)?);
        }
    }
    Ok(given)
}

fn index(spec: &Spec, target: &Path) -> Option<usize> {
    spec.mounts.iter().position(|mount| mount.destination == target)
}

/// The volume's place, by descriptor.
fn open(volumes: &Volumes, record: &Record, volume: &VolumeUse, rootfs: BorrowedFd<'_>) -> Result<OwnedFd> {
    let about = if volume.volatile {
        // Who has it shared keeps others from taking it away, and does not wait for who reads all of it.
        let (about, held) = volumes.hold(&volume.name)?;
        if volumes.is_attached(&about)? {
            about
        } else {
            drop(held);
            let (about, _held) = volumes.hold_alone(&volume.name)?;
            volumes.attach(&about, |root| {
                let from = if volume.no_copy { None } else { source(rootfs, &volume.target)? };
                let from = from.as_ref().map(AsFd::as_fd);
                populate(root, root, from, &owners(record.id_range), false)?;
                Ok::<_, Error>(())
            })?;
            about
        }
    } else {
        volumes.find(volume.name.as_str())?
    };
    match &volume.subpath {
        Some(path) => Ok(volumes.subpath(&about, path)?),
        None if volume.detached => Ok(volumes.mount(&about)?),
        // Bound by its path, which is ours.
        None => {
            let path = volumes.data(&volume.name);
            let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
            rustix::fs::open(&path, flags, Mode::empty())
                .map_err(|errno| Error::Read { path, source: errno.into() })
        }
    }
}

/// `U`: to the user that the container's program runs as. In a user namespace its mount is idmapped, and ids are the same outside.
fn give(spec: &Spec, place: BorrowedFd<'_>) -> Result<()> {
    let Some(process) = &spec.process else { return Ok(()) };
    Ok(chown(place, process.user.uid, process.user.gid)?)
}

/// The image's files, read-only, in a mount with directories of its own in the container's.
fn image_mount(parts: &Parts, record: &Record, number: usize, image: &ImageUse) -> Result<OwnedFd> {
    let found = parts.images.resolve(&image.image.to_string(), None)?;
    let lowers = parts.images.lowers(&found)?;
    let place = parts.store.directory(&record.id).join("images").join(number.to_string());
    crate::store::write::make_directory(&place)?;
    let scratch = Scratch::at(&place);
    let root = record.id_range.map_or(0, |range| range.base);
    // Of the last run, or of a copy: such a mount is made anew, and nothing was written there.
    scratch.remove()?;
    scratch.create(lowers.last().map(std::path::PathBuf::as_path), (root, root))?;
    let idmap = record.id_range.map(crate::idmap::namespace).transpose()?;
    let mounted = rootfs::mount(&RootfsRequest {
        lowers: &lowers,
        upper: &scratch.upper,
        work: &scratch.work,
        volatile: true,
        read_only: true,
        idmap: idmap.as_ref().map(AsFd::as_fd),
    })?;
    let Some(subpath) = &image.subpath else { return Ok(mounted) };
    let failed = |errno: rustix::io::Errno| Error::ImagePath {
        image: image.source.clone(),
        path: subpath.clone(),
        source: errno.into(),
    };
    let place = mount::beneath(mounted.as_fd(), subpath).map_err(failed)?;
    mount::clone_at(place.as_fd()).map_err(failed)
}
