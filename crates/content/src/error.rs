//! What can go wrong with the store on disk. Each message is one line and, where there is a cure, names it.

use std::io;
use std::path::PathBuf;

use conex_oci::{Digest, Reference};

/// The result of a store operation.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Whether there was no space at the bottom of an error: no blocks, no inodes, or no quota.
pub fn is_full(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut error = Some(error);
    while let Some(this) = error {
        if let Some(io) = this.downcast_ref::<io::Error>() {
            if matches!(io.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) {
                return true;
            }
            // What it was made of is passed over by its `source`.
            if let Some(inner) = io.get_ref() {
                return is_full(inner);
            }
        }
        error = this.source();
    }
    false
}

/// A failed store operation.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The store's directories could not be made or opened.
    #[error("cannot open the store at {}: {source}", root.display())]
    Open {
        /// ROOT.
        root: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// ROOT holds a layout of a version that this program does not know.
    #[error("the store at {} has layout version {version:?}, this program knows 1.0.0 only", root.display())]
    Version {
        /// ROOT.
        root: PathBuf,
        /// As found in `oci-layout`.
        version: String,
    },
    /// ROOT holds somebody else's layout, which collection would empty.
    #[error("{root} is an OCI layout but not a store of ours (to use its images: load -i {root})", root = root.display())]
    Foreign {
        /// ROOT.
        root: PathBuf,
    },
    /// A blob is named by a reference or manifest and is not here.
    #[error("blob {digest} is missing from the store (pull or load the image again to restore it)")]
    Missing {
        /// Which.
        digest: Digest,
    },
    /// A blob's bytes are not those that its name promises.
    #[error(
        "blob {digest} is corrupt ({found}); 'conex system check --repair', then pull or load the image again"
    )]
    Corrupt {
        /// Which.
        digest: Digest,
        /// What was found instead.
        found: String,
    },
    /// A manifest, index or configuration is larger than any honest one, or a blob than any file.
    #[error("blob {digest} is too large: {size} bytes (at most {limit} are read)")]
    TooLarge {
        /// Which.
        digest: Digest,
        /// Bytes.
        size: u64,
        /// Bytes.
        limit: u64,
    },
    /// A manifest, index or configuration is not the JSON it should be.
    #[error("document {digest} is malformed: {source}")]
    Malformed {
        /// Which.
        digest: Digest,
        /// Where and why.
        source: serde_json::Error,
    },
    /// Reading a blob failed.
    #[error("cannot read blob {digest}: {source}")]
    Read {
        /// Which.
        digest: Digest,
        /// Why.
        source: io::Error,
    },
    /// The bytes written are not those that were promised: a broken transfer or a forgery.
    #[error("content mismatch: expected {expected} of {expected_size} bytes, got {got} of {got_size} bytes")]
    Mismatch {
        /// The promise.
        expected: Digest,
        /// Bytes.
        expected_size: u64,
        /// What came.
        got: Digest,
        /// Bytes; counting stops where the promise is first exceeded.
        got_size: u64,
    },
    /// A file of the store could not be written.
    #[error("cannot write {}: {source}", path.display())]
    Write {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file of the store could not be removed.
    #[error("cannot remove {}: {source}", path.display())]
    Remove {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A directory of the store could not be listed.
    #[error("cannot list {}: {source}", path.display())]
    List {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A reference's file could not be read.
    #[error("cannot read reference {reference}: {source}")]
    Reference {
        /// Which.
        reference: Reference,
        /// Why.
        source: io::Error,
    },
    /// A reference's file does not hold a descriptor.
    #[error("the file of reference {} is damaged: {source} ('conex system check --repair' mends it)", path.display())]
    Damaged {
        /// Its file.
        path: PathBuf,
        /// Where and why.
        source: serde_json::Error,
    },
    /// A lock could not be taken.
    #[error("cannot lock {}: {source}", path.display())]
    Lock {
        /// The lock's file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}
