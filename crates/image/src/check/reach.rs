//! What the roots reach, as it is, and what they do not: blobs that are damaged or missing, roots that have lost what they point
//! at, and blobs that are nobody's.

use std::collections::BTreeSet;

use conex_oci::{DiffId, Digest};

use super::blobs::{Blob, Health};
use super::{Check, Cure, Fault, Finding, Subject};
use crate::Result;

impl Check<'_> {
    /// The blobs that are needed, and the roots that have lost what they point at.
    pub(super) fn reachable(&mut self, findings: &mut Vec<Finding>) -> Result<()> {
        let targets: BTreeSet<Digest> =
            self.graph.roots.iter().map(|rooted| rooted.root.target.digest).collect();
        let needs = std::mem::take(&mut self.graph.needs);
        for (digest, need) in &needs {
            let fault = match self.blobs.get(digest) {
                Some(blob) => fault_of(blob, need.size, self.options.quick),
                None if targets.contains(digest) || !need.is_vital => None,
                None => Some(Fault::Missing),
            };
            let Some(fault) = fault else { continue };
            let cure = match &fault {
                Fault::Promised { .. } => Cure::Leave,
                Fault::Missing => self.source_of(digest, need.size).unwrap_or(Cure::Fetch),
                _ => self.source_of(digest, need.size).unwrap_or(Cure::RemoveBlob),
            };
            let mut finding = Finding::new(Subject::Blob(*digest), fault, cure);
            finding.needed_by = self.graph.names(&need.roots);
            finding.still_runs = self.is_unpacked_elsewhere(digest);
            finding.is_others = !need.is_vital;
            if finding.fault == Fault::Missing && self.is_underway(digest, &need.roots)? {
                finding.cure = Cure::Wait;
            }
            findings.push(finding);
        }
        self.graph.needs = needs;
        for number in 0..self.graph.roots.len() {
            let rooted = &self.graph.roots[number];
            let target = rooted.root.target.digest;
            let fault = if self.blobs.get(&target).is_none() {
                Fault::Dangling(target)
            } else if rooted.is_empty {
                Fault::Nothing(target)
            } else {
                for manifest in rooted.manifests.iter().filter(|manifest| !manifest.is_vital) {
                    if manifest.missing > 0 && !manifest.is_attestation {
                        let subject = Subject::Reference(rooted.root.familiar());
                        let (manifest, missing) = (manifest.descriptor.digest, manifest.missing);
                        let fault = Fault::Incomplete { manifest, missing };
                        findings.push(Finding::new(subject, fault, Cure::Leave));
                    }
                }
                continue;
            };
            let mut finding = Finding::new(Subject::Reference(rooted.root.familiar()), fault, Cure::Fetch);
            if self.is_underway(&target, &BTreeSet::from([number]))? {
                finding.cure = Cure::Wait;
            }
            findings.push(finding);
        }
        Ok(())
    }

    /// The layer that a blob is the plain tar of, if that is here and sound.
    fn source_of(&self, digest: &Digest, size: Option<u64>) -> Option<Cure> {
        let layer = DiffId(*digest);
        let here = self.store.merged.is_some() && self.sound_layers.contains(&layer);
        here.then(|| size.map(|size| Cure::RewriteBlob(layer, size))).flatten()
    }

    /// Whether the blob is of layers only, all of which are unpacked and sound.
    fn is_unpacked_elsewhere(&self, digest: &Digest) -> bool {
        let mut layers = self
            .graph
            .layers
            .iter()
            .filter(|(_, layered)| layered.blobs.iter().any(|blob| blob.digest == *digest))
            .peekable();
        layers.peek().is_some() && layers.all(|(layer, _)| self.sound_layers.contains(layer))
    }

    /// Whether a command has leased what is missing, or what it is a part of: then it is on its way.
    fn is_underway(&self, digest: &Digest, roots: &BTreeSet<usize>) -> Result<bool> {
        let claim = self.store.content().claim()?;
        let mut parts = BTreeSet::from([*digest]);
        for rooted in roots.iter().map(|number| &self.graph.roots[*number]) {
            parts.insert(rooted.root.target.digest);
            parts.extend(rooted.manifests.iter().map(|manifest| manifest.descriptor.digest));
        }
        for part in parts {
            if !claim.try_add(&part)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// What no root leads to: damaged blobs one by one, the rest in one line. What somebody has leased is being brought.
    pub(super) fn unreachable(&mut self, findings: &mut Vec<Finding>) -> Result<()> {
        let claim = self.store.content().claim()?;
        let mut free = Vec::new();
        for (digest, blob) in self.blobs.iter() {
            if !self.graph.needs.contains_key(digest) && claim.try_add(digest)? {
                claim.release(digest)?;
                free.push((*digest, blob.clone()));
            }
        }
        if free.is_empty() {
            return Ok(());
        }
        self.follow_roots(&mut Vec::new())?;
        let (mut count, mut bytes) = (0, 0);
        for (digest, blob) in free {
            let path = self.store.content().path(&digest);
            if self.graph.needs.contains_key(&digest) || !self.is_suspect_still(path, blob.identity) {
                continue;
            }
            match fault_of(&blob, None, self.options.quick) {
                Some(fault) => findings.push(Finding::new(Subject::Blob(digest), fault, Cure::Discard)),
                None => (count, bytes) = (count + 1, bytes + blob.size),
            }
        }
        if count > 0 && self.graph.is_certain {
            findings.push(Finding::new(Subject::Unneeded, Fault::Unneeded(count, bytes), Cure::Prune));
        }
        Ok(())
    }
}

/// What is wrong with a blob; `expected` is its size by a descriptor.
fn fault_of(blob: &Blob, expected: Option<u64>, quick: bool) -> Option<Fault> {
    let size = blob.size;
    match (&blob.health, expected.filter(|expected| *expected != size)) {
        (Health::Sound, Some(expected)) if quick => Some(Fault::Size { size, expected }),
        (Health::Sound, Some(expected)) => Some(Fault::Promised { size, expected }),
        (Health::Sound, None) => None,
        (Health::Flipped(_), Some(expected)) => Some(Fault::Size { size, expected }),
        (Health::Flipped(found), None) => Some(Fault::Flipped { found: *found }),
        (Health::Unreadable(why), _) => Some(Fault::Unreadable(why.clone())),
        (Health::NotAFile(kind), _) => Some(Fault::WrongType(*kind)),
    }
}
