//! `ROOT/volumes`: volumes found, made and removed.

mod create;
mod held;
mod remove;

use std::io;
use std::path::{Path, PathBuf};

pub use held::Held;
pub use remove::Turn;
use rustix::io::Errno;
use rustix::rand::{GetRandomFlags, getrandom};

use crate::{Error, Result, Volume, VolumeName};

const DOCUMENT: &str = "volume.json";
/// As Docker calls it.
const DATA: &str = "_data";
/// No definition is larger.
const LARGEST: u64 = 1 << 20;

/// A handle on all volumes; makes nothing by itself.
#[derive(Debug, Clone)]
pub struct Volumes {
    root: PathBuf,
}

impl Volumes {
    /// Those in `ROOT/volumes`.
    pub fn open(root: &Path) -> Self {
        Self { root: root.join("volumes") }
    }

    /// Where all of them are.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// A volume's directory.
    pub fn directory(&self, name: &VolumeName) -> PathBuf {
        self.root.join(name.as_str())
    }

    /// Where its data are, when it has no options: what Docker calls its mountpoint.
    pub fn data(&self, name: &VolumeName) -> PathBuf {
        self.directory(name).join(DATA)
    }

    /// The file of a volume with a quota, where it is one.
    pub(crate) fn image(&self, name: &VolumeName) -> PathBuf {
        self.directory(name).join("image.ext4")
    }

    /// The one of that name.
    ///
    /// # Errors
    /// [`Error::File`], [`Error::Document`].
    pub fn get(&self, name: &VolumeName) -> Result<Option<Volume>> {
        read(&self.directory(name).join(DOCUMENT))
    }

    /// The same, or [`Error::NotFound`].
    ///
    /// # Errors
    /// As [`Volumes::get`].
    pub fn find(&self, name: &str) -> Result<Volume> {
        let missing = || Error::NotFound { name: name.chars().take(140).collect() };
        let Ok(name) = name.parse::<VolumeName>() else { return Err(missing()) };
        self.get(&name)?.ok_or_else(missing)
    }

    /// All of them, by name. One that cannot be read is left out, with a word in the log.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn list(&self) -> Result<Vec<Volume>> {
        self.sweep();
        let entries = match std::fs::read_dir(&self.root) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(Error::file("read", &self.root)(error)),
        };
        let mut names: Vec<VolumeName> =
            entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect();
        names.sort();
        let mut volumes = Vec::with_capacity(names.len());
        for name in names {
            match self.get(&name) {
                Ok(volume) => volumes.extend(volume),
                Err(error) => log::warn!("volume {name} is left out: {error}"),
            }
        }
        Ok(volumes)
    }

    /// Whether a volume has to be looked at before a container with other contents at its place has it: it is empty, or its first
    /// contents were not moved in to the end, or it cannot be told without mounting it.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn may_be_empty(&self, volume: &Volume) -> Result<bool> {
        if !self.is_directory(volume)? || crate::tree::is_unfinished(&self.directory(&volume.name)) {
            return Ok(true);
        }
        let data = self.data(&volume.name);
        let mut entries = std::fs::read_dir(&data).map_err(Error::file("read", &data))?;
        Ok(entries.next().is_none())
    }

    /// Clears what a killed command has left: nobody holds it.
    pub fn sweep(&self) {
        let Ok(entries) = std::fs::read_dir(&self.root) else { return };
        for entry in entries.flatten() {
            let name = entry.file_name();
            if is_unseen(name.as_encoded_bytes())
                && let Ok(Some(held)) = Held::abandoned(&self.root, &name)
                && let Err(error) = held.erase()
            {
                log::warn!("cannot clear {}: {error}", entry.path().display());
            }
        }
    }
}

/// What [`create::unseen`] makes. All else is somebody else's, as a file system's snapshots are.
fn is_unseen(name: &[u8]) -> bool {
    let random = [create::NEW, remove::GONE]
        .into_iter()
        .find_map(|kind| name.strip_prefix(b".")?.strip_prefix(kind.as_bytes())?.strip_prefix(b"-"));
    random.is_some_and(|digits| digits.len() == 16 && digits.iter().all(u8::is_ascii_hexdigit))
}

fn read(path: &Path) -> Result<Option<Volume>> {
    use io::Read;
    let file = match std::fs::File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Error::file("read", path)(error)),
    };
    let mut bytes = Vec::new();
    file.take(LARGEST).read_to_end(&mut bytes).map_err(Error::file("read", path))?;
    serde_json::from_slice(&bytes)
        .map(Some)
        .map_err(|source| Error::Document { path: path.to_owned(), source })
}

pub(crate) fn random<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0; N];
    let mut filled = 0;
    while filled < N {
        match getrandom(&mut bytes[filled..], GetRandomFlags::empty()) {
            Ok(count) => filled += count,
            Err(Errno::INTR) => {}
            Err(errno) => return Err(Error::Random { source: errno.into() }),
        }
    }
    Ok(bytes)
}
