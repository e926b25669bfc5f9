//! Blobs to the registry, a few at once.

use std::collections::{HashMap, HashSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use conex_oci::image::ImageManifest;
use conex_oci::{Descriptor, Digest};
use conex_registry::Source;

use super::Push;
use super::plan::Plan;
use crate::{Error, Result, State};

/// Uploads at once; Docker's default is five.
const THREADS: usize = 4;
/// How many repositories are asked whether they have a blob, before it is sent.
const CANDIDATES: usize = 3;

impl Push<'_> {
    /// Sends what is not there. All threads have ended when it returns; the first error stops the others.
    pub(super) fn send_blobs(&self, plan: &Plan) -> Result<()> {
        let known = self.known_repositories(plan)?;
        for blob in &plan.blobs {
            self.progress.layer(&blob.digest, State::Waiting, 0, Some(blob.size));
        }
        let (next, stop) = (AtomicUsize::new(0), AtomicBool::new(false));
        let failure: Mutex<Option<Error>> = Mutex::new(None);
        let work = || {
            while let Some(blob) = plan.blobs.get(next.fetch_add(1, Ordering::Relaxed)) {
                if stop.load(Ordering::Relaxed) {
                    return;
                }
                let from = known.get(&blob.digest).map_or(&[][..], Vec::as_slice);
                if let Err(error) = self.send_blob(blob, from) {
                    stop.store(true, Ordering::Relaxed);
                    let mut failure = failure.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                    failure.get_or_insert(error);
                }
            }
        };
        std::thread::scope(|scope| {
            for _ in 1..plan.blobs.len().min(THREADS) {
                scope.spawn(work);
            }
            work();
        });
        failure.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner).map_or(Ok(()), Err)
    }

    fn send_blob(&self, blob: &Descriptor, mount_from: &[String]) -> Result<()> {
        let file = self.store.content().reader(&blob.digest)?;
        let size = self.store.content().size(&blob.digest)?;
        if size != blob.size {
            let found = format!("{size} bytes, its descriptor says {}", blob.size);
            return Err(conex_content::Error::Corrupt { digest: blob.digest, found }.into());
        }
        let tell = |sent| self.progress.layer(&blob.digest, State::Pushing, sent, Some(blob.size));
        let source = Source { file: &file, mount_from };
        let delivery = self.client.push_blob(self.reference, blob, source, &tell)?;
        self.progress.delivered(&blob.digest, &delivery);
        Ok(())
    }

    /// By blob: the repositories of the same registry of which images with that blob are here. A repository that has it
    /// not costs one question; nothing has to be remembered.
    fn known_repositories(&self, plan: &Plan) -> Result<HashMap<Digest, Vec<String>>> {
        let wanted: HashSet<Digest> = plan.blobs.iter().map(|blob| blob.digest).collect();
        let mut known: HashMap<Digest, Vec<String>> = HashMap::new();
        for root in self.store.content().roots()? {
            let Some(name) = root.reference() else { continue };
            let elsewhere = name.repository() != self.reference.repository();
            if name.registry() != self.reference.registry() || !elsewhere {
                continue;
            }
            for manifest in self.store.manifests_in(&root.target).unwrap_or_default() {
                let Ok(document) = self.store.content().document::<ImageManifest>(&manifest) else {
                    continue;
                };
                for blob in std::iter::once(&document.config).chain(&document.layers) {
                    if wanted.contains(&blob.digest) {
                        let repositories = known.entry(blob.digest).or_default();
                        let repository = name.repository().to_owned();
                        if repositories.len() < CANDIDATES && !repositories.contains(&repository) {
                            repositories.push(repository);
                        }
                    }
                }
            }
        }
        Ok(known)
    }
}
