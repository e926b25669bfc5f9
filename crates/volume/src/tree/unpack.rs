//! A tar stream into a tree: everything in it is hostile, and nothing gets out of the directory.

use std::io::Read;
use std::os::fd::BorrowedFd;

use conex_archive::{NamesMean, UnpackOptions, UnpackStats, decompress, unpack};

use crate::Result;

/// Unpacks a tar, compressed or not, over what a directory has. Owners, modes, times, hard links, holes and the extended attributes
/// that are not the host's are the archive's. After an error a part of it is there.
///
/// # Errors
/// [`Error::Archive`](crate::Error::Archive): what is wrong with the archive, or the directory.
pub fn import(root: BorrowedFd<'_>, tar: impl Read + Send) -> Result<UnpackStats> {
    let options = UnpackOptions { names: NamesMean::Themselves, ..UnpackOptions::default() };
    Ok(unpack(decompress(tar)?, root, &options)?)
}
