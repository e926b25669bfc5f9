//! The content-addressed store: blobs by digest, references by name, leases and locks, collection of what nothing
//! needs. ROOT is an OCI image layout that skopeo and umoci read in place.
//!
//! Everything is a plain file that appears whole, by rename. There is no global lock: a lock covers one digest or one
//! reference ([`Lease`]). This crate never interprets a layer and never talks to a network.

mod blob;
mod error;
mod layout;
mod lease;
mod mark;
mod partial;
mod reference_file;
mod references;
mod survey;
mod temporary;
mod upload;
mod writer;

pub use blob::DOCUMENT_LIMIT;
pub use error::{Error, Result, is_full};
pub use layout::Content;
pub use lease::{Claim, Guard, Lease};
pub use mark::Reachable;
pub use partial::{Hashing, Partial, Pieces};
pub use references::{Name, REF_NAME, Root};
pub use survey::{Entry, EntryKind, Identity, IndexFile, ReferenceFile, State, Survey, open_plain};
pub use upload::Upload;
pub use writer::BlobWriter;
