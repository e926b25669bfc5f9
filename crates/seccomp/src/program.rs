//! A compiled filter, as the kernel takes it.

use std::io;
use std::os::fd::OwnedFd;

use conex_sys::seccomp::{self, Flags};

/// Classic BPF for this machine, with the flags it is to be installed with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    code: Vec<u8>,
    flags: Flags,
}

impl Program {
    pub(crate) fn new(code: Vec<u8>, flags: Flags) -> Self {
        Self { code, flags }
    }

    /// The instructions, each a `struct sock_filter` of 8 bytes in this machine's byte order.
    pub fn as_bytes(&self) -> &[u8] {
        &self.code
    }

    /// How many instructions.
    pub fn instructions(&self) -> usize {
        self.code.len() / seccomp::INSTRUCTION_SIZE
    }

    /// For [`conex_sys::seccomp::install`]: the profile's, and NEW_LISTENER when an action notifies.
    pub fn flags(&self) -> Flags {
        self.flags
    }

    /// Whether [`install`](Self::install) gives a notification fd, to be sent to the profile's `listenerPath`.
    pub fn notifies(&self) -> bool {
        self.flags.contains(Flags::NEW_LISTENER)
    }

    /// Puts the calling thread and its children to come under this program. Without no_new_privs the caller needs
    /// CAP_SYS_ADMIN in its user namespace: a process that must keep the way open for setuid programs installs before
    /// it drops its capabilities, any other as late as it can.
    pub fn install(&self) -> io::Result<Option<OwnedFd>> {
        seccomp::install(&self.code, self.flags)
    }
}
