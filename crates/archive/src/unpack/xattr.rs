//! Extended attributes on disk, and the mark of an opaque directory.

use std::os::fd::{AsRawFd, BorrowedFd};

use rustix::fs::{Mode, OFlags, XattrFlags};
use rustix::io::Errno;

use super::OverlayXattrs;
use super::tree::unpack;
use crate::Result;
use crate::names::may_set_xattr;

/// Sets an entry's attributes on an open file or directory; gives the number of those that were dropped.
pub(super) fn set(file: BorrowedFd<'_>, xattrs: &[(Vec<u8>, Vec<u8>)], path: &[u8]) -> Result<u64> {
    let mut dropped = 0;
    for (name, value) in xattrs {
        if !may_set_xattr(name) {
            dropped += 1;
            continue;
        }
        match rustix::fs::fsetxattr(file, &name[..], value, XattrFlags::empty()) {
            Ok(()) => {}
            // A file system without them (tmpfs before 6.6), or a user who may not: as all tools do.
            Err(Errno::OPNOTSUPP | Errno::PERM) => dropped += 1,
            Err(error) => return Err(unpack("set an extended attribute of", path)(error)),
        }
    }
    Ok(dropped)
}

/// Whether what is made in a directory with this attribute gets a list of its own from it.
pub(super) fn is_inherited(name: &[u8]) -> bool {
    name == b"system.posix_acl_default"
}

/// What new files and directories get from the directory they are made in, which an archive does not want: it has for each entry
/// what it is to have.
#[derive(Debug, Clone, Copy)]
pub(super) struct Inherited {
    /// Some directory has a default access control list, which the kernel gives to what is made in it.
    pub(super) any: bool,
    /// Whether the thread has a working directory of its own, and no /proc.
    pub(super) is_confined: bool,
}

impl Inherited {
    /// Takes the access control lists away. There is no such call with a directory handle before Linux 6.13.
    pub(super) fn forget(self, parent: BorrowedFd<'_>, name: &[u8], path: &[u8]) -> Result<()> {
        if !self.any {
            return Ok(());
        }
        let failed = || unpack("take the inherited access control list from", path);
        let named = if self.is_confined {
            rustix::process::fchdir(parent).map_err(failed())?;
            name.to_vec()
        } else {
            [format!("/proc/self/fd/{}/", parent.as_raw_fd()).as_bytes(), name].concat()
        };
        for list in ["system.posix_acl_access", "system.posix_acl_default"] {
            match rustix::fs::lremovexattr(&named[..], list) {
                Ok(()) | Err(Errno::NODATA | Errno::OPNOTSUPP) => {}
                // A default list of what is no directory.
                Err(Errno::ACCESS) => {}
                Err(error) => return Err(failed()(error)),
            }
        }
        Ok(())
    }
}

/// Marks a directory: nothing of the layers below shows through it.
pub(super) fn make_opaque(directory: BorrowedFd<'_>, overlay: OverlayXattrs, path: &[u8]) -> Result<()> {
    let failed = || unpack("mark as opaque the directory", path);
    // Attributes cannot be set through a handle that only names a path.
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let open = rustix::fs::openat(directory, c".", flags, Mode::empty()).map_err(failed())?;
    rustix::fs::fsetxattr(&open, overlay.opaque(), b"y", XattrFlags::empty()).map_err(failed())
}
