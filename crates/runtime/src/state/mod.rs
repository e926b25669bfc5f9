//! What is known of containers between two commands: a directory each below a root that is meant to be a tmpfs.
//!
//! ```text
//! ROOT/ID/lock          locked by whoever changes the container; a crash unlocks it
//!         state.json    the record, replaced whole
//!         config.json   the bundle's document as it was at create
//!         start         the socket that the first process waits on, until it is started
//! ```
//!
//! The record is first written before anything is made that it would be needed to clear (the cgroup, the process): a
//! directory without one holds nothing else but a lock. Whether the process lives is asked of the kernel, by its number and start time.

mod directory;
mod process;
mod record;

use std::io;
use std::path::PathBuf;

pub use directory::{Container, Live, Root};
pub use process::Init;
pub use record::Record;

/// A failure with a container's record. The texts of the first three are what callers of an OCI runtime look for.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// Not a name for a container.
    #[error("invalid container ID format: {id:?} (letters, digits, '_', '+', '-' and '.' are allowed)")]
    InvalidId {
        /// As given, clipped.
        id: String,
    },
    /// The name is taken.
    #[error("container with given ID already exists: {id}")]
    Exists {
        /// The name.
        id: String,
    },
    /// No such container.
    #[error("container does not exist: {id}")]
    NotFound {
        /// The name.
        id: String,
    },
    /// Another command changes it right now.
    #[error("container {id} is being changed by process {pid}")]
    Busy {
        /// The container.
        id: String,
        /// Who does.
        pid: u32,
    },
    /// A call failed.
    #[error("cannot {what} {}: {source}", path.display())]
    File {
        /// What was being done.
        what: &'static str,
        /// On what.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A record that this program did not write.
    #[error("cannot understand {}: {source}", path.display())]
    Corrupt {
        /// The record.
        path: PathBuf,
        /// Why.
        source: serde_json::Error,
    },
}
