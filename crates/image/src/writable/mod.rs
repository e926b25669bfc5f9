//! A container's writable layer (overlayfs's upper directory) as something to read: what [`Writable::changes`] lists for
//! `diff`, [`Writable::layer`] makes a layer of for `commit`, and [`Writable::export`] merges with the image.
//!
//! The layer is read where it lies and never mounted a second time, so that it makes no difference whether the container
//! runs; the image below is a read-only [`View`](crate::View), whatever form its layers have on disk. What overlayfs writes
//! is known because the engine says how (`rootfs`): whiteouts are character devices 0/0, `trusted.overlay.opaque` marks
//! directories, and there are neither redirects nor metadata-only copies.
//!
//! The container may be at work in these directories at the same moment, and is hostile. Every step goes over a held
//! descriptor, symbolic links are read and never followed, nothing but a regular file is ever opened, and what has
//! gone since its name was read is passed over.

mod changes;
mod error;
mod export;
mod file;
mod ids;
mod layer;
mod pack;
mod stubs;
mod walk;
mod xattr;

use std::os::fd::BorrowedFd;

use conex_archive::OverlayXattrs;

pub use changes::{Change, ChangeKind};
pub use error::WritableError;
pub use ids::IdShift;
pub use xattr::travels;

use walk::Tree;

/// A writable layer and what lies below it.
#[derive(Debug)]
pub struct Writable<'a> {
    upper: Tree<'a>,
    lower: Tree<'a>,
}

impl<'a> Writable<'a> {
    /// `upper` is the directory of the writable layer, `lower` the root of the image, `ids` how the container's users are
    /// numbered on the host when it has a user namespace of its own.
    pub fn new(upper: BorrowedFd<'a>, lower: BorrowedFd<'a>, ids: Option<IdShift>) -> Self {
        let marks = OverlayXattrs::here();
        Self { upper: Tree { root: upper, ids, marks }, lower: Tree { root: lower, ids: None, marks } }
    }
}
