//! What can go wrong with reading a writable layer. Names in it are the container's: they are shortened and escaped.

use std::io;

use rustix::io::Errno;

/// The result of this module's calls.
pub(super) type Result<T> = std::result::Result<T, WritableError>;

/// Why a writable layer could not be read or packed.
#[derive(Debug, thiserror::Error)]
pub enum WritableError {
    /// The kernel refused.
    #[error("cannot {what} {path} in the container: {source}")]
    Walk {
        /// The step that failed.
        what: &'static str,
        /// On what, as the container sees it.
        path: String,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
    /// A file that no layer, or no archive at all, can hold.
    #[error("cannot archive {path} of the container: {why}")]
    Unfit {
        /// Which.
        path: String,
        /// Why not, and what to do.
        why: &'static str,
    },
    /// The tar stream could not be written.
    #[error(transparent)]
    Archive(#[from] conex_archive::Error),
}

impl WritableError {
    pub(super) fn walk(what: &'static str, path: &[u8]) -> impl FnOnce(Errno) -> Self {
        let path = shown(path);
        move |error| Self::Walk { what, path, source: error.into() }
    }

    pub(super) fn unfit(path: &[u8], why: &'static str) -> Self {
        Self::Unfit { path: shown(path), why }
    }
}

/// A path of the container's, absolute, fit for a one-line message.
fn shown(path: &[u8]) -> String {
    const LONGEST: usize = 160;
    let clipped = String::from_utf8_lossy(&path[..path.len().min(LONGEST)]);
    let mut text = String::from("/");
    for c in clipped.chars() {
        if c.is_control() { text.extend(c.escape_default()) } else { text.push(c) }
    }
    if path.len() > LONGEST {
        text.push('…');
    }
    text
}
