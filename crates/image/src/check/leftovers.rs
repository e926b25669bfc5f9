//! What killed commands have left, and what is nobody's.

use std::path::Path;

use conex_content::{Entry, EntryKind};

use super::{Check, Cure, Fault, Finding, Subject};
use crate::{Error, Result};

impl Check<'_> {
    pub(super) fn leftovers(&self, findings: &mut Vec<Finding>) -> Result<()> {
        for entry in &self.blobs.strays {
            let subject = Subject::File(Path::new("blobs/sha256").join(&entry.name));
            findings.push(Finding::new(subject, Fault::Stray(entry.kind), Cure::Leave));
        }
        let entries = self.store.content().survey_temporary()?;
        for entry in &entries {
            if let Some((fault, cure)) = self.temporary(entry, &entries) {
                let subject = Subject::File(Path::new("tmp").join(&entry.name));
                findings.push(Finding::new(subject, fault, cure));
            }
        }
        let views = self.store.views();
        let failed = |source| Error::Place { what: "read", path: views.clone(), source };
        for entry in Entry::all(&views).map_err(failed)? {
            let path = views.join(&entry.name);
            if entry.kind == EntryKind::Directory && crate::view::is_abandoned(&path) {
                let subject = Subject::File(Path::new("views").join(&entry.name));
                findings.push(Finding::new(subject, Fault::Leftover(0), Cure::Discard));
            }
        }
        Ok(())
    }

    fn temporary(&self, entry: &Entry, all: &[Entry]) -> Option<(Fault, Cure)> {
        let name = entry.name.to_string_lossy();
        let is_ours = ["blob-", "file-", "partial-", "upload-"].iter().any(|kind| name.starts_with(kind));
        if !is_ours {
            return Some((Fault::Stray(entry.kind), Cure::Leave));
        }
        if entry.kind != EntryKind::File {
            return Some((Fault::WrongType(entry.kind), Cure::Discard));
        }
        if let Some(blob) = name.strip_suffix(".map") {
            let is_alone = !all.iter().any(|other| *other.name == *blob);
            return is_alone.then_some((Fault::Leftover(entry.size), Cure::Discard));
        }
        if !self.store.content().is_abandoned(entry) {
            return None;
        }
        Some(match name.starts_with("blob-") || name.starts_with("file-") {
            true => (Fault::Leftover(entry.size), Cure::Discard),
            false => (Fault::Half(entry.size), Cure::Prune),
        })
    }
}
