//! Layers as EROFS images, one file each, written in one pass of the tar stream: no file of a layer is made by itself. What is
//! mounted is all layers of an image together ([`super::Merged`]).

use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::path::Path;

use conex_erofs::{WriteOptions, write_layer};
use conex_oci::DiffId;

use super::shelf::{Form, Record, Shelf, store};
use super::{LayerError, Result, seal};

/// A layer as an EROFS image that holds its tar stream.
#[derive(Debug, Clone, Default)]
pub struct Packed {
    options: WriteOptions,
    is_sealed: bool,
}

/// Layers as EROFS images.
pub type Images = Shelf<Packed>;

impl Images {
    /// The same store, whose layers to come are sealed (fs-verity), which its file system can.
    #[must_use]
    pub fn sealed(mut self) -> Self {
        self.form_mut().is_sealed = true;
        self
    }
}

impl Form for Packed {
    const NAME: &'static str = "layer.erofs";
    const IS_QUICK: bool = true;

    fn make(&self, layer: &DiffId, tar: &mut (dyn Read + Send), path: &Path) -> Result<Record> {
        let failed = |source| LayerError::Store { what: "write", path: path.to_owned(), source };
        let file = File::options().read(true).write(true).create_new(true).open(path).map_err(failed)?;
        let stats = write_layer(tar, &file, &self.options).map_err(|error| match error {
            conex_erofs::Error::Archive(source) => {
                LayerError::Unpack { layer: *layer, source: Box::new(source) }
            }
            source => LayerError::Image { path: path.to_owned(), source: Box::new(source) },
        })?;
        file.sync_data().map_err(failed)?;
        drop(file);
        let seal = if self.is_sealed { Some(seal::seal(path)?) } else { None };
        Ok(Record { stats: stats.into(), seal })
    }

    fn sync(path: &Path, directory: &OwnedFd) -> Result<()> {
        // The files themselves are written out already.
        rustix::fs::fsync(directory).map_err(store("write out", path))
    }
}
