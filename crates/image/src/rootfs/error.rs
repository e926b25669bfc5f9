//! What can go wrong with a root filesystem.

use std::io;
use std::path::PathBuf;

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
}

fn said(log: &Option<String>) -> String {
    log.as_ref().map(|log| format!(" ({log})")).unwrap_or_default()
}
