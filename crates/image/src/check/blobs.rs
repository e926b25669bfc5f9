//! The blobs as they are: each read to its end and hashed, several at once, and known by its file from then on, so that who
//! looks again reads only what has changed.

use std::collections::HashMap;
use std::io::Read;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use conex_content::{Content, DOCUMENT_LIMIT, Entry, EntryKind, Identity, open_plain};
use conex_oci::Digest;
use serde::de::DeserializeOwned;

use crate::Result;

/// More than this only make the disk seek.
const THREADS: usize = 4;

/// A blob's file.
#[derive(Debug, Clone)]
pub(super) struct Blob {
    pub(super) health: Health,
    /// Bytes.
    pub(super) size: u64,
    pub(super) identity: Identity,
}

/// How a blob is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Health {
    /// What its name says; or nobody has read it, when it is to be quick.
    Sound,
    /// Something else.
    Flipped(Digest),
    Unreadable(String),
    NotAFile(EntryKind),
}

impl Blob {
    pub(super) fn is_sound(&self) -> bool {
        self.health == Health::Sound
    }
}

/// All blobs.
pub(super) struct Blobs<'a> {
    content: &'a Content,
    quick: bool,
    advance: &'a (dyn Fn(u64) + Sync),
    known: HashMap<Digest, Blob>,
    /// What has no digest for its name.
    pub(super) strays: Vec<Entry>,
}

impl<'a> Blobs<'a> {
    pub(super) fn new(content: &'a Content, quick: bool, advance: &'a (dyn Fn(u64) + Sync)) -> Self {
        Self { content, quick, advance, known: HashMap::new(), strays: Vec::new() }
    }

    /// Looks at all, and reads those that have not been read as they are now.
    pub(super) fn refresh(&mut self) -> Result<()> {
        let mut before = std::mem::take(&mut self.known);
        self.strays.clear();
        let mut unread = Vec::new();
        for entry in self.content.survey_blobs()? {
            let Some(digest) = entry.digest() else {
                self.strays.push(entry);
                continue;
            };
            match before.remove(&digest) {
                Some(blob) if blob.identity == entry.identity => {
                    self.known.insert(digest, blob);
                }
                _ => unread.push((digest, entry)),
            }
        }
        let (next, read) = (AtomicUsize::new(0), Mutex::new(Vec::with_capacity(unread.len())));
        let this = &*self;
        let work = || {
            while let Some((digest, entry)) = unread.get(next.fetch_add(1, Ordering::Relaxed)) {
                if let Some(blob) = this.examine(digest, entry) {
                    read.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push((*digest, blob));
                }
            }
        };
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        std::thread::scope(|scope| {
            for _ in 1..threads.min(THREADS).min(unread.len()) {
                scope.spawn(work);
            }
            work();
        });
        self.known.extend(read.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner));
        Ok(())
    }

    /// Nothing when it went meanwhile.
    fn examine(&self, digest: &Digest, entry: &Entry) -> Option<Blob> {
        let (mut size, identity) = (entry.size, entry.identity);
        let health = match entry.kind {
            EntryKind::File if self.quick => Health::Sound,
            EntryKind::File => match self.content.hash(digest, self.advance) {
                Ok((found, count)) => {
                    size = count;
                    if found == *digest { Health::Sound } else { Health::Flipped(found) }
                }
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => return None,
                Err(error) => Health::Unreadable(error.to_string()),
            },
            kind => Health::NotAFile(kind),
        };
        Some(Blob { health, size, identity })
    }

    /// One of them, also if it has come since.
    pub(super) fn get(&mut self, digest: &Digest) -> Option<&Blob> {
        if !self.known.contains_key(digest)
            && let Ok(entry) = Entry::at(&self.content.path(digest))
            && let Some(blob) = self.examine(digest, &entry)
        {
            self.known.insert(*digest, blob);
        }
        self.known.get(digest)
    }

    pub(super) fn is_sound(&mut self, digest: &Digest) -> bool {
        self.get(digest).is_some_and(Blob::is_sound)
    }

    /// A manifest, index or configuration; nothing when it is not what it should be, which is noted.
    pub(super) fn document<T: DeserializeOwned>(&mut self, digest: &Digest) -> Option<T> {
        if !self.get(digest)?.is_sound() {
            return None;
        }
        let mut bytes = Vec::new();
        let read = open_plain(&self.content.path(digest))
            .and_then(|file| file.take(DOCUMENT_LIMIT + 1).read_to_end(&mut bytes));
        let health = match read {
            Err(error) => Health::Unreadable(error.to_string()),
            // Nobody reads such a document.
            Ok(_) if bytes.len() as u64 > DOCUMENT_LIMIT => return None,
            Ok(_) => match Digest::of(&bytes) {
                found if found == *digest => return serde_json::from_slice(&bytes).ok(),
                found => Health::Flipped(found),
            },
        };
        if let Some(blob) = self.known.get_mut(digest) {
            blob.health = health;
        }
        None
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&Digest, &Blob)> {
        self.known.iter()
    }

    pub(super) fn len(&self) -> usize {
        self.known.len()
    }
}
