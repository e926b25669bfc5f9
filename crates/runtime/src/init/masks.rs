//! Paths of the kernel's file systems that a container must not read (masked) or write (read-only).
//!
//! A file is covered with the container's own /dev/null, made by us moments ago on our own tmpfs and checked to be that
//! device (CVE-2025-31133); a directory with a clone of one empty read-only tmpfs. A path that does not exist needs no cover.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use conex_sys::mount::{Attributes, Change, set_attributes};
use rustix::fs::{AtFlags, FileType, makedev};
use rustix::io::Errno;
use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags, OpenTreeFlags};

use super::mounts::{Root, attach};
use crate::beneath;
use crate::fault::{During, Fault};
use crate::plan::Plan;

/// Covers what `maskedPaths` and `readonlyPaths` name.
pub(crate) fn apply(plan: &Plan<'_>, root: &Root<'_>) -> Result<(), Fault> {
    for path in &plan.linux.readonly_paths {
        read_only(root, path).during(|| format!("make {} read-only", path.display()))?;
    }
    let mut covers = Covers::default();
    for path in &plan.linux.masked_paths {
        mask(plan, root, path, &mut covers).during(|| format!("mask {}", path.display()))?;
    }
    Ok(())
}

fn existing(root: &Root<'_>, path: &Path) -> Result<Option<OwnedFd>, Errno> {
    let (anchor, path) = root.anchor(path);
    match beneath::open(anchor, path) {
        Err(Errno::NOENT | Errno::NOTDIR) => Ok(None),
        opened => opened.map(Some),
    }
}

fn read_only(root: &Root<'_>, path: &Path) -> Result<(), Errno> {
    let Some(target) = existing(root, path)? else { return Ok(()) };
    let copy = clone(target.as_fd(), true)?;
    let change = Change { set: Attributes::RDONLY, ..Change::default() };
    set_attributes(copy.as_fd(), &change, true).map_err(|error| raw(&error))?;
    attach(copy.as_fd(), target.as_fd())
}

fn mask(plan: &Plan<'_>, root: &Root<'_>, path: &Path, covers: &mut Covers) -> Result<(), Errno> {
    let Some(target) = existing(root, path)? else { return Ok(()) };
    if beneath::is_directory(target.as_fd())? {
        covers.hide(plan, target.as_fd())
    } else {
        covers.blank(root, target.as_fd())
    }
}

/// Made when first needed.
#[derive(Default)]
struct Covers {
    null: Option<OwnedFd>,
    empty: Option<OwnedFd>,
}

impl Covers {
    /// Covers a file with /dev/null.
    fn blank(&mut self, root: &Root<'_>, target: BorrowedFd<'_>) -> Result<(), Errno> {
        let null = match self.null.take() {
            Some(null) => null,
            None => {
                let null = beneath::open_real(root.tree, Path::new("/dev/null"))?;
                let stat = rustix::fs::statat(&null, "", AtFlags::EMPTY_PATH)?;
                let device = FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice;
                if !device || stat.st_rdev != makedev(1, 3) {
                    return Err(Errno::NODEV);
                }
                null
            }
        };
        let null = self.null.insert(null);
        attach(clone(null.as_fd(), false)?.as_fd(), target)
    }

    /// Covers a directory with an empty one. The first cover is the mount itself, the others are its clones: before Linux
    /// 6.15 only an attached mount can be cloned.
    fn hide(&mut self, plan: &Plan<'_>, target: BorrowedFd<'_>) -> Result<(), Errno> {
        if let Some(empty) = &self.empty {
            return attach(clone(empty.as_fd(), false)?.as_fd(), target);
        }
        let context = rustix::mount::fsopen("tmpfs", FsOpenFlags::FSOPEN_CLOEXEC)?;
        rustix::mount::fsconfig_set_string(context.as_fd(), "nr_inodes", "1")?;
        if let Some(label) = plan.linux.mount_label.as_deref().filter(|label| !label.is_empty()) {
            rustix::mount::fsconfig_set_string(context.as_fd(), "context", label)?;
        }
        rustix::mount::fsconfig_create(context.as_fd())?;
        let flags = MountAttrFlags::MOUNT_ATTR_RDONLY
            | MountAttrFlags::MOUNT_ATTR_NOSUID
            | MountAttrFlags::MOUNT_ATTR_NODEV
            | MountAttrFlags::MOUNT_ATTR_NOEXEC;
        let empty = rustix::mount::fsmount(context.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, flags)?;
        attach(empty.as_fd(), target)?;
        self.empty = Some(empty);
        Ok(())
    }
}

pub(super) fn clone(mount: BorrowedFd<'_>, recursive: bool) -> Result<OwnedFd, Errno> {
    let mut flags =
        OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_EMPTY_PATH;
    if recursive {
        flags |= OpenTreeFlags::AT_RECURSIVE;
    }
    rustix::mount::open_tree(mount, "", flags)
}

fn raw(error: &std::io::Error) -> Errno {
    Errno::from_io_error(error).unwrap_or(Errno::IO)
}
