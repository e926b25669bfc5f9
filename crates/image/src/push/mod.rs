//! Push: an image of the store goes to the registry that its reference names.
//!
//! plan: which manifests and blobs ▶ blobs, a few at once, each mounted, found there or sent ▶ manifests, children before
//! their index ▶ the tag, last. The bytes are those that were pulled or loaded, so the digest is too.

mod blobs;
mod plan;
mod refusal;

use conex_content::Lease;
use conex_oci::{Descriptor, Digest, Platform, Reference};
use conex_registry::Client;

pub use refusal::PushRefusal;

use crate::{Error, Progress, Result, Store};

/// A pushed image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pushed {
    /// What the reference now means in the registry.
    pub target: Descriptor,
    /// The index of which it is but one platform's image, since the others are not here: Docker says so.
    pub part_of: Option<Digest>,
}

/// One push.
pub(crate) struct Push<'a> {
    store: &'a Store,
    client: &'a Client,
    reference: &'a Reference,
    progress: &'a dyn Progress,
    /// Keeps what is sent from being collected meanwhile.
    lease: Lease,
}

impl Store {
    /// Pushes what `reference` names here to where it names there: all platforms of an index, or only `platform`.
    pub fn push(
        &self,
        client: &Client,
        reference: &Reference,
        platform: Option<&Platform>,
        progress: &dyn Progress,
    ) -> Result<Pushed> {
        let lease = self.content().lease()?;
        Push { store: self, client, reference, progress, lease }.run(platform)
    }

    /// The tags that are here of the reference's repository.
    pub fn tags_here(&self, reference: &Reference) -> Result<Vec<Reference>> {
        let same = |known: &&Reference| {
            known.digest().is_none()
                && (known.registry(), known.repository()) == (reference.registry(), reference.repository())
        };
        let roots = self.content().roots()?;
        Ok(roots.iter().filter_map(|root| root.reference()).filter(same).cloned().collect())
    }
}

impl Push<'_> {
    fn run(&self, platform: Option<&Platform>) -> Result<Pushed> {
        if self.reference.digest().is_some() {
            return Err(self.refuse(PushRefusal::Digest));
        }
        let Some(target) = self.store.content().get(self.reference)? else {
            return Err(Error::NotFound { name: self.reference.familiar() });
        };
        let plan = self.plan(&target, platform)?;
        self.send_blobs(&plan)?;
        for manifest in &plan.manifests {
            let bytes = self.store.content().read(manifest)?;
            let named = if manifest.digest == plan.target.digest {
                self.reference.clone()
            } else {
                self.reference.with_digest(manifest.digest)
            };
            self.client.push_manifest(&named, manifest, &bytes)?;
        }
        Ok(Pushed {
            part_of: (plan.target.digest != target.digest).then_some(target.digest),
            target: plan.target,
        })
    }

    fn refuse(&self, why: PushRefusal) -> Error {
        Error::Push { reference: self.reference.familiar(), why: Box::new(why) }
    }
}
