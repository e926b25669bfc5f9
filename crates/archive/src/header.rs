//! What an entry says about the file it holds, after long names, PAX records and sparse maps have been applied:
//! the one value that the reader gives, the writer takes and the unpacker acts upon.

/// A point in time, as seconds and nanoseconds since 1970 (the nanoseconds always count forward).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Time {
    /// Seconds; negative before 1970.
    pub seconds: i64,
    /// 0 to 999,999,999.
    pub nanoseconds: u32,
}

/// The metadata of one entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// The path as the archive has it, bytes in no particular encoding; not yet checked or normalised.
    pub path: Vec<u8>,
    /// What it is, with what only that kind has.
    pub kind: Kind,
    /// Permission bits with setuid, setgid and sticky (`0o7777`).
    pub mode: u32,
    /// The owner's number.
    pub uid: u32,
    /// The group's number.
    pub gid: u32,
    /// When the contents changed last.
    pub mtime: Time,
    /// Extended attributes, name and value, in the order of the archive.
    pub xattrs: Vec<(Vec<u8>, Vec<u8>)>,
}

/// The kinds of entries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// A regular file of `size` bytes, holes included.
    File {
        /// Bytes, as `stat` would say.
        size: u64,
    },
    /// Another name of an entry that came before.
    HardLink {
        /// The path of that entry within the archive.
        target: Vec<u8>,
    },
    /// A symbolic link.
    Symlink {
        /// Its text, kept as it is.
        target: Vec<u8>,
    },
    /// A directory.
    Directory,
    /// A named pipe.
    Fifo,
    /// A character device.
    CharDevice {
        /// Major number.
        major: u32,
        /// Minor number.
        minor: u32,
    },
    /// A block device.
    BlockDevice {
        /// Major number.
        major: u32,
        /// Minor number.
        minor: u32,
    },
    /// A type this reader does not know; its data, `size` bytes, is passed over.
    Unknown {
        /// The type byte of the header.
        type_byte: u8,
        /// Bytes of data that follow.
        size: u64,
    },
}

impl Header {
    /// A header owned by root, of 1970, with the mode a build would give: 0755 for directories, else 0644.
    pub fn new(path: impl Into<Vec<u8>>, kind: Kind) -> Self {
        let mode = match kind {
            Kind::Directory => 0o755,
            Kind::Symlink { .. } => 0o777,
            _ => 0o644,
        };
        Self { path: path.into(), kind, mode, uid: 0, gid: 0, mtime: Time::default(), xattrs: Vec::new() }
    }

    /// Bytes of contents, holes included; 0 for all but files.
    pub fn size(&self) -> u64 {
        match self.kind {
            Kind::File { size } => size,
            _ => 0,
        }
    }

    /// The path as text for messages and for archives that are known to hold plain names.
    pub fn path_text(&self) -> std::borrow::Cow<'_, str> {
        String::from_utf8_lossy(&self.path)
    }
}
