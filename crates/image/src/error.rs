//! What can go wrong with images. Each message is one line and, where there is a cure, names it.

use std::io;
use std::path::PathBuf;

use conex_oci::{Digest, Platform};

/// The result of an image operation.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A failed image operation.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No image of that name or id. The engine pulls on this one.
    #[error("no such image: {name}")]
    NotFound {
        /// As typed.
        name: String,
    },
    /// The image is here, for other platforms.
    #[error("image {name} is here only for {available}, not for {wanted} (pull it with --platform {wanted})")]
    Platform {
        /// As typed.
        name: String,
        /// What was asked for.
        wanted: Box<Platform>,
        /// What there is, comma-separated.
        available: String,
    },
    /// An id prefix that several images share.
    #[error("image id {prefix} is ambiguous: it starts the ids of {} images", matches.len())]
    Ambiguous {
        /// As typed.
        prefix: String,
        /// The ids.
        matches: Vec<Digest>,
    },
    /// The store on disk.
    #[error(transparent)]
    Content(#[from] conex_content::Error),
    /// The registry, or the way to it.
    #[error(transparent)]
    Registry(#[from] conex_registry::Error),
    /// What the registry serves under that name cannot be pulled.
    #[error("cannot pull {reference}: {why}")]
    Pull {
        /// What was asked for, in its short form.
        reference: String,
        /// Why not, and what to do.
        #[source]
        why: Box<crate::pull::Refusal>,
    },
    /// An image cannot be pushed.
    #[error("cannot push {reference}: {why}")]
    Push {
        /// Its name.
        reference: String,
        /// Why.
        #[source]
        why: Box<crate::PushRefusal>,
    },
    /// What was typed is neither a reference nor an id.
    #[error(transparent)]
    Reference {
        /// Why.
        #[from]
        source: conex_oci::ReferenceError,
    },
    /// A manifest of something else: an artifact, a signature.
    #[error("{digest} is not an image: its configuration is of type {media_type:?}")]
    NotAnImage {
        /// The manifest.
        digest: Digest,
        /// Of its configuration.
        media_type: String,
    },
    /// The manifest and the configuration disagree.
    #[error("image {id} is malformed: its manifest lists {blobs} layers, its configuration {layers}")]
    LayerCount {
        /// The image.
        id: Digest,
        /// In the manifest.
        blobs: usize,
        /// In the configuration.
        layers: usize,
    },
    /// A tag with a digest in it.
    #[error("cannot tag an image as {reference}: a new name may have a tag but no digest")]
    TagDigest {
        /// As typed.
        reference: String,
    },
    /// A filter's pattern.
    #[error("bad pattern {pattern:?} in a reference filter")]
    Pattern {
        /// As typed.
        pattern: String,
    },
    /// The layer store.
    #[error(transparent)]
    Layers(#[from] crate::layers::LayerError),
    /// An image that may not be removed.
    #[error("conflict: {0}")]
    Conflict(#[from] crate::remove::Conflict),
    /// A source that cannot be opened.
    #[error("cannot open {}: {source}", path.display())]
    Source {
        /// As typed.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A source that cannot be read as a tar.
    #[error("cannot load {name}: {source}")]
    Archive {
        /// The source.
        name: String,
        /// Why.
        source: conex_archive::Error,
    },
    /// A source that holds no images, or none that can be trusted.
    #[error("cannot load {name}: {why}")]
    Load {
        /// The source.
        name: String,
        /// Why not.
        why: crate::load::Refusal,
    },
    /// A blob of a source could not be copied into the store.
    #[error("cannot copy {entry} from {name}: {source}")]
    Copy {
        /// The blob or file.
        entry: String,
        /// The source.
        name: String,
        /// Why.
        source: io::Error,
    },
    /// A source that is no root filesystem in a tar.
    #[error("cannot import {name}: {source}")]
    Import {
        /// The source.
        name: String,
        /// Why.
        source: conex_archive::Error,
    },
    /// A container's writable layer.
    #[error(transparent)]
    Writable(#[from] crate::writable::WritableError),
    /// An image's files could not be read.
    #[error(transparent)]
    Contents(#[from] crate::contents::ContentsError),
    /// An image's root filesystem could not be mounted to look at.
    #[error(transparent)]
    View(crate::rootfs::RootfsError),
    /// A directory for a view or a mount, or the mount on it.
    #[error("cannot {what} {}: {source}", path.display())]
    Place {
        /// The step that failed.
        what: &'static str,
        /// On what.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// Another image's mount point.
    #[error("cannot mount on {}: image {} is mounted there (conex image unmount takes it off)", path.display(), image.short())]
    MountPoint {
        /// The directory.
        path: PathBuf,
        /// What is there.
        image: Digest,
    },
    /// Something is open in it.
    #[error("cannot unmount {}: it is in use; leave it, or use --force", path.display())]
    MountBusy {
        /// The directory.
        path: PathBuf,
    },
    /// An archive could not be written.
    #[error("cannot save: {source}")]
    Save {
        /// What failed.
        source: conex_archive::Error,
    },
    /// Where an archive is written to failed.
    #[error("cannot write the archive: {source}")]
    Output {
        /// What failed.
        source: io::Error,
    },
    /// An OCI layout was to be written to a stream.
    #[error("format oci-dir is a directory and cannot be written to a stream (give an output directory)")]
    DirectoryNeeded,
    /// The directory for a layout holds other things.
    #[error("cannot save to {}: it is neither empty nor an OCI layout", path.display())]
    NotALayout {
        /// The directory.
        path: PathBuf,
    },
    /// A file of a layout could not be written.
    #[error("cannot write {}: {source}", path.display())]
    WriteLayout {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Nothing to save.
    #[error("no image to save was named")]
    NothingNamed,
}

impl Error {
    pub(crate) fn save(source: conex_archive::Error) -> Self {
        Self::Save { source }
    }
}
