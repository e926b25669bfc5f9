//! Pull: a reference becomes an image in the store.
//!
//! resolve at the registry ▶ choose the platform's manifest ▶ download what is missing, a few layers at once, each
//! verified while it streams into the store ▶ unpack ▶ point the reference at it. A pull that fails or is killed leaves
//! verified blobs at most, which the next one finds; it never leaves a reference to something incomplete.

use conex_oci::{Digest, Platform, Reference};
use conex_registry::Client;

use crate::{Image, Progress, Result, Store};

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

/// Why an image that a registry serves is refused.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
}

impl Store {
    /// Pulls `reference` for `platform` (the host's without one), from the registry that it names. Options for
    /// registries come from the environment ([`conex_registry::Options::from_env`]).
    pub fn pull(
        &self,
        reference: &Reference,
        platform: Option<&Platform>,
        progress: &dyn Progress,
    ) -> Result<Pulled> {
        self.pull_with(&Client::new(conex_registry::Options::from_env()), reference, platform, progress)
    }

    /// As [`pull`](Self::pull), through a client at hand.
    pub fn pull_with(
        &self,
        client: &Client,
        reference: &Reference,
        platform: Option<&Platform>,
        progress: &dyn Progress,
    ) -> Result<Pulled> {
        let _ = (client, reference, platform, progress);
        todo!()
    }
}
