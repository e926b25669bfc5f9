//! Where layers stand: a directory each, published whole, whatever form a layer has in it.
//!
//! ```text
//! <root>/                    0700: what lies here may be setuid, or a device
//!   <hex of the diff_id>/
//!     fs/ or layer.erofs     the layer, in the shelf's form
//!     layer.json             its size
//!   .partial/                only there while something is in the making
//!     <hex of the diff_id>/  the same, unfinished; its maker holds an exclusive flock on it
//! ```
//!
//! A layer is published by one rename of its directory out of `.partial`, and the lock goes with it, so there are no lock
//! files to keep or clear. A directory in `.partial` that nobody has locked is what a crash has left.

use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use conex_archive::UnpackStats;
use conex_oci::{DiffId, Digest};
use rustix::fs::{AtFlags, CWD, FlockOperation, Mode, OFlags};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use super::partial::{Partial, clear, sweep};
use super::seal;
use super::{LayerError, Layers, Prepared, Result};

pub(super) const PARTIAL: &str = ".partial";
/// The name of the record beside a layer.
pub(crate) const RECORD: &str = "layer.json";
/// A layer on its way out.
pub(super) const REMOVED: &str = "removed";

/// What a layer is made into.
pub trait Form: Clone + Send + Sync + 'static {
    /// Its name in the layer's directory.
    const NAME: &'static str;
    /// Whether making it takes less time than inflating the stream: then the stream is hashed on the same side.
    const IS_QUICK: bool;

    /// Makes it at `path`, which does not exist, of the uncompressed stream, which is read to its end.
    ///
    /// # Errors
    /// Any [`LayerError`].
    fn make(&self, layer: &DiffId, tar: &mut (dyn Read + Send), path: &Path) -> Result<Record>;

    /// Makes durable what is in the layer's directory, which is open: a layer that is published is whole after a power cut, too.
    ///
    /// # Errors
    /// [`LayerError::Store`].
    fn sync(path: &Path, directory: &OwnedFd) -> Result<()>;
}

/// What is noted beside a layer (`layer.json`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// What was in it.
    #[serde(flatten)]
    pub stats: Stats,
    /// What fs-verity says of a sealed file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seal: Option<Digest>,
}

/// What was in a layer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stats {
    /// Of all regular files, as they say themselves.
    pub bytes: u64,
    /// Files, directories and the rest.
    pub entries: u64,
    /// Entries that were not taken over.
    pub skipped: u64,
    /// Attributes that were not.
    pub dropped_xattrs: u64,
}

impl From<UnpackStats> for Stats {
    fn from(stats: UnpackStats) -> Self {
        let UnpackStats { bytes, entries, skipped, dropped_xattrs, .. } = stats;
        Self { bytes, entries, skipped, dropped_xattrs }
    }
}

/// A store of layers of one form.
#[derive(Debug, Clone)]
pub struct Shelf<F> {
    root: PathBuf,
    form: F,
}

impl<F: Form> Shelf<F> {
    /// The store at `root`, which is made when the first layer is. Clears what a crash has left; without any, that
    /// is one system call.
    ///
    /// # Errors
    /// [`LayerError::Store`].
    pub fn open(root: &Path) -> Result<Self>
    where
        F: Default,
    {
        let layers = Self { root: root.to_owned(), form: F::default() };
        let partial = layers.root.join(PARTIAL);
        match rustix::fs::access(&partial, rustix::fs::Access::EXISTS) {
            // What cannot be cleared is in nobody's way but the next maker's of that layer, who will say why.
            Ok(()) => {
                if let Err(error) = sweep(&partial) {
                    log::warn!("{error}");
                }
            }
            Err(Errno::NOENT) => {}
            Err(error) => return Err(store("look at", &partial)(error)),
        }
        Ok(layers)
    }

    pub(super) fn form(&self) -> &F {
        &self.form
    }

    /// Where they are.
    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// Where layers are made.
    pub(super) fn partials(&self) -> PathBuf {
        self.root.join(PARTIAL)
    }

    pub(super) fn form_mut(&mut self) -> &mut F {
        &mut self.form
    }

    pub(super) fn layer(&self, layer: &DiffId) -> PathBuf {
        self.root.join(layer.0.hex())
    }

    /// Removes the layer where no directory can be made to take it to. It is none any more from the first step on; what a crash
    /// leaves of it, the next removal takes.
    fn remove_in_place(&self, layer: &DiffId) -> Result<()> {
        let path = self.layer(layer);
        let directory = match open(&path) {
            Err(Errno::NOENT) => return Ok(()),
            directory => directory.map_err(store("open", &path))?,
        };
        flock(&directory, FlockOperation::LockExclusive).map_err(store("lock", &path))?;
        match rustix::fs::renameat(&directory, F::NAME, &directory, REMOVED) {
            Err(error) if error != Errno::NOENT => return Err(store("remove", &path)(error)),
            _ => {}
        }
        clear(&path, &directory)?;
        rustix::fs::rmdir(&path).map_err(store("remove", &path))
    }

    /// Makes the partial directory of the layer and takes its lock.
    fn lock(&self, layer: &DiffId) -> Result<(PathBuf, OwnedFd)> {
        let partial = self.root.join(PARTIAL);
        let path = partial.join(layer.0.hex());
        loop {
            for directory in [&partial, &path] {
                match rustix::fs::mkdir(directory, Mode::RWXU) {
                    Ok(()) | Err(Errno::EXIST) => {}
                    // The store is new, or someone cleared `.partial` in between.
                    Err(Errno::NOENT) => make_directories(&partial)?,
                    Err(error) => return Err(store("create", directory)(error)),
                }
            }
            let directory = match open(&path) {
                Ok(directory) => directory,
                Err(Errno::NOENT) => continue,
                Err(error) => return Err(store("open", &path)(error)),
            };
            flock(&directory, FlockOperation::LockExclusive).map_err(store("lock", &path))?;
            // While this one waited, the directory may have been published or cleared: then the lock is on another.
            if is_at(&directory, &path) || self.lower(layer)?.is_some() {
                return Ok((path, directory));
            }
        }
    }
}

impl<F: Form> Layers for Shelf<F> {
    fn lower(&self, layer: &DiffId) -> Result<Option<PathBuf>> {
        let path = self.layer(layer).join(F::NAME);
        match rustix::fs::access(&path, rustix::fs::Access::EXISTS) {
            Ok(()) => Ok(Some(path)),
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(store("look at", &path)(error)),
        }
    }

    fn prepare(&self, layer: &DiffId) -> Result<Prepared> {
        loop {
            if let Some(lower) = self.lower(layer)? {
                return Ok(Prepared::Ready(lower));
            }
            let (path, lock) = self.lock(layer)?;
            let draft = Partial { layers: self.clone(), layer: *layer, path, lock };
            match self.lower(layer)? {
                // Made by another in between; an empty partial directory goes when the draft is dropped.
                Some(lower) => return Ok(Prepared::Ready(lower)),
                None if is_at(&draft.lock, &draft.path) => return Ok(Prepared::Draft(Box::new(draft))),
                // Made and removed again in between: the lock is on what is gone.
                None => {}
            }
        }
    }

    fn remove(&self, layer: &DiffId) -> Result<()> {
        // The partial directory's lock keeps all others from making the layer meanwhile.
        let (path, lock) = match self.lock(layer) {
            // Nor can anybody make it then.
            Err(LayerError::Store { source, .. }) if conex_content::is_full(&source) => {
                return self.remove_in_place(layer);
            }
            locked => locked?,
        };
        let draft = Partial { layers: self.clone(), layer: *layer, path, lock };
        let (from, to) = (self.layer(layer), draft.path.join(REMOVED));
        if is_at(&draft.lock, &draft.path) {
            match rustix::fs::rename(&from, &to) {
                Ok(()) | Err(Errno::NOENT) => return draft.clear(),
                Err(error) => return Err(store("remove", &from)(error)),
            }
        }
        // Published while this one waited for its maker: once more, with a directory of its own.
        drop(draft);
        self.remove(layer)
    }

    fn list(&self) -> Result<Vec<DiffId>> {
        let entries = match std::fs::read_dir(&self.root) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(source) => return Err(LayerError::Store { what: "read", path: self.root.clone(), source }),
        };
        let mut layers = Vec::new();
        for entry in entries {
            let entry = entry.map_err(|source| LayerError::Store {
                what: "read",
                path: self.root.clone(),
                source,
            })?;
            if let Some(digest) = entry.file_name().to_str().and_then(digest_of) {
                layers.push(DiffId(digest));
            }
        }
        Ok(layers)
    }

    fn check_seal(&self, layer: &DiffId) -> Result<()> {
        match self.record(layer) {
            Ok(Some(Record { seal: Some(noted), .. })) => {
                seal::check(&self.layer(layer).join(F::NAME), &noted)
            }
            Ok(_) => Ok(()),
            // Then there is nothing to compare with; the layer itself may be as good as ever.
            Err(error) => {
                log::warn!("{error}");
                Ok(())
            }
        }
    }

    fn size(&self, layer: &DiffId) -> Result<Option<u64>> {
        Ok(self.record(layer)?.map(|record| record.stats.bytes))
    }
}

impl<F: Form> Shelf<F> {
    /// What was noted of the layer.
    fn record(&self, layer: &DiffId) -> Result<Option<Record>> {
        let path = self.layer(layer).join(RECORD);
        let bytes = match std::fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(LayerError::Store { what: "read", path, source }),
        };
        serde_json::from_slice(&bytes).map(Some).map_err(|error| LayerError::Store {
            what: "read",
            path,
            source: error.into(),
        })
    }
}

pub(super) fn open(path: &Path) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::open(path, flags, Mode::empty())
}

pub(super) fn flock(directory: &OwnedFd, operation: FlockOperation) -> rustix::io::Result<()> {
    loop {
        match rustix::fs::flock(directory, operation) {
            Err(Errno::INTR) => {}
            other => return other,
        }
    }
}

/// Whether the path still names the directory that is open.
pub(super) fn is_at(directory: &OwnedFd, path: &Path) -> bool {
    let at = rustix::fs::statat(CWD, path, AtFlags::SYMLINK_NOFOLLOW);
    match (rustix::fs::fstat(directory), at) {
        (Ok(open), Ok(named)) => (open.st_dev, open.st_ino) == (named.st_dev, named.st_ino),
        _ => false,
    }
}

/// `.partial` and the store above it, which only their owner may enter.
fn make_directories(partial: &Path) -> Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(partial)
        .map_err(|source| LayerError::Store { what: "create", path: partial.to_owned(), source })
}

fn digest_of(hex: &str) -> Option<Digest> {
    format!("sha256:{hex}").parse().ok()
}

pub(super) fn store(what: &'static str, path: &Path) -> impl FnOnce(Errno) -> LayerError {
    let path = path.to_owned();
    move |error| LayerError::Store { what, path, source: error.into() }
}
