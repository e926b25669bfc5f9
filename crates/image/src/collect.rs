//! Collection: blobs and layers that no root reaches are deleted, each under a claim (see [`crate::Store`]).

use std::collections::HashSet;

use conex_content::{Claim, Reachable};
use conex_oci::{DiffId, Digest};

use crate::{Result, Store};

/// What a collection took away.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Collected {
    /// Bytes of blobs, layers, and what dead processes had not finished.
    pub bytes: u64,
    /// Layers that are gone.
    pub layers: Vec<DiffId>,
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
        self.content().mend()?;
        let mut collected = self.collect_where(claim, spared, &|_| true)?;
        collected.bytes += bytes;
        Ok(collected)
    }

    /// The same for these blobs and layers only: what a pull has brought that came to nothing.
    pub(crate) fn collect_only(&self, these: &HashSet<Digest>) -> Result<Collected> {
        self.collect_where(&self.content().claim()?, None, &|digest| these.contains(digest))
    }

    fn collect_where(
        &self,
        claim: &Claim,
        spared: Option<&Reachable>,
        is_meant: &dyn Fn(&Digest) -> bool,
    ) -> Result<Collected> {
        let mut collected = Collected::default();
        let Some(needed) = self.needed(spared)? else { return Ok(collected) };
        let mut blobs = Vec::new();
        for digest in self.content().blobs()? {
            if is_meant(&digest) && !needed.blobs.contains(&digest) && claim.try_add(&digest)? {
                blobs.push(digest);
            }
        }
        let mut layers = Vec::new();
        for layer in self.layers().list()? {
            if is_meant(&layer.0) && !needed.layers.contains(&layer) && claim.try_add(&layer.0)? {
                layers.push(layer);
            }
        }
        if blobs.is_empty() && layers.is_empty() {
            return Ok(collected);
        }
        // Whoever let go of a lease between the first look and the claim has written its reference by now.
        let Some(needed) = self.needed(spared)? else { return Ok(collected) };
        for layer in layers.into_iter().filter(|layer| !needed.layers.contains(layer)) {
            let size = self.layers().size(&layer)?.unwrap_or(0);
            self.layers().remove(&layer)?;
            collected.bytes += size;
            collected.layers.push(layer);
        }
        if let Some(merged) = &self.merged
            && !collected.layers.is_empty()
        {
            merged.forget(&collected.layers.iter().copied().collect())?;
        }
        // Manifests last: a collection that is cut short leaves what the next one still understands.
        for digest in blobs.into_iter().filter(|digest| !needed.blobs.contains(digest)) {
            collected.bytes += self.content().delete(&digest, claim)?;
        }
        Ok(collected)
    }

    /// What has to stay; `None` when nobody can tell.
    fn needed(&self, spared: Option<&Reachable>) -> Result<Option<Reachable>> {
        let mut needed = self.content().mark()?;
        match (spared, needed.damaged.first()) {
            (Some(spared), _) => {
                needed.blobs.extend(&spared.blobs);
                needed.layers.extend(&spared.layers);
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
