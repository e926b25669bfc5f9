//! What can go wrong with a root filesystem.

use std::io;
use std::path::{Path, PathBuf};

use rustix::io::Errno;

/// The result of this module's calls.
pub type Result<T> = std::result::Result<T, RootfsError>;

/// Why a root filesystem could not be mounted or taken apart.
#[derive(Debug, thiserror::Error)]
pub enum RootfsError {
    /// A directory that the mount needs could not be made, opened or cloned.
    #[error("cannot {what} {}: {source}", path.display())]
    Directory {
        /// The step that failed.
        what: &'static str,
        /// On what.
        path: PathBuf,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
    /// Overlayfs refused.
    #[error("cannot mount the root filesystem: {what}: {source}{}", said(log))]
    Overlay {
        /// The step that failed.
        what: String,
        /// What the kernel said.
        #[source]
        source: io::Error,
        /// What overlayfs itself had to say, if anything.
        log: Option<String>,
    },
    /// The writable layer could not be removed.
    #[error("cannot clear {}: {source}", path.display())]
    Clear {
        /// The container's directory.
        path: PathBuf,
        /// Why.
        #[source]
        source: conex_archive::RemoveError,
    },
}

impl RootfsError {
    pub(super) fn directory(what: &'static str, path: &Path) -> impl FnOnce(Errno) -> Self {
        move |error| Self::Directory { what, path: path.to_owned(), source: error.into() }
    }

    /// Whether the kernel does not know what it was asked for.
    pub fn is_invalid(&self) -> bool {
        let (Self::Directory { source, .. } | Self::Overlay { source, .. }) = self else { return false };
        // EBADF is what Linux before 6.13 says to a layer given by descriptor.
        let invalid = [Errno::INVAL, Errno::NOSYS, Errno::NOTSUP, Errno::BADF].map(Errno::raw_os_error);
        source.raw_os_error().is_some_and(|error| invalid.contains(&error))
    }
}

fn said(log: &Option<String>) -> String {
    log.as_ref().map(|log| format!(" ({log})")).unwrap_or_default()
}
