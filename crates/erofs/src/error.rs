//! Everything that can go wrong with an image: writing, reading, merging, mounting.

use std::io;

/// The result of this crate's calls.
pub type Result<T> = std::result::Result<T, Error>;

/// Why an image could not be written, read, merged or mounted.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The layer's archive is refused, or its stream failed.
    #[error(transparent)]
    Archive(#[from] conex_archive::Error),
    /// The image's file could not be written.
    #[error("cannot write the image at byte {offset}: {source}")]
    Write {
        /// Bytes from the start of the file.
        offset: u64,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
    /// The image's file could not be read.
    #[error("cannot read the image at byte {offset}: {source}")]
    Read {
        /// Bytes from the start of the file.
        offset: u64,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
    /// The file is no EROFS image, or not one written here where it has to be.
    #[error("not a usable EROFS image: {0}")]
    Superblock(&'static str),
    /// The image has features that this reader does not know (`feature_incompat`).
    #[error("the EROFS image has features that are not supported: {0:#x}")]
    Features(u32),
    /// Something in the image leads out of it or contradicts itself.
    #[error("the EROFS image is damaged at byte {offset}: {reason}")]
    Damaged {
        /// Bytes from the start of the file.
        offset: u64,
        /// What is wrong there.
        reason: &'static str,
    },
    /// The image asks for more than it may.
    #[error("the EROFS image is refused: {what} exceeds the limit of {limit}")]
    Limit {
        /// What there is too much of.
        what: &'static str,
        /// The bound that was in force.
        limit: u64,
    },
    /// A layer's image is not what its archive makes.
    #[error("the EROFS image differs at byte {offset} from what its archive makes")]
    Differs {
        /// The first byte that does.
        offset: u64,
    },
    /// A layer cannot take part in a merge.
    #[error("cannot merge the layers: layer {index} (counted from the lowest, 0): {source}")]
    Merge {
        /// Which one.
        index: usize,
        /// What is wrong with it.
        #[source]
        source: Box<Error>,
    },
    /// The kernel refused to mount.
    #[error("cannot mount the EROFS image: {what}: {source}{}", log.as_ref().map(|log| format!(" ({log})")).unwrap_or_default())]
    Mount {
        /// The step that failed.
        what: String,
        /// What the kernel said.
        #[source]
        source: io::Error,
        /// What EROFS left in the mount's own log.
        log: Option<String>,
    },
}

pub(crate) fn damaged(offset: u64, reason: &'static str) -> Error {
    Error::Damaged { offset, reason }
}
