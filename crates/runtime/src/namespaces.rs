//! Which namespaces are made and which are joined, worked out before anything is made.

use std::fs::File;
use std::os::fd::OwnedFd;

use conex_oci::runtime::{Linux, NamespaceKind};

use crate::Error;

/// The CLONE_NEW… flag of a kind (`<linux/sched.h>`).
pub(crate) fn flag(kind: NamespaceKind) -> u64 {
    match kind {
        NamespaceKind::Time => 0x80,
        NamespaceKind::Mount => 0x2_0000,
        NamespaceKind::Cgroup => 0x200_0000,
        NamespaceKind::Uts => 0x400_0000,
        NamespaceKind::Ipc => 0x800_0000,
        NamespaceKind::User => 0x1000_0000,
        NamespaceKind::Pid => 0x2000_0000,
        NamespaceKind::Network => 0x4000_0000,
    }
}

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
    /// In the order they are joined: the user namespace first, since it gives the right to join the others.
    pub(crate) joined: Vec<Joined>,
}

impl Namespaces {
    /// # Errors
    /// A kind named twice, a path that cannot be opened, settings for a namespace that is the host's.
    pub(crate) fn plan(linux: &Linux) -> Result<Self, Error> {
        let mut plan = Self::default();
        let mut seen = 0;
        for namespace in &linux.namespaces {
            let bit = flag(namespace.kind);
            if seen & bit != 0 {
                return Err(Error::Spec {
                    what: format!("linux.namespaces: {:?} stands there twice", namespace.kind),
                });
            }
            seen |= bit;
            match &namespace.path {
                None => plan.created |= bit,
                Some(path) => {
                    let file =
                        File::open(path).map_err(|source| Error::Namespace { path: path.clone(), source })?;
                    plan.joined.push(Joined { kind: namespace.kind, fd: file.into() });
                }
            }
        }
        plan.joined.sort_by_key(|joined| joined.kind != NamespaceKind::User);
        if !plan.creates(NamespaceKind::Mount) {
            return Err(Error::Spec {
                what: "linux.namespaces: a container needs a mount namespace of its own".into(),
            });
        }
        if linux.uid_mappings.is_empty() && plan.creates(NamespaceKind::User) {
            return Err(Error::Spec { what: "linux.uidMappings: a new user namespace needs them".into() });
        }
        if !linux.time_offsets.is_empty() && !plan.creates(NamespaceKind::Time) {
            return Err(Error::Spec { what: "linux.timeOffsets: they need a new time namespace".into() });
        }
        Ok(plan)
    }

    pub(crate) fn creates(&self, kind: NamespaceKind) -> bool {
        self.created & flag(kind) != 0
    }

    pub(crate) fn joins(&self, kind: NamespaceKind) -> Option<&Joined> {
        self.joined.iter().find(|joined| joined.kind == kind)
    }

    /// Made by clone3 itself.
    pub(crate) fn at_clone(&self, offsets: bool) -> u64 {
        self.created & !self.after_clone(offsets)
    }

    /// Made by the child: the cgroup namespace's root is where the caller is at that moment, and the kernel looks at the parent
    /// in clone3; a time namespace takes offsets only before anybody lives in it.
    pub(crate) fn after_clone(&self, offsets: bool) -> u64 {
        let mut late = flag(NamespaceKind::Cgroup);
        if offsets {
            late |= flag(NamespaceKind::Time);
        }
        self.created & late
    }
}
