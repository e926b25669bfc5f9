//! Everything that can be wrong with an archive or with unpacking one.
//!
//! Names out of an archive are hostile: they are shortened and escaped before they reach a message.

use std::io;

/// The result of this crate's calls.
pub type Result<T> = std::result::Result<T, Error>;

/// Why an archive could not be read, written or unpacked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The stream below failed.
    #[error("cannot read the archive at byte {offset}: {source}")]
    Read {
        /// Bytes of the uncompressed stream read so far.
        offset: u64,
        /// What the stream said.
        #[source]
        source: io::Error,
    },
    /// The stream ended inside an entry or a header.
    #[error("the archive is truncated: it ends at byte {offset}, inside {what}")]
    Truncated {
        /// Bytes of the uncompressed stream read so far.
        offset: u64,
        /// What was being read.
        what: &'static str,
    },
    /// Bytes that are no tar header.
    #[error("not a tar header at byte {offset}: {reason}")]
    Header {
        /// Where the header starts in the uncompressed stream.
        offset: u64,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A PAX record that cannot be taken.
    #[error("bad PAX header at byte {offset}: {reason}")]
    Pax {
        /// Where the records end in the uncompressed stream.
        offset: u64,
        /// What is wrong with them.
        reason: String,
    },
    /// A sparse file whose map makes no sense.
    #[error("bad sparse map at byte {offset}: {reason}")]
    Sparse {
        /// Where the map ends in the uncompressed stream.
        offset: u64,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// More than [`Limits`](crate::Limits) allows.
    #[error("the archive is refused: {what} exceeds the limit of {limit}{}", at(path))]
    Limit {
        /// What there is too much of.
        what: &'static str,
        /// The bound that was in force.
        limit: u64,
        /// The entry, if one is to blame.
        path: Option<String>,
    },
    /// A compression that layers do not use.
    #[error("{0}-compressed archives are not supported (expected gzip, zstd or none)")]
    Compression(&'static str),
    /// A path that leads out of the destination, or is no path at all.
    #[error("the archive is refused: {path}: {reason}")]
    Path {
        /// The entry.
        path: String,
        /// What is wrong with the path.
        reason: &'static str,
    },
    /// The kernel refused to make what an entry asks for.
    #[error("cannot {what} {path}: {source}")]
    Unpack {
        /// The step that failed.
        what: &'static str,
        /// The entry.
        path: String,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
    /// What was to be replaced could not be removed.
    #[error("cannot replace {path}: {source}")]
    Replace {
        /// The entry.
        path: String,
        /// What failed.
        #[source]
        source: crate::RemoveError,
    },
    /// The stream below a writer failed, or an entry's contents could not be read.
    #[error("cannot write {path} to the archive: {source}")]
    Write {
        /// The entry.
        path: String,
        /// What the stream said.
        #[source]
        source: io::Error,
    },
    /// An entry's contents are shorter or longer than its header says.
    #[error(
        "cannot write {path} to the archive: its header says {expected} bytes, its contents have {found}"
    )]
    Length {
        /// The entry.
        path: String,
        /// Bytes by the header.
        expected: u64,
        /// Bytes that were there (for contents that are too long: at least).
        found: u64,
    },
}

fn at(path: &Option<String>) -> String {
    path.as_ref().map(|path| format!(" ({path})")).unwrap_or_default()
}

/// A name out of an archive, made fit for a one-line message.
pub fn shown(name: &[u8]) -> String {
    const LONGEST: usize = 160;
    let clipped = &name[..name.len().min(LONGEST)];
    let text: String = String::from_utf8_lossy(clipped)
        .chars()
        .flat_map(|c| if c.is_control() { c.escape_default().collect::<Vec<_>>() } else { vec![c] })
        .collect();
    if name.len() > LONGEST { format!("{text}…") } else { text }
}

impl From<Error> for io::Error {
    /// For those who read an entry's contents through [`io::Read`].
    fn from(error: Error) -> Self {
        match error {
            Error::Read { source, .. } => source,
            Error::Truncated { .. } => Self::new(io::ErrorKind::UnexpectedEof, error),
            other => Self::new(io::ErrorKind::InvalidData, other),
        }
    }
}
