//! What can go wrong while files are copied.

use std::borrow::Cow;
use std::io;

use rustix::io::Errno;

pub(super) type Result<T, E = CopyError> = std::result::Result<T, E>;

/// Why a copy was not made, or not whole.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "fields are what their names and the message say: which, and why")]
pub enum CopyError {
    /// The ids of a container's user namespace.
    #[error("cannot make files for the container's root: {source}")]
    Owner {
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The source is not there.
    #[error("Could not find the file {path} {place}")]
    Missing { path: String, place: String },
    /// The destination's directory is not there.
    #[error("there is no directory {path} {place}")]
    NoParent { path: String, place: String },
    /// A file into `directory/`, which is not there.
    #[error("no such directory: {path} ends with a slash and is not there; make the directory first")]
    NoDirectory { path: String },
    /// A tar stream needs a directory.
    #[error("destination {path} must be a directory")]
    NotADirectory { path: String },
    /// A directory onto a file.
    #[error("cannot copy directory {path} to a file")]
    DirectoryOntoFile { path: String },
    /// The destination is a device, a pipe or a socket.
    #[error("{path} is {what}, and cannot be copied to")]
    Special { path: String, what: &'static str },
    /// Something else of that name is in the way.
    #[error("cannot overwrite directory {path} with non-directory")]
    OverDirectory { path: String },
    /// Something else of that name is in the way.
    #[error("cannot overwrite non-directory {path} with directory")]
    OverFile { path: String },
    /// No path at all.
    #[error("a path may not be empty")]
    Empty,
    /// Neither side is a container.
    #[error("one of the two has to be a path in a container, as in web:/etc/hosts")]
    NoContainer,
    /// A link that leads to itself.
    #[error("too many symbolic links on the way to {path}")]
    Links { path: String },
    /// Deeper or longer than can be named.
    #[error("cannot copy {path}: {why}")]
    Unfit { path: String, why: &'static str },
    /// The kernel's word.
    #[error("cannot {what} {path}: {source}")]
    File { what: &'static str, path: String, source: io::Error },
    /// The container's file systems.
    #[error("cannot {what}: {source}")]
    Place { what: String, source: io::Error },
    /// The tar stream.
    #[error(transparent)]
    Archive(#[from] conex_archive::Error),
}

/// A path in a message: bounded, and text.
pub(super) fn shown(path: &[u8]) -> String {
    let text: Cow<'_, str> = String::from_utf8_lossy(&path[..path.len().min(300)]);
    if text.is_empty() { "/".to_owned() } else { text.into_owned() }
}

pub(super) fn file(what: &'static str, path: &[u8]) -> impl Fn(Errno) -> CopyError {
    let path = shown(path);
    move |errno| CopyError::File { what, path: path.clone(), source: errno.into() }
}
