//! Which namespaces are made and which are joined, worked out before anything is made.

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use conex_oci::runtime::{Linux, NamespaceKind};
use conex_sys::namespace;
use rustix::fs::{Mode, OFlags};

use crate::Error;
use crate::fault::{During, Fault};

/// A namespace to join, held open.
#[derive(Debug)]
pub(crate) struct Joined {
    pub(crate) kind: NamespaceKind,
    pub(crate) fd: OwnedFd,
}

/// What becomes of each kind.
#[derive(Debug, Default)]
pub(crate) struct Namespaces {
    /// CLONE_NEW… flags of those made.
    created: u64,
    /// In the order they are joined, the mount namespace not among them.
    pub(crate) joined: Vec<Joined>,
    /// Joined last of all, since from then on paths mean something else.
    pub(crate) mount: Option<OwnedFd>,
}

impl Namespaces {
    /// # Errors
    /// A kind named twice, a path that is no namespace of its kind, settings for a namespace that is the host's.
    pub(crate) fn plan(linux: &Linux) -> Result<Self, Error> {
        let mut plan = Self::default();
        let mut seen = 0;
        for (index, namespace) in linux.namespaces.iter().enumerate() {
            let kind = namespace.kind;
            if seen & kind.clone_flag() != 0 {
                return wrong(format!("linux.namespaces[{index}]: {:?} stands there twice", kind.name()));
            }
            seen |= kind.clone_flag();
            match namespace.path.as_deref().filter(|path| !path.as_os_str().is_empty()) {
                None => plan.created |= kind.clone_flag(),
                Some(path) => {
                    let fd = open(path, kind, index)?;
                    // Where the caller is already it is inherited: what is set there would be set for the host.
                    if is_own(&fd, kind) {
                        continue;
                    }
                    match kind {
                        NamespaceKind::Mount => plan.mount = Some(fd),
                        // First: it may give the rights to join the others.
                        NamespaceKind::User => plan.joined.insert(0, Joined { kind, fd }),
                        kind => plan.joined.push(Joined { kind, fd }),
                    }
                }
            }
        }
        plan.check(linux)?;
        Ok(plan)
    }

    fn check(&self, linux: &Linux) -> Result<(), Error> {
        if !self.has(NamespaceKind::Mount) {
            return wrong(
                "linux.namespaces: a container needs a mount namespace (its mounts would be the host's)",
            );
        }
        let mappings = [("uidMappings", &linux.uid_mappings), ("gidMappings", &linux.gid_mappings)];
        for (name, mappings) in mappings {
            match (self.creates(NamespaceKind::User), mappings.is_empty()) {
                (true, true) => return wrong(format!("linux.{name}: a new user namespace needs them")),
                (false, false) if self.joins(NamespaceKind::User).is_none() => {
                    return wrong(format!("linux.{name}: there is no user namespace in linux.namespaces"));
                }
                _ => {}
            }
        }
        if !linux.time_offsets.is_empty() && !self.creates(NamespaceKind::Time) {
            return wrong("linux.timeOffsets: they need a new time namespace");
        }
        for clock in linux.time_offsets.keys() {
            if !matches!(clock.as_str(), "monotonic" | "boottime") {
                return wrong(format!(
                    "linux.timeOffsets: {clock:?} is neither \"monotonic\" nor \"boottime\""
                ));
            }
        }
        Ok(())
    }

    pub(crate) fn creates(&self, kind: NamespaceKind) -> bool {
        self.created & kind.clone_flag() != 0
    }

    pub(crate) fn joins(&self, kind: NamespaceKind) -> Option<&Joined> {
        self.joined.iter().find(|joined| joined.kind == kind)
    }

    /// Whether it is not the caller's own: made or joined.
    pub(crate) fn has(&self, kind: NamespaceKind) -> bool {
        self.creates(kind)
            || self.joins(kind).is_some()
            || kind == NamespaceKind::Mount && self.mount.is_some()
    }

    /// Those that a process in between joins, before clone3. The user namespace comes before all others and one of process
    /// ids counts for children only. When a user namespace is made, the right to join others that the host owns is gone
    /// after that.
    pub(crate) fn joined_before_clone(&self) -> impl Iterator<Item = &Joined> {
        self.joined.iter().filter(|joined| self.before_clone(joined.kind))
    }

    /// The others, joined by the container's first process itself.
    pub(crate) fn joined_after_clone(&self) -> impl Iterator<Item = &Joined> {
        self.joined.iter().filter(|joined| !self.before_clone(joined.kind))
    }

    fn before_clone(&self, kind: NamespaceKind) -> bool {
        matches!(kind, NamespaceKind::User | NamespaceKind::Pid)
            || self.creates(NamespaceKind::User)
            || self.joins(NamespaceKind::User).is_some()
    }

    /// Joins all of [`Self::joined_before_clone`]: with the caller's rights first and, what these do not reach, with those that
    /// the user namespace gives.
    pub(crate) fn join_before_clone(&self) -> Result<(), Fault> {
        let join = |joined: &Joined| namespace::join(joined.fd.as_fd(), joined.kind.clone_flag());
        let mut denied = Vec::new();
        for joined in self.joined_before_clone().filter(|joined| joined.kind != NamespaceKind::User) {
            if join(joined).is_err() {
                denied.push(joined);
            }
        }
        for joined in self.joins(NamespaceKind::User).into_iter().chain(denied) {
            join(joined).during(|| format!("join the {} namespace", joined.kind.name()))?;
        }
        Ok(())
    }

    /// Made by clone3 itself.
    pub(crate) fn at_clone(&self, offsets: bool) -> u64 {
        self.created & !self.after_clone(offsets)
    }

    /// Made by the child: the cgroup namespace's root is where the caller is at that moment, and the kernel looks at the parent
    /// in clone3; a time namespace takes offsets only before anybody lives in it.
    pub(crate) fn after_clone(&self, offsets: bool) -> u64 {
        let mut late = NamespaceKind::Cgroup.clone_flag();
        if offsets {
            late |= NamespaceKind::Time.clone_flag();
        }
        self.created & late
    }
}

/// The namespace file, checked to be one and of the right kind.
fn open(path: &Path, kind: NamespaceKind, index: usize) -> Result<OwnedFd, Error> {
    if !path.is_absolute() {
        return wrong(format!("linux.namespaces[{index}].path: {} is not absolute", path.display()));
    }
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let fd = rustix::fs::open(path, flags, Mode::empty())
        .map_err(|errno| Error::Namespace { path: path.to_owned(), source: errno.into() })?;
    match namespace::kind(fd.as_fd()) {
        Ok(found) if found == kind.clone_flag() => Ok(fd),
        Ok(_) => wrong(format!(
            "linux.namespaces[{index}].path: {} is a namespace of another kind than {:?}",
            path.display(),
            kind.name()
        )),
        Err(_) => wrong(format!("linux.namespaces[{index}].path: {} is no namespace", path.display())),
    }
}

fn is_own(fd: &OwnedFd, kind: NamespaceKind) -> bool {
    let own = rustix::fs::stat(format!("/proc/self/ns/{}", kind.proc_name()));
    match (own, rustix::fs::fstat(fd)) {
        (Ok(own), Ok(other)) => (own.st_dev, own.st_ino) == (other.st_dev, other.st_ino),
        _ => false,
    }
}

fn wrong<T>(what: impl Into<String>) -> Result<T, Error> {
    Err(Error::Spec { what: what.into() })
}
