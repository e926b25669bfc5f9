//! Downloads: the configuration, then the layers, a few at once; how a single blob comes is `fetch`'s.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use conex_content::DOCUMENT_LIMIT;
use conex_oci::image::ImageManifest;
use conex_oci::{ChainId, Descriptor, DiffId, Platform, media_type};

use super::follow::Growing;
use super::{Pull, Refusal};
use crate::{Error, Image, Result, State};

/// Downloads at once, as Docker.
pub(super) const THREADS: usize = 3;
/// The most layers that are stacked; Docker's limit is about the same.
const LAYERS: usize = 128;

impl Pull<'_> {
    /// Brings manifest and configuration here, and checks that they are an image we can run.
    pub(super) fn image(&self, target: &Descriptor, manifest: &Descriptor) -> Result<Image> {
        let bytes = self.document(manifest)?;
        let malformed = |source| self.refuse(Refusal::Malformed { digest: manifest.digest, source });
        let document: ImageManifest = serde_json::from_slice(&bytes).map_err(malformed)?;
        self.check_layers(&document.layers)?;
        let config = &document.config;
        if config.size > DOCUMENT_LIMIT {
            let (digest, size) = (config.digest, config.size);
            return Err(self.refuse(Refusal::TooLarge { digest, size, limit: DOCUMENT_LIMIT }));
        }
        self.blob(config, &AtomicBool::new(false), &|_| {})?;
        let mut image = self.store.image_of_manifest(target, manifest)?;
        image.references = vec![self.reference.clone()];
        let ours = image.platform();
        // What a configuration says goes before an index that says nothing. An image that has but one platform is pulled
        // without being asked for it, as with Docker; the engine warns when it runs.
        if let Some(wanted) = self.platform
            && !ours.serves(wanted)
        {
            return Err(self.refuse(Refusal::Platform { wanted: wanted.clone(), available: clean(&ours) }));
        }
        Ok(image)
    }

    fn check_layers(&self, layers: &[Descriptor]) -> Result<()> {
        if layers.len() > LAYERS {
            return Err(self.refuse(Refusal::TooManyLayers { count: layers.len(), limit: LAYERS }));
        }
        for layer in layers {
            self.check_ours(layer)?;
            let digest = layer.digest;
            let kind = layer.media_type.as_str();
            if !is_layer(kind) {
                let media_type = kind.chars().filter(|c| !c.is_control()).take(80).collect();
                return Err(self.refuse(Refusal::LayerType { digest, media_type }));
            }
        }
        Ok(())
    }

    /// Refuses what only its vendor may hand out.
    pub(super) fn check_ours(&self, blob: &Descriptor) -> Result<()> {
        let kind = blob.media_type.as_str();
        if blob.urls.as_ref().is_some_and(|urls| !urls.is_empty())
            || kind.contains("foreign")
            || kind.contains("nondistributable")
        {
            return Err(self.refuse(Refusal::Foreign { digest: blob.digest }));
        }
        Ok(())
    }

    /// Downloads and unpacks the image's layers that are not here. All threads have ended when it returns; the first error stops
    /// the others.
    pub(super) fn download(&self, image: &Image) -> Result<()> {
        let (blobs, layers) = (image.manifest.layers.len(), image.document.rootfs.diff_ids.len());
        if blobs != layers {
            return Err(Error::LayerCount { id: image.id, blobs, layers });
        }
        let layers = &image.document.rootfs.diff_ids;
        for digest in layers.iter().map(|layer| layer.0).chain(ChainId::of(layers).map(|chain| chain.0)) {
            self.lease.add(&digest)?;
        }
        if let Some(chain) = ChainId::of(layers) {
            self.remember(&chain.0);
        }
        let mut seen = BTreeSet::new();
        let mut missing = Vec::new();
        let pairs = image.manifest.layers.iter().zip(&image.document.rootfs.diff_ids);
        for (layer, diff_id) in pairs.filter(|(layer, _)| seen.insert(layer.digest)) {
            self.lease.add(&layer.digest)?;
            if !self.store.content().has(&layer.digest) {
                missing.push((layer, diff_id));
            }
        }
        let (next, stop) = (AtomicUsize::new(0), AtomicBool::new(false));
        let failure: Mutex<Option<Error>> = Mutex::new(None);
        let work = || {
            while let Some((layer, diff_id)) = missing.get(next.fetch_add(1, Ordering::Relaxed)) {
                if stop.load(Ordering::Relaxed) {
                    return;
                }
                if let Err(error) = self.layer(layer, diff_id, &stop) {
                    stop.store(true, Ordering::Relaxed);
                    let mut failure = failure.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                    failure.get_or_insert(error);
                }
            }
        };
        // A single layer needs no thread.
        match missing.len() {
            0 | 1 => work(),
            count => std::thread::scope(|scope| {
                for _ in 0..count.min(THREADS) {
                    scope.spawn(work);
                }
            }),
        }
        failure.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner).map_or(Ok(()), Err)
    }

    /// Downloads a layer and unpacks it while it comes.
    fn layer(&self, layer: &Descriptor, diff_id: &DiffId, stop: &AtomicBool) -> Result<()> {
        let tell = |bytes| self.progress.layer(&layer.digest, State::Downloading, bytes, Some(layer.size));
        tell(0);
        let growing = Growing::default();
        let (brought, unpacked) = std::thread::scope(|scope| {
            let unpacker = std::thread::Builder::new().name("inflate".to_owned());
            let unpack = || self.store.unpack_stream(layer, diff_id, growing.follow());
            let unpacker = unpacker.spawn_scoped(scope, unpack);
            let brought = self.followed_blob(layer, stop, &tell, &growing);
            // Without a thread it is unpacked afterwards.
            let unpacked = unpacker.is_ok_and(|unpacker| match unpacker.join() {
                Ok(unpacked) => {
                    unpacked.inspect_err(|error| log::debug!("{}: {error}", layer.digest)).is_ok()
                }
                Err(panic) => std::panic::resume_unwind(panic),
            });
            (brought, unpacked)
        });
        if brought? {
            // What was wrong with a download is told by its digest; with a layer that came as it should, by unpacking it again.
            match unpacked {
                true => self.progress.layer(&layer.digest, State::Done, layer.size, Some(layer.size)),
                false => self.store.unpack_layer(layer, diff_id, self.progress)?,
            }
            self.remember(&diff_id.0);
        }
        Ok(())
    }
}

/// Layers are tars, plain, gzip or zstd; the bytes themselves say which.
fn is_layer(kind: &str) -> bool {
    [
        media_type::LAYER,
        media_type::LAYER_GZIP,
        media_type::LAYER_ZSTD,
        media_type::DOCKER_LAYER,
        media_type::DOCKER_LAYER_GZIP,
        "application/vnd.docker.image.rootfs.diff.tar.zstd",
    ]
    .contains(&kind)
}

fn clean(platform: &Platform) -> String {
    platform.to_string().chars().filter(|c| !c.is_control()).take(40).collect()
}
