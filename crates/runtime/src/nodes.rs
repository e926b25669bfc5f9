//! Device nodes for a container in a user namespace, which may make none of its own (mknod(2)).
//!
//! The host's would do for /dev/null, which is open to all. Others belong to the host's root and groups, who are nobody inside: with a
//! bind of the host's node, root in the container could not open what it was given. So they are made outside, with the owner and mode that
//! the spec says (config-linux.md#devices) as the container's ids have it, on a tmpfs that is mounted nowhere; the child takes them from
//! there.

use std::ffi::CString;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use conex_oci::runtime::{Device, IdMapping, Linux, NamespaceKind};
use rustix::fs::{self, AtFlags, FileType, Gid, Mode, Uid};
use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, OpenTreeFlags, UnmountFlags, fsconfig_create,
    fsconfig_set_string, fsmount, fsopen, open_tree, unmount,
};

use crate::Error;
use crate::init::{Node, attach};
use crate::namespaces::Namespaces;

/// The nodes of a container, each named by its place in the spec's list.
pub(crate) struct Nodes {
    mount: OwnedFd,
    /// For each device of the spec whether it is there; what is not has to be the host's.
    made: Vec<bool>,
}

/// Makes the spec's devices; `None` where the child can do it, or has to take the host's.
pub(crate) fn make(linux: &Linux, namespaces: &Namespaces) -> Result<Option<Nodes>, Error> {
    let Some(ids) = Ids::of(linux, namespaces).filter(|_| !linux.devices.is_empty()) else {
        return Ok(None);
    };
    let mut mount = None;
    let made = linux.devices.iter().enumerate().map(|(index, device)| {
        let node = Node::of(device).map_err(|fault| Error::Init { what: fault.what, errno: fault.errno })?;
        if node.kind == FileType::Fifo {
            return Ok(false);
        }
        // Where the caller may make none either: in another user namespace, or if his device group forbids it.
        match one(&mut mount, index, device, &node, &ids) {
            Err(Errno::PERM | Errno::ACCESS | Errno::NOSYS) => Ok(false),
            made => made.map_err(|errno| {
                let what = format!("make the device {}", device.path.display());
                Error::Init { what, errno }
            }),
        }
    });
    let made = made.collect::<Result<_, Error>>()?;
    Ok(mount.map(|mount| Nodes { mount, made }))
}

impl Nodes {
    /// In the child: each as a mount that is attached nowhere. Before Linux 6.15 the kernel clones nothing of a file system that is attached
    /// nowhere itself, so this one lies over `place`, a directory of the child's, for a moment; and the working directory is `/` then.
    pub(crate) fn take(&self, place: BorrowedFd<'_>) -> Result<Vec<Option<OwnedFd>>, Errno> {
        let clone = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
        attach(self.mount.as_fd(), place)?;
        let one = |(index, made): (usize, &bool)| {
            made.then(|| open_tree(&self.mount, index.to_string().as_str(), clone)).transpose()
        };
        let taken = self.made.iter().enumerate().map(one).collect();
        rustix::process::fchdir(&self.mount)?;
        unmount(".", UnmountFlags::DETACH)?;
        rustix::process::chdir("/")?;
        taken
    }
}

fn one(
    mount: &mut Option<OwnedFd>,
    index: usize,
    device: &Device,
    node: &Node,
    ids: &Ids,
) -> Result<bool, Errno> {
    let (uid, gid) = (device.uid.unwrap_or(0), device.gid.unwrap_or(0));
    let Some((uid, gid)) = host_id(&ids.uids, uid).zip(host_id(&ids.gids, gid)) else { return Ok(false) };
    let directory = match mount {
        Some(directory) => directory,
        None => mount.insert(tmpfs()?),
    };
    let name = CString::new(index.to_string()).map_err(|_| Errno::INVAL)?;
    let mode = Mode::from_raw_mode(node.mode);
    fs::mknodat(&*directory, name.as_c_str(), node.kind, mode, node.device)?;
    // Past the caller's mask.
    fs::chmodat(&*directory, name.as_c_str(), mode, AtFlags::empty())?;
    let (uid, gid) = (Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)));
    fs::chownat(&*directory, name.as_c_str(), uid, gid, AtFlags::SYMLINK_NOFOLLOW)?;
    Ok(true)
}

/// The kernel lets nodes of a tmpfs that the first user namespace has made be opened anywhere.
fn tmpfs() -> Result<OwnedFd, Errno> {
    let context = fsopen("tmpfs", FsOpenFlags::FSOPEN_CLOEXEC)?;
    fsconfig_set_string(context.as_fd(), "mode", "0755")?;
    fsconfig_create(context.as_fd())?;
    let attributes = MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NOEXEC;
    fsmount(context.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, attributes)
}

/// The mappings of a container's user namespace.
struct Ids {
    uids: Vec<IdMapping>,
    gids: Vec<IdMapping>,
}

impl Ids {
    /// `None` without a user namespace, or with one that is joined by another path than a process's.
    fn of(linux: &Linux, namespaces: &Namespaces) -> Option<Self> {
        if namespaces.creates(NamespaceKind::User) {
            return Some(Self { uids: linux.uid_mappings.clone(), gids: linux.gid_mappings.clone() });
        }
        namespaces.joins(NamespaceKind::User)?;
        let joined = linux.namespaces.iter().find(|namespace| namespace.kind == NamespaceKind::User)?;
        let process = joined.path.as_deref()?.parent()?.parent()?;
        let read = |file: &str| mappings(&std::fs::read_to_string(process.join(file)).ok()?);
        Some(Self { uids: read("uid_map")?, gids: read("gid_map")? })
    }
}

/// `/proc/PID/uid_map`, user_namespaces(7).
fn mappings(text: &str) -> Option<Vec<IdMapping>> {
    let line = |line: &str| {
        let mut numbers = line.split_ascii_whitespace().map(|number| number.parse().ok());
        let mut next = || numbers.next().flatten();
        Some(IdMapping { container_id: next()?, host_id: next()?, size: next()? })
    };
    text.lines().map(line).collect()
}

fn host_id(mappings: &[IdMapping], id: u32) -> Option<u32> {
    mappings.iter().find_map(|map| {
        let offset = id.checked_sub(map.container_id).filter(|offset| *offset < map.size)?;
        map.host_id.checked_add(offset)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_found() {
        let maps = mappings("         0     100000      65536\n     65536 7 1\n").unwrap();
        for (id, host) in
            [(0, Some(100_000)), (65_535, Some(165_535)), (65_536, Some(7)), (65_537, None), (u32::MAX, None)]
        {
            assert_eq!(host_id(&maps, id), host, "{id}");
        }
        assert!(mappings("0 1\n").is_none() && mappings("a b c\n").is_none());
    }
}
