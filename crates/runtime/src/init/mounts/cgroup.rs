//! The container's own groups under /sys/fs/cgroup: on a v2 host its directory itself, on others a directory for each
//! hierarchy that it has a group in. Bound from the group, which with and without a cgroup namespace shows the same.

use std::os::fd::{AsFd, OwnedFd};

use conex_sys::mount::{Change, Propagation, set_attributes};
use rustix::fs::{CWD, Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags, OpenTreeFlags};

use super::target::{self, Target};
use super::{Failure, Root, attach};
use crate::beneath::Make;
use crate::plan::Plan;
use crate::sources::PlannedMount;

pub(super) fn mount(plan: &Plan<'_>, root: &Root<'_>, planned: &PlannedMount<'_>) -> Result<(), Failure> {
    let Target { place, .. } = target::find(root, &planned.destination, Make::Directory)?;
    let set = planned.options.own.set.with(planned.options.all.set);
    let change = Change { set, propagation: Some(Propagation::Private), ..Change::default() };
    match plan.cgroups.as_slice() {
        [only] if only.hierarchy.is_empty() => {
            only.mount.with(|mount| {
                set_attributes(mount, &change, false)?;
                attach(mount, place.as_fd()).map_err(Failure::from)
            })?;
        }
        [] if is_unified() => {
            let mount = unified()?;
            set_attributes(mount.as_fd(), &change, true)?;
            attach(mount.as_fd(), place.as_fd())?;
        }
        groups => {
            let holder = holder()?;
            attach(holder.as_fd(), place.as_fd())?;
            for group in groups {
                let name = group.hierarchy.as_str();
                rustix::fs::mkdirat(&holder, name, Mode::from_raw_mode(0o755))?;
                let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                let place = rustix::fs::openat(&holder, name, flags, Mode::empty())?;
                group.mount.with(|mount| attach(mount, place.as_fd()))?;
            }
            set_attributes(holder.as_fd(), &change, true)?;
        }
    }
    Ok(())
}

fn is_unified() -> bool {
    const CGROUP2_SUPER_MAGIC: u64 = 0x6367_7270;
    rustix::fs::statfs("/sys/fs/cgroup").is_ok_and(|fs| fs.f_type.cast_unsigned() == CGROUP2_SUPER_MAGIC)
}

/// For a container without a group of its own: what its cgroup namespace shows, else what the host does.
fn unified() -> Result<OwnedFd, Errno> {
    let made = || {
        let context = rustix::mount::fsopen("cgroup2", FsOpenFlags::FSOPEN_CLOEXEC)?;
        rustix::mount::fsconfig_create(context.as_fd())?;
        rustix::mount::fsmount(context.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::empty())
    };
    match made() {
        Err(Errno::PERM | Errno::BUSY) => {
            let flags = OpenTreeFlags::OPEN_TREE_CLONE
                | OpenTreeFlags::OPEN_TREE_CLOEXEC
                | OpenTreeFlags::AT_RECURSIVE;
            rustix::mount::open_tree(CWD, "/sys/fs/cgroup", flags)
        }
        made => made,
    }
}

fn holder() -> Result<OwnedFd, Errno> {
    let context = rustix::mount::fsopen("tmpfs", FsOpenFlags::FSOPEN_CLOEXEC)?;
    rustix::mount::fsconfig_set_string(context.as_fd(), "mode", "755")?;
    rustix::mount::fsconfig_create(context.as_fd())?;
    let flags = MountAttrFlags::MOUNT_ATTR_NOSUID
        | MountAttrFlags::MOUNT_ATTR_NODEV
        | MountAttrFlags::MOUNT_ATTR_NOEXEC;
    rustix::mount::fsmount(context.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, flags)
}
