//! A volume as a mount that hangs nowhere, given as a descriptor: whoever runs the container moves it inside.

mod filesystem;

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use conex_sys::mount::{Attributes, Change, set_attributes};
use rustix::fs::{AtFlags, CWD, Mode, OFlags, ResolveFlags, StatxAttributes, StatxFlags};
use rustix::io::Errno;
use rustix::mount::{MoveMountFlags, OpenTreeFlags, UnmountFlags, move_mount, open_tree, unmount};

use crate::{Backing, Error, Result, Volume, Volumes, quota};

pub use filesystem::{new, with_log};

impl Volumes {
    /// The root of the volume, as a detached mount of its own; what is in memory alone is mounted on `_data` for all containers that
    /// run ([`Volumes::attach`]), and this is a clone of that.
    ///
    /// # Errors
    /// [`Error::NoFileSystem`], [`Error::Mount`], [`Error::Quota`].
    pub fn mount(&self, volume: &Volume) -> Result<OwnedFd> {
        match volume.backing()? {
            Backing::Directory { size: None } => clone(&self.data(&volume.name), false),
            Backing::Directory { size: Some(_) } => {
                let image = self.image(&volume.name);
                if image.exists() { quota::mount(&image) } else { clone(&self.data(&volume.name), false) }
            }
            Backing::Bind { path, recursive, attributes } => {
                let mount = clone(&path, recursive)?;
                restrict(&mount, attributes, &path)?;
                Ok(mount)
            }
            Backing::FileSystem(system) if system.is_volatile() && is_mounted(&self.data(&volume.name)) => {
                clone(&self.data(&volume.name), false)
            }
            Backing::FileSystem(system) => new(&system),
        }
    }

    /// Whether the data are the directory `_data` itself, so that a bind mount of it is all that is needed.
    ///
    /// # Errors
    /// [`Error::Option`].
    pub fn is_directory(&self, volume: &Volume) -> Result<bool> {
        Ok(match volume.backing()? {
            Backing::Directory { size: None } => true,
            Backing::Directory { size: Some(_) } => !self.image(&volume.name).exists(),
            _ => false,
        })
    }

    /// Mounts what is in memory alone on `_data`, and fills it with `fill` first; does nothing when it is there. The caller holds the
    /// volume alone.
    ///
    /// # Errors
    /// As [`Volumes::mount`], and what `fill` says.
    pub fn attach<E: From<Error>>(
        &self,
        volume: &Volume,
        fill: impl FnOnce(BorrowedFd<'_>) -> std::result::Result<(), E>,
    ) -> std::result::Result<(), E> {
        let data = self.data(&volume.name);
        let Backing::FileSystem(system) = volume.backing()? else { return Ok(()) };
        if !system.is_volatile() || is_mounted(&data) {
            return Ok(());
        }
        let mount = new(&system)?;
        fill(mount.as_fd())?;
        move_mount(&mount, "", CWD, &data, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)
            .map_err(Error::errno("mount on", &data))?;
        Ok(())
    }

    /// Whether that has been done; true as long as the caller holds the volume.
    ///
    /// # Errors
    /// [`Error::Option`].
    pub fn is_attached(&self, volume: &Volume) -> Result<bool> {
        let is_volatile = matches!(volume.backing()?, Backing::FileSystem(system) if system.is_volatile());
        Ok(is_volatile && is_mounted(&self.data(&volume.name)))
    }

    /// Takes it away again. The caller holds the volume alone, and no container that runs has it.
    pub fn detach(&self, volume: &Volume) {
        detach(&self.data(&volume.name));
    }

    /// A path in the volume, as a detached mount: resolved as if the volume were the root, so that no symbolic link leads out, and
    /// by descriptor, so that nobody swaps it in between (CVE-2017-1002101).
    ///
    /// # Errors
    /// [`Error::Subpath`], [`Error::SubpathKernel`].
    pub fn subpath(&self, volume: &Volume, path: &Path) -> Result<OwnedFd> {
        let failed = |errno: Errno| Error::Subpath {
            name: volume.name.to_string(),
            path: path.display().to_string(),
            source: errno.into(),
        };
        // A clone of what hangs nowhere needs Linux 6.15, so that it is the directory where it can be.
        let is_directory = self.is_directory(volume)?;
        let root = match is_directory {
            true => rustix::fs::open(self.data(&volume.name), DIRECTORY, Mode::empty()).map_err(failed)?,
            false => self.mount(volume)?,
        };
        let place = beneath(root.as_fd(), path).map_err(failed)?;
        clone_at(place.as_fd()).map_err(|errno| match errno {
            Errno::INVAL if !is_directory => {
                Error::SubpathKernel { name: volume.name.to_string(), path: path.display().to_string() }
            }
            errno => failed(errno),
        })
    }
}

const DIRECTORY: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// Opens (O_PATH) a path below a root as if the root were `/`: what is on the way may be a symbolic link, and leads nowhere else.
///
/// # Errors
/// Those of openat2(2).
pub fn beneath(root: BorrowedFd<'_>, path: &Path) -> rustix::io::Result<OwnedFd> {
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS | ResolveFlags::NO_XDEV;
    let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    let mut tries = 0;
    loop {
        match rustix::fs::openat2(root, path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty(), resolve) {
            // Something was renamed somewhere on the machine while ".." was being checked (openat2(2)).
            Err(Errno::AGAIN) if tries < 10_000 => {
                tries += 1;
                std::thread::yield_now();
            }
            opened => return opened,
        }
    }
}

/// A detached copy of the mount, from the file on that `place` is.
///
/// # Errors
/// Those of open_tree(2); EINVAL for a place in a detached mount before Linux 6.15.
pub fn clone_at(place: BorrowedFd<'_>) -> rustix::io::Result<OwnedFd> {
    open_tree(place, "", CLONE | OpenTreeFlags::AT_EMPTY_PATH)
}

const CLONE: OpenTreeFlags = OpenTreeFlags::OPEN_TREE_CLONE.union(OpenTreeFlags::OPEN_TREE_CLOEXEC);

fn clone(path: &Path, recursive: bool) -> Result<OwnedFd> {
    let flags = if recursive { CLONE | OpenTreeFlags::AT_RECURSIVE } else { CLONE };
    open_tree(CWD, path, flags).map_err(Error::errno("bind", path))
}

fn restrict(mount: &OwnedFd, set: Attributes, path: &Path) -> Result<()> {
    if set.is_empty() {
        return Ok(());
    }
    let set_times = Attributes::NOATIME.with(Attributes::STRICTATIME);
    let clear = if set.0 & set_times.0 == 0 { Attributes::default() } else { Attributes::ATIME_FIELD };
    let change = Change { set, clear, ..Change::default() };
    set_attributes(mount.as_fd(), &change, true).map_err(Error::file("set the mount options of", path))
}

/// Whether something is mounted on the directory.
fn is_mounted(path: &Path) -> bool {
    let about = rustix::fs::statx(CWD, path, AtFlags::SYMLINK_NOFOLLOW, StatxFlags::empty());
    about.is_ok_and(|about| about.stx_attributes.contains(StatxAttributes::MOUNT_ROOT))
}

/// Unmounts what is on the directory, all of it.
pub(crate) fn detach(path: &Path) {
    while is_mounted(path) {
        if let Err(errno) = unmount(path, UnmountFlags::DETACH | UnmountFlags::NOFOLLOW) {
            log::warn!("cannot unmount {}: {errno}", path.display());
            return;
        }
    }
}
