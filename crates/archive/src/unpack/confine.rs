//! A thread that sees nothing but the destination: a mount namespace of its own, whose root the destination is.
//!
//! All paths are resolved within the destination anyway (`tree`); this is for the day when one is not. There is no host in that
//! namespace to write to, no /proc, no device that opens, and no program that is setuid.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use conex_sys::mount::{Attributes, Change, set_attributes};
use conex_sys::namespace;
use rustix::fs::{CWD, Mode, OFlags};
use rustix::mount::{
    MountPropagationFlags, MoveMountFlags, OpenTreeFlags, UnmountFlags, mount_change, move_mount, open_tree,
    unmount,
};

/// Confines the calling thread to `destination` for the rest of its life, and opens the destination there. Needs CAP_SYS_ADMIN.
///
/// # Errors
/// What the kernel says; the thread may have a namespace of its own by then, and must end.
pub(super) fn confine(destination: BorrowedFd<'_>) -> std::io::Result<OwnedFd> {
    let flags =
        OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_EMPTY_PATH;
    // Taken before: a mount of another namespace cannot be cloned.
    let tree = open_tree(destination, c"", flags)?;
    let set = Attributes::NOSUID.with(Attributes::NODEV).with(Attributes::NOEXEC);
    set_attributes(tree.as_fd(), &Change { set, ..Change::default() }, false)?;
    // This gives the thread a root and a working directory of its own, too (unshare(2), CLONE_NEWNS).
    namespace::unshare(namespace::MOUNT)?;
    mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)?;
    move_mount(&tree, c"", CWD, c"/", MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)?;
    rustix::process::fchdir(&tree)?;
    // The old root comes to lie on the new one, and goes with all that is mounted in it.
    rustix::process::pivot_root(c".", c".")?;
    unmount(c".", UnmountFlags::DETACH)?;
    Ok(rustix::fs::open(c"/", OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?)
}
