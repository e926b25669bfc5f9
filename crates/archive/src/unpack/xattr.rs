//! Extended attributes: which ones a layer may set, and the mark of an opaque directory.

use std::os::fd::BorrowedFd;

use rustix::fs::{Mode, OFlags, XattrFlags};
use rustix::io::Errno;

use super::OverlayXattrs;
use super::tree::unpack;
use crate::Result;

/// Whether a layer may set the attribute. Not `trusted.*` and `security.*`, which are the host's and would steer overlayfs
/// (`trusted.overlay.redirect` leads anywhere) or the host's security modules; nor `user.overlay.*`, which does the same
/// in a user namespace. File capabilities are what images do have, and what the container's own bounding set limits.
fn is_allowed(name: &[u8]) -> bool {
    match name {
        b"security.capability" | b"system.posix_acl_access" | b"system.posix_acl_default" => true,
        _ => name.starts_with(b"user.") && !name.starts_with(b"user.overlay."),
    }
}

/// Sets an entry's attributes on an open file or directory; gives the number of those that were dropped.
pub(super) fn set(file: BorrowedFd<'_>, xattrs: &[(Vec<u8>, Vec<u8>)], path: &[u8]) -> Result<u64> {
    let mut dropped = 0;
    for (name, value) in xattrs {
        if !is_allowed(name) {
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

/// Marks a directory: nothing of the layers below shows through it.
pub(super) fn make_opaque(directory: BorrowedFd<'_>, overlay: OverlayXattrs, path: &[u8]) -> Result<()> {
    let failed = || unpack("mark as opaque the directory", path);
    // Attributes cannot be set through a handle that only names a path.
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let open = rustix::fs::openat(directory, c".", flags, Mode::empty()).map_err(failed())?;
    rustix::fs::fsetxattr(&open, overlay.opaque(), b"y", XattrFlags::empty()).map_err(failed())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_keeps_its_own() {
        for name in ["user.x", "security.capability", "system.posix_acl_access"] {
            assert!(is_allowed(name.as_bytes()), "{name}");
        }
        for name in [
            "trusted.overlay.opaque",
            "trusted.x",
            "user.overlay.redirect",
            "security.selinux",
            "security.ima",
            "x",
        ] {
            assert!(!is_allowed(name.as_bytes()), "{name}");
        }
    }
}
