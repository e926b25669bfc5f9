//! What only a registry has.

use conex_oci::{Descriptor, Digest};
use conex_registry::Client;

use super::Repair;
use crate::check::Subject;

impl Repair<'_, '_> {
    /// Fetches what is missing of each root, from the registry that its reference names, by digests: what the name stands for there by
    /// now does not matter.
    pub(super) fn fetch(&mut self, client: &Client) {
        for number in 0..self.check.graph.roots.len() {
            let rooted = &self.check.graph.roots[number];
            let root = rooted.root.clone();
            let wanted: Vec<Descriptor> = rooted
                .manifests
                .iter()
                .filter(|manifest| manifest.is_vital && manifest.missing > 0)
                .map(|manifest| manifest.descriptor.clone())
                .collect();
            let is_empty = rooted.is_empty;
            let missing: Vec<Digest> = rooted
                .manifests
                .iter()
                .flat_map(|manifest| &manifest.blobs)
                .map(|blob| blob.digest)
                .collect();
            let missing: Vec<Digest> =
                missing.into_iter().filter(|digest| self.check.blobs.get(digest).is_none()).collect();
            let target_is_here = self.check.blobs.get(&root.target.digest).is_some();
            if wanted.is_empty() && target_is_here && !is_empty {
                continue;
            }
            let step = match self.check.store.refetch(client, &root, &wanted) {
                Ok(()) => Ok("fetched again from its registry".to_owned()),
                Err(error) => Err(format!("not fetched: {error}")),
            };
            self.note(&Subject::Reference(root.familiar()), step.clone());
            for digest in missing.into_iter().chain([root.target.digest]) {
                self.note(&Subject::Blob(digest), step.clone());
            }
        }
    }
}
