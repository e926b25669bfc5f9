//! The pieces of a large blob: which are there, in a file that a person can read.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::ops::Range;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

/// What several threads write at once.
#[derive(Debug)]
pub struct Pieces {
    pub(super) file: File,
    pub(super) size: u64,
    /// Bytes of a piece; the whole blob for one that comes in order.
    pub(super) piece: u64,
    pub(super) map: Option<File>,
    pub(super) done: Vec<AtomicBool>,
}

impl Pieces {
    /// How many pieces there are.
    pub fn count(&self) -> usize {
        self.done.len()
    }

    /// The bytes of a piece.
    pub fn range(&self, index: usize) -> Range<u64> {
        let start = index as u64 * self.piece;
        start..(start + self.piece).min(self.size)
    }

    /// Whether a piece is there.
    pub fn has(&self, index: usize) -> bool {
        self.done[index].load(Ordering::Acquire)
    }

    /// Writes a part of a piece.
    pub fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        if offset.checked_add(bytes.len() as u64).is_none_or(|end| end > self.size) {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        self.file.write_all_at(bytes, offset)
    }

    /// Says that all of a piece has been written.
    pub fn finish(&self, index: usize) -> io::Result<()> {
        if let Some(map) = &self.map {
            map.write_all_at(b"#", head(self.piece).len() as u64 + index as u64)?;
        }
        self.done[index].store(true, Ordering::Release);
        Ok(())
    }
}

pub(super) fn map_of(path: &Path) -> PathBuf {
    path.with_extension("map")
}

/// The map, and which of its pieces are there; a new one if it is for pieces of another size. Its first line is the size.
pub(super) fn open_map(path: &Path, piece: u64, count: usize) -> io::Result<(File, Vec<AtomicBool>)> {
    let mut file =
        OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)?;
    let head = head(piece);
    let mut text = vec![0; head.len() + count];
    let known = file.metadata()?.len() == text.len() as u64
        && file.read_exact_at(&mut text, 0).is_ok()
        && text.starts_with(head.as_bytes());
    if !known {
        text.fill(b'.');
        text[..head.len()].copy_from_slice(head.as_bytes());
        file.set_len(0)?;
        file.write_all(&text)?;
    }
    Ok((file, text[head.len()..].iter().map(|byte| AtomicBool::new(*byte == b'#')).collect()))
}

fn head(piece: u64) -> String {
    format!("{piece:020}\n")
}
