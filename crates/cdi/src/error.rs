//! Why a device cannot be given to a container.

use std::path::PathBuf;

/// Each is one line.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No file has a device of that name; `why` says what there is instead, and which files could not be read.
    #[error("unresolvable CDI device {name}: {why}")]
    Unresolvable {
        /// As asked for.
        name: String,
        /// What there is.
        why: String,
    },
    /// A text that is no name of a device.
    #[error("invalid CDI device {text:?}: {why}")]
    Name {
        /// As given.
        text: String,
        /// What was wrong.
        why: String,
    },
    /// What a file asks for cannot be done on this machine, or here.
    #[error("CDI device {name} ({}): {why}", path.display())]
    Apply {
        /// The device, or the kind for what all of its devices need.
        name: String,
        /// The file.
        path: PathBuf,
        /// Why not.
        why: String,
    },
}

/// A file, or directory, that says nothing that can be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}: {why}", path.display())]
pub struct Fault {
    /// The file.
    pub path: PathBuf,
    /// In one line, with the number of the line where that is known.
    pub why: String,
}
