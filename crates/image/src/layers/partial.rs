//! Layers in the making: filled, verified, published in one rename; and what crashes have left of them.

use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use conex_archive::{HashingReader, read_ahead, remove_tree};
use conex_oci::{DiffId, Digest};
use rustix::fs::FlockOperation;
use rustix::io::Errno;

use super::shelf::{Form, RECORD, REMOVED, Record, Shelf, flock, is_at, open, store};
use super::{Draft, LayerError, Result};

/// A layer in the making. Whatever is left of it when this goes, goes too.
pub(super) struct Partial<F: Form> {
    pub(super) layers: Shelf<F>,
    pub(super) layer: DiffId,
    pub(super) path: PathBuf,
    pub(super) lock: OwnedFd,
}

impl<F: Form> Draft for Partial<F> {
    fn fill(self: Box<Self>, tar: &mut dyn Read) -> Result<PathBuf> {
        // What a crash has left under the same lock.
        clear(&self.path, &self.lock)?;
        let path = self.path.join(F::NAME);
        let make = |tar: &mut (dyn Read + Send)| self.layers.form().make(&self.layer, tar, &path);
        let no_thread = |source| LayerError::Store { what: "start a thread for", path: path.clone(), source };
        let (record, found) = if F::IS_QUICK {
            let hashed = |tar: &mut (dyn Read + Send)| {
                let mut tar = HashingReader::new(tar);
                let record = make(&mut tar)?;
                Ok((record, self.digest(tar)?))
            };
            read_ahead(tar, hashed).map_err(no_thread)??
        } else {
            let mut tar = HashingReader::new(tar);
            let record = read_ahead(&mut tar, make).map_err(no_thread)??;
            (record, self.digest(tar)?)
        };
        if found != self.layer.0 {
            return Err(LayerError::DiffId { expected: self.layer, found: DiffId(found) });
        }
        self.note(&record)?;
        self.publish()
    }
}

impl<F: Form> Partial<F> {
    /// Of the whole stream, which trails off behind the archive.
    fn digest(&self, tar: HashingReader<impl Read>) -> Result<Digest> {
        let offset = tar.count();
        let (found, _) = tar.finish().map_err(|source| LayerError::Unpack {
            layer: self.layer,
            source: Box::new(conex_archive::Error::Read { offset, source }),
        })?;
        Ok(found)
    }

    fn note(&self, record: &Record) -> Result<()> {
        use std::io::Write;
        let path = self.path.join(RECORD);
        let bytes = serde_json::to_vec(record).expect("numbers are JSON");
        let write = || {
            let mut file = std::fs::File::create(&path)?;
            file.write_all(&bytes)?;
            file.sync_data()
        };
        write().map_err(|source| LayerError::Store { what: "write", path: path.clone(), source })
    }

    /// Makes everything durable, then gives the layer its name: a layer that has one is whole, also after a power cut.
    fn publish(&self) -> Result<PathBuf> {
        F::sync(&self.path, &self.lock)?;
        let to = self.layers.layer(&self.layer);
        match rustix::fs::rename(&self.path, &to) {
            // The layer is there in another form, which containers may be using; or what is there is no layer at all.
            Err(Errno::NOTEMPTY | Errno::EXIST) => {
                let there = open(&to).map_err(store("open", &to))?;
                remove_tree(there.as_fd(), REMOVED.as_ref())
                    .map_err(|source| LayerError::Clear { path: to.clone(), source })?;
                rustix::fs::rename(self.path.join(F::NAME), to.join(F::NAME))
                    .and_then(|()| rustix::fs::rename(self.path.join(RECORD), to.join(RECORD)))
                    .map_err(store("publish", &to))?;
                let synced = open(&to).and_then(rustix::fs::fsync);
                synced.map_err(store("write out", &to))?;
            }
            other => other.map_err(store("publish", &to))?,
        }
        let root = self.layers.root();
        let synced = open(root).and_then(rustix::fs::fsync);
        synced.map_err(store("write out", root))?;
        Ok(to.join(F::NAME))
    }

    pub(super) fn clear(&self) -> Result<()> {
        clear(&self.path, &self.lock)
    }
}

impl<F: Form> Drop for Partial<F> {
    /// Takes away what was not published. If that fails, the next to open the store does it.
    fn drop(&mut self) {
        if is_at(&self.lock, &self.path) {
            let _ = self.clear();
            let _ = rustix::fs::rmdir(&self.path);
        }
        // Works only when nobody else is making a layer; then the next to open the store has nothing to look at.
        let _ = rustix::fs::rmdir(self.layers.partials());
    }
}

/// Removes what nobody is making.
pub(super) fn sweep(partial: &Path) -> Result<()> {
    let failed = |source| LayerError::Store { what: "read", path: partial.to_owned(), source };
    let entries = match std::fs::read_dir(partial) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(source) => return Err(failed(source)),
    };
    for entry in entries {
        let path = entry.map_err(failed)?.path();
        let Ok(directory) = open(&path) else { continue };
        if flock(&directory, FlockOperation::NonBlockingLockExclusive).is_ok() && is_at(&directory, &path) {
            clear(&path, &directory)?;
            // Whoever has opened it and now waits for the lock sees that it is gone, and makes a new one.
            let _ = rustix::fs::rmdir(&path);
        }
    }
    let _ = rustix::fs::rmdir(partial);
    Ok(())
}

/// Empties a directory whose lock is held.
pub(super) fn clear(path: &Path, directory: &OwnedFd) -> Result<()> {
    let entries = std::fs::read_dir(path).map_err(|source| LayerError::Store {
        what: "read",
        path: path.to_owned(),
        source,
    })?;
    for entry in entries {
        let entry =
            entry.map_err(|source| LayerError::Store { what: "read", path: path.to_owned(), source })?;
        remove_tree(directory.as_fd(), &entry.file_name())
            .map_err(|source| LayerError::Clear { path: path.to_owned(), source })?;
    }
    Ok(())
}
