//! An image's merged root filesystem to look at: a read-only mount that hangs nowhere and goes with its [`View`].
//!
//! Overlayfs wants directories of its own even for that. They are in `ROOT/views/<random>/`, held by a lock; what a killed
//! process has left there, and what was mounted before a reboot ([`crate::Mounted`]), the next view or collection clears.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, FlockOperation, Mode, OFlags};
use rustix::io::Errno;
use rustix::rand::{GetRandomFlags, getrandom};

use crate::rootfs::{self, RootfsRequest, Scratch};
use crate::{Error, Image, Result, Store};

/// The root of an image.
#[derive(Debug)]
pub struct View {
    /// Before the directories: they must not be in use when they are removed.
    root: OwnedFd,
    pub(crate) place: Place,
}

impl View {
    /// The mount and the directories that it needs.
    pub(crate) fn parts(self) -> (OwnedFd, Place) {
        (self.root, self.place)
    }
}

impl AsFd for View {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.root.as_fd()
    }
}

impl Store {
    /// Mounts the image's root, read-only and detached. The caller leases the image.
    pub fn view(&self, image: &Image) -> Result<View> {
        let lowers = self.lowers(image)?;
        self.clear_views();
        let place = Place::new(&self.views())?;
        let scratch = Scratch::at(&place.path);
        scratch.create(lowers.last().map(PathBuf::as_path), (0, 0)).map_err(Error::View)?;
        let root = rootfs::mount(&RootfsRequest {
            lowers: &lowers,
            upper: &scratch.upper,
            work: &scratch.work,
            volatile: true,
            read_only: true,
            idmap: None,
        })
        .map_err(Error::View)?;
        Ok(View { root, place })
    }

    pub(crate) fn views(&self) -> PathBuf {
        self.root().join("views")
    }

    /// Removes what nobody uses any more. What cannot be cleared is in nobody's way.
    pub(crate) fn clear_views(&self) {
        let Ok(entries) = std::fs::read_dir(self.views()) else { return };
        for entry in entries.flatten() {
            let path = entry.path();
            if let Some(place) = Place::abandoned(&path)
                && let Err(error) = place.clear()
            {
                log::warn!("cannot clear {}: {error}", path.display());
            }
        }
    }
}

/// Whether nobody holds a view's directory and nothing is mounted from it.
pub(crate) fn is_abandoned(path: &Path) -> bool {
    Place::abandoned(path).map(Place::keep).is_some()
}

/// A view's directory, locked; it goes when this does, unless it is [kept](Place::keep).
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) path: PathBuf,
    lock: OwnedFd,
    kept: bool,
}

impl Place {
    fn new(views: &Path) -> Result<Self> {
        let failed = |source| Error::Place { what: "create", path: views.to_owned(), source };
        loop {
            let mut random = [0; 8];
            getrandom(&mut random, GetRandomFlags::empty()).map_err(|error| failed(error.into()))?;
            let path = views.join(format!("{:016x}", u64::from_ne_bytes(random)));
            match rustix::fs::mkdir(&path, Mode::RWXU) {
                Ok(()) => {}
                Err(Errno::EXIST) => continue,
                Err(Errno::NOENT) => {
                    make_directory(views).map_err(failed)?;
                    continue;
                }
                Err(error) => return Err(failed(error.into())),
            }
            // Between its making and its locking somebody may have taken it for a dead one's.
            if let Some(place) = Self::lock(&path).map_err(failed)? {
                return Ok(place);
            }
        }
    }

    /// The directory, locked; `None` when somebody else holds it or it is gone.
    pub(crate) fn lock(path: &Path) -> io::Result<Option<Self>> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let lock = match rustix::fs::open(path, flags, Mode::empty()) {
            Ok(lock) => lock,
            Err(Errno::NOENT) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        if rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive).is_err() {
            return Ok(None);
        }
        let (open, named) =
            (rustix::fs::fstat(&lock)?, rustix::fs::statat(CWD, path, AtFlags::SYMLINK_NOFOLLOW));
        let same = named.is_ok_and(|named| (named.st_dev, named.st_ino) == (open.st_dev, open.st_ino));
        Ok(same.then(|| Self { path: path.to_owned(), lock, kept: false }))
    }

    /// A directory that nobody holds and nothing is mounted from.
    fn abandoned(path: &Path) -> Option<Self> {
        let place = Self::lock(path).ok().flatten()?;
        match crate::mount::is_in_use(path) {
            false => Some(place),
            true => {
                place.keep();
                None
            }
        }
    }

    /// Lets go of the lock and leaves the directory: something is mounted from it.
    pub(crate) fn keep(mut self) {
        self.kept = true;
    }

    fn clear(mut self) -> io::Result<()> {
        self.kept = true;
        self.remove()
    }

    fn remove(&self) -> io::Result<()> {
        for name in ["mount.json", "work", "upper", "lower"] {
            rootfs::remove_tree(self.lock.as_fd(), name.as_ref()).map_err(io::Error::other)?;
        }
        Ok(rustix::fs::rmdir(&self.path)?)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if !self.kept
            && let Err(error) = self.remove()
        {
            log::debug!("cannot clear {}: {error}", self.path.display());
        }
    }
}

fn make_directory(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path)
}
