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
            let mut wanted: Vec<Descriptor> = rooted
                .manifests
                .iter()
                .filter(|manifest| {
                    let removed = |blob: &Descriptor| self.notes.contains_key(&Subject::Blob(blob.digest));
                    manifest.missing > 0 && (manifest.is_vital || manifest.blobs.iter().any(removed))
                })
                .map(|manifest| manifest.descriptor.clone())
                .collect();
            let name = root.familiar();
            let removed = self.removed.iter().filter(|(_, needed_by)| needed_by.contains(&name));
            wanted.extend(removed.map(|(manifest, _)| manifest.clone()));
            let is_empty = rooted.is_empty;
            let missing: Vec<Digest> = rooted
                .manifests
                .iter()
                .flat_map(|manifest| &manifest.blobs)
                .map(|blob| blob.digest)
                .collect();
            let missing: Vec<Digest> = missing
                .into_iter()
                .chain(wanted.iter().map(|manifest| manifest.digest))
                .filter(|digest| self.check.blobs.get(digest).is_none())
                .collect();
            let target_is_here = self.check.blobs.get(&root.target.digest).is_some();
            if wanted.is_empty() && target_is_here && !is_empty {
                continue;
            }
            let step = match self.check.store.refetch(client, &root, &wanted) {
                Ok(()) => Ok("fetched again from its registry".to_owned()),
                Err(error) => Err(format!("not fetched: {error}")),
            };
            self.note(&Subject::Reference(name), step.clone());
            for digest in missing.into_iter().chain([root.target.digest]) {
                self.note(&Subject::Blob(digest), step.clone());
            }
        }
    }
}
