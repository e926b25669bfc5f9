//! What an archive may ask for before it is refused: the bounds that keep a bomb from filling memory, disk or time.

/// Bounds on one archive. The defaults are far above any real image and far below what would hurt a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of the uncompressed stream, headers, padding and what trails the archive included.
    pub max_bytes: u64,
    /// Bytes of one file as it says itself, holes included.
    pub max_file: u64,
    /// Entries, and directories that are only implied by the paths of entries.
    pub max_entries: u64,
    /// Bytes of one path or link target. The kernel takes 4095 (`PATH_MAX` less the NUL).
    pub max_name: usize,
    /// Bytes of one PAX extended header, and so of the names and xattrs of an entry.
    pub max_pax: usize,
    /// Data segments of one sparse file: 16 bytes of memory each.
    pub max_segments: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_bytes: 256 << 30,
            max_file: 256 << 30,
            max_entries: 8_000_000,
            max_name: 4095,
            max_pax: 1 << 20,
            max_segments: 1 << 18,
        }
    }
}
