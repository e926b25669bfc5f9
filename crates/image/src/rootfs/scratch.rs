//! A container's own part of its root filesystem: the writable layer, and overlayfs's work directory beside it.

use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use rustix::fs::{Gid, Mode, OFlags, Uid};
use rustix::io::Errno;

use super::{Result, RootfsError};

pub(super) const EMPTY_LOWER: &str = "lower";

/// The directories of one container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scratch {
    /// What the container has written.
    pub upper: PathBuf,
    /// Overlayfs's own.
    pub work: PathBuf,
}

impl Scratch {
    /// Where they are in the container's directory.
    pub fn at(container: &Path) -> Self {
        Self { upper: container.join("upper"), work: container.join("work") }
    }

    /// Makes them. `upper` is what the container sees as its root directory: it gets the mode of the image's, which is the
    /// highest layer's (`top`, 0755 without one), and `owner`: 0:0, or what root is mapped to.
    pub fn create(&self, top: Option<&Path>, owner: (u32, u32)) -> Result<()> {
        let mode = match top {
            Some(top) => {
                let stat = rustix::fs::stat(top).map_err(RootfsError::directory("look at", top))?;
                Mode::from_raw_mode(stat.st_mode)
            }
            None => Mode::from_raw_mode(0o755),
        };
        for path in [&self.upper, &self.work] {
            rustix::fs::mkdir(path, Mode::RWXU).map_err(RootfsError::directory("create", path))?;
        }
        let failed = |what| RootfsError::directory(what, &self.upper);
        if owner != (0, 0) {
            let (uid, gid) = (Uid::from_raw(owner.0), Gid::from_raw(owner.1));
            rustix::fs::chown(&self.upper, Some(uid), Some(gid)).map_err(failed("set the owner of"))?;
        }
        // Not by mkdir, whose mode the process's umask cuts.
        rustix::fs::chmod(&self.upper, mode).map_err(failed("set the mode of"))
    }

    /// Removes them with all that the container has left in them; what is not there is success. The container's mount
    /// must be gone.
    pub fn remove(&self) -> Result<()> {
        let container = self.upper.parent().unwrap_or(Path::new("/"));
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let directory = match rustix::fs::open(container, flags, Mode::empty()) {
            Ok(directory) => directory,
            Err(Errno::NOENT) => return Ok(()),
            Err(error) => return Err(RootfsError::directory("open", container)(error)),
        };
        for name in ["work", "upper", EMPTY_LOWER] {
            conex_archive::remove_tree(directory.as_fd(), name.as_ref())
                .map_err(|source| RootfsError::Clear { path: container.to_owned(), source })?;
        }
        Ok(())
    }
}
