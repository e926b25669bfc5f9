//! The container's mounts, made as descriptors and moved into place below the root filesystem, then pivot_root.
//!
//! Targets are resolved beneath the root by descriptor (`crate::beneath`) and mounted on by descriptor, so that no path is
//! looked up twice. Until `pivot` the host's tree is still there; after it nothing of it is.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use conex_sys::mount::{Change, Propagation, set_attributes};
use rustix::fs::{CWD, Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MountPropagationFlags, MoveMountFlags, OpenTreeFlags,
    UnmountFlags,
};

use super::devices;
use crate::beneath::{self, Make};
use crate::fault::{During, Fault};
use crate::options::{MountOptions, Recursion};
use crate::plan::{Plan, PlannedMount};

/// The root filesystem in place, not yet the root.
pub(crate) struct Root<'a> {
    /// Its mount.
    pub(crate) tree: BorrowedFd<'a>,
    /// The container's own procfs as mounted, when the spec has one.
    pub(crate) proc: Option<OwnedFd>,
}

/// Attaches the root filesystem and all mounts of the spec.
pub(crate) fn build<'a>(plan: &Plan<'_>, rootfs: &'a OwnedFd) -> Result<Root<'a>, Fault> {
    detach_from_host(plan)?;
    let tree = rootfs.as_fd();
    // Upon the old root, where every process may mount: no directory of the host is needed as a mount point.
    rustix::mount::move_mount(tree, "", CWD, "/", MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)
        .during(|| "attach the root filesystem".into())?;
    let mut root = Root { tree, proc: None };
    for planned in &plan.mounts {
        let during = || format!("mount {} on {}", source_name(planned), planned.mount.destination.display());
        mount_one(plan, &mut root, planned).map_err(|fault| match fault {
            Failure::Plain(errno) => Fault::new(during(), errno),
            Failure::Explained(errno, why) => Fault::new(format!("{} ({why})", during()), errno),
            Failure::Fault(fault) => fault,
        })?;
    }
    Ok(root)
}

/// Why one mount failed.
enum Failure {
    Plain(Errno),
    Explained(Errno, String),
    Fault(Fault),
}

impl From<Errno> for Failure {
    fn from(errno: Errno) -> Self {
        Self::Plain(errno)
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::Plain(Errno::from_io_error(&error).unwrap_or(Errno::IO))
    }
}

impl From<Fault> for Failure {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

fn source_name(planned: &PlannedMount<'_>) -> String {
    match (&planned.mount.source, &planned.mount.kind) {
        (Some(source), _) if planned.options.bind.is_some() => source.display().to_string(),
        (_, Some(kind)) => kind.clone(),
        (Some(source), None) => source.display().to_string(),
        (None, None) => "nothing".to_owned(),
    }
}

/// Nothing mounted here is seen by the host; mounts of the host are seen here only where a bind asks for it.
fn detach_from_host(plan: &Plan<'_>) -> Result<(), Fault> {
    let follows = plan.mounts.iter().any(|mount| {
        matches!(mount.options.propagation, Some((Propagation::Shared | Propagation::Slave, _)))
    });
    let kind = if follows { MountPropagationFlags::DOWNSTREAM } else { MountPropagationFlags::PRIVATE };
    rustix::mount::mount_change("/", kind | MountPropagationFlags::REC)
        .during(|| "keep mounts from spreading to the host".into())
}

fn mount_one(plan: &Plan<'_>, root: &mut Root<'_>, planned: &PlannedMount<'_>) -> Result<(), Failure> {
    let destination = planned.mount.destination.as_path();
    if let Some(source) = &planned.source {
        return bind(root.tree, source.as_fd(), destination, &planned.options);
    }
    let kind = planned.mount.kind.as_deref().ok_or(Errno::NODEV)?;
    match kind {
        "cgroup" | "cgroup2" => {
            mount_cgroups(plan, root.tree, destination, &planned.options)?;
        }
        "proc" | "sysfs" => {
            let mount = match filesystem(kind, planned) {
                // sysfs wants a network namespace of its own user namespace; the host's, read-only, is next best.
                Err(Failure::Plain(Errno::PERM)) if kind == "sysfs" => host_sysfs(&planned.options)?,
                made => made?,
            };
            // An image with a symlink there would have the kernel's files appear elsewhere (CVE-2019-19921).
            let target = match beneath::open_real(root.tree, destination) {
                Err(Errno::NOENT) => {
                    beneath::ensure(root.tree, destination, Make::Directory)?;
                    beneath::open_real(root.tree, destination)?
                }
                Err(Errno::LOOP) => {
                    let why = "the image has a symbolic link there".to_owned();
                    return Err(Failure::Explained(Errno::LOOP, why));
                }
                opened => opened?,
            };
            attach(mount.as_fd(), target.as_fd())?;
            propagate(mount.as_fd(), &planned.options)?;
            if kind == "proc" {
                root.proc = Some(mount);
            }
        }
        _ => {
            let target = target(root.tree, destination, Make::Directory)?;
            let mount = filesystem(kind, planned)?;
            if planned.options.copy_up {
                super::devices::copy_up(target.as_fd(), mount.as_fd())?;
            }
            attach(mount.as_fd(), target.as_fd())?;
            propagate(mount.as_fd(), &planned.options)?;
            if destination == Path::new("/dev") {
                devices::populate(plan, mount.as_fd())?;
            }
        }
    }
    Ok(())
}

/// A filesystem of its own as a detached mount, its options set and its attributes on from the start.
fn filesystem(kind: &str, planned: &PlannedMount<'_>) -> Result<OwnedFd, Failure> {
    let options = &planned.options;
    let context = rustix::mount::fsopen(kind, FsOpenFlags::FSOPEN_CLOEXEC)?;
    let configure = || -> Result<(), Errno> {
        if let Some(source) = &planned.mount.source {
            rustix::mount::fsconfig_set_string(context.as_fd(), "source", source)?;
        }
        for (key, value) in &options.data {
            match value {
                Some(value) => rustix::mount::fsconfig_set_string(context.as_fd(), key, value)?,
                None => rustix::mount::fsconfig_set_flag(context.as_fd(), key)?,
            }
        }
        rustix::mount::fsconfig_create(context.as_fd())
    };
    configure().map_err(|errno| match complaint(context.as_fd()) {
        Some(why) => Failure::Explained(errno, why),
        None => Failure::Plain(errno),
    })?;
    let set = options.set.with(options.set_all);
    let attributes = MountAttrFlags::from_bits_retain(u32::try_from(set.0).unwrap_or(0));
    Ok(rustix::mount::fsmount(context.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, attributes)?)
}

/// The kernel's own words on why a filesystem could not be configured: `e tmpfs: Bad value for 'size'`.
fn complaint(context: BorrowedFd<'_>) -> Option<String> {
    let mut text = [0; 256];
    let read = rustix::io::read(context, &mut text).ok()?;
    let line = String::from_utf8_lossy(&text[..read]);
    let line = line.trim_end();
    Some(line.get(2..)?.to_owned()).filter(|line| !line.is_empty())
}

fn host_sysfs(options: &MountOptions) -> Result<OwnedFd, Failure> {
    let flags =
        OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_RECURSIVE;
    let tree = rustix::mount::open_tree(CWD, "/sys", flags)?;
    set_attributes(tree.as_fd(), &Change { set: options.set, ..Change::default() }, true)?;
    Ok(tree)
}

fn bind(
    tree: BorrowedFd<'_>,
    source: BorrowedFd<'_>,
    destination: &Path,
    options: &MountOptions,
) -> Result<(), Failure> {
    let make = if beneath::is_directory(source)? { Make::Directory } else { Make::File };
    let target = target(tree, destination, make)?;
    if make == Make::Directory && !beneath::is_directory(target.as_fd())? {
        return Err(Failure::Explained(Errno::NOTDIR, "a directory cannot cover a file".to_owned()));
    }
    if make == Make::File && beneath::is_directory(target.as_fd())? {
        return Err(Failure::Explained(Errno::ISDIR, "a file cannot cover a directory".to_owned()));
    }
    let own = Change { set: options.set, clear: options.clear, ..Change::default() };
    if !(own.set.is_empty() && own.clear.is_empty()) {
        set_attributes(source, &own, false)?;
    }
    let all = Change { set: options.set_all, clear: options.clear_all, ..Change::default() };
    if !(all.set.is_empty() && all.clear.is_empty()) {
        set_attributes(source, &all, true)?;
    }
    attach(source, target.as_fd())?;
    propagate(source, options)
}

/// Where a mount goes. Nothing but a few known files may be covered inside procfs, by whatever path it is reached
/// (CVE-2019-16884).
fn target(tree: BorrowedFd<'_>, destination: &Path, make: Make) -> Result<OwnedFd, Failure> {
    const ALLOWED: [&str; 9] = [
        "/proc/cpuinfo",
        "/proc/diskstats",
        "/proc/meminfo",
        "/proc/stat",
        "/proc/swaps",
        "/proc/uptime",
        "/proc/loadavg",
        "/proc/slabinfo",
        "/proc/sys/kernel/ns_last_pid",
    ];
    let target = beneath::ensure(tree, destination, make)?;
    if beneath::is_procfs(target.as_fd())? && !ALLOWED.iter().any(|allowed| destination == Path::new(allowed))
    {
        let why = "only some files of /proc may be covered, as /proc/cpuinfo".to_owned();
        return Err(Failure::Explained(Errno::PERM, why));
    }
    Ok(target)
}

/// Moves a detached mount onto `target`.
pub(super) fn attach(mount: BorrowedFd<'_>, target: BorrowedFd<'_>) -> Result<(), Errno> {
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    rustix::mount::move_mount(mount, "", target, "", flags)
}

/// As asked; else a bind becomes private (a clone of a shared mount would be its peer), which a new filesystem already is.
fn propagate(mount: BorrowedFd<'_>, options: &MountOptions) -> Result<(), Failure> {
    let default = options.bind.map(|_| (Propagation::Private, Recursion::All));
    let Some((kind, recursion)) = options.propagation.or(default) else { return Ok(()) };
    let change = Change { propagation: Some(kind), ..Change::default() };
    set_attributes(mount, &change, recursion == Recursion::All)?;
    Ok(())
}

/// The container's own groups under /sys/fs/cgroup: on a v2 host its directory itself, on others a directory for each
/// hierarchy that it has a group in. Bound from the group, which with and without a cgroup namespace shows the same.
fn mount_cgroups(
    plan: &Plan<'_>,
    tree: BorrowedFd<'_>,
    destination: &Path,
    options: &MountOptions,
) -> Result<(), Failure> {
    let target = target(tree, destination, Make::Directory)?;
    let groups = &plan.cgroups;
    if let [only] = groups.as_slice()
        && only.hierarchy.is_empty()
    {
        attach(only.mount.as_fd(), target.as_fd())?;
        let change =
            Change { set: options.set, propagation: Some(Propagation::Private), ..Change::default() };
        set_attributes(only.mount.as_fd(), &change, false)?;
        return Ok(());
    }
    let context = rustix::mount::fsopen("tmpfs", FsOpenFlags::FSOPEN_CLOEXEC)?;
    rustix::mount::fsconfig_set_string(context.as_fd(), "mode", "755")?;
    rustix::mount::fsconfig_create(context.as_fd())?;
    let flags = MountAttrFlags::MOUNT_ATTR_NOSUID
        | MountAttrFlags::MOUNT_ATTR_NODEV
        | MountAttrFlags::MOUNT_ATTR_NOEXEC;
    let holder = rustix::mount::fsmount(context.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, flags)?;
    attach(holder.as_fd(), target.as_fd())?;
    for group in groups {
        rustix::fs::mkdirat(&holder, group.hierarchy.as_str(), Mode::from_raw_mode(0o755))?;
        let place = rustix::fs::openat(
            &holder,
            group.hierarchy.as_str(),
            OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC,
            Mode::empty(),
        )?;
        attach(group.mount.as_fd(), place.as_fd())?;
    }
    let change = Change { set: options.set, propagation: Some(Propagation::Private), ..Change::default() };
    set_attributes(holder.as_fd(), &change, true)?;
    Ok(())
}

/// Makes a working directory that is not there, as every engine does; in a volume too. Why it could not be made, entering it
/// will tell.
pub(crate) fn make_working_directory(plan: &Plan<'_>, root: &Root<'_>) {
    let _ = beneath::ensure(root.tree, &plan.process.cwd, Make::Directory);
}

/// Makes the tree the root and drops the old one with all that was mounted on it: pivot_root(2), "pivot_root(".", ".")".
/// With `no_pivot` the old one stays below, where only a mount namespace's owner could find it again.
pub(crate) fn enter(root: &Root<'_>, readonly: bool, no_pivot: bool) -> Result<(), Fault> {
    if readonly {
        let change = Change { set: conex_sys::mount::Attributes::RDONLY, ..Change::default() };
        set_attributes(root.tree, &change, false).during(|| "make the root filesystem read-only".into())?;
    }
    rustix::process::fchdir(root.tree).during(|| "enter the root filesystem".into())?;
    if no_pivot {
        #[expect(
            clippy::disallowed_methods,
            reason = "what --no-pivot asks for, where pivot_root cannot work"
        )]
        rustix::process::chroot(".").during(|| "change to the root filesystem".into())?;
        return rustix::process::chdir("/").during(|| "enter the root filesystem".into());
    }
    rustix::process::pivot_root(".", ".").during(|| "pivot to the root filesystem".into())?;
    rustix::mount::unmount(".", UnmountFlags::DETACH).during(|| "drop the host's file systems".into())?;
    rustix::process::chdir("/").during(|| "enter the root filesystem".into())
}
