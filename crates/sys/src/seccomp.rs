//! seccomp(2): putting a ready classic BPF program in front of the calling thread's system calls.
//!
//! What the program says is `conex-seccomp`'s business; here it is bytes. Never interprets them, never sets
//! no_new_privs by itself: without that or CAP_SYS_ADMIN the kernel refuses with EACCES.

use std::io;
use std::ops::{BitOr, BitOrAssign};
use std::os::fd::{FromRawFd, OwnedFd};

/// `SECCOMP_FILTER_FLAG_…` bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Flags(u32);

impl Flags {
    /// None.
    pub const NONE: Self = Self(0);
    /// Puts the filter on all threads of the process (Linux 3.17).
    pub const TSYNC: Self = Self(1);
    /// Logs every verdict but ALLOW (Linux 4.14).
    pub const LOG: Self = Self(1 << 1);
    /// Leaves the Speculative Store Bypass mitigation off (Linux 4.17).
    pub const SPEC_ALLOW: Self = Self(1 << 2);
    /// Makes [`install`] return a notification fd (Linux 5.0).
    pub const NEW_LISTENER: Self = Self(1 << 3);
    /// A failed TSYNC is ESRCH instead of a thread id, as together with NEW_LISTENER it must (Linux 5.7).
    pub const TSYNC_ESRCH: Self = Self(1 << 4);
    /// A notified caller sleeps killable once the notification was received (Linux 5.19). Needs NEW_LISTENER.
    pub const WAIT_KILLABLE_RECV: Self = Self(1 << 5);

    /// Whether all bits of `other` are set.
    pub fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// These but those.
    pub fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// From the kernel's number.
    pub fn from_bits(bits: u32) -> Self {
        Self(bits)
    }

    /// The kernel's number.
    pub fn bits(self) -> u32 {
        self.0
    }
}

impl BitOr for Flags {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl BitOrAssign for Flags {
    fn bitor_assign(&mut self, other: Self) {
        self.0 |= other.0;
    }
}

/// The most instructions the kernel takes (`BPF_MAXINSNS`).
pub const MAX_INSTRUCTIONS: usize = 4096;

/// The size of one instruction: `struct sock_filter`.
pub const INSTRUCTION_SIZE: usize = 8;

/// Whether this kernel knows a flag: asked with a program that cannot be read, which it looks at only after the flags.
pub fn knows(flag: Flags) -> bool {
    let nowhere = std::ptr::null::<libc::sock_fprog>();
    // Known only together.
    let with = if flag == Flags::WAIT_KILLABLE_RECV { Flags::NEW_LISTENER.bits() } else { 0 };
    let bits = flag.bits() | with;
    // SAFETY: the kernel reads the program from user memory with checks: a null pointer is EFAULT.
    let result = unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, bits, nowhere) };
    result == -1 && io::Error::last_os_error().raw_os_error() == Some(libc::EFAULT)
}

/// Installs a program of `struct sock_filter`s for the calling thread and what it will fork and execute. There is no
/// way back. The notification fd (close-on-exec) comes back when NEW_LISTENER is among the flags.
///
/// Errors: `InvalidInput` for bytes that are no whole number of 1 to 4096 instructions; the kernel's EACCES without
/// no_new_privs and CAP_SYS_ADMIN, EINVAL for a program or flag it does not take, EBUSY for a second listener.
pub fn install(program: &[u8], flags: Flags) -> io::Result<Option<OwnedFd>> {
    let count = program.len() / INSTRUCTION_SIZE;
    if !program.len().is_multiple_of(INSTRUCTION_SIZE) || count == 0 || count > MAX_INSTRUCTIONS {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "a seccomp program is 1 to 4096 instructions of 8 bytes",
        ));
    }
    let fprog = libc::sock_fprog { len: count as u16, filter: program.as_ptr().cast_mut().cast() };
    // SAFETY: the kernel only reads `len` instructions of 8 bytes, which `program` holds by the check above, and copies
    // them before it returns; it asks for no alignment.
    let result = unsafe {
        libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, flags.bits(), &raw const fprog)
    };
    match result {
        -1 => Err(io::Error::last_os_error()),
        // SAFETY: with NEW_LISTENER a successful call returns a fresh descriptor that nobody else knows.
        fd if flags.contains(Flags::NEW_LISTENER) => Ok(Some(unsafe { OwnedFd::from_raw_fd(fd as i32) })),
        0 => Ok(None),
        thread => Err(io::Error::other(format!("thread {thread} has a seccomp filter of its own"))),
    }
}
