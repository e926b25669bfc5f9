//! Layers from blobs: verified against their diff_id while they are unpacked.

use std::io::{self, Read};
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use conex_oci::{ChainId, Descriptor, DiffId, Digest};

use crate::layers::{Draft, LayerError, Prepared};
use crate::{Error, Image, Progress, Result, State, Store};

/// More threads than this only make the disk seek.
const THREADS: usize = 4;

impl Store {
    /// Unpacks the layers that are not unpacked yet, several at a time, and makes them ready to be mounted; all threads have ended
    /// when it returns.
    pub fn unpack(&self, image: &Image, progress: &dyn Progress) -> Result<()> {
        self.unpack_layers(image, progress)?;
        let layers = &image.document.rootfs.diff_ids;
        if let (Some(merged), Some(chain)) = (&self.merged, ChainId::of(layers)) {
            merged.merge(&chain, layers, self.layers())?;
        }
        Ok(())
    }

    fn unpack_layers(&self, image: &Image, progress: &dyn Progress) -> Result<()> {
        let (blobs, layers) = (&image.manifest.layers, &image.document.rootfs.diff_ids);
        if blobs.len() != layers.len() {
            return Err(Error::LayerCount { id: image.id, blobs: blobs.len(), layers: layers.len() });
        }
        let mut missing = Vec::new();
        for (blob, layer) in blobs.iter().zip(layers) {
            if self.layers().lower(layer)?.is_some() {
                progress.layer(&blob.digest, State::Exists, blob.size, Some(blob.size));
            } else {
                missing.push((blob, layer));
            }
        }
        // A single layer is unpacked right here: the process of `run` stays free of threads.
        if let [(blob, layer)] = missing.as_slice() {
            return self.unpack_layer(blob, layer, progress);
        }
        let workers =
            std::thread::available_parallelism().map_or(1, usize::from).min(THREADS).min(missing.len());
        let (next, stop, failure) = (AtomicUsize::new(0), AtomicBool::new(false), Mutex::new(None));
        std::thread::scope(|scope| {
            for _ in 0..workers {
                scope.spawn(|| {
                    while let Some((blob, layer)) = missing.get(next.fetch_add(1, Ordering::Relaxed)) {
                        if stop.load(Ordering::Relaxed) {
                            break;
                        }
                        if let Err(error) = self.unpack_layer(blob, layer, progress) {
                            stop.store(true, Ordering::Relaxed);
                            failure
                                .lock()
                                .unwrap_or_else(std::sync::PoisonError::into_inner)
                                .get_or_insert(error);
                        }
                    }
                });
            }
        });
        failure.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner).map_or(Ok(()), Err)
    }

    /// Unpacks one layer unless it is there; pull does so while other layers are still on their way.
    pub(crate) fn unpack_layer(
        &self,
        blob: &Descriptor,
        layer: &DiffId,
        progress: &dyn Progress,
    ) -> Result<()> {
        let draft = match self.layers().prepare(layer)? {
            Prepared::Ready(_) => {
                progress.layer(&blob.digest, State::Exists, blob.size, Some(blob.size));
                return Ok(());
            }
            Prepared::Draft(draft) => draft,
        };
        let file = self.content().reader(&blob.digest)?;
        let told = Told { inner: file, digest: &blob.digest, total: blob.size, bytes: 0, progress };
        fill(draft, layer, told)?;
        progress.layer(&blob.digest, State::Done, blob.size, Some(blob.size));
        Ok(())
    }

    /// The same out of `source`, which may still be growing; says nothing on the way.
    pub(crate) fn unpack_stream(&self, blob: &Descriptor, layer: &DiffId, source: impl Read) -> Result<()> {
        match self.layers().prepare(layer)? {
            Prepared::Ready(_) => log::debug!("{}: layer {layer} is here", blob.digest),
            Prepared::Draft(draft) => fill(draft, layer, source)?,
        }
        Ok(())
    }

    /// The directories that overlayfs is to stack for the image, lowest first, unpacking what is missing: its layers', or the
    /// one where all of them are mounted.
    pub fn lowers(&self, image: &Image) -> Result<Vec<PathBuf>> {
        let layers = &image.document.rootfs.diff_ids;
        if let (Some(merged), Some(chain)) = (&self.merged, ChainId::of(layers)) {
            if let Some(mounted) = merged.mounted(&chain) {
                return Ok(vec![mounted]);
            }
        } else if let Some(lowers) = self.lowers_here(layers)? {
            return Ok(lowers);
        }
        self.unpack(image, &crate::Silent)?;
        self.stacked(image)
    }

    /// The same of an image that is unpacked.
    pub(crate) fn stacked(&self, image: &Image) -> Result<Vec<PathBuf>> {
        let layers = &image.document.rootfs.diff_ids;
        if let (Some(merged), Some(chain)) = (&self.merged, ChainId::of(layers)) {
            return Ok(vec![merged.mount(&chain, layers, self.layers())?]);
        }
        self.lowers_here(layers)?.ok_or_else(|| Error::NotFound { name: image.name() })
    }

    fn lowers_here(&self, layers: &[DiffId]) -> Result<Option<Vec<PathBuf>>> {
        let lowers = layers.iter().map(|layer| self.layers().lower(layer));
        Ok(lowers.collect::<std::result::Result<_, _>>()?)
    }
}

fn fill(draft: Box<dyn Draft>, layer: &DiffId, blob: impl Read) -> Result<()> {
    let failed = |source| LayerError::Unpack { layer: *layer, source: Box::new(source) };
    draft.fill(&mut conex_archive::decompress(blob).map_err(failed)?)?;
    Ok(())
}

/// A reader that tells how far it came.
struct Told<'a, R> {
    inner: R,
    digest: &'a Digest,
    total: u64,
    bytes: u64,
    progress: &'a dyn Progress,
}

impl<R: Read> Read for Told<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.bytes += count as u64;
        self.progress.layer(self.digest, State::Unpacking, self.bytes, Some(self.total));
        Ok(count)
    }
}
