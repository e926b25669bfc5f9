//! References and `index.json` written again; images that have lost their names kept without one; and, when it is told to, the
//! references that nothing mends.

use std::collections::BTreeSet;

use conex_content::{DOCUMENT_LIMIT, Name, ReferenceFile, Root, State};
use conex_oci::image::ImageIndex;
use conex_oci::{Descriptor, Digest};

use super::{Repair, Step, moved};
use crate::check::graph::Graph;
use crate::check::{Cure, Fault, Finding, Subject};

impl Repair<'_, '_> {
    /// Restores what can be, and moves the rest aside; whether anything was done.
    pub(super) fn references(&mut self, found: &[Finding]) -> bool {
        let ours = |finding: &&Finding| matches!(finding.subject, Subject::Reference(_));
        let wanted: Vec<&Finding> = found
            .iter()
            .filter(ours)
            .filter(|finding| matches!(finding.cure, Cure::Restore(_) | Cure::SetAside))
            .collect();
        if wanted.is_empty() {
            return false;
        }
        let files = match self.check.store.content().survey() {
            Ok(survey) => survey.references,
            Err(error) => {
                for finding in wanted {
                    self.note(&finding.subject, Err(format!("not restored: {error}")));
                }
                return false;
            }
        };
        let mut lost = Vec::new();
        for finding in wanted {
            let file = files.iter().find(|file| Subject::Reference(file.name()) == finding.subject);
            let step = match (&finding.cure, file) {
                (Cure::Restore(root), file) => self.restore(root, file),
                (_, Some(file)) => {
                    lost.push(finding.subject.clone());
                    self.give_up(file)
                }
                (_, None) => continue,
            };
            self.note(&finding.subject, step);
        }
        if !lost.is_empty() {
            let kept = self.keep_nameless();
            for subject in lost {
                if let (Some(Ok(note)), 1..) = (self.notes.get_mut(&subject), kept) {
                    *note += &format!("; images that nothing names any more are kept without a name: {kept}");
                }
            }
        }
        true
    }

    fn restore(&self, root: &Root, file: Option<&ReferenceFile>) -> Step {
        let content = self.check.store.content();
        let held = |file: &ReferenceFile| matches!(&file.state, State::Root(held) if **held == *root);
        let restored = match file {
            Some(file) if held(file) => Ok(true),
            Some(file) => content.restore(file, root),
            None => content.set_all(std::slice::from_ref(root)).map(|()| true),
        };
        match restored {
            Ok(true) => Ok(format!("restored: it is {}", root.target.digest.short())),
            Ok(false) => Ok("another command has written it".to_owned()),
            Err(error) => Err(format!("not restored: {error}")),
        }
    }

    fn give_up(&self, file: &ReferenceFile) -> Step {
        match self.check.store.content().give_up(file) {
            Ok(Some(to)) => Ok(moved(&to)),
            Ok(None) => Ok("another command has written it".to_owned()),
            Err(error) => Err(format!("not moved: {error}")),
        }
    }

    /// Writes `index.json` again, when something is wrong with it or with a reference.
    pub(super) fn index(&mut self, found: &[Finding]) {
        let finding = found.iter().find(|finding| finding.subject == Subject::Index);
        let touched = found.iter().any(|finding| self.notes.contains_key(&finding.subject));
        if finding.is_none() && !touched {
            return;
        }
        let aside = finding.is_some_and(|finding| finding.fault != Fault::Stale);
        let step = match self.check.store.content().rewrite_index(aside) {
            Ok(Some(to)) => Ok(format!("written again; the old one is {}", moved(&to))),
            Ok(None) => Ok("written again".to_owned()),
            Err(error) => Err(format!("not written: {error}")),
        };
        self.note(&Subject::Index, step);
    }

    /// Keeps the images that no root leads to, and that are here whole: they may be those whose names are lost. Tells how many.
    fn keep_nameless(&mut self) -> usize {
        let check = &mut *self.check;
        let small = |size: u64| size <= DOCUMENT_LIMIT;
        let candidates: Vec<Digest> = check
            .blobs
            .iter()
            .filter(|(digest, blob)| {
                blob.is_sound() && small(blob.size) && !check.graph.needs.contains_key(digest)
            })
            .map(|(digest, _)| *digest)
            .collect();
        let mut tops: Vec<Descriptor> =
            candidates.iter().filter_map(|digest| check.descriptor_of(digest)).collect();
        let mut below: BTreeSet<Digest> = BTreeSet::new();
        for index in tops.iter().filter(|top| top.is_index()) {
            let children = check.blobs.document::<ImageIndex>(&index.digest).map(|index| index.manifests);
            below.extend(children.unwrap_or_default().iter().map(|child| child.digest));
        }
        tops.retain(|top| !below.contains(&top.digest));
        let mut kept = 0;
        for target in tops {
            let root = Root { name: Name::Unnamed, target: target.clone() };
            let graph = Graph::of(vec![root], &mut check.blobs, &|_| false);
            let whole = graph.is_certain
                && !graph.images.is_empty()
                && graph.needs.iter().all(|(digest, need)| !need.is_vital || check.blobs.is_sound(digest));
            let content = check.store.content();
            // Nobody collects it between the look and the name.
            let leased = content.lease().and_then(|lease| lease.add(&target.digest).map(|()| lease));
            if whole
                && let Ok(_lease) = leased
                && content.has(&target.digest)
                && content.keep(&target).is_ok()
            {
                kept += 1;
            }
        }
        kept
    }

    /// Forgets the references of which no image runs, and that no container needs; whether there were any.
    pub(super) fn drop_roots(&mut self, found: &[Finding]) -> bool {
        let mut dropped = BTreeSet::new();
        for number in 0..self.check.graph.roots.len() {
            if self.check.root_runs(number) {
                continue;
            }
            let rooted = &self.check.graph.roots[number];
            let (root, name) = (rooted.root.clone(), rooted.root.familiar());
            let images: Vec<Digest> = rooted.manifests.iter().filter_map(|manifest| manifest.image).collect();
            let tenants = &self.check.tenants;
            let tenant = tenants.known.iter().find(|tenant| images.contains(&tenant.image));
            let step = match (tenant, tenants.unknown.first()) {
                (Some(tenant), _) => Err(format!("not dropped: container {} was made from it", tenant.name)),
                (None, Some((id, _))) => {
                    Err(format!("not dropped: nobody knows what container {id} was made from"))
                }
                (None, None) => match self.check.store.content().forget(&root) {
                    Ok(_) => {
                        dropped.insert(name.clone());
                        Ok("dropped, as --force says".to_owned())
                    }
                    Err(error) => Err(format!("not dropped: {error}")),
                },
            };
            self.note(&Subject::Reference(name), step);
        }
        for finding in found {
            let all_gone = finding.needed_by.iter().all(|name| dropped.contains(name));
            if matches!(finding.subject, Subject::Blob(_)) && !finding.needed_by.is_empty() && all_gone {
                let who = finding.needed_by.join(", ");
                self.note(&finding.subject, Ok(format!("not needed any more: --force dropped {who}")));
            }
        }
        !dropped.is_empty()
    }
}
