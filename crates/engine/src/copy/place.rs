//! A container's root, held for as long as files are copied.
//!
//! Of one that runs it is what its first process sees: volumes, binds, tmpfs. Its mount namespace is held too, so that a
//! container that ends meanwhile does not have a volume's place turn into an ordinary directory. Of one that does not run its
//! layers are mounted, with its binds on them, in a mount namespace that only the copying thread is in; and its owner's lock
//! is held, so that nobody starts it on the same writable layer. That lock says that it is a visit: what a killed one leaves is
//! no end of the container.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Instant;

use conex_content::Lease;
use conex_image::writable::IdShift;
use conex_oci::ContainerId;
use conex_sys::mount::{Attributes, Change, Propagation, set_attributes};
use conex_sys::namespace;
use conex_volume::VolumeName;
use rustix::fs::{CWD, FileType, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;
use rustix::mount::{
    MountPropagationFlags, MoveMountFlags, OpenTreeFlags, UnmountFlags, mount_change, move_mount, open_tree,
    unmount,
};

use super::error::CopyError;
use super::ladder::again;
use super::owner::root_of_the_container;
use crate::engine::Parts;
use crate::events::Subject;
use crate::store::lock::Owned;
use crate::store::{ContainerState, Process, Record, Store};
use crate::verbs::{PATIENCE, PAUSE, hold};
use crate::{Error, Result};

/// A root that paths are resolved within.
pub(crate) struct Root {
    /// `None` for the host's own.
    file: Option<OwnedFd>,
    name: String,
    ids: Option<IdShift>,
}

impl Root {
    /// The host's.
    pub(crate) fn local() -> Self {
        Self { file: None, name: String::new(), ids: None }
    }

    pub(super) fn is_container(&self) -> bool {
        self.file.is_some()
    }

    /// How the container's users are numbered on the host, if not as they are.
    pub(super) fn ids(&self) -> Option<IdShift> {
        self.ids
    }

    pub(super) fn place(&self) -> String {
        match self.file {
            Some(_) => format!("in container {}", self.name),
            None => "on this host".to_owned(),
        }
    }

    /// What a relative path starts from.
    pub(super) fn working_directory(&self, path: &[u8]) -> Vec<u8> {
        use std::os::unix::ffi::OsStringExt;
        match self.file {
            None if !path.starts_with(b"/") => {
                std::env::current_dir().unwrap_or_default().into_os_string().into_vec()
            }
            _ => Vec::new(),
        }
    }

    /// Opens a path; of a container, as one of its processes would whose root nothing leads out of, `/proc/PID/fd` included.
    pub(super) fn open(&self, path: &[u8], flags: OFlags) -> rustix::io::Result<OwnedFd> {
        let Some(root) = &self.file else { return rustix::fs::open(path, flags, Mode::empty()) };
        let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        again(|| rustix::fs::openat2(root, path, flags, Mode::empty(), resolve))
    }
}

/// A container's file systems, before anything is copied.
pub(crate) struct Place {
    id: ContainerId,
    name: String,
    subject: Subject,
    ids: Option<IdShift>,
    kind: Kind,
}

enum Kind {
    Running {
        root: OwnedFd,
        _namespace: OwnedFd,
    },
    Resting {
        root: OwnedFd,
        read_only: bool,
        binds: Vec<Bind>,
        mount_point: PathBuf,
        owned: Owned,
        /// Volumes in memory alone are given back.
        store: Box<Store>,
        volatile: Vec<VolumeName>,
        _lease: Lease,
    },
}

struct Bind {
    tree: OwnedFd,
    target: PathBuf,
}

impl Place {
    /// Holds a container's root. The caller has one thread.
    pub(crate) fn open(parts: &Parts, id: &ContainerId) -> Result<Self> {
        let store = &parts.store;
        let until = Instant::now() + PATIENCE;
        loop {
            let record = store.must_record(id)?;
            let name = record.name.to_string();
            let state = store.state(id)?.ok_or_else(|| Error::NoSuchContainer { name: name.clone() })?;
            let kind = match state {
                ContainerState::Running(process) | ContainerState::Paused(process) => running(&process)?,
                ContainerState::Restarting(_) => None,
                ContainerState::Created | ContainerState::Exited(_) => match store.visit_settled(id)? {
                    Some(owned) => Some(resting(parts, &record, owned)?),
                    None => None,
                },
            };
            if let Some(kind) = kind {
                let ids = record.id_range.map(IdShift::from);
                return Ok(Self { id: id.clone(), name, subject: Subject::from(&record), ids, kind });
            }
            if Instant::now() > until {
                return Err(Error::Busy { name });
            }
            std::thread::sleep(PAUSE);
        }
    }

    /// Whose it is.
    pub(crate) fn subject(&self) -> &Subject {
        &self.subject
    }

    /// Whether its file systems have to be mounted by a thread of their own.
    pub(crate) fn needs_thread(&self) -> bool {
        matches!(self.kind, Kind::Resting { .. })
    }

    /// Mounts what is not: in the thread's own namespace.
    pub(crate) fn mount(&self) -> Result<(), CopyError> {
        let Kind::Resting { root, read_only, binds, mount_point, .. } = &self.kind else { return Ok(()) };
        let fail = |what: String| move |errno: Errno| CopyError::Place { what, source: errno.into() };
        move_mount(root, c"", CWD, mount_point, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)
            .map_err(fail("mount the container's root".to_owned()))?;
        let within = self.root()?;
        // Mount points that are made stay: they are the container's, and for all its users. The mask is this thread's own.
        let _made_as = root_of_the_container(self.ids)?;
        let mask = rustix::process::umask(Mode::from_raw_mode(0o022));
        for Bind { tree, target } in binds {
            let at = mount_point_for(&within, tree.as_fd(), target)
                .map_err(fail(format!("make the mount point {}", target.display())))?;
            let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
            move_mount(tree, c"", &at, c"", flags)
                .map_err(fail(format!("mount the container's {}", target.display())))?;
        }
        rustix::process::umask(mask);
        if *read_only {
            let change = Change { set: Attributes::RDONLY, ..Change::default() };
            set_attributes(root.as_fd(), &change, false).map_err(|source| CopyError::Place {
                what: "make the container's root read-only".to_owned(),
                source,
            })?;
        }
        Ok(())
    }

    /// Unmounts, before the thread ends: its namespace may outlive it for a moment, and the writable layer may not be in use twice.
    pub(crate) fn unmount(&self) {
        if let Kind::Resting { mount_point, .. } = &self.kind
            && let Err(error) = unmount(mount_point, UnmountFlags::DETACH)
        {
            log::debug!("cannot unmount {}: {error}", mount_point.display());
        }
    }

    pub(crate) fn root(&self) -> Result<Root, CopyError> {
        let (Kind::Running { root, .. } | Kind::Resting { root, .. }) = &self.kind;
        let file = root
            .try_clone()
            .map_err(|source| CopyError::Place { what: "hold the container's root".to_owned(), source })?;
        Ok(Root { file: Some(file), name: self.name.clone(), ids: self.ids })
    }

    /// Lets go of it.
    pub(crate) fn close(self) -> Result<()> {
        match self.kind {
            Kind::Running { .. } => Ok(()),
            Kind::Resting { root, binds, owned, store, volatile, .. } => {
                drop((root, binds));
                crate::volumes::release(&store, &self.id, &volatile);
                owned.finish()
            }
        }
    }
}

/// `None` when it has just ended.
fn running(process: &Process) -> Result<Option<Kind>> {
    let Some(pidfd) = hold(process)? else { return Ok(None) };
    let open = |what: &str, flags| match rustix::fs::open(
        format!("/proc/{}/{what}", process.pid),
        flags,
        Mode::empty(),
    ) {
        Ok(file) => Ok(Some(file)),
        Err(Errno::NOENT | Errno::SRCH) => Ok(None),
        Err(errno) => Err(Error::Process { pid: process.pid, source: errno.into() }),
    };
    let namespace = open("ns/mnt", OFlags::RDONLY | OFlags::CLOEXEC)?;
    let root = open("root", OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC)?;
    // It was its own pid for as long as it has not ended.
    let alive = conex_sys::signal::send(pidfd.as_fd(), 0).is_ok();
    Ok(match (root, namespace, alive) {
        (Some(root), Some(namespace), true) => Some(Kind::Running { root, _namespace: namespace }),
        _ => None,
    })
}

fn resting(parts: &Parts, record: &Record, owned: Owned) -> Result<Kind> {
    let (store, volatile) = (Box::new(parts.store.clone()), crate::volumes::volatile(record));
    match mounts(parts, record) {
        Ok(Mounts { root, read_only, binds, lease }) => {
            let mount_point = owned.directory().to_owned();
            Ok(Kind::Resting { root, read_only, binds, mount_point, owned, store, volatile, _lease: lease })
        }
        Err(error) => {
            crate::volumes::release(&store, &record.id, &volatile);
            owned.finish()?;
            Err(error)
        }
    }
}

struct Mounts {
    root: OwnedFd,
    read_only: bool,
    binds: Vec<Bind>,
    lease: Lease,
}

fn mounts(parts: &Parts, record: &Record) -> Result<Mounts> {
    let image = parts.images.resolve(&record.image_id.to_string(), None)?;
    let lease = parts.images.lease(&image)?;
    let root = parts.mount(record)?;
    let spec = parts.spec(&record.id)?;
    let place = |what: &str, source| CopyError::Place { what: what.to_owned(), source };
    let read_only = spec.root.as_ref().is_some_and(|root| root.readonly);
    let (mut binds, mut idmap) = (Vec::new(), None);
    // By descriptor: a path below a volume's root is a container's to swap for a link.
    let mut given = crate::volumes::resting(parts, record, &spec, root.as_fd())?;
    for (index, mount) in spec.mounts.iter().enumerate() {
        let has = |word: &str| mount.options.iter().any(|option| option == word);
        let Some(source) = mount.source.as_ref().filter(|_| has("bind") || has("rbind")) else { continue };
        let mut flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
        flags.set(OpenTreeFlags::AT_RECURSIVE, has("rbind"));
        let tree = match given.remove(&index).map_or_else(|| open_tree(CWD, source, flags), Ok) {
            Ok(tree) => tree,
            Err(errno) => {
                log::warn!("{} is not mounted for the copy: {errno}", source.display());
                continue;
            }
        };
        let mapped = !mount.uid_mappings.is_empty() || has("idmap") || has("ridmap");
        // One for all of them.
        if let (true, None, Some(range)) = (mapped, &idmap, record.id_range) {
            idmap = Some(crate::idmap::namespace(range)?);
        }
        let change = Change {
            propagation: Some(Propagation::Private),
            idmap: idmap.as_ref().filter(|_| mapped).map(AsFd::as_fd),
            ..Change::default()
        };
        let failed = |source| place("set up the container's binds", source);
        set_attributes(tree.as_fd(), &change, has("rbind")).map_err(failed)?;
        // `rro` is all that is mounted below, too (runtime-spec config.md#mounts).
        if has("ro") || has("rro") {
            let change = Change { set: Attributes::RDONLY, ..Change::default() };
            set_attributes(tree.as_fd(), &change, has("rro")).map_err(failed)?;
        }
        binds.push(Bind { tree, target: mount.destination.clone() });
    }
    Ok(Mounts { root, read_only, binds, lease })
}

/// Where something is to be mounted in the container; made when it is not there yet, as at a start.
fn mount_point_for(within: &Root, tree: BorrowedFd<'_>, target: &Path) -> rustix::io::Result<OwnedFd> {
    let path = target.as_os_str().as_bytes();
    let is_directory = FileType::from_raw_mode(rustix::fs::fstat(tree)?.st_mode) == FileType::Directory;
    let mut held = within.open(b"/", OFlags::PATH | OFlags::CLOEXEC)?;
    let ends = path.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(at, _)| at).skip(1);
    for end in ends.chain([path.len()]) {
        let so_far = &path[..end];
        held = match within.open(so_far, OFlags::PATH | OFlags::CLOEXEC) {
            Err(Errno::NOENT) => {
                let name = so_far.rsplit(|&byte| byte == b'/').next().unwrap_or_default();
                if end < path.len() || is_directory {
                    rustix::fs::mkdirat(&held, name, Mode::from_raw_mode(0o755))?;
                } else {
                    let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC;
                    rustix::fs::openat(&held, name, flags, Mode::from_raw_mode(0o644))?;
                }
                within.open(so_far, OFlags::PATH | OFlags::CLOEXEC)?
            }
            held => held?,
        };
    }
    Ok(held)
}

/// Gives the calling thread a mount namespace of its own, from which nothing gets out.
pub(crate) fn leave_namespace() -> Result<(), CopyError> {
    let fail = |source| CopyError::Place { what: "make a mount namespace".to_owned(), source };
    namespace::unshare(namespace::MOUNT).map_err(fail)?;
    mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)
        .map_err(|errno| fail(errno.into()))
}
