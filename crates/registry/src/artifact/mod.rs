//! Artifacts: any files in a registry, as `oras` puts them there. Each file is a blob whose descriptor carries its name
//! (`org.opencontainers.image.title`); the manifest says what they are together (image-spec manifest.md, "Guidelines for
//! Artifact Usage").

pub(crate) mod name;
mod pull;
mod push;

use std::io;
use std::path::PathBuf;

pub use pull::PulledFile;
pub use push::{ArtifactFile, ArtifactOptions, PushedArtifact};

use crate::Error;

/// The name of a file in an artifact.
pub const TITLE: &str = "org.opencontainers.image.title";
/// The type of an artifact that nobody has named; oras's own.
const UNKNOWN: &str = "application/vnd.unknown.artifact.v1";
/// The type of a file that nobody has named.
const FILE: &str = "application/vnd.oci.image.layer.v1.tar";
/// The configuration of an artifact that has none: `{}`.
const EMPTY: &str = "application/vnd.oci.empty.v1+json";
/// What an artifact without files holds, and the configuration of all.
const EMPTY_BYTES: &[u8] = b"{}";

fn file_error(path: impl Into<PathBuf>, action: &'static str, source: io::Error) -> Error {
    Error::File { path: path.into(), action, source }
}
