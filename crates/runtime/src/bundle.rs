//! A bundle on disk: a directory with a `config.json`, read once and whole.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use conex_oci::runtime::{ParseError, Spec};
use rustix::fs::{Mode, OFlags};

/// The document's name in the bundle.
pub const CONFIG: &str = "config.json";

/// More than any real document; what is longer is not read. Bytes.
pub const LONGEST_CONFIG: u64 = 16 << 20;

/// A bundle, read.
#[derive(Debug)]
pub struct Bundle {
    /// Absolute.
    pub path: PathBuf,
    /// The document.
    pub spec: Spec,
    /// Its text, for later commands: a change of the file must not reach the container.
    pub config: Vec<u8>,
}

/// Why there is no bundle there.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// The directory cannot be entered.
    #[error("cannot enter the bundle {}: {source}", path.display())]
    Enter {
        /// As given.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// No document.
    #[error("JSON specification file {CONFIG} not found in {}", path.display())]
    Missing {
        /// The bundle.
        path: PathBuf,
    },
    /// The document cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The document.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The document is too long.
    #[error("{} is longer than {LONGEST_CONFIG} bytes", path.display())]
    TooLong {
        /// The document.
        path: PathBuf,
    },
    /// The document says something impossible.
    #[error("invalid {}: {source}", path.display())]
    Parse {
        /// The document.
        path: PathBuf,
        /// The field and why.
        source: ParseError,
    },
}

impl Bundle {
    /// Reads the bundle in `directory`, or in the working directory, and makes it the working directory: relative paths in it
    /// count from there.
    ///
    /// # Errors
    /// Any [`BundleError`].
    pub fn enter(directory: Option<&Path>) -> Result<Self, BundleError> {
        let shown = || directory.unwrap_or(Path::new(".")).to_owned();
        if let Some(directory) = directory {
            std::env::set_current_dir(directory)
                .map_err(|source| BundleError::Enter { path: shown(), source })?;
        }
        let path = std::env::current_dir().map_err(|source| BundleError::Enter { path: shown(), source })?;
        let config = match regular(Path::new(CONFIG)).and_then(|file| read_file(Path::new(CONFIG), file)) {
            Err(BundleError::Read { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                return Err(BundleError::Missing { path });
            }
            other => other?,
        };
        let spec = Spec::from_json(&config)
            .map_err(|source| BundleError::Parse { path: path.join(CONFIG), source })?;
        Ok(Self { path, spec, config })
    }

    /// Where the root filesystem is.
    pub fn rootfs(&self) -> PathBuf {
        let path = self.spec.root.as_ref().map_or(Path::new(""), |root| &root.path);
        self.path.join(path)
    }
}

/// A JSON document of bounded length.
///
/// # Errors
/// [`BundleError::Read`], [`BundleError::TooLong`].
pub fn read(path: &Path) -> Result<Vec<u8>, BundleError> {
    let file = File::open(path).map_err(|source| BundleError::Read { path: path.to_owned(), source })?;
    read_file(path, file)
}

/// Opens what must be a file: not a pipe that nobody writes to, nor a device or a terminal.
fn regular(path: &Path) -> Result<File, BundleError> {
    let failed = |source| BundleError::Read { path: path.to_owned(), source };
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = rustix::fs::open(path, flags, Mode::empty()).map_err(|errno| failed(errno.into()))?;
    let file = File::from(file);
    if !file.metadata().map_err(failed)?.is_file() {
        return Err(failed(io::Error::other("it is no regular file")));
    }
    Ok(file)
}

fn read_file(path: &Path, file: File) -> Result<Vec<u8>, BundleError> {
    let failed = |source| BundleError::Read { path: path.to_owned(), source };
    let size = file.metadata().map_err(failed)?.len();
    if size > LONGEST_CONFIG {
        return Err(BundleError::TooLong { path: path.to_owned() });
    }
    let mut text = Vec::with_capacity(usize::try_from(size).unwrap_or(0) + 1);
    // The size of a pipe is not known before.
    file.take(LONGEST_CONFIG + 1).read_to_end(&mut text).map_err(failed)?;
    if text.len() as u64 > LONGEST_CONFIG {
        return Err(BundleError::TooLong { path: path.to_owned() });
    }
    Ok(text)
}
