//! Pull: a reference becomes an image in the store.
//!
//! resolve at the registry ▶ choose the platform's manifest ▶ download what is missing, a few layers at once, each
//! verified while it streams into the store ▶ unpack ▶ point the reference at it. A pull that fails or is killed leaves
//! verified blobs and halves of some, which the next one goes on with, unless the disk is full; it never leaves a reference to something incomplete.

mod again;
mod choose;
mod download;
mod fetch;
mod follow;
mod refusal;
mod whole;

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use conex_content::Lease;
use conex_oci::image::ImageIndex;
use conex_oci::{Descriptor, Digest, Platform, Reference};
use conex_registry::{Client, Options};

pub use refusal::Refusal;

use crate::{Error, Image, Progress, Result, Store};

/// A pulled image.
#[derive(Debug, Clone)]
pub struct Pulled {
    /// The image, unpacked and named.
    pub image: Image,
    /// What the registry serves under the reference: the digest of the index or manifest.
    pub digest: Digest,
    /// Whether anything changed: "Downloaded newer image", else "Image is up to date".
    pub updated: bool,
}

/// One pull: the store, the registry, and what is being asked of them.
pub(crate) struct Pull<'a> {
    store: &'a Store,
    client: &'a Client,
    reference: &'a Reference,
    platform: Option<&'a Platform>,
    /// Whether all platforms of an index are wanted.
    whole: bool,
    progress: &'a dyn Progress,
    /// What has come: blobs, and the layers that are made of them.
    brought: Mutex<HashSet<Digest>>,
    /// Keeps what is here, and what comes, from being collected before the reference is written.
    lease: Lease,
}

impl Store {
    /// Pulls `reference` for `platform` (the host's without one), from the registry that it names. Options for
    /// registries come from the environment ([`Options::from_env`]). All connections and threads are gone when it
    /// returns.
    pub fn pull(
        &self,
        reference: &Reference,
        platform: Option<&Platform>,
        progress: &dyn Progress,
    ) -> Result<Pulled> {
        self.pull_with(&Client::new(Options::from_env()), reference, platform, progress)
    }

    /// As [`pull`](Self::pull), through a client at hand.
    pub fn pull_with(
        &self,
        client: &Client,
        reference: &Reference,
        platform: Option<&Platform>,
        progress: &dyn Progress,
    ) -> Result<Pulled> {
        self.pull_as(client, reference, platform, false, progress)
    }

    /// Pulls all platforms of what `reference` names, and what is attached to them in the index. The image that comes back is
    /// the host's, or the first if there is none.
    pub fn pull_whole(
        &self,
        client: &Client,
        reference: &Reference,
        progress: &dyn Progress,
    ) -> Result<Pulled> {
        self.pull_as(client, reference, None, true, progress)
    }

    fn pull_as(
        &self,
        client: &Client,
        reference: &Reference,
        platform: Option<&Platform>,
        whole: bool,
        progress: &dyn Progress,
    ) -> Result<Pulled> {
        // A tag beside a digest is for people; the digest alone is the name, as with Docker.
        let reference = &reference.digest().map_or_else(|| reference.clone(), |d| reference.with_digest(*d));
        // Of several pulls of one name the first does the work; the others find it done.
        let _guard = self.content().guard(&format!("pull {reference}"))?;
        // Half-written blobs of a pull that was killed.
        self.content().clear_temporary()?;
        let lease = self.content().lease()?;
        let brought = Mutex::default();
        let pull = Pull { store: self, client, reference, platform, whole, progress, brought, lease };
        let pulled = pull.run();
        if let Err(error) = &pulled
            // Without space it does not keep the little that was left.
            && (is_final(error) || conex_content::is_full(error))
        {
            let Pull { brought, lease, .. } = pull;
            drop(lease);
            let brought = brought.into_inner().unwrap_or_else(PoisonError::into_inner);
            self.give_back(&brought);
            // Of other pulls too, which nobody is going on with.
            if conex_content::is_full(error)
                && let Err(error) = self.content().clear_partials(true)
            {
                log::debug!("halves of blobs stay: {error}");
            }
        }
        pulled
    }
}

/// How often what came to nothing is looked at again, and the pause between.
const LOOKS: usize = 5;
const PAUSE: std::time::Duration = std::time::Duration::from_millis(10);

impl Store {
    /// Removes what a pull has brought that came to nothing. A process that is being made somewhere in this one has a share in our
    /// locks until it executes its program, so what cannot be claimed at once may be a moment later.
    fn give_back(&self, brought: &HashSet<Digest>) {
        for _ in 0..LOOKS {
            // The error that is told is the pull's.
            if let Err(error) = self.collect_only(brought) {
                log::debug!("what was brought stays: {error}");
            }
            if !brought.iter().any(|digest| self.content().has(digest)) {
                return;
            }
            std::thread::sleep(PAUSE);
        }
    }
}

/// Whether trying again would end in the same way: what the registry serves is not what it should be.
fn is_final(error: &Error) -> bool {
    use conex_registry::Error as Registry;
    match error {
        Error::Registry(error) => matches!(
            error,
            Registry::Digest { .. }
                | Registry::Size { .. }
                | Registry::TooLarge { .. }
                | Registry::MalformedDigest { .. }
                | Registry::NotAManifest { .. }
                | Registry::NotFound { .. }
                | Registry::Redirect { .. }
        ),
        Error::Pull { .. } | Error::LayerCount { .. } | Error::NotAnImage { .. } | Error::Layers(_) => true,
        Error::Content(conex_content::Error::Malformed { .. } | conex_content::Error::TooLarge { .. }) => {
            true
        }
        _ => false,
    }
}

impl Pull<'_> {
    fn run(&self) -> Result<Pulled> {
        let selector = self.reference.tag().map_or_else(|| self.reference.familiar(), str::to_owned);
        self.progress.message(&format!("{selector}: Pulling from {}", self.reference.repository()));
        if !self.whole
            && let Some(image) = self.up_to_date()?
        {
            return Ok(Pulled { digest: image.target.digest, image, updated: false });
        }
        let resolved = self.client.resolve(self.reference)?;
        let target = resolved.descriptor;
        self.keep(&target, &resolved.bytes)?;
        let manifest = if target.is_index() {
            let index = self.index(&target, &resolved.bytes)?;
            if self.whole {
                self.everything(&index)?;
            }
            self.choose(&target, &index)?
        } else {
            target.clone()
        };
        let image = self.image(&target, &manifest)?;
        self.download(&image)?;
        self.store.unpack(&image, self.progress)?;
        // Mounted, too, so that the first run pays nothing more than any later one. What cannot be mounted says why when it is run.
        if let Err(error) = self.store.stacked(&image) {
            log::debug!("{error}");
        }
        let before = self.store.content().get(self.reference)?;
        let updated = before.as_ref() != Some(&target);
        if updated {
            self.store.content().set(self.reference, &target)?;
        }
        Ok(Pulled { digest: target.digest, image, updated })
    }

    /// The image, if what is here under the reference is what the registry serves, whole.
    fn up_to_date(&self) -> Result<Option<Image>> {
        let content = self.store.content();
        let Some(here) = content.get(self.reference)? else { return Ok(None) };
        if self.reference.digest().is_none() {
            let there = self.client.look(self.reference)?;
            if there.is_none_or(|there| there.digest != here.digest) {
                return Ok(None);
            }
        }
        let host = Platform::host();
        let wanted = self.platform.unwrap_or(&host);
        let image = match self.store.image_of(&here, Some(self.reference), Some(wanted)) {
            Ok(image) => image,
            // Another platform's is here, or parts are gone: pulled like one that never was.
            Err(Error::Content(_) | Error::Platform { .. } | Error::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(error),
        };
        self.store.hold(&self.lease, &image)?;
        // What is leased now may have been removed before.
        let stays = content.get(self.reference)?.as_ref() == Some(&here);
        if !stays || !image.manifest.layers.iter().all(|layer| content.has(&layer.digest)) {
            return Ok(None);
        }
        self.store.unpack(&image, self.progress)?;
        Ok(Some(image))
    }

    /// Stores a document whose bytes are at hand.
    fn keep(&self, descriptor: &Descriptor, bytes: &[u8]) -> Result<()> {
        use std::io::Write;
        self.lease.add(&descriptor.digest)?;
        let content = self.store.content();
        // One that has rotted is replaced.
        if content.read(descriptor).is_ok() {
            return Ok(());
        }
        let mut writer = content.writer(Some((descriptor.digest, descriptor.size)))?;
        writer.write_all(bytes).map_err(|source| self.unwritten(descriptor, source))?;
        writer.commit()?;
        self.remember(&descriptor.digest);
        Ok(())
    }

    /// Something has come that was not here.
    fn remember(&self, digest: &Digest) {
        self.brought.lock().unwrap_or_else(PoisonError::into_inner).insert(*digest);
    }

    /// A manifest or index of the repository: from the store, or fetched into it.
    fn document(&self, descriptor: &Descriptor) -> Result<Vec<u8>> {
        self.lease.add(&descriptor.digest)?;
        if let Ok(bytes) = self.store.content().read(descriptor) {
            return Ok(bytes);
        }
        let bytes = self.client.document(self.reference, descriptor)?;
        self.keep(descriptor, &bytes)?;
        Ok(bytes)
    }

    fn index(&self, descriptor: &Descriptor, bytes: &[u8]) -> Result<ImageIndex> {
        let digest = descriptor.digest;
        serde_json::from_slice(bytes).map_err(|source| self.refuse(Refusal::Malformed { digest, source }))
    }

    fn refuse(&self, why: Refusal) -> Error {
        Error::Pull { reference: self.reference.familiar(), why: Box::new(why) }
    }

    fn unwritten(&self, descriptor: &Descriptor, source: std::io::Error) -> Error {
        self.refuse(Refusal::Unwritten { digest: descriptor.digest, source })
    }
}
