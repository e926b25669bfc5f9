//! ROOT itself: `oci-layout`, `blobs/sha256/`, `references/`, `tmp/`, made on first use.

use std::path::{Path, PathBuf};

use crate::Result;

/// An open store. Cheap to open: one look at `oci-layout` when it exists already.
#[derive(Debug, Clone)]
pub struct Content {
    root: PathBuf,
}

impl Content {
    /// Opens the store at `root`, making what is missing.
    pub fn open(root: impl Into<PathBuf>) -> Result<Self> {
        Ok(Self { root: root.into() })
    }

    /// ROOT.
    pub fn root(&self) -> &Path {
        &self.root
    }
}
