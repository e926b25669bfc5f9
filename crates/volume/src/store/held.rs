//! A volume's directory, locked: flock(2) on the directory itself, which ends with its holder.

use std::ffi::OsStr;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::{AtFlags, CWD, FlockOperation, Mode, OFlags, flock};
use rustix::io::Errno;

use crate::{Error, Result};

/// See [`Held::take_soon`].
const PATIENCE: Duration = Duration::from_millis(500);

/// Held until it is dropped. Shared, the volume cannot be removed; alone, nobody else looks at it. Who holds one shared waits for no
/// other alone, or two could wait for each other.
#[derive(Debug)]
pub struct Held {
    pub(super) fd: OwnedFd,
    pub(super) path: PathBuf,
}

impl Held {
    /// The directory at `path`, when the lock is had; waits for it unless `operation` says otherwise. `None` when the directory is not
    /// there (any more), or somebody else holds it.
    pub(super) fn take(path: &Path, operation: FlockOperation) -> Result<Option<Self>> {
        let failed = Error::errno("lock", path);
        loop {
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let fd = match rustix::fs::open(path, flags, Mode::empty()) {
                Ok(fd) => fd,
                Err(Errno::NOENT) => return Ok(None),
                Err(errno) => return Err(failed(errno)),
            };
            match rustix::io::retry_on_intr(|| flock(&fd, operation)) {
                Ok(()) => {}
                Err(Errno::WOULDBLOCK) => return Ok(None),
                Err(errno) => return Err(failed(errno)),
            }
            // Whoever held it may have renamed it, and another may have taken its place.
            let held = Self { fd, path: path.to_owned() };
            if held.is_there() {
                return Ok(Some(held));
            }
        }
    }

    /// The directory held alone, for who has others waiting for him: `None`, too, when somebody holds it for longer than a look takes.
    pub(super) fn take_soon(path: &Path) -> Result<Option<Self>> {
        let until = Instant::now() + PATIENCE;
        loop {
            let held = Self::take(path, FlockOperation::NonBlockingLockExclusive)?;
            if held.is_some() || Instant::now() > until || !path.exists() {
                return Ok(held);
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Whether the volume has not been removed while the lock was waited for.
    fn is_there(&self) -> bool {
        let ours = rustix::fs::fstat(&self.fd);
        let there = rustix::fs::statat(CWD, &self.path, AtFlags::SYMLINK_NOFOLLOW);
        matches!((ours, there), (Ok(ours), Ok(there)) if (ours.st_dev, ours.st_ino) == (there.st_dev, there.st_ino))
    }

    /// What was being made or removed, and is not any more.
    pub(super) fn abandoned(root: &Path, name: &OsStr) -> Result<Option<Self>> {
        Self::take(&root.join(name), FlockOperation::NonBlockingLockExclusive)
    }

    /// Removes the directory.
    pub(super) fn erase(self) -> Result<()> {
        let (Some(parent), Some(name)) = (self.path.parent(), self.path.file_name()) else { return Ok(()) };
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let parent = rustix::fs::open(parent, flags, Mode::empty()).map_err(Error::errno("open", parent))?;
        Ok(conex_archive::remove_tree(parent.as_fd(), name)?)
    }
}
