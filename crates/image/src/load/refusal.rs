//! Why an archive or layout is not loaded.

use conex_oci::{Digest, ReferenceError};

/// What is wrong with it.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// Neither of the files that say what it holds.
    #[error(
        "it has neither index.json nor manifest.json, so it is no OCI layout, OCI archive or docker-archive"
    )]
    NotAnArchive,
    /// It says that it holds nothing.
    #[error("it holds no image")]
    Empty,
    /// A path that would lead out of it.
    #[error("entry {entry:?} leads out of the archive")]
    Path {
        /// The entry.
        entry: String,
    },
    /// More than any honest archive.
    #[error("it has too many {what} (more than {limit})")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// The bound.
        limit: usize,
    },
    /// A document that nobody would want to parse.
    #[error("{entry} is too large: {size} bytes (at most {limit} are read)")]
    TooLarge {
        /// The document.
        entry: String,
        /// Bytes.
        size: u64,
        /// Bytes.
        limit: u64,
    },
    /// A document that is not what it should be.
    #[error("{entry} is malformed: {source}")]
    Malformed {
        /// The document.
        entry: String,
        /// Where and why.
        source: serde_json::Error,
    },
    /// A blob whose bytes are not those of its name.
    #[error("blob {digest} is corrupt or forged: its bytes have {found}")]
    Forged {
        /// By its name.
        digest: Digest,
        /// By its bytes.
        found: Digest,
    },
    /// A blob that an image needs.
    #[error("blob {digest} is missing from it")]
    MissingBlob {
        /// Which.
        digest: Digest,
    },
    /// A blob of another size than its descriptor says.
    #[error("blob {digest} has {size} bytes, its descriptor says {promised}")]
    BlobSize {
        /// Which.
        digest: Digest,
        /// Bytes.
        size: u64,
        /// Bytes.
        promised: u64,
    },
    /// A file that `manifest.json` names.
    #[error("{entry:?}, which its manifest.json names, is missing from it")]
    MissingFile {
        /// Which.
        entry: String,
    },
    /// A file with holes: no tool writes one, and it could stand for any amount of disk.
    #[error("entry {entry:?} is a sparse file")]
    Sparse {
        /// Which.
        entry: String,
    },
    /// Not a regular file, where one is needed.
    #[error("{entry} is not a regular file")]
    NotAFile {
        /// Which.
        entry: String,
    },
    /// A name that is none.
    #[error("it names an image {text:?}: {source}")]
    Name {
        /// The name.
        text: String,
        /// Why not.
        source: ReferenceError,
    },
    /// One name for several images.
    #[error("a name was given for its image, but it holds {count} images (load it without a name)")]
    SeveralImages {
        /// How many.
        count: usize,
    },
    /// `manifest.json` and a configuration disagree.
    #[error("its manifest.json lists {files} layers for image {id}, whose configuration has {layers}")]
    LayerCount {
        /// The image.
        id: Digest,
        /// By `manifest.json`.
        files: usize,
        /// By the configuration.
        layers: usize,
    },
}
