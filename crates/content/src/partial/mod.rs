//! Half a blob, which outlives whoever began it: `tmp/partial-<hex>`, taken up again by the next who wants the blob, in
//! this process or another.
//!
//! Bytes come in order, or in pieces in any order when several connections fetch one large blob. Which pieces are there
//! stands in `tmp/partial-<hex>.map`, a character a piece; without pieces it is the file's length that says. The hash runs in
//! order behind what is there, so a blob is verified once the last byte has come. Nothing is believed of what a crash left:
//! it is hashed like any other byte.

mod clear;
mod pieces;

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt};
use std::path::PathBuf;
use std::sync::atomic::Ordering;

use conex_oci::{Digest, Hasher};
pub use pieces::Pieces;
use pieces::{map_of, open_map};
use rustix::fs::FlockOperation;

use crate::{Content, Error, Result};

/// The most pieces of a blob.
const PIECES: u64 = 1 << 20;
/// Bytes that no file has more of: off_t is signed.
const LARGEST: u64 = i64::MAX.cast_unsigned();
/// Bytes hashed at a time.
const CHUNK: usize = 256 << 10;

/// A blob in the making that stays when it is dropped, unless it is empty.
#[must_use = "a blob exists only after commit()"]
pub struct Partial {
    shared: Pieces,
    hashing: Hashing,
    digest: Digest,
    target: PathBuf,
    path: PathBuf,
    ended: bool,
}

/// What runs behind, in order.
pub struct Hashing {
    hasher: Hasher,
    position: u64,
    buffer: Vec<u8>,
}

impl std::fmt::Debug for Partial {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Partial({} at {} of {})", self.digest, self.hashing.position, self.shared.size)
    }
}

impl Content {
    /// Takes up what there is of a blob, or begins it. `piece` is the size of pieces in bytes; without it bytes come in
    /// order. One at a time: whoever calls holds a guard for the digest.
    pub fn partial(&self, digest: &Digest, size: u64, piece: Option<u64>) -> Result<Partial> {
        if size > LARGEST {
            return Err(Error::TooLarge { digest: *digest, size, limit: LARGEST });
        }
        let path = self.temporary_directory().join(format!("partial-{}", digest.hex()));
        let failed = |source| Error::Write { path: path.clone(), source };
        let file = self.open_partial(&path).map_err(failed)?;
        let in_pieces = piece.map(|piece| piece.max(1).max(size.div_ceil(PIECES)));
        let (map, done) = match in_pieces {
            None => (None, Vec::new()),
            Some(piece) => {
                // At most PIECES, which fits.
                let count = size.div_ceil(piece) as usize;
                let (map, done) = open_map(&map_of(&path), piece, count).map_err(failed)?;
                (Some(map), done)
            }
        };
        let piece = in_pieces.unwrap_or(size.max(1));
        let length = file.metadata().map_err(failed)?.len();
        // What was begun in the other manner, or for another size, is begun anew.
        let stale = match &map {
            None => length > size || map_of(&path).exists(),
            Some(_) => length > size || done.iter().all(|done| !done.load(Ordering::Relaxed)),
        };
        if stale && length > 0 {
            file.set_len(0).map_err(failed)?;
        }
        if map.is_none() {
            let _ = fs::remove_file(map_of(&path));
        }
        Ok(Partial {
            shared: Pieces { file, size, piece, map, done },
            hashing: Hashing { hasher: Hasher::new(), position: 0, buffer: Vec::new() },
            digest: *digest,
            target: self.path(digest),
            path,
            ended: false,
        })
    }

    /// Opens and locks: only who clears away holds the lock besides, and never for long.
    fn open_partial(&self, path: &std::path::Path) -> io::Result<File> {
        loop {
            let mut options = OpenOptions::new();
            options.read(true).write(true).create(true).truncate(false).mode(0o600);
            let file = match options.open(path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    // People clear directories of this name.
                    fs::DirBuilder::new().mode(0o700).create(self.temporary_directory())?;
                    continue;
                }
                file => file?,
            };
            rustix::fs::flock(&file, FlockOperation::LockExclusive)?;
            if file.metadata()?.nlink() > 0 {
                return Ok(file);
            }
        }
    }
}

impl Partial {
    /// Hashes what is there in order; the bytes from the beginning that need not be fetched.
    pub fn resume(&mut self) -> Result<u64> {
        let failed = |source| Error::Write { path: self.path.clone(), source };
        let have = if self.shared.map.is_some() {
            let whole = self.shared.done.iter().take_while(|done| done.load(Ordering::Relaxed)).count();
            (whole as u64 * self.shared.piece).min(self.shared.size)
        } else {
            self.shared.file.metadata().map_err(failed)?.len()
        };
        self.hashing.advance(&self.shared, have, &mut |_| Ok(())).map_err(failed)?;
        Ok(have)
    }

    /// The file that it is in, for who follows behind [`Hashing::position`] by offsets.
    pub fn file(&self) -> io::Result<File> {
        self.shared.file.try_clone()
    }

    /// Adds the next bytes in order.
    pub fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let (from, size) = (self.hashing.position, self.shared.size);
        if bytes.len() as u64 > size - from {
            let message = format!("blob {} is longer than the {size} bytes it should have", self.digest);
            return Err(io::Error::new(io::ErrorKind::InvalidData, message));
        }
        self.shared.file.write_all_at(bytes, from)?;
        self.hashing.hasher.update(bytes);
        self.hashing.position += bytes.len() as u64;
        if self.shared.map.is_some() {
            let (first, end) = (from / self.shared.piece, self.hashing.position);
            for index in first as usize..self.shared.count() {
                if self.shared.range(index).end > end {
                    break;
                }
                self.shared.finish(index)?;
            }
        }
        Ok(())
    }

    /// For several threads that write, and one that hashes behind them.
    pub fn split(&mut self) -> (&Pieces, &mut Hashing) {
        (&self.shared, &mut self.hashing)
    }

    /// Verifies, syncs and publishes the blob. One that is not what its digest promises is gone afterwards.
    pub fn commit(mut self) -> Result<()> {
        let (got_size, expected_size) = (self.hashing.position, self.shared.size);
        let got = std::mem::take(&mut self.hashing.hasher).finish();
        if (got, got_size) != (self.digest, expected_size) {
            let expected = self.digest;
            self.discard();
            return Err(Error::Mismatch { expected, expected_size, got, got_size });
        }
        let failed = |source| Error::Write { path: self.target.clone(), source };
        self.shared.file.sync_data().map_err(failed)?;
        fs::rename(&self.path, &self.target).map_err(failed)?;
        let _ = fs::remove_file(map_of(&self.path));
        self.ended = true;
        Ok(())
    }

    /// Removes it.
    pub fn discard(mut self) {
        self.remove();
    }

    fn remove(&mut self) {
        let _ = fs::remove_file(map_of(&self.path));
        // Nothing can be done about a failure here, and whoever collects next tries again.
        let _ = fs::remove_file(&self.path);
        self.ended = true;
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        if !self.ended && self.shared.file.metadata().is_ok_and(|metadata| metadata.len() == 0) {
            self.remove();
        }
    }
}

impl Hashing {
    /// Bytes hashed so far.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// Hashes up to `end`, which has been written; `sink` sees the bytes, in order.
    pub fn advance(
        &mut self,
        pieces: &Pieces,
        end: u64,
        sink: &mut dyn FnMut(&[u8]) -> io::Result<()>,
    ) -> io::Result<()> {
        self.buffer.resize(CHUNK, 0);
        while self.position < end {
            let room = usize::try_from(end - self.position).map_or(CHUNK, |left| left.min(CHUNK));
            let bytes = &mut self.buffer[..room];
            pieces.file.read_exact_at(bytes, self.position)?;
            self.hasher.update(bytes);
            sink(bytes)?;
            self.position += room as u64;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store() -> (tempfile::TempDir, Content) {
        let root = tempfile::tempdir().unwrap();
        let content = Content::open(root.path()).unwrap();
        (root, content)
    }

    fn temporaries(content: &Content) -> usize {
        fs::read_dir(content.root().join("tmp")).unwrap().count()
    }

    const TEXT: &[u8] = b"0123456789abcdef0123";

    #[test]
    fn half_a_blob_is_taken_up() {
        let (_root, content) = store();
        let digest = Digest::of(TEXT);
        let mut first = content.partial(&digest, 20, None).unwrap();
        assert_eq!(first.resume().unwrap(), 0);
        first.append(&TEXT[..7]).unwrap();
        drop(first);
        assert_eq!(temporaries(&content), 1);
        // Not old enough to be cleared beside other work.
        content.clear_temporary().unwrap();
        let mut second = content.partial(&digest, 20, None).unwrap();
        content.clear_partials(true).unwrap();
        assert_eq!(second.resume().unwrap(), 7);
        assert!(second.append(&[0; 14]).is_err(), "more than there can be");
        second.append(&TEXT[7..]).unwrap();
        second.commit().unwrap();
        assert_eq!(content.read_unsized(&digest).unwrap(), TEXT);
        assert_eq!(temporaries(&content), 0);
    }

    #[test]
    fn pieces_in_any_order() {
        let (_root, content) = store();
        let digest = Digest::of(TEXT);
        let mut first = content.partial(&digest, 20, Some(6)).unwrap();
        {
            let (pieces, _) = first.split();
            assert_eq!((pieces.count(), pieces.range(3)), (4, 18..20));
            for index in [2, 0] {
                let range = pieces.range(index);
                pieces.write_at(&TEXT[range.start as usize..range.end as usize], range.start).unwrap();
                pieces.finish(index).unwrap();
            }
            assert!(pieces.write_at(&[0; 3], 18).is_err());
        }
        drop(first);
        let mut second = content.partial(&digest, 20, Some(6)).unwrap();
        assert_eq!(second.resume().unwrap(), 6);
        {
            let (pieces, hashing) = second.split();
            assert!(pieces.has(2) && !pieces.has(1) && !pieces.has(3));
            pieces.write_at(&TEXT[6..12], 6).unwrap();
            pieces.write_at(&TEXT[18..], 18).unwrap();
            let mut seen = Vec::new();
            let mut sink = |bytes: &[u8]| {
                seen.extend_from_slice(bytes);
                Ok(())
            };
            hashing.advance(pieces, 20, &mut sink).unwrap();
            assert_eq!(seen, &TEXT[6..]);
        }
        second.commit().unwrap();
        assert_eq!(content.read_unsized(&digest).unwrap(), TEXT);
        assert_eq!(temporaries(&content), 0);
        // In order, the map goes along.
        let digest = Digest::of(&TEXT[..19]);
        let mut third = content.partial(&digest, 19, Some(6)).unwrap();
        third.append(&TEXT[..13]).unwrap();
        drop(third);
        assert_eq!(content.partial(&digest, 19, Some(6)).unwrap().resume().unwrap(), 12);
        // Of another kind or size: begun anew.
        assert_eq!(content.partial(&digest, 19, Some(5)).unwrap().resume().unwrap(), 0);
        assert_eq!(content.partial(&digest, 19, None).unwrap().resume().unwrap(), 0);
    }

    #[test]
    fn what_is_not_what_it_should_be_leaves_nothing() {
        let (_root, content) = store();
        let digest = Digest::of(TEXT);
        let mut forged = content.partial(&digest, 20, None).unwrap();
        forged.append(&[b'x'; 20]).unwrap();
        assert!(matches!(forged.commit(), Err(Error::Mismatch { .. })));
        let mut short = content.partial(&digest, 20, Some(4)).unwrap();
        short.append(&TEXT[..19]).unwrap();
        assert!(matches!(short.commit(), Err(Error::Mismatch { got_size: 19, .. })));
        drop(content.partial(&digest, 20, None).unwrap());
        assert_eq!(temporaries(&content) + content.blobs().unwrap().len(), 0);
        content.partial(&digest, 20, Some(4)).unwrap().append(&TEXT[..10]).unwrap();
        content.clear_partials(true).unwrap();
        assert_eq!(temporaries(&content), 0);
    }
}
