//! `image verify`: everything an image is made of, read and checked against what it is called.
//!
//! Blobs against their digests; a layer that is an EROFS image against its diff_id, by the tar stream in it, and byte for byte
//! against what that stream makes; the merged image against what its layers make. A layer that is a directory cannot be
//! checked: overlayfs has it mounted and the kernel keeps no digest of it; only that it is there is said.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use conex_archive::HashingReader;
use conex_erofs::WriteOptions;
use conex_oci::{ChainId, Descriptor, DiffId, Digest, Hasher};

use crate::layers::{Backend, LayerError};
use crate::{Image, Result, Store};

/// What was looked at.
#[derive(Debug, Default)]
pub struct Verified {
    /// Blobs that are what their digests say.
    pub blobs: usize,
    /// Layers that are what their diff_ids say.
    pub layers: usize,
    /// Layers that are directories, which nobody can check.
    pub unchecked: usize,
    /// What is wrong; one line each.
    pub faults: Vec<Fault>,
}

/// Something that is not what it should be.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// A blob is not here, or cannot be read.
    #[error("blob {digest}: {source}")]
    Unreadable {
        /// Which blob.
        digest: Digest,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A blob is another than its name.
    #[error("blob {digest} is damaged: it is {found} ({size} bytes)")]
    Blob {
        /// Its name.
        digest: Digest,
        /// What its bytes are.
        found: Digest,
        /// How many.
        size: u64,
    },
    /// A layer is not what the image's configuration says.
    #[error("layer {layer} is damaged: {source}")]
    Layer {
        /// Which layer.
        layer: DiffId,
        /// In what way.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The merged image is not what its layers make.
    #[error("{} is damaged: it is not what its layers make (remove it; it is made again)", path.display())]
    Merged {
        /// The file.
        path: PathBuf,
    },
}

impl Store {
    /// Reads all of the image. What is wrong with it is in [`Verified::faults`].
    ///
    /// # Errors
    /// A store that cannot be looked at.
    pub fn verify(&self, image: &Image) -> Result<Verified> {
        let _lease = self.lease(image)?;
        let mut verified = Verified::default();
        let manifest = Descriptor { digest: image.manifest_digest, ..image.manifest.config.clone() };
        let sized = image.manifest.layers.iter().chain([&image.manifest.config]);
        for (blob, size) in sized.map(|blob| (blob, Some(blob.size))).chain([(&manifest, None)]) {
            match self.verify_blob(&blob.digest, size) {
                Ok(()) => verified.blobs += 1,
                Err(fault) => verified.faults.push(fault),
            }
        }
        let Backend::Erofs { .. } = self.backend() else {
            verified.unchecked = image.document.rootfs.diff_ids.len();
            return Ok(verified);
        };
        for layer in &image.document.rootfs.diff_ids {
            match self.layers().lower(layer)? {
                // It is made when it is next needed.
                None => {}
                Some(path) => match self.verify_layer_at(layer, &path) {
                    Ok(()) => verified.layers += 1,
                    Err(source) => verified.faults.push(Fault::Layer { layer: *layer, source }),
                },
            }
        }
        if verified.faults.is_empty() {
            self.verify_merged(&image.document.rootfs.diff_ids, &mut verified)?;
        }
        Ok(verified)
    }

    fn verify_layer_at(
        &self,
        layer: &DiffId,
        path: &Path,
    ) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        self.layers().check_seal(layer)?;
        verify_layer(layer, &File::open(path)?, &|_| ())
    }

    fn verify_blob(&self, digest: &Digest, size: Option<u64>) -> Result<(), Fault> {
        let unreadable = |source| Fault::Unreadable { digest: *digest, source };
        let mut blob = self.content().reader(digest).map_err(|error| unreadable(error.into()))?;
        let mut hasher = Hasher::new();
        let count = io::copy(&mut blob, &mut hasher).map_err(|error| unreadable(error.into()))?;
        let found = hasher.finish();
        if found != *digest || size.is_some_and(|size| size != count) {
            return Err(Fault::Blob { digest: *digest, found, size: count });
        }
        Ok(())
    }

    fn verify_merged(&self, layers: &[DiffId], verified: &mut Verified) -> Result<()> {
        let (Some(merged), Some(chain)) = (&self.merged, ChainId::of(layers)) else { return Ok(()) };
        let all_here = layers.iter().map(|layer| self.layers().lower(layer));
        if all_here.collect::<Result<Vec<_>, LayerError>>()?.iter().all(Option::is_some)
            && let Some(path) = merged.differs(&chain, layers, self.layers())?
        {
            verified.faults.push(Fault::Merged { path });
        }
        Ok(())
    }
}

/// Compares a layer that is an image with its diff_id, and with what its stream makes; `told` hears how many bytes came.
pub(crate) fn verify_layer(
    layer: &DiffId,
    file: &File,
    told: &dyn Fn(u64),
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let mut tar = HashingReader::new(Told { inner: conex_erofs::tar_of(file)?, told });
    conex_erofs::verify_layer(&mut tar, file, &WriteOptions::default())?;
    let (found, _) = tar.finish()?;
    if found != layer.0 {
        return Err(format!("its tar stream is {found}").into());
    }
    Ok(())
}

struct Told<'a, R> {
    inner: R,
    told: &'a dyn Fn(u64),
}

impl<R: io::Read> io::Read for Told<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        (self.told)(count as u64);
        Ok(count)
    }
}
