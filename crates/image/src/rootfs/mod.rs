//! Root filesystems: an image's layers under overlayfs, as a mount that hangs nowhere.
//!
//! The mount is made with fsopen, fsconfig and fsmount and given as a file descriptor; whoever runs the container moves it
//! into the container's own mount namespace. Nothing is ever mounted in the host's.

mod error;

use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

pub use conex_archive::{RemoveError, remove_tree};
pub use error::{Result, RootfsError};

/// What a root filesystem is made of.
#[derive(Debug, Clone)]
pub struct RootfsRequest<'a> {
    /// The image's layers, lowest first, as [`Layers::lower`](crate::layers::Layers::lower) gives them. None at all is an empty image.
    pub lowers: &'a [PathBuf],
    /// The container's writable layer; an existing directory.
    pub upper: &'a Path,
    /// Overlayfs's own directory, on the same file system as `upper`; an existing, empty directory.
    pub work: &'a Path,
    /// Leaves out every sync: for a container whose writable layer dies with it.
    pub volatile: bool,
    /// Mounts it read-only.
    pub read_only: bool,
    /// A user namespace whose mapping the files' owners are shown through.
    pub idmap: Option<BorrowedFd<'a>>,
}

/// Mounts the root filesystem, detached.
pub fn mount(_request: &RootfsRequest<'_>) -> Result<OwnedFd> {
    todo!()
}
