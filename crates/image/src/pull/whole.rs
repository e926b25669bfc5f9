//! All of an index: every platform's image and what is attached to it, as the registry has it, so that it can be pushed or
//! saved whole. Only the host's image is unpacked.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use conex_oci::Descriptor;
use conex_oci::image::{ImageIndex, ImageManifest};

use super::download::THREADS;
use super::{Pull, Refusal};
use crate::{Error, Result, State};

/// The most manifests that are taken out of one index.
const MANIFESTS: usize = 256;
/// The most blobs of all of them.
const BLOBS: usize = 4096;
/// How deep indexes may list indexes.
const DEPTH: u32 = 3;

impl Pull<'_> {
    /// Brings everything below an index here.
    pub(super) fn everything(&self, index: &ImageIndex) -> Result<()> {
        let mut manifests = Vec::new();
        self.all_manifests(index, DEPTH, &mut manifests)?;
        let (mut seen, mut blobs) = (BTreeSet::new(), Vec::new());
        for manifest in &manifests {
            let bytes = self.document(manifest)?;
            let malformed = |source| self.refuse(Refusal::Malformed { digest: manifest.digest, source });
            let document: ImageManifest = serde_json::from_slice(&bytes).map_err(malformed)?;
            for blob in std::iter::once(document.config).chain(document.layers) {
                self.check_ours(&blob)?;
                if seen.insert(blob.digest) {
                    blobs.push(blob);
                }
            }
            if blobs.len() > BLOBS {
                return Err(self.refuse(Refusal::TooManyLayers { count: blobs.len(), limit: BLOBS }));
            }
        }
        self.all_blobs(&blobs)
    }

    fn all_manifests(&self, index: &ImageIndex, depth: u32, found: &mut Vec<Descriptor>) -> Result<()> {
        for child in &index.manifests {
            if found.len() >= MANIFESTS || (child.is_index() && depth == 0) {
                return Err(self.refuse(Refusal::Nested));
            }
            if child.is_index() {
                let bytes = self.document(child)?;
                self.all_manifests(&self.index(child, &bytes)?, depth - 1, found)?;
            } else if child.is_manifest() {
                found.push(child.clone());
            }
        }
        Ok(())
    }

    fn all_blobs(&self, blobs: &[Descriptor]) -> Result<()> {
        let (next, stop) = (AtomicUsize::new(0), AtomicBool::new(false));
        let failure: Mutex<Option<Error>> = Mutex::new(None);
        let work = || {
            while let Some(blob) = blobs.get(next.fetch_add(1, Ordering::Relaxed)) {
                let tell =
                    |bytes| self.progress.layer(&blob.digest, State::Downloading, bytes, Some(blob.size));
                if stop.load(Ordering::Relaxed) {
                    return;
                }
                match self.blob(blob, &stop, &tell) {
                    Ok(true) => self.progress.layer(&blob.digest, State::Done, blob.size, Some(blob.size)),
                    Ok(false) => {}
                    Err(error) => {
                        stop.store(true, Ordering::Relaxed);
                        failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
                    }
                }
            }
        };
        std::thread::scope(|scope| {
            for _ in 1..blobs.len().min(THREADS) {
                scope.spawn(work);
            }
            work();
        });
        failure.into_inner().unwrap_or_else(PoisonError::into_inner).map_or(Ok(()), Err)
    }
}
