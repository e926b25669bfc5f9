//! Filesystems of the container's own, made as detached mounts.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use conex_oci::runtime::NamespaceKind;
use conex_sys::mount::{Attributes, Change, set_attributes};
use conex_sys::namespace;
use rustix::fs::{CWD, Mode, OFlags, XattrFlags};
use rustix::io::Errno;
use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags, MountFlags, OpenTreeFlags};

use super::Failure;
use crate::plan::Plan;
use crate::sources::PlannedMount;

/// The longest value that fsconfig(2) takes, its NUL included.
const VALUE_LIMIT: usize = 256;

/// As much as mount(2) takes of options, on any machine.
const PAGE: usize = 4096;

/// A new filesystem for `target`, detached; `None` when only the old way of mounting would do, which attaches it at once.
pub(super) fn mount(
    plan: &Plan<'_>,
    planned: &PlannedMount<'_>,
    mode: Option<u32>,
    late_read_only: bool,
    target: BorrowedFd<'_>,
) -> Result<Option<OwnedFd>, Failure> {
    let long = |(_, value): &(_, Option<String>)| value.as_ref().is_some_and(|v| v.len() >= VALUE_LIMIT);
    if planned.options.data.iter().any(long) {
        in_one_call(plan, planned, target)?;
        return Ok(None);
    }
    let mut planned_set = planned.options.own.set.with(planned.options.all.set);
    if late_read_only {
        planned_set = planned_set.without(Attributes::RDONLY);
    }
    let mount = configured(plan, planned, mode, planned_set)?;
    relabel(plan, planned, mount.as_fd())?;
    Ok(Some(mount))
}

/// A message queue file system takes its label afterwards only.
fn relabel(plan: &Plan<'_>, planned: &PlannedMount<'_>, mount: BorrowedFd<'_>) -> Result<(), Errno> {
    let label = plan.linux.mount_label.as_deref().filter(|label| !label.is_empty());
    let Some(label) = label.filter(|_| planned.mount.kind.as_deref() == Some("mqueue")) else {
        return Ok(());
    };
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let directory = rustix::fs::openat(mount, ".", flags, Mode::empty())?;
    rustix::fs::fsetxattr(&directory, "security.selinux", label.as_bytes(), XattrFlags::empty())
}

/// A new procfs or sysfs, its attributes on from the start.
pub(super) fn detached(
    plan: &Plan<'_>,
    planned: &PlannedMount<'_>,
    mode: Option<u32>,
) -> Result<OwnedFd, Failure> {
    configured(plan, planned, mode, planned.options.own.set.with(planned.options.all.set))
}

fn configured(
    plan: &Plan<'_>,
    planned: &PlannedMount<'_>,
    mode: Option<u32>,
    set: Attributes,
) -> Result<OwnedFd, Failure> {
    let kind = planned.mount.kind.as_deref().unwrap_or_default();
    match filesystem(plan, planned, mode, set, true) {
        // A user namespace may lack the network, ipc or pid namespace that these belong to; the host's are next best where they
        // are what the container sees anyway (sysfs shows the host's devices, whatever the network).
        Err(Failure::Plain(Errno::PERM)) if in_user_namespace(plan) => match kind {
            "sysfs" => hosts("/sys", set),
            "mqueue" if !plan.namespaces.has(NamespaceKind::Ipc) => hosts("/dev/mqueue", set),
            "proc" if !plan.namespaces.has(NamespaceKind::Pid) => hosts("/proc", set),
            _ => Err(Failure::Plain(Errno::PERM)),
        },
        // A group that the user namespace does not map: the terminals then belong to its root, as with crun.
        Err(Failure::Plain(Errno::INVAL) | Failure::Explained(Errno::INVAL, _))
            if kind == "devpts" && planned.options.value("gid").is_some() && in_user_namespace(plan) =>
        {
            filesystem(plan, planned, mode, set, false)
        }
        made => made,
    }
}

fn in_user_namespace(plan: &Plan<'_>) -> bool {
    plan.namespaces.has(NamespaceKind::User) || !namespace::in_first_user()
}

fn filesystem(
    plan: &Plan<'_>,
    planned: &PlannedMount<'_>,
    mode: Option<u32>,
    set: Attributes,
    with_group: bool,
) -> Result<OwnedFd, Failure> {
    let options = &planned.options;
    let kind = planned.mount.kind.as_deref().unwrap_or_default();
    let context = match rustix::mount::fsopen(kind, FsOpenFlags::FSOPEN_CLOEXEC) {
        Err(Errno::NODEV) => {
            let why = "this kernel has no such file system".to_owned();
            return Err(Failure::Explained(Errno::NODEV, why));
        }
        opened => opened?,
    };
    let fd = context.as_fd();
    let configure = || -> Result<(), Errno> {
        if let Some(source) = planned.mount.source.as_deref().filter(|source| !source.as_os_str().is_empty())
        {
            rustix::mount::fsconfig_set_string(fd, "source", source)?;
        }
        if let Some(mode) = mode.filter(|_| options.value("mode").is_none()) {
            rustix::mount::fsconfig_set_string(fd, "mode", format!("{mode:o}"))?;
        }
        if let Some(label) = label(plan, kind) {
            rustix::mount::fsconfig_set_string(fd, "context", label)?;
        }
        for flag in &options.superblock {
            rustix::mount::fsconfig_set_flag(fd, *flag)?;
        }
        if set.contains(Attributes::RDONLY) && has_device(kind) {
            rustix::mount::fsconfig_set_flag(fd, "ro")?;
        }
        for (key, value) in &options.data {
            match value {
                Some(_) if key == "gid" && !with_group => {}
                Some(value) => rustix::mount::fsconfig_set_string(fd, key, value)?,
                None => rustix::mount::fsconfig_set_flag(fd, key)?,
            }
        }
        rustix::mount::fsconfig_create(fd)
    };
    configure().map_err(|errno| match complaint(fd) {
        Some(why) => Failure::Explained(errno, why),
        None => Failure::Plain(errno),
    })?;
    let attributes = MountAttrFlags::from_bits_retain(u32::try_from(set.0).unwrap_or(0));
    Ok(rustix::mount::fsmount(fd, FsMountFlags::FSMOUNT_CLOEXEC, attributes)?)
}

/// The superblock itself may have to be read-only, as on a write-protected disk. Those of the kernel are shared with others.
fn has_device(kind: &str) -> bool {
    !matches!(kind, "tmpfs" | "proc" | "sysfs" | "devpts" | "mqueue" | "cgroup" | "cgroup2" | "bpf" | "ramfs")
}

/// `linux.mountLabel`, for filesystems that take one.
fn label<'a>(plan: &Plan<'a>, kind: &str) -> Option<&'a str> {
    let label = plan.linux.mount_label.as_deref().filter(|label| !label.is_empty());
    label.filter(|_| !matches!(kind, "proc" | "sysfs" | "mqueue"))
}

/// The kernel's own words on why a filesystem could not be configured: `e tmpfs: Bad value for 'size'`.
fn complaint(context: BorrowedFd<'_>) -> Option<String> {
    let mut text = [0; 256];
    let read = rustix::io::read(context, &mut text).ok()?;
    let line = String::from_utf8_lossy(&text[..read]);
    let line = line.trim_end();
    Some(line.get(2..)?.to_owned()).filter(|line| !line.is_empty())
}

fn hosts(place: &str, set: Attributes) -> Result<OwnedFd, Failure> {
    let flags =
        OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_RECURSIVE;
    let tree = rustix::mount::open_tree(CWD, place, flags)?;
    let propagation = Some(conex_sys::mount::Propagation::Private);
    set_attributes(tree.as_fd(), &Change { set, propagation, ..Change::default() }, true)?;
    Ok(tree)
}

/// mount(2), whose options may be a page long together (an overlay's many layers).
fn in_one_call(plan: &Plan<'_>, planned: &PlannedMount<'_>, target: BorrowedFd<'_>) -> Result<(), Failure> {
    let options = &planned.options;
    let kind = planned.mount.kind.as_deref().unwrap_or_default();
    let mut flags = MountFlags::empty();
    let set = options.own.set.with(options.all.set);
    for (attribute, flag) in [
        (Attributes::RDONLY, MountFlags::RDONLY),
        (Attributes::NOSUID, MountFlags::NOSUID),
        (Attributes::NODEV, MountFlags::NODEV),
        (Attributes::NOEXEC, MountFlags::NOEXEC),
        (Attributes::NOATIME, MountFlags::NOATIME),
        (Attributes::STRICTATIME, MountFlags::STRICTATIME),
        (Attributes::NODIRATIME, MountFlags::NODIRATIME),
        (Attributes::NOSYMFOLLOW, MountFlags::from_bits_retain(0x100)),
    ] {
        if set.contains(attribute) {
            flags |= flag;
        }
    }
    for (name, flag) in [
        ("sync", MountFlags::SYNCHRONOUS),
        ("dirsync", MountFlags::DIRSYNC),
        ("lazytime", MountFlags::LAZYTIME),
        ("mand", MountFlags::PERMIT_MANDATORY_FILE_LOCKING),
    ] {
        if options.superblock.contains(&name) {
            flags |= flag;
        }
    }
    let mut data: Vec<String> =
        label(plan, kind).map(|label| format!("context=\"{label}\"")).into_iter().collect();
    data.extend(options.data.iter().map(|(key, value)| match value {
        Some(value) => format!("{key}={value}"),
        None => key.clone(),
    }));
    let data = data.join(",");
    if data.len() >= PAGE {
        // The kernel would cut it short without a word.
        return Err(Failure::Explained(Errno::TOOBIG, format!("the options are longer than {PAGE} bytes")));
    }
    let data = std::ffi::CString::new(data).map_err(|_| Errno::INVAL)?;
    let source = planned.mount.source.as_deref().unwrap_or(std::path::Path::new("none"));
    let target = format!("/proc/self/fd/{}", target.as_raw_fd());
    #[expect(
        clippy::disallowed_methods,
        reason = "the path is a held descriptor's, and fsconfig takes no value this long"
    )]
    rustix::mount::mount(source, target, kind, flags, data.as_c_str())?;
    Ok(())
}
