//! Skeleton.
use super::{Layers, Prepared, Result};
use conex_oci::DiffId;
use std::path::{Path, PathBuf};

/// Layers as plain directories: `<root>/<hex of the diff_id>/fs`.
pub struct Directories {
    _root: PathBuf,
}

impl Directories {
    /// The store at `root`, made when the first layer is; clears what a crash has left.
    pub fn open(root: &Path) -> Result<Self> {
        Ok(Self { _root: root.to_owned() })
    }
}

impl Layers for Directories {
    fn lower(&self, _layer: &DiffId) -> Result<Option<PathBuf>> {
        todo!()
    }
    fn prepare(&self, _layer: &DiffId) -> Result<Prepared> {
        todo!()
    }
    fn remove(&self, _layer: &DiffId) -> Result<()> {
        todo!()
    }
    fn list(&self) -> Result<Vec<DiffId>> {
        todo!()
    }
    fn size(&self, _layer: &DiffId) -> Result<Option<u64>> {
        todo!()
    }
}
