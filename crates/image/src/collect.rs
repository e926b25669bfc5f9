//! Collection: blobs and layers that no root reaches are deleted, each under a claim (see [`crate::Store`]).

use std::collections::HashSet;

use conex_content::{Claim, Reachable};
use conex_oci::{ChainId, DiffId, Digest};

use crate::layers::Merged;
use crate::{Result, Store, Tenants, Users};

/// What a collection took away.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Collected {
    /// Bytes of blobs, layers, and what dead processes had not finished.
    pub bytes: u64,
    /// Layers that are gone.
    pub layers: Vec<DiffId>,
}

/// What no root reached when it was claimed.
#[derive(Default)]
struct Unneeded {
    blobs: Vec<Digest>,
    layers: Vec<DiffId>,
    chains: Vec<ChainId>,
}

impl Store {
    /// Deletes what dead processes have left, and the blobs and layers that no image needs and nobody is about to need.
    /// While an image is damaged, the latter stay.
    pub fn collect(&self) -> Result<Collected> {
        self.collect_with(&self.content().claim()?, None)
    }

    /// The same, by somebody who has claimed something already, and perhaps knows what has to be spared besides: then
    /// damaged images are in nobody's way.
    pub(crate) fn collect_with(&self, claim: &Claim, spared: Option<&Reachable>) -> Result<Collected> {
        let bytes = self.content().clear_temporary()?;
        self.content().clear_partials(true)?;
        self.clear_views();
        self.content().mend()?;
        let mut collected = self.collect_where(claim, spared, &|_| true, &|_| true)?;
        collected.bytes += bytes;
        Ok(collected)
    }

    /// The same for these blobs and layers only: what a pull has brought that came to nothing.
    pub(crate) fn collect_only(&self, these: &HashSet<Digest>) -> Result<Collected> {
        let is_meant = |digest: &Digest| these.contains(digest);
        self.collect_where(&self.content().claim()?, None, &is_meant, &is_meant)
    }

    /// The same for layers that no image has, of which `tenants` may need some all the same.
    pub(crate) fn collect_orphans(&self, these: &HashSet<Digest>, tenants: &Tenants) -> Result<Collected> {
        let mut users = Users::new();
        for tenant in &tenants.known {
            users.entry(tenant.image).or_default().insert(tenant.name.clone());
        }
        let spared = self.spared(&users).map_err(|(_, error)| *error)?;
        // A blob that is a plain tar has the digest of its layer.
        let is_meant = |digest: &Digest| these.contains(digest);
        self.collect_where(&self.content().claim()?, Some(&spared), &|_| false, &is_meant)
    }

    fn collect_where(
        &self,
        claim: &Claim,
        spared: Option<&Reachable>,
        is_blob_meant: &dyn Fn(&Digest) -> bool,
        is_layer_meant: &dyn Fn(&Digest) -> bool,
    ) -> Result<Collected> {
        let mut collected = Collected::default();
        let Some(needed) = self.needed(spared)? else { return Ok(collected) };
        let unneeded = self.claim_unneeded(claim, &needed, is_blob_meant, is_layer_meant)?;
        self.delete_unneeded(claim, unneeded, spared, &mut collected)?;
        Ok(collected)
    }

    /// What is not needed and could be claimed: the first look.
    fn claim_unneeded(
        &self,
        claim: &Claim,
        needed: &Reachable,
        is_blob_meant: &dyn Fn(&Digest) -> bool,
        is_layer_meant: &dyn Fn(&Digest) -> bool,
    ) -> Result<Unneeded> {
        let mut unneeded = Unneeded::default();
        for digest in self.content().blobs()? {
            if is_blob_meant(&digest) && !needed.blobs.contains(&digest) && claim.try_add(&digest)? {
                unneeded.blobs.push(digest);
            }
        }
        for layer in self.layers().list()? {
            if is_layer_meant(&layer.0) && !needed.layers.contains(&layer) && claim.try_add(&layer.0)? {
                unneeded.layers.push(layer);
            }
        }
        // Of an image that is gone while its layers are others' too.
        for chain in self.merged.as_ref().map_or(Ok(Vec::new()), Merged::list)? {
            if is_layer_meant(&chain.0) && !needed.chains.contains(&chain) && claim.try_add(&chain.0)? {
                unneeded.chains.push(chain);
            }
        }
        Ok(unneeded)
    }

    /// Whoever let go of a lease between the first look and the claim has written its reference by now: the second look.
    fn delete_unneeded(
        &self,
        claim: &Claim,
        unneeded: Unneeded,
        spared: Option<&Reachable>,
        collected: &mut Collected,
    ) -> Result<()> {
        if unneeded.blobs.is_empty() && unneeded.layers.is_empty() && unneeded.chains.is_empty() {
            return Ok(());
        }
        let Some(needed) = self.needed(spared)? else { return Ok(()) };
        for chain in unneeded.chains.into_iter().filter(|chain| !needed.chains.contains(chain)) {
            self.merged.as_ref().map_or(Ok(()), |merged| merged.remove(&chain))?;
        }
        for layer in unneeded.layers.into_iter().filter(|layer| !needed.layers.contains(layer)) {
            let size = self.layers().size(&layer)?.unwrap_or(0);
            self.layers().remove(&layer)?;
            collected.bytes += size;
            collected.layers.push(layer);
        }
        // Manifests last: a collection that is cut short leaves what the next one still understands.
        for digest in unneeded.blobs.into_iter().filter(|digest| !needed.blobs.contains(digest)) {
            collected.bytes += self.content().delete(&digest, claim)?;
        }
        Ok(())
    }

    /// What has to stay; `None` when nobody can tell.
    fn needed(&self, spared: Option<&Reachable>) -> Result<Option<Reachable>> {
        let mut needed = self.content().mark()?;
        match (spared, needed.damaged.first()) {
            (Some(spared), _) => {
                needed.blobs.extend(&spared.blobs);
                needed.layers.extend(&spared.layers);
                needed.chains.extend(&spared.chains);
            }
            (None, Some((_, error))) => {
                log::warn!("nothing is deleted that an image could need, for one is damaged: {error}");
                return Ok(None);
            }
            (None, None) => {}
        }
        Ok(Some(needed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use conex_oci::image::ImageManifest;
    use conex_oci::{Descriptor, media_type};

    /// A name that is written between the first look and the claim: both looks are needed, in this order.
    #[test]
    fn what_is_named_between_the_looks_stays() {
        let root = tempfile::tempdir().unwrap();
        let store = Store::open(root.path()).unwrap();
        let content = store.content();
        let needed = store.needed(None).unwrap().unwrap();

        let lease = content.lease().unwrap();
        let config = content.writer(None).unwrap().commit_leased(&lease).unwrap();
        let manifest = ImageManifest {
            schema_version: 2,
            media_type: None,
            artifact_type: None,
            config: Descriptor::new("application/x-nothing", config, 0),
            layers: Vec::new(),
            subject: None,
            annotations: None,
        };
        let bytes = serde_json::to_vec(&manifest).unwrap();
        lease.add(&Digest::of(&bytes)).unwrap();
        let digest = content.put(&bytes).unwrap();

        let claim = content.claim().unwrap();
        let unneeded = store.claim_unneeded(&claim, &needed, &|_| true, &|_| true).unwrap();
        assert_eq!(unneeded.blobs, [], "leased");
        let target = Descriptor::new(media_type::MANIFEST, digest, bytes.len() as u64);
        content.set(&"a".parse().unwrap(), &target).unwrap();
        drop(lease);
        let unneeded = store.claim_unneeded(&claim, &needed, &|_| true, &|_| true).unwrap();
        assert_eq!(unneeded.blobs.len(), 2, "the first look is of an hour ago");
        let mut collected = Collected::default();
        store.delete_unneeded(&claim, unneeded, None, &mut collected).unwrap();
        assert!(collected == Collected::default() && content.has(&digest) && content.has(&config));
    }
}
