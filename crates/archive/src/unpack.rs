//! Skeleton.
use crate::{Limits, Result};
use std::io::Read;
use std::os::fd::BorrowedFd;

/// Which extended attributes overlayfs will look for when the directory is a lower layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OverlayXattrs {
    /// `trusted.overlay.*`: a mount by root.
    #[default]
    Trusted,
    /// `user.overlay.*`: a mount with `userxattr`, inside a user namespace.
    User,
}

/// How to unpack.
#[derive(Debug, Clone, Default)]
pub struct UnpackOptions {
    /// The bounds.
    pub limits: Limits,
    /// How opaque directories are marked.
    pub overlay: OverlayXattrs,
}

/// What was unpacked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UnpackStats {
    /// Entries of every kind.
    pub entries: u64,
    /// Bytes of regular files, holes included: the size of the layer, as image listings add it up.
    pub bytes: u64,
    /// Whiteouts and opaque marks.
    pub whiteouts: u64,
    /// Entries of unknown types, and reserved `.wh..wh.` names, passed over.
    pub skipped: u64,
    /// Extended attributes that were not set: reserved for the host, or not supported by the file system.
    pub dropped_xattrs: u64,
}

/// Unpacks the tar stream `reader` into the directory `destination`, which should be empty.
pub fn unpack(
    _reader: impl Read,
    _destination: BorrowedFd<'_>,
    _options: &UnpackOptions,
) -> Result<UnpackStats> {
    todo!()
}
