//! The first contents of a container's volumes: what its image has there.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use conex_image::{Image, View};
use conex_volume::{Volume, Volumes, mount, populate};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use super::Settled;
use crate::engine::Parts;
use crate::spec::IdRange;
use crate::{Error, Result};

/// Fills those that are empty, when the container is made, as Docker does. They are held shared meanwhile, by others too.
///
/// With `ids` the root filesystem shows the image's files with other owners, and those that it has no ids for to nobody: they come from the
/// image itself then, with owners as the image has them, as the volume will show them to the container.
pub(crate) fn fill(
    parts: &Parts,
    settled: &Settled,
    image: &Image,
    rootfs: BorrowedFd<'_>,
    ids: Option<IdRange>,
) -> Result<()> {
    let volumes = parts.volumes();
    let wanted = settled.volumes.iter().filter(|volume| !volume.no_copy && !volume.volatile);
    let mut view: Option<View> = None;
    for volume in wanted {
        let Some(shown) = source(rootfs, &volume.target)? else { continue };
        let (about, _) = &settled.held[&volume.name];
        if !volumes.may_be_empty(about)? {
            continue;
        }
        let from = match (ids, &mut view) {
            (None, _) => Some(shown),
            (Some(_), Some(view)) => source(view.as_fd(), &volume.target)?,
            (Some(_), none) => source(none.insert(parts.images.view(image)?).as_fd(), &volume.target)?,
        };
        if let Some(from) = from {
            // One at a time; who waits finds it filled.
            let _turn = volumes.turn(&volume.name)?;
            let lasting = !(about.anonymous && settled.passing);
            fill_one(&volumes, about, from.as_fd(), lasting)?;
        }
    }
    Ok(())
}

/// The directory that the image has at a path, as the container would see it: symbolic links lead nowhere else.
pub(super) fn source(rootfs: BorrowedFd<'_>, target: &Path) -> Result<Option<OwnedFd>> {
    match mount::beneath(rootfs, target) {
        Ok(found) => Ok(Some(found)),
        Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => Ok(None),
        Err(errno) => Err(Error::VolumePlace {
            what: "cannot look at the image's",
            path: target.to_owned(),
            why: if errno == Errno::XDEV { "it is on another file system" } else { "the kernel refuses" },
        }),
    }
}

fn fill_one(volumes: &Volumes, volume: &Volume, from: BorrowedFd<'_>, lasting: bool) -> Result<()> {
    let owner = |id| id;
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let open = |path: &Path| {
        rustix::fs::open(path, flags, Mode::empty())
            .map_err(|errno| Error::Read { path: path.to_owned(), source: errno.into() })
    };
    if volumes.is_directory(volume)? {
        let (beside, data) = (open(&volumes.directory(&volume.name))?, open(&volumes.data(&volume.name))?);
        populate(beside.as_fd(), data.as_fd(), Some(from), &owner, lasting)?;
    } else {
        let mount = volumes.mount(volume)?;
        populate(mount.as_fd(), mount.as_fd(), Some(from), &owner, lasting)?;
    }
    Ok(())
}

/// The root filesystem shows owners as the host numbers them; an idmapped volume has them as the container does.
pub(super) fn owners(ids: Option<IdRange>) -> impl Fn(u32) -> u32 {
    move |id| match ids {
        Some(range) => id.checked_sub(range.base).filter(|id| *id < range.size).unwrap_or(id),
        None => id,
    }
}
