//! A repository of the API in terms of the store: its name is read as a person's.

use std::collections::HashSet;

use conex_content::{Content, Root};
use conex_oci::image::ImageIndex;
use conex_oci::{Descriptor, Digest, Reference};

use crate::api::{Answer, Code, Refusal};

/// How deep indexes may list indexes.
const DEPTH: u32 = 4;

/// A repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Repository {
    /// As the client calls it.
    pub(crate) name: String,
    reference: Reference,
}

impl Repository {
    pub(crate) fn new(name: &str) -> Answer<Self> {
        let invalid = || Refusal::new(Code::NameInvalid, "the repository's name is malformed");
        if name.contains([':', '@']) {
            return Err(invalid());
        }
        let reference = name.parse().map_err(|_| invalid())?;
        Ok(Self { name: name.to_owned(), reference })
    }

    /// A tag's reference in the store.
    pub(crate) fn tag(&self, tag: &str) -> Option<Reference> {
        let full = format!("{}/{}:{tag}", self.reference.registry(), self.reference.repository());
        full.parse().ok().filter(|reference: &Reference| reference.tag() == Some(tag))
    }

    /// The reference of a manifest that has no tag.
    pub(crate) fn at(&self, digest: Digest) -> Reference {
        self.reference.with_digest(digest)
    }

    /// What the store keeps of it.
    pub(crate) fn roots(&self, content: &Content) -> conex_content::Result<Vec<Root>> {
        let mut roots = content.roots()?;
        roots.retain(|root| {
            root.reference().is_some_and(|known| {
                (known.registry(), known.repository())
                    == (self.reference.registry(), self.reference.repository())
            })
        });
        Ok(roots)
    }

    /// The manifest or index of that digest in this repository, by itself or in an index.
    pub(crate) fn find(
        &self,
        content: &Content,
        digest: &Digest,
    ) -> conex_content::Result<Option<Descriptor>> {
        let mut seen = HashSet::new();
        let mut found = None;
        for root in self.roots(content)? {
            walk(content, &root.target, DEPTH, &mut seen, &mut |descriptor| {
                if descriptor.digest == *digest {
                    found = Some(descriptor.clone());
                }
            });
            if found.is_some() {
                break;
            }
        }
        Ok(found)
    }
}

/// All manifests and indexes at and below `target` that are here. What cannot be read is passed over: it is said where it
/// is asked for by itself.
pub(crate) fn walk(
    content: &Content,
    target: &Descriptor,
    depth: u32,
    seen: &mut HashSet<Digest>,
    visit: &mut dyn FnMut(&Descriptor),
) {
    if !seen.insert(target.digest) || !content.has(&target.digest) {
        return;
    }
    visit(target);
    if target.is_index() && depth > 0 {
        let Ok(index) = content.document::<ImageIndex>(target) else { return };
        for child in index.manifests.iter().filter(|child| child.is_index() || child.is_manifest()) {
            walk(content, child, depth - 1, seen, visit);
        }
    }
}

impl Repository {
    /// All manifests and indexes of it.
    pub(crate) fn manifests(&self, content: &Content) -> conex_content::Result<Vec<Descriptor>> {
        let (mut seen, mut found) = (HashSet::new(), Vec::new());
        for root in self.roots(content)? {
            walk(content, &root.target, DEPTH, &mut seen, &mut |descriptor| found.push(descriptor.clone()));
        }
        Ok(found)
    }
}
