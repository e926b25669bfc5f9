//! `export`: the root filesystem as the container sees it, without its mounts, as one tar.

use std::io::Write;

use super::pack::Packer;
use super::walk::{Lower, Walk};
use super::{Writable, WritableError};

impl Writable<'_> {
    /// Writes the tar; gives the sink back.
    pub fn export<W: Write>(&self, sink: W) -> std::result::Result<W, WritableError> {
        let mut packer = Packer::new(sink);
        let mut walk = Walk::new(&self.upper, &self.lower, Lower::Shown)?;
        while let Some(found) = walk.next()? {
            match (found.upper, found.lower) {
                (Some(upper), _) if upper.is_whiteout() => {}
                (Some(upper), lower) => {
                    packer.add(&found.path, &upper)?;
                    if upper.is_directory() {
                        let merged = lower.is_some_and(|lower| lower.is_directory());
                        walk.descend(found.path, true, merged)?;
                    }
                }
                (None, Some(lower)) => {
                    packer.add(&found.path, &lower)?;
                    if lower.is_directory() {
                        walk.descend(found.path, false, true)?;
                    }
                }
                (None, None) => {}
            }
        }
        packer.finish()
    }
}
