//! References: `references/<escaped name>`, each file the descriptor that the name points at, with the name as its
//! annotation: an entry of `index.json`, which is put together from them on every change.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::PathBuf;

use conex_oci::image::ImageIndex;
use conex_oci::{Descriptor, Digest, Reference, media_type};

use crate::error::is_full;
use crate::reference_file::{entry, file_name, parse};
use crate::temporary::{Temporary, overwrite, replace, sync_directory};
use crate::{Content, Error, Guard, Result};

/// image-spec annotations.md: the name of an index entry.
pub const REF_NAME: &str = "org.opencontainers.image.ref.name";

/// References set at once, each of which is an open file until then.
const AT_ONCE: usize = 256;

/// Who keeps a manifest or index alive.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Name {
    /// A reference.
    Reference(Reference),
    /// Nothing but itself: an image whose names have moved on (Docker's dangling image).
    Unnamed,
}

/// A name and what it points at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Root {
    /// The name.
    pub name: Name,
    /// The manifest or index.
    pub target: Descriptor,
}

impl Root {
    /// The reference, if it has one.
    pub fn reference(&self) -> Option<&Reference> {
        match &self.name {
            Name::Reference(reference) => Some(reference),
            Name::Unnamed => None,
        }
    }

    /// A name for messages: its reference, else the short digest of what it keeps.
    pub fn familiar(&self) -> String {
        self.reference().map_or_else(|| self.target.digest.short(), Reference::familiar)
    }

    pub(crate) fn file_name(&self) -> String {
        match &self.name {
            Name::Reference(reference) => file_name(&reference.to_string()),
            Name::Unnamed => file_name(&self.target.digest.to_string()),
        }
    }
}

impl Content {
    /// What `reference` points at.
    pub fn get(&self, reference: &Reference) -> Result<Option<Descriptor>> {
        let path = self.references_directory().join(file_name(&reference.to_string()));
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(Error::Reference { reference: reference.clone(), source }),
        };
        parse(path, &bytes).map(|root| Some(root.target))
    }

    /// When `reference` was last pointed at something.
    pub fn changed(&self, reference: &Reference) -> Option<std::time::SystemTime> {
        let path = self.references_directory().join(file_name(&reference.to_string()));
        fs::metadata(path).and_then(|metadata| metadata.modified()).ok()
    }

    /// Points `reference` at `target`. What it pointed at before stays in the store without a name until it is removed.
    pub fn set(&self, reference: &Reference, target: &Descriptor) -> Result<()> {
        self.set_all(&[Root { name: Name::Reference(reference.clone()), target: target.clone() }])
    }

    /// Keeps `target` without a name.
    pub fn keep(&self, target: &Descriptor) -> Result<()> {
        self.set_all(&[Root { name: Name::Unnamed, target: target.clone() }])
    }

    /// As [`set`](Self::set) and [`keep`](Self::keep), for many at once and in order, all of them or, after an error, none (of more
    /// than 256, so many at a time): what is to be written is written elsewhere first, for a disk may be full.
    pub fn set_all(&self, roots: &[Root]) -> Result<()> {
        sync_directory(&self.blobs_directory())?;
        let _order = self.order()?;
        roots.chunks(AT_ONCE).try_for_each(|roots| self.set_some(roots))
    }

    fn set_some(&self, roots: &[Root]) -> Result<()> {
        let before: BTreeMap<String, Root> =
            self.files()?.into_iter().map(|root| (root.file_name(), root)).collect();
        let mut after = before.clone();
        let unnamed = |target: &Descriptor| Root { name: Name::Unnamed, target: target.clone() };
        for root in roots {
            let file = root.file_name();
            if root.reference().is_some() {
                match after.get(&file).map(|old| old.target.clone()) {
                    Some(old) if old.digest == root.target.digest => continue,
                    // What has lost its name stays.
                    Some(old) => drop(after.insert(unnamed(&old).file_name(), unnamed(&old))),
                    None => {}
                }
                after.remove(&unnamed(&root.target).file_name());
            }
            after.insert(file, root.clone());
        }
        // The nameless first: at no moment has what loses its name none.
        let mut new: Vec<&Root> = after
            .iter()
            .filter(|(file, root)| before.get(*file) != Some(root))
            .map(|(_, root)| root)
            .collect();
        new.sort_by_key(|root| root.reference().is_some());
        let mut drafts = Vec::new();
        for root in new {
            let path = self.references_directory().join(root.file_name());
            drafts.push(
                self.draft(path, &serde_json::to_vec(&entry(root)).expect("a descriptor is always JSON"))?,
            );
        }
        let index =
            self.draft(self.root().join("index.json"), &index_of(after.values().cloned().collect()))?;
        for (draft, path) in drafts {
            draft.rename(&path).map_err(|source| Error::Write { path, source })?;
        }
        sync_directory(&self.references_directory())?;
        for root in before.iter().filter(|(file, _)| !after.contains_key(*file)).map(|(_, root)| root) {
            self.erase(root)?;
        }
        let (index, path) = index;
        index.rename(&path).map_err(|source| Error::Write { path, source })
    }

    /// What is to be at `path`, written out.
    fn draft(&self, path: PathBuf, bytes: &[u8]) -> Result<(Temporary, PathBuf)> {
        match Temporary::with(self, bytes) {
            Ok(draft) => Ok((draft, path)),
            Err(source) => Err(Error::Write { path, source }),
        }
    }

    /// Forgets a name's hold on its target; false when it had none (any more). Blobs stay until they are collected.
    pub fn forget(&self, root: &Root) -> Result<bool> {
        Ok(self.forget_all([root])?.contains(&true))
    }

    /// The same for many at once; `index.json` is written once.
    pub fn forget_all<'r>(&self, roots: impl IntoIterator<Item = &'r Root>) -> Result<Vec<bool>> {
        let order = self.order()?;
        let mut forgotten = Vec::new();
        for root in roots {
            // A name may point at something else by now, which is none of the caller's business.
            forgotten.push(self.holds(root)? && self.erase(root)?);
        }
        self.shorten_index(&order)?;
        Ok(forgotten)
    }

    /// As [`write_index`](Self::write_index) after something has gone, which must not need space: people remove things because the
    /// disk is full. The references are what counts, and the next collection mends what could not be written.
    fn shorten_index(&self, order: &Guard) -> Result<()> {
        match self.write_index(order) {
            Err(Error::Write { source, path }) if is_full(&source) => {
                let _ = overwrite(&path, &self.index()?);
                Ok(())
            }
            written => written,
        }
    }

    /// Whether the root is still there, and its name points at the same target.
    pub fn holds(&self, root: &Root) -> Result<bool> {
        match root.reference() {
            Some(reference) => Ok(self.get(reference)?.is_some_and(|now| now.digest == root.target.digest)),
            None => {
                let path = self.references_directory().join(root.file_name());
                Ok(rustix::fs::access(path, rustix::fs::Access::EXISTS).is_ok())
            }
        }
    }

    /// Puts right what somebody has left who was killed between two steps: writes `index.json` again if it is not what the
    /// references say. Nameless roots whose targets have a name by now go.
    pub fn mend(&self) -> Result<()> {
        let order = self.order()?;
        let roots = self.files()?;
        let named = named(&roots);
        for root in roots.iter().filter(|root| is_hidden(root, &named)) {
            self.erase(root)?;
        }
        match fs::read(self.root().join("index.json")) {
            Ok(found) if found == self.index()? => Ok(()),
            _ => self.shorten_index(&order),
        }
    }

    /// All roots at one moment: none is overlooked because it changes its name meanwhile, as [`roots`](Self::roots) may.
    ///
    /// # Errors
    /// As [`roots`](Self::roots); where nothing can be written nobody can be kept from it.
    pub fn roots_at_once(&self) -> Result<Vec<Root>> {
        let _order = self.order()?;
        self.roots()
    }

    /// All roots, in order of their names; a target that has a name is not listed a second time without one. One that is being
    /// renamed at this moment may be missed: what decides over deletion is [`mark`](Self::mark).
    pub fn roots(&self) -> Result<Vec<Root>> {
        Ok(shown(self.files()?))
    }

    /// The roots as they stand in the directory.
    fn files(&self) -> Result<Vec<Root>> {
        let directory = self.references_directory();
        let failed = |source| Error::List { path: directory.clone(), source };
        let mut roots = Vec::new();
        for entry in fs::read_dir(&directory).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            match fs::read(&path) {
                Ok(bytes) => roots.push(parse(path, &bytes)?),
                // Forgotten since the directory was read.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(source) => return Err(Error::List { path, source }),
            }
        }
        Ok(roots)
    }

    /// Writes one reference's file; the index is the caller's.
    pub(crate) fn write(&self, root: &Root) -> Result<()> {
        let path = self.references_directory().join(root.file_name());
        let bytes = serde_json::to_vec(&entry(root)).expect("a descriptor is always JSON");
        let (draft, path) = self.draft(path, &bytes)?;
        draft.rename(&path).map_err(|source| Error::Write { path, source })?;
        sync_directory(&self.references_directory())
    }

    fn erase(&self, root: &Root) -> Result<bool> {
        let path = self.references_directory().join(root.file_name());
        match fs::remove_file(&path) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(source) => Err(Error::Remove { path, source }),
        }
    }

    /// The one who changes references now. Held for the writing of a few small files, and by collection while it lists them.
    pub(crate) fn order(&self) -> Result<Guard> {
        self.guard("index.json")
    }

    pub(crate) fn write_index(&self, _order: &Guard) -> Result<()> {
        let path = self.root().join("index.json");
        replace(self, &path, &self.index()?).map_err(|source| Error::Write { path, source })
    }

    pub(crate) fn index(&self) -> Result<Vec<u8>> {
        Ok(index_of(self.files()?))
    }
}

/// `index.json` of these.
fn index_of(roots: Vec<Root>) -> Vec<u8> {
    let index = ImageIndex {
        schema_version: 2,
        media_type: Some(media_type::INDEX.to_owned()),
        manifests: shown(roots).iter().map(entry).collect(),
        annotations: None,
    };
    serde_json::to_vec(&index).expect("an index is always JSON")
}

/// In order of their names; a target that has a name is not shown a second time without one.
fn shown(mut roots: Vec<Root>) -> Vec<Root> {
    let named = named(&roots);
    roots.retain(|root| !is_hidden(root, &named));
    roots.sort_by(|a, b| (&a.name, a.target.digest).cmp(&(&b.name, b.target.digest)));
    roots
}

fn named(roots: &[Root]) -> BTreeSet<Digest> {
    roots.iter().filter(|root| root.reference().is_some()).map(|root| root.target.digest).collect()
}

fn is_hidden(root: &Root, named: &BTreeSet<Digest>) -> bool {
    root.reference().is_none() && named.contains(&root.target.digest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store() -> (tempfile::TempDir, Content) {
        let root = tempfile::tempdir().unwrap();
        let content = Content::open(root.path()).unwrap();
        (root, content)
    }

    fn target(content: &Content, text: &str) -> Descriptor {
        let digest = content.put(text.as_bytes()).unwrap();
        Descriptor::new(media_type::MANIFEST, digest, text.len() as u64)
    }

    fn index(content: &Content) -> ImageIndex {
        serde_json::from_slice(&fs::read(content.root().join("index.json")).unwrap()).unwrap()
    }

    #[test]
    fn a_moved_reference_leaves_its_old_target_unnamed() {
        let (_root, content) = store();
        let (old, new) = (target(&content, "old"), target(&content, "new"));
        let (latest, kept): (Reference, Reference) = ("a".parse().unwrap(), "a:1".parse().unwrap());
        content.set(&latest, &old).unwrap();
        content.set(&latest, &new).unwrap();
        assert_eq!(content.get(&latest).unwrap(), Some(new.clone()));
        let roots = content.roots().unwrap();
        assert_eq!(roots.len(), 2);
        assert_eq!(roots[1], Root { name: Name::Unnamed, target: old.clone() });
        assert_eq!(index(&content).manifests.len(), 2);
        // A name found again ends the namelessness.
        content.set(&kept, &old).unwrap();
        let roots = content.roots().unwrap();
        assert!(roots.iter().all(|root| root.reference().is_some()) && roots.len() == 2, "{roots:?}");
    }

    #[test]
    fn forgetting_spares_a_name_that_has_moved_on() {
        let (_root, content) = store();
        let (old, new) = (target(&content, "old"), target(&content, "new"));
        let name: Reference = "127.0.0.1:5000/a/b:1".parse().unwrap();
        content.set(&name, &old).unwrap();
        let root = Root { name: Name::Reference(name.clone()), target: old };
        content.set(&name, &new).unwrap();
        assert!(!content.forget(&root).unwrap());
        assert!(content.forget(&Root { target: new.clone(), ..root }).unwrap());
        assert_eq!(content.get(&name).unwrap(), None);
        assert_eq!(index(&content).manifests.len(), 1, "the old target, unnamed");
    }

    proptest::proptest! {
        #[test]
        fn file_names_are_safe_and_differ(a in "\\PC{0,300}", b in "\\PC{0,300}") {
            let (file, other) = (file_name(&a), file_name(&b));
            proptest::prop_assert!(file.len() <= 255);
            proptest::prop_assert!(!file.contains('/'));
            proptest::prop_assert_eq!(a == b, file == other);
        }
    }

    #[test]
    fn the_longest_reference_still_has_a_file() {
        let (_root, content) = store();
        let repository = vec!["a".repeat(60); 4].join("/");
        let names: Vec<Reference> = (0..2)
            .map(|n| format!("example.org/{repository}:{}{n}", "t".repeat(127)).parse().unwrap())
            .collect();
        for (number, name) in names.iter().enumerate() {
            content.set(name, &target(&content, &number.to_string())).unwrap();
        }
        assert_ne!(content.get(&names[0]).unwrap(), content.get(&names[1]).unwrap());
        let roots = content.roots().unwrap();
        assert_eq!(
            roots.iter().filter_map(Root::reference).collect::<Vec<_>>(),
            names.iter().collect::<Vec<_>>()
        );
    }

    #[test]
    fn a_damaged_reference_names_its_file() {
        let (_root, content) = store();
        let name: Reference = "a".parse().unwrap();
        content.set(&name, &target(&content, "x")).unwrap();
        let path = content.root().join("references").join(file_name(&name.to_string()));
        fs::write(&path, "{").unwrap();
        let error = content.get(&name).unwrap_err().to_string();
        assert!(error.contains(path.to_str().unwrap()) && !error.contains('\n'), "{error}");
    }

    #[test]
    fn eight_at_once_end_with_a_true_index() {
        let (_root, content) = store();
        let targets: Vec<_> = (0..8).map(|n| target(&content, &n.to_string())).collect();
        std::thread::scope(|scope| {
            for (number, target) in targets.iter().enumerate() {
                let content = &content;
                scope.spawn(move || {
                    for tag in 0..4 {
                        content.set(&format!("a:{number}-{tag}").parse().unwrap(), target).unwrap();
                        content.set(&"a:shared".parse().unwrap(), target).unwrap();
                    }
                });
            }
        });
        let roots = content.roots().unwrap();
        assert_eq!(roots.len(), 33);
        assert_eq!(index(&content).manifests, roots.iter().map(entry).collect::<Vec<_>>());
    }
}
