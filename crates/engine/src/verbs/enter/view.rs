//! The host's files as a program needs them in other namespaces: a private mount namespace in which /sys shows the container's
//! network devices, /proc its processes, and /etc/resolv.conf its name servers. As `ip netns exec` does, which knows no /proc.

use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use conex_oci::runtime::NamespaceKind;
use conex_sys::namespace;
use rustix::fs::{AtFlags, CWD, StatVfsMountFlags, StatxAttributes, StatxFlags, statvfs, statx};
use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MountPropagationFlags, MoveMountFlags, OpenTreeFlags,
    fsconfig_create, fsmount, fsopen, mount_change, move_mount, open_tree,
};

use super::Spaces;
use crate::store::{Record, Store};
use crate::{Error, Result};

const RESOLV_CONF: &str = "/etc/resolv.conf";
/// What is mounted on /sys, and stays the host's.
const KEPT: [&str; 5] =
    ["/sys/fs/cgroup", "/sys/fs/bpf", "/sys/kernel/debug", "/sys/kernel/tracing", "/sys/kernel/security"];

/// What of it is asked for.
pub(super) struct View {
    sys: bool,
    proc: bool,
    resolv_conf: Option<PathBuf>,
}

impl View {
    /// For who joins `spaces`; in the container's mount namespace all this is there.
    pub(super) fn of(store: &Store, record: &Record, spaces: Spaces) -> Self {
        let mounts = spaces.has(NamespaceKind::Mount);
        let sys = spaces.has(NamespaceKind::Network) && !mounts;
        // Containers in one network namespace have one file.
        let owner = record.joined.get("network").unwrap_or(&record.id);
        let resolv_conf = sys.then(|| store.directory(owner).join("resolv.conf"));
        Self { sys, proc: spaces.has(NamespaceKind::Pid) && !mounts, resolv_conf }
    }

    pub(super) fn is_needed(&self) -> bool {
        self.sys || self.proc
    }

    /// A mount namespace of our own; what the host mounts later comes through, and nothing goes back.
    pub(super) fn unshare() -> Result<()> {
        namespace::unshare(namespace::MOUNT)
            .map_err(|source| Error::Enter { what: "make a mount namespace", source })?;
        let slave = MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC;
        mount_change("/", slave).map_err(|errno| super::doing("make mounts private", errno))
    }

    /// Mounts, in the namespaces that are to be seen.
    pub(super) fn mount(&self) -> Result<()> {
        if self.sys {
            let is_read_only =
                statvfs("/sys").is_ok_and(|data| data.f_flag.contains(StatVfsMountFlags::RDONLY));
            let attributes = if is_read_only { SAFE | MountAttrFlags::MOUNT_ATTR_RDONLY } else { SAFE };
            let kept = KEPT.map(|path| (path, take(path)));
            fresh("sysfs", attributes, "/sys").map_err(|errno| super::doing("mount /sys", errno))?;
            for (path, tree) in kept {
                if let Some(tree) = tree
                    && let Err(errno) = attach(&tree, path)
                {
                    log::debug!("{path} is not mounted again: {errno}");
                }
            }
        }
        if self.proc {
            fresh("proc", SAFE, "/proc").map_err(|errno| super::doing("mount /proc", errno))?;
        }
        match &self.resolv_conf {
            Some(path) => bind_resolv_conf(path),
            None => Ok(()),
        }
    }
}

const SAFE: MountAttrFlags = MountAttrFlags::MOUNT_ATTR_NOSUID
    .union(MountAttrFlags::MOUNT_ATTR_NODEV)
    .union(MountAttrFlags::MOUNT_ATTR_NOEXEC);

/// A file system of the kernel's, as it is in the namespaces that we are in.
fn fresh(kind: &str, attributes: MountAttrFlags, path: &str) -> rustix::io::Result<()> {
    let system = fsopen(kind, FsOpenFlags::FSOPEN_CLOEXEC)?;
    fsconfig_create(system.as_fd())?;
    attach(&fsmount(system.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, attributes)?, path)
}

fn attach(tree: &OwnedFd, path: &str) -> rustix::io::Result<()> {
    move_mount(tree.as_fd(), "", CWD, path, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)
}

/// The mount at a path, with what is mounted below it.
fn take(path: &str) -> Option<OwnedFd> {
    let data = statx(CWD, path, AtFlags::empty(), StatxFlags::empty()).ok()?;
    if !data.stx_attributes.contains(StatxAttributes::MOUNT_ROOT) {
        return None;
    }
    let flags =
        OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_RECURSIVE;
    open_tree(CWD, path, flags).ok()
}

/// A host without the file has no names to resolve either way.
fn bind_resolv_conf(file: &Path) -> Result<()> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    // To where the link leads, if it is one: what is mounted upon is a file.
    let place = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_SYMLINKS;
    let bound =
        open_tree(CWD, file, flags).and_then(|tree| move_mount(tree.as_fd(), "", CWD, RESOLV_CONF, place));
    match bound {
        Ok(()) => Ok(()),
        Err(Errno::NOENT) => {
            log::debug!("{RESOLV_CONF} stays as it is: it, or the container's, is not there");
            Ok(())
        }
        Err(errno) => Err(super::doing("bind the container's resolv.conf", errno)),
    }
}
