//! The OCI distribution client: names to manifests, descriptors to blobs, and back; tags, referrers, artifacts; who we
//! are (distribution-spec 1.1).
//!
//! A registry is hostile until proven otherwise: every document and blob is bounded in size, documents are verified
//! against their digest here and blobs by the content store that they stream into, tokens go to the registry alone, and
//! nothing that began on https continues on http.
//!
//! ```no_run
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use conex_registry::{Client, Options};
//! let client = Client::new(Options::from_env());
//! let reference = "alpine:3.20".parse()?;
//! let resolved = client.resolve(&reference)?; // an index or a manifest, verified
//! let index: conex_oci::image::ImageIndex = serde_json::from_slice(&resolved.bytes)?;
//! let manifest = client.document(&reference, &index.manifests[0])?;
//! # Ok(()) }
//! ```
//!
//! The client is blocking and starts no thread of its own (docs/adr/0005-blocking-http.md); it may be shared by threads.

mod answer;
mod artifact;
mod auth;
mod blob;
mod certificates;
mod challenge;
mod client;
mod config;
mod endpoint;
mod error;
#[doc(hidden)]
pub mod fuzzing;
mod manifest;
mod names;
mod options;
mod payload;
mod push;
mod redirect;
mod referrers;
mod request;
mod roots;
mod scope;
mod token;
mod transport;
mod upload;

pub use artifact::{ArtifactFile, ArtifactOptions, PulledFile, PushedArtifact, TITLE};
pub use auth::{Credential, Credentials, Kept, LoggedIn, LoggedOut, Secret, server_of};
pub use blob::Blob;
pub use client::Client;
pub use config::Registries;
pub use error::{Error, Result};
pub use manifest::{DOCUMENT_LIMIT, Resolved};
pub use options::Options;
pub use upload::{Delivery, Source};
