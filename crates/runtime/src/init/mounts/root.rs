//! The root filesystem itself: how it hangs in the tree of mounts, and how it becomes the root.

use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

use conex_sys::mount::{Attributes, Change, Propagation, set_attributes};
use rustix::fs::CWD;
use rustix::io::Errno;
use rustix::mount::{MountPropagationFlags, MoveMountFlags, UnmountFlags};

use super::Root;
use crate::beneath::{self, Make};
use crate::fault::{During, Fault};
use crate::options::Recursion;
use crate::plan::Plan;

/// `linux.rootfsPropagation`
pub(crate) type RootPropagation = Option<(Propagation, Recursion)>;

/// Nothing mounted or unmounted here reaches the host. What is bound was cloned before, from the host's own mounts.
pub(super) fn detach_from_host() -> Result<(), Fault> {
    rustix::mount::mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)
        .during(|| "keep mounts from spreading to the host".into())
}

/// Upon the old root, where every process may mount: no directory of the host is needed as a mount point. The clone of a
/// shared mount is its peer: it leaves the group, or follows it when that is asked for.
/// With hooks that look for it by name it is put where they do.
pub(super) fn attach(tree: BorrowedFd<'_>, propagation: RootPropagation, place: &Path) -> Result<(), Fault> {
    let kind = match propagation {
        Some((Propagation::Slave, _)) => Propagation::Slave,
        _ => Propagation::Private,
    };
    change(tree, kind, Recursion::All)?;
    let put = |place: &Path| {
        rustix::mount::move_mount(tree, "", CWD, place, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)
    };
    // What the root of a user namespace cannot reach by name, hooks in there cannot either.
    let attached = match put(place) {
        Err(Errno::ACCESS) if place != Path::new("/") => put(Path::new("/")),
        attached => attached,
    };
    attached.during(|| "attach the root filesystem".into())
}

fn change(tree: BorrowedFd<'_>, kind: Propagation, reach: Recursion) -> Result<(), Fault> {
    let change = Change { propagation: Some(kind), ..Change::default() };
    set_attributes(tree, &change, reach == Recursion::All)
        .during(|| "set the root filesystem's propagation".into())
}

/// Makes a working directory that is not there, as every engine does; in a volume too. Why it could not be made, entering it
/// will tell.
pub(crate) fn make_working_directory(plan: &Plan<'_>, root: &Root<'_>) {
    if plan.process.cwd != Path::new("/") {
        let _ = beneath::ensure(root.tree, &plan.process.cwd, Make::Directory);
    }
}

/// Makes the tree the root and drops the old one with all that was mounted on it: pivot_root(2), "pivot_root(".", ".")".
/// With `no_pivot` the old one stays below, where only a mount namespace's owner could find it again.
pub(crate) fn enter(plan: &Plan<'_>, root: Root<'_>, no_pivot: bool) -> Result<(), Fault> {
    let read_only = Change { set: Attributes::RDONLY, ..Change::default() };
    for own in root.own.iter().filter(|own| own.late_read_only) {
        set_attributes(own.mount.as_fd(), &read_only, false).during(|| "make a tmpfs read-only".into())?;
    }
    if plan.spec.root.as_ref().is_some_and(|root| root.readonly) {
        set_attributes(root.tree, &read_only, false)
            .during(|| "make the root filesystem read-only".into())?;
    }
    rustix::process::fchdir(root.tree).during(|| "enter the root filesystem".into())?;
    if no_pivot {
        #[expect(
            clippy::disallowed_methods,
            reason = "what --no-pivot asks for, where pivot_root cannot work"
        )]
        rustix::process::chroot(".").during(|| "change to the root filesystem".into())?;
    } else {
        rustix::process::pivot_root(".", ".").during(|| "pivot to the root filesystem".into())?;
        let dropped = rustix::mount::unmount(".", UnmountFlags::DETACH);
        dropped.during(|| "drop the host's file systems".into())?;
    }
    // Only now: an unbindable mount cannot be cloned, and pivot_root wants none that is shared around it.
    if let Some((kind @ (Propagation::Shared | Propagation::Unbindable), reach)) = plan.propagation {
        change(root.tree, kind, reach)?;
    }
    rustix::process::chdir("/").during(|| "enter the root filesystem".into())
}
