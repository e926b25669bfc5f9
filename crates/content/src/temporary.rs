//! Files in the making: `tmp/<what>-<random>`, locked (flock) by their writer for as long as it lives, so that anybody can
//! tell a dead writer's leavings and clear them.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::FlockOperation;

use crate::{Content, Error, Result};

/// A named temporary file; removed on drop unless it was [`publish`](Self::publish)ed.
#[derive(Debug)]
pub(crate) struct Temporary {
    pub(crate) file: File,
    pub(crate) path: PathBuf,
    published: bool,
}

impl Temporary {
    pub(crate) fn create(content: &Content, what: &str) -> io::Result<Self> {
        loop {
            let path = content.temporary_directory().join(format!("{what}-{:016x}", random()?));
            let file =
                match OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&path) {
                    Ok(file) => file,
                    Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
                    // People clear directories of this name.
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {
                        match DirBuilder::new().mode(0o700).create(content.temporary_directory()) {
                            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
                            _ => continue,
                        }
                    }
                    Err(error) => return Err(error),
                };
            rustix::fs::flock(&file, FlockOperation::LockExclusive)?;
            // Between creation and lock somebody may have taken it for a dead writer's.
            if file.metadata()?.nlink() > 0 {
                return Ok(Self { file, path, published: false });
            }
        }
    }

    /// A small file that holds these bytes, synced: from here on it needs no more space.
    pub(crate) fn with(content: &Content, bytes: &[u8]) -> io::Result<Self> {
        let mut temporary = Self::create(content, "file")?;
        temporary.file.write_all(bytes)?;
        temporary.file.sync_data()?;
        Ok(temporary)
    }

    /// Syncs the file and gives it its name, replacing what had it.
    pub(crate) fn publish(self, path: &Path) -> io::Result<()> {
        self.file.sync_data()?;
        self.rename(path)
    }

    /// Gives the file, which is synced, its name, replacing what had it.
    pub(crate) fn rename(mut self, path: &Path) -> io::Result<()> {
        fs::rename(&self.path, path)?;
        self.published = true;
        Ok(())
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if !self.published {
            // Nothing can be done about a failure here, and whoever collects next tries again.
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn random() -> io::Result<u64> {
    let mut bytes = [0; 8];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(u64::from_ne_bytes(bytes))
}

/// Puts a small file in place, whole, and synced.
pub(crate) fn replace(content: &Content, path: &Path, bytes: &[u8]) -> io::Result<()> {
    Temporary::with(content, bytes)?.rename(path)
}

/// Puts a smaller file in place of one on a full disk, where there is room for no other: over the old one, which is torn if this
/// process dies. For what is put together again when it is.
pub(crate) fn overwrite(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let file = OpenOptions::new().write(true).open(path)?;
    if bytes.len() as u64 > file.metadata()?.len() {
        return Err(io::ErrorKind::StorageFull.into());
    }
    file.write_all_at(bytes, 0)?;
    file.set_len(bytes.len() as u64)?;
    file.sync_data()
}

/// Puts a small file in place unless one is there.
pub(crate) fn create(content: &Content, path: &Path, bytes: &[u8]) -> io::Result<()> {
    let temporary = Temporary::with(content, bytes)?;
    match fs::hard_link(&temporary.path, path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

/// Makes renames within `directory` durable.
pub(crate) fn sync_directory(directory: &Path) -> Result<()> {
    File::open(directory)
        .and_then(|file| file.sync_all())
        .map_err(|source| Error::Write { path: directory.to_owned(), source })
}

impl Content {
    /// Removes what dead writers have left in `tmp/`, and tells its size in bytes; the files of living ones are locked and stay,
    /// and so does half a blob that somebody may still go on with.
    pub fn clear_temporary(&self) -> Result<u64> {
        let directory = self.temporary_directory();
        let listed = |source| Error::List { path: directory.clone(), source };
        let mut cleared = 0;
        let entries = match fs::read_dir(&directory) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
            entries => entries.map_err(listed)?,
        };
        for entry in entries {
            let entry = entry.map_err(listed)?;
            let name = entry.file_name();
            let ours =
                name.to_str().is_some_and(|name| name.starts_with("blob-") || name.starts_with("file-"));
            if !ours || !entry.file_type().is_ok_and(|kind| kind.is_file()) {
                continue;
            }
            let path = entry.path();
            let Ok(file) = File::open(&path) else { continue };
            if rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
                continue;
            }
            // The lock may have been free because the file was just renamed to its place: then the name is gone.
            let size = file.metadata().map_or(0, |metadata| metadata.len());
            match fs::remove_file(&path) {
                Ok(()) => cleared += size,
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(source) => return Err(Error::Remove { path, source }),
            }
        }
        self.clear_partials(false)?;
        Ok(cleared)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::is_full;

    #[test]
    fn what_is_put_over_a_file_is_never_longer() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("index.json");
        fs::write(&path, "longer").unwrap();
        overwrite(&path, b"short").unwrap();
        assert!(is_full(&overwrite(&path, b"longer").unwrap_err()));
        assert_eq!(fs::read(&path).unwrap(), b"short");
    }

    #[test]
    fn only_a_dead_writers_files_are_cleared() {
        let root = tempfile::tempdir().unwrap();
        let content = Content::open(root.path()).unwrap();
        let living = Temporary::create(&content, "blob").unwrap();
        let dead = root.path().join("tmp/blob-0000000000000000");
        fs::write(&dead, "half a blob").unwrap();
        let foreign = root.path().join("tmp/layer-1");
        fs::write(&foreign, "somebody else's").unwrap();
        assert_eq!(content.clear_temporary().unwrap(), 11);
        assert!(living.path.exists() && foreign.exists() && !dead.exists());
        let path = living.path.clone();
        drop(living);
        assert!(!path.exists(), "an abandoned file goes with its writer");
    }
}
