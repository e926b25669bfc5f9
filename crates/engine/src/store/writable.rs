//! Where a container's writable layer is: in its directory, or, with `--storage-opt size=`, in one of its own with a limit.

use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;

use conex_image::rootfs::Scratch;
use conex_volume::{DiskImage, Quota};

use super::write;
use crate::Result;

/// A directory under a project quota.
const DIRECTORY: &str = "disk";
/// A file system in a file.
const IMAGE: &str = "disk.ext4";

/// A writable layer that can be reached as long as this lives.
#[derive(Debug)]
pub(crate) struct WritableLayer {
    /// Its directories.
    pub(crate) scratch: Scratch,
    /// The file system that they are in, which hangs nowhere.
    mount: Option<OwnedFd>,
}

impl WritableLayer {
    /// Of a container that has no limit.
    pub(crate) fn unlimited(directory: &Path) -> Self {
        Self { scratch: Scratch::at(directory), mount: None }
    }

    /// Makes the place of one that may write no more than so many bytes.
    ///
    /// # Errors
    /// When the file system has no such limits, and no file system of its own can be made.
    pub(crate) fn limit(directory: &Path, bytes: u64) -> Result<()> {
        let place = directory.join(DIRECTORY);
        write::make_directory(&place)?;
        match conex_volume::limit(&place, bytes)? {
            Quota::Project(_) => Ok(()),
            Quota::Image => {
                std::fs::remove_dir(&place)
                    .map_err(|source| crate::Error::Remove { path: place.clone(), source })?;
                Ok(DiskImage::create(&directory.join(IMAGE), bytes)?)
            }
        }
    }

    /// Takes away what has been made of one: before another try. Nothing has been written to it.
    ///
    /// # Errors
    /// When something cannot be removed.
    pub(crate) fn clear(directory: &Path) -> Result<()> {
        Scratch::at(directory).remove()?;
        let place = directory.join(DIRECTORY);
        Scratch::at(&place).remove()?;
        match std::fs::remove_dir(&place) {
            Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
                return Err(crate::Error::Remove { path: place, source });
            }
            _ => {}
        }
        write::unlink(&directory.join(IMAGE))
    }

    /// Whether it is in a file system of its own, which hangs nowhere.
    pub(crate) fn is_image(&self) -> bool {
        self.mount.is_some()
    }

    /// Of a container that may have a limit.
    ///
    /// # Errors
    /// When its file system cannot be mounted.
    pub(crate) fn open(directory: &Path) -> Result<Self> {
        let (place, image) = (directory.join(DIRECTORY), directory.join(IMAGE));
        if image.exists() {
            let mount = DiskImage::mount(&image)?;
            let scratch = Scratch::at(format!("/proc/self/fd/{}", mount.as_raw_fd()).as_ref());
            return Ok(Self { scratch, mount: Some(mount) });
        }
        Ok(Self::unlimited(if place.exists() { &place } else { directory }))
    }
}
