//! How much a tree takes on the disk.

use std::collections::HashSet;
use std::os::fd::BorrowedFd;

use rustix::fs::FileType;

use crate::Result;

/// Bytes in the regular files of a tree, holes and all, each once for every name; what cannot be read counts nothing.
pub fn length(root: BorrowedFd<'_>) -> u64 {
    let mut bytes = 0_u64;
    let walked = super::walk(
        root,
        |_, _, _, node| {
            if node.kind() == FileType::RegularFile {
                bytes = bytes.saturating_add(node.stat.st_size.cast_unsigned());
            }
            Ok(())
        },
        |_| Ok(()),
    );
    if let Err(error) = walked {
        log::warn!("a size is too small: {error}");
    }
    bytes
}

/// Bytes of the blocks that the files of a tree have; a file of several names counts once.
///
/// # Errors
/// When the tree cannot be read.
pub fn usage(root: BorrowedFd<'_>) -> Result<u64> {
    let (mut blocks, mut seen) = (0_u64, HashSet::new());
    super::walk(
        root,
        |_, _, _, node| {
            let stat = &node.stat;
            if stat.st_nlink < 2
                || node.kind() == FileType::Directory
                || seen.insert((stat.st_dev, stat.st_ino))
            {
                blocks = blocks.saturating_add(u64::try_from(stat.st_blocks).unwrap_or(0));
            }
            Ok(())
        },
        |_| Ok(()),
    )?;
    Ok(blocks.saturating_mul(512))
}
