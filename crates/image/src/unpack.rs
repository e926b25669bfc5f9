//! Layers from blobs: verified against their diff_id while they are unpacked.

use std::path::PathBuf;

use crate::{Image, Progress, Result, Store};

impl Store {
    /// Unpacks the layers that are not unpacked yet, several at a time; all threads have ended when it returns.
    pub fn unpack(&self, image: &Image, progress: &dyn Progress) -> Result<()> {
        let _ = (image, progress);
        todo!()
    }

    /// The directories of the image's layers, lowest first, unpacking what is missing.
    pub fn lowers(&self, image: &Image) -> Result<Vec<PathBuf>> {
        let _ = image;
        todo!()
    }
}
