//! mount_setattr(2), Linux 5.12. The rest of the mount API is `rustix::mount`.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

/// Mount attributes (`MOUNT_ATTR_…`, `<linux/mount.h>`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Attributes(pub u64);

impl Attributes {
    /// `ro`
    pub const RDONLY: Self = Self(0x1);
    /// `nosuid`
    pub const NOSUID: Self = Self(0x2);
    /// `nodev`
    pub const NODEV: Self = Self(0x4);
    /// `noexec`
    pub const NOEXEC: Self = Self(0x8);
    /// The field of access-time modes; has to be cleared before one is set.
    pub const ATIME_FIELD: Self = Self(0x70);
    /// `relatime`
    pub const RELATIME: Self = Self(0x0);
    /// `noatime`
    pub const NOATIME: Self = Self(0x10);
    /// `strictatime`
    pub const STRICTATIME: Self = Self(0x20);
    /// `nodiratime`
    pub const NODIRATIME: Self = Self(0x80);
    /// `nosymfollow`
    pub const NOSYMFOLLOW: Self = Self(0x20_0000);

    /// Both.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// The first without the second.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Whether all of `other` is in it.
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether nothing is set.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }
}

/// How mounts below travel to and from here (`MS_SHARED`, …).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "mount_namespaces(7)'s own words")]
pub enum Propagation {
    Private,
    Shared,
    Slave,
    Unbindable,
}

/// What [`set_attributes`] changes.
#[derive(Debug, Clone, Copy, Default)]
pub struct Change<'fd> {
    /// Put on.
    pub set: Attributes,
    /// Taken off.
    pub clear: Attributes,
    /// Changed when present.
    pub propagation: Option<Propagation>,
    /// The user namespace whose mapping the mount takes (an idmapped mount), Linux 5.12.
    pub idmap: Option<BorrowedFd<'fd>>,
}

#[repr(C)]
struct MountAttr {
    set: u64,
    clear: u64,
    propagation: u64,
    userns_fd: u64,
}

const MOUNT_ATTR_IDMAP: u64 = 0x10_0000;
const AT_RECURSIVE: libc::c_uint = 0x8000;

/// Changes the mount that `mount` refers to, and with `recursive` all below it.
///
/// # Errors
/// EINVAL for an idmap on a filesystem that has none, EPERM, EBUSY for a read-only change under writers.
pub fn set_attributes(mount: BorrowedFd<'_>, change: &Change<'_>, recursive: bool) -> io::Result<()> {
    let propagation = match change.propagation {
        None => 0,
        Some(Propagation::Private) => libc::MS_PRIVATE,
        Some(Propagation::Shared) => libc::MS_SHARED,
        Some(Propagation::Slave) => libc::MS_SLAVE,
        Some(Propagation::Unbindable) => libc::MS_UNBINDABLE,
    };
    let attributes = MountAttr {
        set: change.set.0 | if change.idmap.is_some() { MOUNT_ATTR_IDMAP } else { 0 },
        clear: change.clear.0,
        propagation,
        userns_fd: change.idmap.map_or(0, |fd| fd.as_raw_fd().cast_unsigned().into()),
    };
    let flags = libc::AT_EMPTY_PATH.cast_unsigned() | if recursive { AT_RECURSIVE } else { 0 };
    // SAFETY: the structure and the empty path outlive the call, which reads them only.
    let done = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_raw_fd(),
            c"".as_ptr(),
            flags,
            &raw const attributes,
            size_of::<MountAttr>(),
        )
    };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
