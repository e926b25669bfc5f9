//! What can go wrong with a volume.

use std::io;
use std::path::{Path, PathBuf};

use rustix::io::Errno;

/// The result of this crate's calls.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why something could not be done with a volume.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "fields are what their names and the message say: which, and why")]
pub enum Error {
    /// Docker's words.
    #[error(
        "create {name}: {name:?} includes invalid characters for a local volume name, only \"[a-zA-Z0-9][a-zA-Z0-9_.-]\" are allowed. If you intended to pass a host directory, use absolute path"
    )]
    Name { name: String },
    /// Docker's words.
    #[error("create {name}: volume name is too short, names should be at least two alphanumeric characters")]
    ShortName { name: String },
    /// Docker's words.
    #[error("get {name}: no such volume")]
    NotFound { name: String },
    /// A directory that somebody else has made.
    #[error("{} is there and is no volume: it has no volume.json; move it away first", path.display())]
    NoVolume { path: PathBuf },
    /// A volume of that name and with other options.
    #[error("a volume with the name {name} already exists with different options or another driver")]
    Differs { name: String },
    /// Docker's words.
    #[error("remove {name}: volume is in use - [{users}]")]
    InUse { name: String, users: String },
    /// A driver that is none.
    #[error("volume driver {driver:?} not found: there is \"local\"")]
    Driver { driver: String },
    /// `--opt`
    #[error("volume option {option}: {why}")]
    Option { option: String, why: String },
    /// A file system that this kernel has not.
    #[error("this kernel has no file system {kind:?}")]
    NoFileSystem { kind: String },
    /// A file system that does not mount.
    #[error("cannot mount {device} ({kind}) for the volume: {why}")]
    Mount { kind: String, device: String, why: String },
    /// `volume-subpath`
    #[error("cannot use {path:?} of volume {name}: {source}")]
    Subpath { name: String, path: String, source: io::Error },
    /// `volume-subpath` on a kernel that clones nothing that hangs nowhere.
    #[error(
        "cannot use {path:?} of volume {name}, which has a file system of its own: that needs Linux 6.15; use the whole volume"
    )]
    SubpathKernel { name: String, path: String },
    /// A quota.
    #[error("cannot limit the size of {}: {why}", path.display())]
    Quota { path: PathBuf, why: String },
    /// A tree that is too deep.
    #[error("the directories of {path} are nested more than {limit} deep")]
    Deep { path: String, limit: usize },
    /// A file within a volume.
    #[error("cannot {what} {path:?}: {source}")]
    Tree { what: &'static str, path: String, source: io::Error },
    /// A tar.
    #[error(transparent)]
    Archive(#[from] conex_archive::Error),
    /// Something that was to go.
    #[error("cannot remove the volume's files: {source}")]
    Remove {
        #[from]
        source: conex_archive::RemoveError,
    },
    /// A file of ours.
    #[error("cannot {what} {}: {source}", path.display())]
    File { what: &'static str, path: PathBuf, source: io::Error },
    /// A document of ours that is none.
    #[error(
        "{} is damaged: {source}; 'conex volume create NAME' with its options defines it anew, and its data stay",
        path.display()
    )]
    Document { path: PathBuf, source: serde_json::Error },
    /// The kernel's random numbers.
    #[error("cannot get random numbers: {source}")]
    Random { source: io::Error },
}

impl Error {
    pub(crate) fn file(what: &'static str, path: &Path) -> impl Fn(io::Error) -> Self + use<> {
        let path = path.to_owned();
        move |source| Self::File { what, path: path.clone(), source }
    }

    pub(crate) fn errno(what: &'static str, path: &Path) -> impl Fn(Errno) -> Self + use<> {
        let failed = Self::file(what, path);
        move |errno| failed(errno.into())
    }

    pub(crate) fn tree(what: &'static str, path: &[u8]) -> impl Fn(Errno) -> Self + use<> {
        let path = if path.is_empty() { ".".to_owned() } else { conex_archive::names::shown(path) };
        move |errno| Self::Tree { what, path: path.clone(), source: errno.into() }
    }

    pub(crate) fn option(option: &str, why: impl Into<String>) -> Self {
        Self::Option { option: option.chars().take(200).collect(), why: why.into() }
    }
}
