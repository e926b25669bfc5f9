//! The container's mounts, made as descriptors and moved into place below the root filesystem.
//!
//! Targets are resolved beneath the root by descriptor (`crate::beneath`) and mounted on by descriptor, so that no path is
//! looked up twice. Until `root::enter` the host's tree is still there; after it nothing of it is.

mod bind;
mod cgroup;
mod copy_up;
mod fresh;
mod remount;
mod root;
mod target;

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Component, Path, PathBuf};

use conex_oci::runtime::NamespaceKind;
use conex_sys::mount::{Change, set_attributes};
use rustix::io::Errno;
use rustix::mount::MoveMountFlags;

pub(crate) use root::{enter, make_working_directory};

use super::devices;
use crate::beneath::Make;
use crate::fault::{During, Fault};
use crate::namespaces::flag;
use crate::options::{MountOptions, Recursion};
use crate::plan::Plan;
use crate::sources::PlannedMount;
use target::Target;

/// The root filesystem in place, not yet the root.
pub(crate) struct Root<'a> {
    /// Its mount.
    pub(crate) tree: BorrowedFd<'a>,
    /// What was mounted of procfs and sysfs, and where.
    kernels: Vec<KernelMount>,
    /// Its device and mount, to tell it from what is mounted on it.
    identity: target::Identity,
    /// Mounts that become read-only when nothing more has to be made in them.
    late_read_only: Vec<OwnedFd>,
}

/// A procfs or sysfs of the container's.
struct KernelMount {
    destination: PathBuf,
    is_proc: bool,
    /// Something else was mounted over it later.
    hidden: bool,
    mount: OwnedFd,
}

impl Root<'_> {
    /// The container's own procfs as mounted, when the spec has one.
    pub(crate) fn proc(&self) -> Option<BorrowedFd<'_>> {
        self.kernels.iter().rev().find(|kernel| kernel.is_proc).map(|kernel| kernel.mount.as_fd())
    }

    /// Where to look a path up, and what of it: a path in procfs or sysfs from the mount itself, since by the name of its
    /// mount point a rootfs or volume that is shared could have it miss (CVE-2019-19921).
    pub(super) fn anchor<'p>(&self, path: &'p Path) -> (BorrowedFd<'_>, &'p Path) {
        let below = |kernel: &'_ KernelMount| path.strip_prefix(&kernel.destination).ok();
        let straight = |rest: &&Path| !rest.components().any(|part| part == Component::ParentDir);
        let mut found = self.kernels.iter().rev().filter(|kernel| !kernel.hidden);
        let found = found.find_map(|kernel| Some((kernel.mount.as_fd(), below(kernel).filter(straight)?)));
        found.unwrap_or((self.tree, path))
    }

    /// What is mounted later over a mount hides it.
    fn hide(&mut self, destination: &Path) {
        let crooked = destination.components().any(|part| part == Component::ParentDir);
        for kernel in &mut self.kernels {
            kernel.hidden |= crooked || kernel.destination.starts_with(destination);
        }
    }
}

/// Attaches the root filesystem and all mounts of the spec.
pub(crate) fn build<'a>(plan: &Plan<'_>, rootfs: &'a OwnedFd) -> Result<Root<'a>, Fault> {
    if let Some(namespace) = &plan.namespaces.mount {
        conex_sys::namespace::join(namespace.as_fd(), flag(NamespaceKind::Mount))
            .during(|| "join the mount namespace".into())?;
    }
    root::detach_from_host()?;
    let tree = rootfs.as_fd();
    root::attach(tree, plan.propagation)?;
    let during = || "look at the root filesystem".to_owned();
    let identity = target::Identity::of(tree).during(during)?;
    let mut root = Root { tree, kernels: Vec::new(), identity, late_read_only: Vec::new() };
    for planned in &plan.mounts {
        mount_one(plan, &mut root, planned).map_err(|failure| failure.during(planned))?;
    }
    // A /dev of the host's is as it is.
    let foreign = |planned: &PlannedMount<'_>| {
        is_dev(planned) && (planned.source.is_some() || planned.mount.kind.as_deref() == Some("devtmpfs"))
    };
    if !plan.mounts.iter().any(foreign) {
        devices::populate(plan, &root)?;
    }
    Ok(root)
}

fn is_dev(planned: &PlannedMount<'_>) -> bool {
    planned.destination == Path::new("/dev")
}

/// Why one mount failed.
enum Failure {
    Plain(Errno),
    Explained(Errno, String),
    Fault(Fault),
}

impl Failure {
    fn during(self, planned: &PlannedMount<'_>) -> Fault {
        let what = || format!("mount {} on {}", source_name(planned), planned.destination.display());
        match self {
            Self::Plain(errno) => Fault::new(what(), errno),
            Self::Explained(errno, why) => Fault::new(format!("{} ({why})", what()), errno),
            Self::Fault(fault) => fault,
        }
    }
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

fn mount_one(plan: &Plan<'_>, root: &mut Root<'_>, planned: &PlannedMount<'_>) -> Result<(), Failure> {
    let options = &planned.options;
    if options.remount {
        return remount::change(root, planned);
    }
    root.hide(&planned.destination);
    if let Some(source) = &planned.source {
        return source.with(|mount| bind::attach(root, mount, &planned.destination, options));
    }
    match planned.mount.kind.as_deref().unwrap_or_default() {
        "cgroup" | "cgroup2" => cgroup::mount(plan, root, planned),
        kind @ ("proc" | "sysfs") => {
            let mount = fresh::detached(plan, planned, None)?;
            let target = target::real(root, &planned.destination)?;
            attach(mount.as_fd(), target.as_fd())?;
            propagate(mount.as_fd(), options)?;
            let destination = planned.destination.to_path_buf();
            root.kernels.push(KernelMount { destination, is_proc: kind == "proc", hidden: false, mount });
            Ok(())
        }
        kind => {
            let Target { place, is_directory, mode } =
                target::find(root, &planned.destination, Make::Directory)?;
            if !is_directory {
                let why = "there is a file, and only a bind mount can cover one".to_owned();
                return Err(Failure::Explained(Errno::NOTDIR, why));
            }
            let inherited = mode.filter(|_| kind == "tmpfs");
            let late = options.own.set.contains(conex_sys::mount::Attributes::RDONLY)
                && (kind == "tmpfs" || is_dev(planned));
            let Some(mount) = fresh::mount(plan, planned, inherited, late, place.as_fd())? else {
                return Ok(());
            };
            if options.copy_up {
                copy_up::copy_up(place.as_fd(), mount.as_fd())?;
            }
            attach(mount.as_fd(), place.as_fd())?;
            propagate(mount.as_fd(), options)?;
            if late {
                root.late_read_only.push(mount);
            }
            Ok(())
        }
    }
}

/// Moves a detached mount onto `target`.
pub(super) fn attach(mount: BorrowedFd<'_>, target: BorrowedFd<'_>) -> Result<(), Errno> {
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    rustix::mount::move_mount(mount, "", target, "", flags)
}

/// As asked; a new filesystem is private by itself.
fn propagate(mount: BorrowedFd<'_>, options: &MountOptions) -> Result<(), Failure> {
    let Some((kind, recursion)) = options.propagation else { return Ok(()) };
    if kind == conex_sys::mount::Propagation::Private {
        return Ok(());
    }
    let change = Change { propagation: Some(kind), ..Change::default() };
    set_attributes(mount, &change, recursion == Recursion::All)?;
    Ok(())
}
