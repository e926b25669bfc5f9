//! The store as it stands on the disk, for whoever looks for damage: what the other modules believe of it (blobs appear whole,
//! a reference's file holds a descriptor) is not believed here.
//!
//! Nothing is followed: a symbolic link among the blobs is told of as one, and a FIFO is not waited for.

mod references;

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use conex_oci::{Digest, Hasher};
pub use references::{IndexFile, ReferenceFile, State, Survey};

use crate::temporary::{replace, sync_directory};
use crate::{Content, Error, Result};

/// Bytes hashed at a time.
const CHUNK: usize = 1 << 20;
/// Where [`Content::set_aside`] puts things.
const ASIDE: &str = "damaged";

/// What has a name in a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its name.
    pub name: OsString,
    /// What it is.
    pub kind: EntryKind,
    /// Bytes of a file.
    pub size: u64,
    /// Which file it is: one that replaces it has another.
    pub identity: Identity,
}

/// Device, inode, and the moment of the last change.
pub type Identity = (u64, u64, i64, i64);

/// What a name leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EntryKind {
    /// A file.
    File,
    /// A directory.
    Directory,
    /// Anything else, in words: `a symbolic link`.
    Other(&'static str),
}

impl Entry {
    /// What stands at `path`, which is not followed.
    ///
    /// # Errors
    /// Also when nothing is there.
    pub fn at(path: &Path) -> io::Result<Self> {
        let metadata = std::fs::symlink_metadata(path)?;
        let name = path.file_name().unwrap_or_default().to_owned();
        let kind = metadata.file_type();
        let kind = match () {
            () if kind.is_file() => EntryKind::File,
            () if kind.is_dir() => EntryKind::Directory,
            () if kind.is_symlink() => EntryKind::Other("a symbolic link"),
            () if kind.is_fifo() => EntryKind::Other("a FIFO"),
            () if kind.is_socket() => EntryKind::Other("a socket"),
            () => EntryKind::Other("a device"),
        };
        let identity = (metadata.dev(), metadata.ino(), metadata.ctime(), metadata.ctime_nsec());
        Ok(Self { name, kind, size: metadata.len(), identity })
    }

    /// All that a directory holds, in no order; nothing of one that is not there. What goes meanwhile is left out.
    ///
    /// # Errors
    /// A directory that cannot be read.
    pub fn all(directory: &Path) -> io::Result<Vec<Self>> {
        let entries = match std::fs::read_dir(directory) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries?,
        };
        let mut all = Vec::new();
        for entry in entries {
            match Self::at(&entry?.path()) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                entry => all.push(entry?),
            }
        }
        Ok(all)
    }

    /// The digest that its name is the hexadecimal digits of.
    pub fn digest(&self) -> Option<Digest> {
        format!("sha256:{}", self.name.to_str()?).parse().ok()
    }
}

/// Opens a file to be read: a link is not followed, and what is no file is an error and never waited for.
///
/// # Errors
/// Those of open(2).
pub fn open_plain(path: &Path) -> io::Result<File> {
    let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
    let file = File::options().read(true).custom_flags(flags.bits().cast_signed()).open(path)?;
    if file.metadata()?.is_file() { Ok(file) } else { Err(io::Error::other("it is no file")) }
}

impl Content {
    /// What is in `blobs/sha256`, whatever it is.
    ///
    /// # Errors
    /// A directory that cannot be read.
    pub fn survey_blobs(&self) -> Result<Vec<Entry>> {
        let path = self.blobs_directory();
        Entry::all(&path).map_err(|source| Error::List { path, source })
    }

    /// What is in `tmp`, whatever it is.
    ///
    /// # Errors
    /// A directory that cannot be read.
    pub fn survey_temporary(&self) -> Result<Vec<Entry>> {
        let path = self.temporary_directory();
        Entry::all(&path).map_err(|source| Error::List { path, source })
    }

    /// The file of a half-made thing in `tmp`, if no living process holds it.
    pub fn is_abandoned(&self, entry: &Entry) -> bool {
        let path = self.temporary_directory().join(&entry.name);
        open_plain(&path).is_ok_and(|file| {
            rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive).is_ok()
        })
    }

    /// Reads a blob to its end: the digest and the number of its bytes. `told` hears how many bytes came.
    ///
    /// # Errors
    /// What the disk says.
    pub fn hash(&self, digest: &Digest, told: &dyn Fn(u64)) -> io::Result<(Digest, u64)> {
        use std::io::Read;
        let mut file = open_plain(&self.path(digest))?;
        let (mut hasher, mut buffer, mut size) = (Hasher::new(), vec![0; CHUNK], 0);
        loop {
            let count = match file.read(&mut buffer) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                count => count?,
            };
            if count == 0 {
                return Ok((hasher.finish(), size));
            }
            hasher.update(&buffer[..count]);
            size += count as u64;
            told(count as u64);
        }
    }

    /// Moves what is in nobody's place, or what nobody understands, to `damaged/`, where a person can look at it; tells where.
    ///
    /// # Errors
    /// [`Error::Write`].
    pub fn set_aside(&self, path: &Path) -> Result<PathBuf> {
        let directory = self.aside()?;
        let failed = |source| Error::Write { path: path.to_owned(), source };
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        for number in 0.. {
            // A name may be as long as a name can be.
            let short: String = name.chars().take(60).collect();
            let to = directory.join(if number == 0 { short } else { format!("{short}.{number}") });
            match rustix::fs::renameat_with(
                rustix::fs::CWD,
                path,
                rustix::fs::CWD,
                &to,
                rustix::fs::RenameFlags::NOREPLACE,
            ) {
                Ok(()) => return Ok(to),
                Err(rustix::io::Errno::EXIST) => {}
                Err(error) => return Err(failed(error.into())),
            }
        }
        unreachable!("there is no end of numbers")
    }

    /// Puts a small file in place, whole and synced, replacing what had the name.
    ///
    /// # Errors
    /// [`Error::Write`].
    pub fn put_file(&self, path: &Path, bytes: &[u8]) -> Result<()> {
        replace(self, path, bytes).map_err(|source| Error::Write { path: path.to_owned(), source })
    }

    fn aside(&self) -> Result<PathBuf> {
        let path = self.root().join(ASIDE);
        match std::fs::DirBuilder::new().mode(0o700).create(&path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                Err(Error::Write { path, source: error })
            }
            _ => {
                sync_directory(self.root())?;
                Ok(path)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_followed_and_nothing_is_waited_for() {
        let root = tempfile::tempdir().unwrap();
        let content = Content::open(root.path()).unwrap();
        let digest = content.put(b"x").unwrap();
        let (link, fifo) = (Digest::of(b"link"), Digest::of(b"fifo"));
        std::os::unix::fs::symlink(content.path(&digest), content.path(&link)).unwrap();
        rustix::fs::mknodat(
            rustix::fs::CWD,
            content.path(&fifo),
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::RUSR,
            0,
        )
        .unwrap();
        let kind = |digest: &Digest| {
            let entries = content.survey_blobs().unwrap();
            entries.into_iter().find(|entry| entry.digest() == Some(*digest)).unwrap().kind
        };
        assert_eq!(kind(&digest), EntryKind::File);
        assert_eq!(kind(&link), EntryKind::Other("a symbolic link"));
        assert_eq!(kind(&fifo), EntryKind::Other("a FIFO"));
        assert!(content.hash(&link, &|_| ()).is_err() && content.hash(&fifo, &|_| ()).is_err());
        assert_eq!(content.hash(&digest, &|_| ()).unwrap(), (digest, 1));
    }

    #[test]
    fn what_is_set_aside_stays_and_replaces_nothing() {
        let root = tempfile::tempdir().unwrap();
        let content = Content::open(root.path()).unwrap();
        let path = root.path().join("odd");
        for text in ["one", "two"] {
            std::fs::write(&path, text).unwrap();
            let to = content.set_aside(&path).unwrap();
            assert_eq!(std::fs::read_to_string(to).unwrap(), text);
        }
        assert_eq!(std::fs::read_dir(root.path().join("damaged")).unwrap().count(), 2);
    }
}
