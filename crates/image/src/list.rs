//! `images`: all images with their names and sizes.

use conex_oci::{Digest, Reference};

use crate::{Image, Result, Store};

/// Which images to list; everything set must hold. Docker's `--filter`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// `reference=`: shell patterns over `name[:tag]`; any of them.
    pub references: Vec<String>,
    /// `dangling=true|false`
    pub dangling: Option<bool>,
    /// `label=key[=value]`; all of them.
    pub labels: Vec<(String, Option<String>)>,
    /// `before=`: made before this image (as typed).
    pub before: Option<String>,
    /// `since=`: made after this image (as typed).
    pub since: Option<String>,
}

/// One image in the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// The image.
    pub image: Image,
    /// Its tags, in order; empty when it is dangling.
    pub tags: Vec<Reference>,
    /// `repository@digest`, in order.
    pub digests: Vec<Reference>,
    /// The unpacked size of its layers in bytes, as Docker counts.
    pub size: u64,
}

impl Summary {
    /// The image's id.
    pub fn id(&self) -> Digest {
        self.image.id
    }

    /// Whether it has no tag.
    pub fn dangling(&self) -> bool {
        self.tags.is_empty()
    }
}

impl Store {
    /// All images that pass the filter, newest first, as Docker lists them.
    pub fn list(&self, filter: &Filter) -> Result<Vec<Summary>> {
        let _ = filter;
        todo!()
    }

    /// The unpacked size of the image's layers in bytes.
    pub fn size(&self, image: &Image) -> Result<u64> {
        let _ = image;
        todo!()
    }
}
