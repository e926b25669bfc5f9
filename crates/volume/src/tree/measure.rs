//! How much a tree takes on the disk.

use std::collections::HashSet;
use std::os::fd::BorrowedFd;

use crate::Result;

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
                || super::FileType::from_raw_mode(stat.st_mode) == super::FileType::Directory
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
