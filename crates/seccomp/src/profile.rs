//! Profiles: policy that depends on capabilities, architecture and kernel.

use conex_oci::runtime::Seccomp;

use crate::Result;

/// A policy: Docker's profile format, or the default one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profile {}

impl Profile {
    /// The default allow list.
    pub fn builtin() -> Self {
        todo!()
    }

    /// Reads Docker's profile format (which includes the runtime specification's `linux.seccomp`).
    pub fn parse(_text: &str) -> Result<Self> {
        todo!()
    }

    /// The rules that hold on this machine for a container with these capabilities (its bounding set, as
    /// `CAP_NET_ADMIN`).
    pub fn resolve(&self, _capabilities: &[String]) -> Seccomp {
        todo!()
    }
}
