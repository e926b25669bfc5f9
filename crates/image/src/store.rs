//! The store: content and layers together.

use std::path::{Path, PathBuf};

use conex_content::{Content, Lease};
use conex_oci::Reference;

use crate::{Image, Result};

/// The images of one ROOT. Cheap to open; holds no lock and no thread.
#[derive(Debug)]
pub struct Store {
    content: Content,
}

impl Store {
    /// Opens the store at `root`, making what is missing.
    pub fn open(root: impl Into<PathBuf>) -> Result<Self> {
        Ok(Self { content: Content::open(root)? })
    }

    /// ROOT.
    pub fn root(&self) -> &Path {
        self.content.root()
    }

    /// The blobs and references.
    pub fn content(&self) -> &Content {
        &self.content
    }

    /// Keeps the image from being removed while this lives: taken between `resolve` and the writing of the container's
    /// record. Fails with [`crate::Error::NotFound`] when the image went in between. Drop it before a fork.
    pub fn lease(&self, image: &Image) -> Result<Lease> {
        let _ = image;
        todo!()
    }

    /// All references that point at the image, or at an index that holds it, in order.
    pub fn names(&self, image: &Image) -> Result<Vec<Reference>> {
        let _ = image;
        todo!()
    }
}
