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
use crate::options::{MountOptions, Recursion};
use crate::plan::Plan;
use crate::sources::PlannedMount;
use target::Target;

/// The root filesystem in place, not yet the root.
pub(crate) struct Root<'a> {
    /// Its mount.
    pub(crate) tree: BorrowedFd<'a>,
    /// What was mounted of procfs, sysfs and new tmpfs, and where.
    own: Vec<Own>,
    /// Its device and mount, to tell it from what is mounted on it.
    identity: target::Identity,
}

/// A file system of the container's that we made.
struct Own {
    destination: PathBuf,
    kind: Kind,
    /// Something else was mounted over it later.
    hidden: bool,
    /// It becomes read-only when nothing more has to be made in it.
    late_read_only: bool,
    mount: OwnedFd,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Procfs,
    Sysfs,
    /// With nothing in it but what we made.
    Tmpfs,
    Other,
}

impl Kind {
    fn is_kernels(self) -> bool {
        matches!(self, Self::Procfs | Self::Sysfs)
    }
}

impl Root<'_> {
    /// The container's own procfs as mounted, when the spec has one.
    pub(crate) fn proc(&self) -> Option<BorrowedFd<'_>> {
        self.own.iter().rev().find(|own| own.kind == Kind::Procfs).map(|own| own.mount.as_fd())
    }

    /// Where to look a path up, and what of it: a path in procfs or sysfs from the mount itself, since by the name of its
    /// mount point a rootfs or volume that is shared could have it miss (CVE-2019-19921).
    pub(super) fn anchor<'p>(&self, path: &'p Path) -> (BorrowedFd<'_>, &'p Path) {
        let below = |own: &'_ Own| path.strip_prefix(&own.destination).ok();
        let straight = |rest: &&Path| !rest.components().any(|part| part == Component::ParentDir);
        let mut found = self.own.iter().rev().filter(|own| !own.hidden && own.kind.is_kernels());
        let found = found.find_map(|own| Some((own.mount.as_fd(), below(own).filter(straight)?)));
        found.unwrap_or((self.tree, path))
    }

    /// The tmpfs that we made on `place`, in which nobody else has made anything.
    pub(super) fn tmpfs(&self, place: &Path) -> Option<BorrowedFd<'_>> {
        let there = |own: &&Own| !own.hidden && own.kind == Kind::Tmpfs && own.destination == place;
        self.own.iter().rev().find(there).map(|own| own.mount.as_fd())
    }

    /// What is mounted later over a mount hides it.
    fn hide(&mut self, destination: &Path) {
        let crooked = destination.components().any(|part| part == Component::ParentDir);
        for own in &mut self.own {
            own.hidden |= crooked || own.destination.starts_with(destination);
        }
    }

    fn hold(&mut self, destination: &Path, kind: Kind, mount: OwnedFd, late_read_only: bool) {
        let destination = destination.to_path_buf();
        self.own.push(Own { destination, kind, hidden: false, late_read_only, mount });
    }
}

/// Attaches the root filesystem and all mounts of the spec.
pub(crate) fn build<'a>(
    plan: &Plan<'_>,
    rootfs: &'a OwnedFd,
    place: Option<&Path>,
) -> Result<Root<'a>, Fault> {
    if let Some(namespace) = &plan.namespaces.mount {
        conex_sys::namespace::join(namespace.as_fd(), NamespaceKind::Mount.clone_flag())
            .during(|| "join the mount namespace".into())?;
    }
    root::detach_from_host()?;
    let tree = rootfs.as_fd();
    root::attach(tree, plan.propagation, place.unwrap_or(Path::new("/")))?;
    let during = || "look at the root filesystem".to_owned();
    let identity = target::Identity::of(tree).during(during)?;
    let mut root = Root { tree, own: Vec::new(), identity };
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
            let kind = if kind == "proc" { Kind::Procfs } else { Kind::Sysfs };
            root.hold(&planned.destination, kind, mount, false);
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
            let held = match kind {
                "tmpfs" if !options.copy_up => Some(Kind::Tmpfs),
                _ => late.then_some(Kind::Other),
            };
            if let Some(kind) = held {
                root.hold(&planned.destination, kind, mount, late);
            }
            Ok(())
        }
    }
}

/// Moves a detached mount onto `target`.
pub(crate) fn attach(mount: BorrowedFd<'_>, target: BorrowedFd<'_>) -> Result<(), Errno> {
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
