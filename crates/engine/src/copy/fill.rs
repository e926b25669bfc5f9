//! The contents of a regular file: what has data is written, what are holes stays so.

use std::fs::File;
use std::os::fd::OwnedFd;

use rustix::io::Errno;

use super::Contents;
use super::error::{Result, file};

/// Zeros from this many bytes on become a hole.
const HOLE: usize = 4096;
const CHUNK: usize = 128 << 10;

/// Writes all of it into an empty file, which has its size then.
pub(super) fn fill(into: &OwnedFd, size: u64, contents: Contents<'_>, path: &[u8]) -> Result<()> {
    let written = match contents {
        Contents::None => 0,
        Contents::Bytes(bytes) => write_at(into, bytes, 0, path)?,
        Contents::Entry(entry) => {
            let mut written = 0;
            while let Some((offset, data)) = entry.chunk()? {
                written = write_at(into, data, offset, path)?.max(written);
            }
            written
        }
        Contents::File(from) => copy_file(from, into, size, path)?,
    };
    if written < size {
        rustix::fs::ftruncate(into, size).map_err(file("set the size of", path))?;
    }
    Ok(())
}

/// Copies what has data and leaves the holes; gives where the last byte was written.
fn copy_file(from: &File, into: &OwnedFd, size: u64, path: &[u8]) -> Result<u64> {
    use rustix::fs::SeekFrom;
    let (mut at, mut written, mut buffer) = (0, 0, vec![0; CHUNK]);
    while at < size {
        let (start, end) = match rustix::fs::seek(from, SeekFrom::Data(at)) {
            Ok(start) => (start, rustix::fs::seek(from, SeekFrom::Hole(start)).unwrap_or(size).min(size)),
            Err(Errno::NXIO) => break,
            // A file system that knows nothing of holes.
            Err(_) => (at, size),
        };
        at = start;
        while at < end {
            let most = usize::try_from(end - at).unwrap_or(CHUNK).min(CHUNK);
            match rustix::io::pread(from, &mut buffer[..most], at) {
                // It has shrunk; its size has been decided upon.
                Ok(0) => return Ok(written),
                Ok(count) => {
                    written = write_at(into, &buffer[..count], at, path)?.max(written);
                    at += count as u64;
                }
                Err(Errno::INTR) => {}
                Err(errno) => return Err(file("read", path)(errno)),
            }
        }
        at = at.max(end);
        if end <= start {
            break;
        }
    }
    Ok(written)
}

/// Writes, but for long runs of zeros; gives where the last byte was written.
fn write_at(into: &OwnedFd, mut data: &[u8], mut offset: u64, path: &[u8]) -> Result<u64> {
    if data.len() >= HOLE && data.iter().all(|&byte| byte == 0) {
        return Ok(0);
    }
    while !data.is_empty() {
        match rustix::io::pwrite(into, data, offset) {
            Ok(count) => {
                offset += count as u64;
                data = &data[count..];
            }
            Err(Errno::INTR) => {}
            Err(errno) => return Err(file("write", path)(errno)),
        }
    }
    Ok(offset)
}
