//! A set of kinds of namespaces.

use conex_oci::runtime::NamespaceKind;
use rustix::fs::stat;

use crate::{Error, Result};

/// Kinds of namespaces.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Spaces(u64);

impl Spaces {
    /// These.
    pub fn of(kinds: &[NamespaceKind]) -> Self {
        Self(kinds.iter().fold(0, |flags, kind| flags | kind.clone_flag()))
    }

    /// Without one.
    #[must_use]
    pub fn without(self, kind: NamespaceKind) -> Self {
        Self(self.0 & !kind.clone_flag())
    }

    /// Whether one is in it.
    pub fn has(self, kind: NamespaceKind) -> bool {
        self.0 & kind.clone_flag() != 0
    }

    /// Whether none is in it.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// As setns(2) takes them.
    pub(super) fn flags(self) -> u64 {
        self.0
    }

    /// Those in which a process is not where the caller is: the user namespace that one is in cannot be joined again.
    pub(in crate::verbs) fn foreign(self, pid: u32) -> Result<Self> {
        let mut spaces = self;
        for kind in NamespaceKind::ALL.into_iter().filter(|kind| self.has(*kind)) {
            let identity = |of: &str| stat(format!("/proc/{of}/ns/{}", kind.proc_name()));
            let (ours, theirs) = (identity("self"), identity(&pid.to_string()));
            match (ours, theirs) {
                (Ok(ours), Ok(theirs)) if (ours.st_dev, ours.st_ino) == (theirs.st_dev, theirs.st_ino) => {
                    spaces = spaces.without(kind);
                }
                (Ok(_), Ok(_)) => {}
                // A kernel without such namespaces.
                (Err(rustix::io::Errno::NOENT), _) => spaces = spaces.without(kind),
                (Err(errno), _) | (_, Err(errno)) => {
                    return Err(Error::Process { pid, source: errno.into() });
                }
            }
        }
        Ok(spaces)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets() {
        let some = Spaces::of(&[NamespaceKind::Network, NamespaceKind::Pid]);
        assert!(some.has(NamespaceKind::Pid) && !some.without(NamespaceKind::Pid).has(NamespaceKind::Pid));
        assert!(!some.has(NamespaceKind::User) && Spaces::default().is_empty());
        assert_eq!(Spaces::of(&NamespaceKind::ALL).flags(), 0x7e02_0080);
        assert!(Spaces::of(&NamespaceKind::ALL).foreign(std::process::id()).unwrap().is_empty());
    }
}
