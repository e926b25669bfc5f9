//! References and `index.json`. What is lost of one is looked for in the other, in the file's name, and in the manifest itself.

use std::collections::HashSet;

use conex_content::{IndexFile, Name, ReferenceFile, Root, State};
use conex_oci::{Descriptor, Digest, media_type};

use super::{Check, Cure, Fault, Finding, Subject};
use crate::Result;

impl Check<'_> {
    /// Tells what is wrong with the references; gives the roots that there are, or will be when that is mended.
    pub(super) fn references(&mut self, findings: &mut Vec<Finding>) -> Result<Vec<Root>> {
        let survey = self.store.content().survey()?;
        let mut roots: Vec<Root> = Vec::new();
        for file in &survey.references {
            let subject = Subject::Reference(file.name());
            let fault = match &file.state {
                State::NotAFile(kind) => Fault::WrongType(*kind),
                State::Torn { why, .. } => Fault::Torn(why.clone()),
                State::Root(root) => match self.contradiction(root, file, &survey.index) {
                    Some(why) => Fault::Torn(why),
                    None => {
                        roots.push((**root).clone());
                        continue;
                    }
                },
            };
            let cure = match self.best_guess(file, &survey.index) {
                Some(root) => {
                    roots.push(root.clone());
                    Cure::Restore(Box::new(root))
                }
                None => Cure::SetAside,
            };
            findings.push(Finding::new(subject, fault, cure));
        }
        self.lost(&survey.index, &mut roots, findings);
        match &survey.index {
            IndexFile::Same(_) => {}
            IndexFile::Stale(_) => {
                findings.push(Finding::new(Subject::Index, Fault::Stale, Cure::RewriteIndex));
            }
            IndexFile::Damaged(why) => {
                findings.push(Finding::new(Subject::Index, Fault::Torn(why.clone()), Cure::RewriteIndex));
            }
            IndexFile::NotAFile(kind) => {
                findings.push(Finding::new(Subject::Index, Fault::WrongType(*kind), Cure::RewriteIndex));
            }
        }
        Ok(without_hidden(roots))
    }

    /// What the file says that cannot be: of a manifest that is here another size or type, or of one that is not what `index.json`
    /// has of one that is.
    fn contradiction(&mut self, root: &Root, file: &ReferenceFile, index: &IndexFile) -> Option<String> {
        let target = &root.target;
        if !self.blobs.is_sound(&target.digest) {
            let better = self.best_guess(file, index)?;
            return (better.target.digest != target.digest)
                .then(|| format!("it points at {}, which is not here", target.digest.short()));
        }
        // What is no document at all is for the blob's own check.
        let real = self.descriptor_of(&target.digest)?;
        if real.size != target.size {
            let (size, real) = (target.size, real.size);
            return Some(format!("it says {size} bytes of a manifest of {real} bytes"));
        }
        (real.is_index() != target.is_index())
            .then(|| "it takes a manifest for an index, or the reverse".to_owned())
    }

    /// The first of the guesses whose manifest is here, with what the manifest itself says of its size and type.
    fn best_guess(&mut self, file: &ReferenceFile, index: &IndexFile) -> Option<Root> {
        file.guesses(index).into_iter().find_map(|guess| self.vouched(guess))
    }

    fn vouched(&mut self, root: Root) -> Option<Root> {
        let real = self.descriptor_of(&root.target.digest)?;
        let Descriptor { platform, urls, artifact_type, .. } = root.target;
        Some(Root { name: root.name, target: Descriptor { platform, urls, artifact_type, ..real } })
    }

    /// Of a manifest or index that is here and sound.
    pub(super) fn descriptor_of(&mut self, digest: &Digest) -> Option<Descriptor> {
        #[derive(serde::Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Shape {
            media_type: Option<String>,
            #[serde(default)]
            manifests: Option<serde::de::IgnoredAny>,
            #[serde(default)]
            config: Option<serde::de::IgnoredAny>,
        }
        let shape: Shape = self.blobs.document(digest)?;
        let size = self.blobs.get(digest)?.size;
        let default = match (shape.manifests, shape.config) {
            (Some(_), None) => media_type::INDEX,
            (None, Some(_)) => media_type::MANIFEST,
            _ => return None,
        };
        let said = shape.media_type.map(|kind| Descriptor::new(kind, *digest, size));
        Some(match said {
            Some(said) if said.is_index() || said.is_manifest() => said,
            _ => Descriptor::new(default, *digest, size),
        })
    }

    /// Names that only `index.json` has left. One whose image is not whole may be what a killed `rmi` had begun with, and one of an
    /// image of which the index lacks another name is that name with a bit flipped.
    fn lost(&mut self, index: &IndexFile, roots: &mut Vec<Root>, findings: &mut Vec<Finding>) {
        let listed: HashSet<&Name> = index.roots().iter().map(|root| &root.name).collect();
        let unlisted = roots.iter().filter(|root| !listed.contains(&root.name));
        let unlisted: HashSet<Digest> = unlisted.map(|root| root.target.digest).collect();
        let mut names: HashSet<Name> = roots.iter().map(|root| root.name.clone()).collect();
        let mut targets: HashSet<Digest> = roots.iter().map(|root| root.target.digest).collect();
        for root in index.roots().iter().filter(|root| !unlisted.contains(&root.target.digest)) {
            let known = match root.name {
                Name::Unnamed => targets.contains(&root.target.digest),
                ref name => names.contains(name),
            };
            let told = Subject::Reference(root.familiar());
            if known || findings.iter().any(|finding| finding.subject == told) {
                continue;
            }
            let Some(root) = self.vouched(root.clone()) else { continue };
            let is_unpacked = |_: &conex_oci::DiffId| false;
            let graph = super::Graph::of(vec![root.clone()], &mut self.blobs, &is_unpacked);
            let whole =
                graph.needs.iter().all(|(digest, need)| !need.is_vital || self.blobs.is_sound(digest));
            if whole && graph.is_certain {
                names.insert(root.name.clone());
                targets.insert(root.target.digest);
                findings.push(Finding::new(told, Fault::Lost, Cure::Restore(Box::new(root.clone()))));
                roots.push(root);
            }
        }
    }
}

/// A nameless root of what has a name is none of its own.
fn without_hidden(mut roots: Vec<Root>) -> Vec<Root> {
    let named: HashSet<Digest> =
        roots.iter().filter(|root| root.reference().is_some()).map(|root| root.target.digest).collect();
    roots.retain(|root| root.reference().is_some() || !named.contains(&root.target.digest));
    roots
}
