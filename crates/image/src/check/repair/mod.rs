//! Mending, in an order in which each step stands on the ones before: references, blobs, layers, merged images, leavings; then, if
//! it is asked for, what only a registry has; and last what can be told to be nobody's.

mod blobs;
mod fetch;
mod layers;
mod merged;
mod references;

use std::collections::HashMap;
use std::path::Path;

use conex_content::{Entry, EntryKind};
use conex_oci::Descriptor;

use super::{Ask, Check, Cure, Finding, Outcome, Subject};
use crate::{Error, Result};

/// What a step has done to something, or why it has not; in words.
type Step = Result<String, String>;

/// What is said of what is gone.
const REMOVED: &str = "removed";

/// A repair under way.
struct Repair<'c, 'a> {
    check: &'c mut Check<'a>,
    notes: HashMap<Subject, Step>,
    /// Manifests that were removed, and who needed them: an index does not say which of its images were here.
    removed: Vec<(Descriptor, Vec<String>)>,
}

/// Mends what was found; tells what came of it, and what is left.
pub(super) fn all<E: From<Error>>(
    check: &mut Check<'_>,
    mut found: Vec<Finding>,
    tenants: Ask<'_, E>,
) -> Result<Vec<Finding>, E> {
    let mut repair = Repair { check, notes: HashMap::new(), removed: Vec::new() };
    if repair.references(&found) {
        // What they lead to counts from now on.
        join(&mut found, repair.check.look(tenants)?);
    }
    repair.index(&found);
    repair.blobs(&found);
    repair.layers(&found, tenants)?;
    repair.merged(&found, tenants)?;
    repair.leftovers(&found);
    if let Some(client) = repair.check.options.pull {
        repair.check.look(tenants)?;
        repair.fetch(client);
    }
    join(&mut found, repair.check.look(tenants)?);
    repair.orphans(&found);
    if repair.check.options.force && repair.drop_roots(&found) {
        repair.check.look(tenants)?;
    }
    let Repair { check, notes, .. } = repair;
    let left = check.look_twice(tenants)?;
    Ok(settle(found, left, &notes))
}

/// Adds what has come to light.
fn join(found: &mut Vec<Finding>, more: Vec<Finding>) {
    for finding in more {
        if !found.iter().any(|known| known.subject == finding.subject) {
            found.push(finding);
        }
    }
}

/// What was found, with what came of it: mended is what is not found any more.
fn settle(found: Vec<Finding>, mut left: Vec<Finding>, notes: &HashMap<Subject, Step>) -> Vec<Finding> {
    let mut settled: Vec<Finding> = Vec::new();
    for mut finding in found {
        let is_same = |now: &Finding| {
            now.subject == finding.subject && now.fault.is_damage() == finding.fault.is_damage()
        };
        let now = left.iter().position(is_same).map(|number| left.swap_remove(number));
        match (now, notes.get(&finding.subject)) {
            (Some(now), None) => finding = now,
            (Some(now), Some(Ok(note) | Err(note))) => {
                // What it was is more to the point than what is left of it.
                (finding.cure, finding.still_runs) = (now.cure, now.still_runs);
                finding.outcome = Outcome::Left(note.clone());
            }
            // It is not found any more since nothing says that it was here: an index may lack any of its images.
            (None, Some(Ok(note))) if finding.cure == Cure::RemoveBlob && note == REMOVED => {
                finding.outcome = Outcome::Left(REMOVED.to_owned());
            }
            (None, Some(Ok(how))) => finding.outcome = Outcome::Mended(how.clone()),
            // Another command's doing.
            (None, None) if finding.cure == Cure::Wait || !finding.fault.is_damage() => continue,
            (None, _) => finding.outcome = Outcome::Mended(finding.cure.done().to_owned()),
        }
        settled.push(finding);
    }
    settled.extend(left);
    settled
}

impl Repair<'_, '_> {
    fn note(&mut self, subject: &Subject, step: Step) {
        self.notes.insert(subject.clone(), step);
    }

    /// What killed commands have left, and what stands where a file should be.
    fn leftovers(&mut self, found: &[Finding]) {
        let store = self.check.store;
        let _ = store.content().clear_temporary();
        store.clear_views();
        for finding in found {
            let (Subject::File(path), Cure::Discard) = (&finding.subject, &finding.cure) else { continue };
            let path = store.root().join(path);
            let step =
                if path.starts_with(store.views()) { Ok(REMOVED.to_owned()) } else { self.discard(&path) };
            self.note(&finding.subject, step);
        }
    }

    /// Removes what is no directory; a directory, which may hold anything, goes to `damaged/`.
    fn discard(&self, path: &Path) -> Step {
        match Entry::at(path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(REMOVED.to_owned()),
            Err(error) => Err(format!("not removed: {error}")),
            Ok(entry) if entry.kind == EntryKind::Directory => {
                let aside = self.check.store.content().set_aside(path);
                aside.map(|to| moved(&to)).map_err(|error| format!("not removed: {error}"))
            }
            Ok(_) => std::fs::remove_file(path)
                .map(|()| REMOVED.to_owned())
                .map_err(|error| format!("not removed: {error}")),
        }
    }
}

fn moved(to: &Path) -> String {
    format!("moved to damaged/{}", to.file_name().unwrap_or_default().to_string_lossy())
}
