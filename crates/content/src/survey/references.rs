//! References and `index.json` against each other: each says what the other should, so that one of them can be lost.

use std::ffi::OsString;
use std::fs;
use std::io::{self, Read};
use std::path::PathBuf;

use conex_oci::image::ImageIndex;
use conex_oci::{Descriptor, Digest, media_type};

use super::{Entry, EntryKind, open_plain};
use crate::reference_file::{named_by, parse};
use crate::references::{Name, REF_NAME, Root};
use crate::temporary::sync_directory;
use crate::{Content, Error, Result};

/// No reference's file is larger; bytes.
const REFERENCE_LIMIT: u64 = 1 << 20;
/// Neither is an `index.json`, of fifty thousand references; bytes.
const INDEX_LIMIT: u64 = 16 << 20;

/// All references and the index, at one moment.
#[derive(Debug)]
pub struct Survey {
    /// File by file, in order of their names.
    pub references: Vec<ReferenceFile>,
    /// `index.json`
    pub index: IndexFile,
}

/// A file in `references/`.
#[derive(Debug)]
pub struct ReferenceFile {
    /// Its name.
    pub file: OsString,
    /// What it holds.
    pub state: State,
    /// Of its bytes: whether it is still the same later.
    bytes: Option<Digest>,
}

/// What a reference's file holds.
#[derive(Debug)]
pub enum State {
    /// What it should.
    Root(Box<Root>),
    /// Nothing to be understood, or another name than the file's.
    Torn {
        /// In what way.
        why: String,
        /// The digest that can still be read.
        digest: Option<Digest>,
    },
    /// It is no file.
    NotAFile(EntryKind),
}

/// How `index.json` is.
#[derive(Debug)]
pub enum IndexFile {
    /// What it should be.
    Same(Vec<Root>),
    /// Not what the references say.
    Stale(Vec<Root>),
    /// Nothing to be understood, or not there; in words.
    Damaged(String),
    /// It is no file.
    NotAFile(EntryKind),
}

impl IndexFile {
    /// What can be read of it.
    pub fn roots(&self) -> &[Root] {
        match self {
            Self::Same(roots) | Self::Stale(roots) => roots,
            Self::Damaged(_) | Self::NotAFile(_) => &[],
        }
    }
}

impl ReferenceFile {
    /// What people call it: the name that the file's name stands for, else that itself.
    pub fn name(&self) -> String {
        match (&self.state, named_by(&self.file)) {
            (State::Root(root), _) => root.familiar(),
            (_, Some((Name::Reference(reference), _))) => reference.familiar(),
            (_, Some((Name::Unnamed, Some(digest)))) => digest.short(),
            _ => self.file.to_string_lossy().into_owned(),
        }
    }

    /// The roots that it may have held, likeliest first, of sizes and types that nobody vouches for: by `index.json`, by what
    /// is left of the file, by its name.
    pub fn guesses(&self, index: &IndexFile) -> Vec<Root> {
        let mut guesses: Vec<Root> =
            index.roots().iter().filter(|root| *root.file_name() == *self.file).cloned().collect();
        let (name, own) = match named_by(&self.file) {
            Some(known) => known,
            None => return guesses,
        };
        let left = match &self.state {
            State::Root(root) => Some(root.target.digest),
            State::Torn { digest, .. } => *digest,
            State::NotAFile(_) => None,
        };
        for digest in [own, left].into_iter().flatten() {
            guesses
                .push(Root { name: name.clone(), target: Descriptor::new(media_type::MANIFEST, digest, 0) });
        }
        guesses
    }
}

impl Content {
    /// Reads all references and the index while nobody changes them.
    ///
    /// # Errors
    /// A directory that cannot be read.
    pub fn survey(&self) -> Result<Survey> {
        let _order = self.order()?;
        let directory = self.references_directory();
        let entries =
            Entry::all(&directory).map_err(|source| Error::List { path: directory.clone(), source })?;
        let mut references = Vec::new();
        for entry in entries {
            references.push(self.reference_file(entry)?);
        }
        references.sort_by(|a, b| a.file.cmp(&b.file));
        let index = self.index_file(&references)?;
        Ok(Survey { references, index })
    }

    fn reference_file(&self, entry: Entry) -> Result<ReferenceFile> {
        let file = entry.name;
        if entry.kind != EntryKind::File {
            return Ok(ReferenceFile { file, state: State::NotAFile(entry.kind), bytes: None });
        }
        let path = self.references_directory().join(&file);
        let (bytes, state) = match read(&path, REFERENCE_LIMIT) {
            Err(error) => (None, State::Torn { why: error.to_string(), digest: None }),
            Ok(bytes) => (Some(Digest::of(&bytes)), understand(&path, &file, &bytes)),
        };
        Ok(ReferenceFile { file, state, bytes })
    }

    fn index_file(&self, references: &[ReferenceFile]) -> Result<IndexFile> {
        let path = self.root().join("index.json");
        match Entry::at(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(IndexFile::Damaged("it is missing".to_owned()));
            }
            Err(source) => return Err(Error::List { path, source }),
            Ok(entry) if entry.kind != EntryKind::File => return Ok(IndexFile::NotAFile(entry.kind)),
            Ok(_) => {}
        }
        let bytes = match read(&path, INDEX_LIMIT) {
            Ok(bytes) => bytes,
            Err(error) => return Ok(IndexFile::Damaged(error.to_string())),
        };
        let index: ImageIndex = match serde_json::from_slice(&bytes) {
            Ok(index) => index,
            Err(error) => return Ok(IndexFile::Damaged(error.to_string())),
        };
        let roots = index.manifests.into_iter().filter_map(named_entry).collect();
        // One that cannot be read has no say in what the index should be.
        let whole = references.iter().all(|file| matches!(file.state, State::Root(_)));
        let same = whole && self.index().is_ok_and(|wanted| wanted == bytes);
        Ok(if same || !whole { IndexFile::Same(roots) } else { IndexFile::Stale(roots) })
    }

    /// Writes what a reference's file should hold, unless somebody has changed it since it was read; tells whether it did. What was
    /// there goes to `damaged/`.
    ///
    /// # Errors
    /// [`Error::Write`].
    pub fn restore(&self, file: &ReferenceFile, root: &Root) -> Result<bool> {
        let _order = self.order()?;
        if !self.is_as_it_was(file) {
            return Ok(false);
        }
        let path = self.references_directory().join(&file.file);
        self.set_aside(&path)?;
        self.write(root)?;
        Ok(true)
    }

    /// Moves a reference's file to `damaged/`, unless somebody has changed it since it was read.
    ///
    /// # Errors
    /// [`Error::Write`].
    pub fn give_up(&self, file: &ReferenceFile) -> Result<Option<PathBuf>> {
        let _order = self.order()?;
        if !self.is_as_it_was(file) {
            return Ok(None);
        }
        let aside = self.set_aside(&self.references_directory().join(&file.file))?;
        sync_directory(&self.references_directory())?;
        Ok(Some(aside))
    }

    /// Writes `index.json` again out of the references, all of which can be read. `aside` keeps what was there in `damaged/`.
    ///
    /// # Errors
    /// [`Error::Write`], and those of reading the references.
    pub fn rewrite_index(&self, aside: bool) -> Result<Option<PathBuf>> {
        let order = self.order()?;
        let path = self.root().join("index.json");
        let kept = match aside && fs::symlink_metadata(&path).is_ok() {
            true => Some(self.set_aside(&path)?),
            false => None,
        };
        self.write_index(&order)?;
        sync_directory(self.root())?;
        Ok(kept)
    }

    fn is_as_it_was(&self, file: &ReferenceFile) -> bool {
        let path = self.references_directory().join(&file.file);
        match (&file.state, file.bytes) {
            (State::NotAFile(kind), _) => Entry::at(&path).is_ok_and(|now| now.kind == *kind),
            (_, Some(bytes)) => read(&path, REFERENCE_LIMIT).is_ok_and(|now| Digest::of(&now) == bytes),
            // It could not be read, and still cannot.
            (_, None) => read(&path, REFERENCE_LIMIT).is_err(),
        }
    }
}

fn understand(path: &std::path::Path, file: &OsString, bytes: &[u8]) -> State {
    let torn = |why: String| State::Torn { why, digest: digest_in(bytes) };
    if bytes.is_empty() {
        return torn("it is empty".to_owned());
    }
    match parse(path.to_owned(), bytes) {
        Err(Error::Damaged { source, .. }) => torn(source.to_string()),
        Err(error) => torn(error.to_string()),
        Ok(root) if *root.file_name() != **file => {
            torn(format!("it holds another name ({})", root.familiar()))
        }
        Ok(root) if !root.target.is_index() && !root.target.is_manifest() => {
            let kind: String = root.target.media_type.chars().filter(|c| !c.is_control()).take(80).collect();
            torn(format!("it points at something of type {kind:?}"))
        }
        Ok(root) => State::Root(Box::new(root)),
    }
}

fn named_entry(mut target: Descriptor) -> Option<Root> {
    let name = match target.annotation(REF_NAME) {
        Some(text) => Name::Reference(text.parse().ok()?),
        None => Name::Unnamed,
    };
    target.annotations = None;
    Some(Root { name, target })
}

fn read(path: &std::path::Path, limit: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open_plain(path)?.take(limit + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit {
        return Err(io::Error::other(format!("it has more than {limit} bytes")));
    }
    Ok(bytes)
}

/// The first thing in there that is a digest.
fn digest_in(bytes: &[u8]) -> Option<Digest> {
    const PREFIX: &[u8] = b"sha256:";
    bytes.windows(PREFIX.len() + 64).find_map(|window| {
        std::str::from_utf8(window).ok().filter(|text| text.as_bytes().starts_with(PREFIX))?.parse().ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(content: &Content, name: &str) -> Root {
        let digest = content.put(name.as_bytes()).unwrap();
        let target = Descriptor::new(media_type::MANIFEST, digest, name.len() as u64);
        let root = Root { name: Name::Reference(name.parse().unwrap()), target };
        content.set_all(std::slice::from_ref(&root)).unwrap();
        root
    }

    #[test]
    fn a_sound_store_has_nothing_to_tell() {
        let root = tempfile::tempdir().unwrap();
        let content = Content::open(root.path()).unwrap();
        named(&content, "a:1");
        named(&content, "b:1");
        let survey = content.survey().unwrap();
        assert!(matches!(survey.index, IndexFile::Same(_)));
        assert!(survey.references.iter().all(|file| matches!(file.state, State::Root(_))));
    }

    #[test]
    fn a_flipped_bit_of_a_reference_is_found_and_mended_by_the_index() {
        let root = tempfile::tempdir().unwrap();
        let content = Content::open(root.path()).unwrap();
        let wanted = named(&content, "a:1");
        let path = root.path().join("references").join(wanted.file_name());
        let bytes = fs::read(&path).unwrap();
        for at in 0..bytes.len() {
            let mut rotten = bytes.clone();
            rotten[at] ^= 1 << (at % 7);
            fs::write(&path, &rotten).unwrap();
            let survey = content.survey().unwrap();
            let file = &survey.references[0];
            let told = match (&file.state, &survey.index) {
                (State::Root(root), IndexFile::Same(_)) => **root == wanted,
                _ => true,
            };
            assert!(told, "byte {at}: {file:?}");
            assert_eq!(file.guesses(&survey.index).first(), Some(&wanted), "byte {at}");
            if at % 16 == 0 {
                assert!(content.restore(file, &wanted).unwrap());
                assert_eq!(fs::read(&path).unwrap(), bytes);
            }
        }
    }

    #[test]
    fn without_the_index_the_files_name_and_the_digest_in_it_are_left() {
        let root = tempfile::tempdir().unwrap();
        let content = Content::open(root.path()).unwrap();
        let wanted = named(&content, "registry.example:5000/a/b:1");
        let path = root.path().join("references").join(wanted.file_name());
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, text.replace("\"size\"", "\"s ze\"")).unwrap();
        fs::write(root.path().join("index.json"), "{").unwrap();
        let survey = content.survey().unwrap();
        assert!(matches!(survey.index, IndexFile::Damaged(_)));
        let guesses = survey.references[0].guesses(&survey.index);
        let guess = &guesses[0];
        assert_eq!((&guess.name, guess.target.digest), (&wanted.name, wanted.target.digest));
        // Somebody pulls it meanwhile: that is what counts.
        fs::write(&path, text).unwrap();
        assert!(!content.restore(&survey.references[0], &wanted).unwrap());
    }
}
