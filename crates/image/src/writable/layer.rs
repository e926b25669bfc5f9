//! `commit`: the writable layer as a layer's tar (image-spec layer.md): whiteouts in AUFS's names, opaque directories marked.

use std::io::Write;

use rustix::fs::FileType;

use super::changes::differ;
use super::pack::Packer;
use super::stubs::is_stub;
use super::walk::{Lower, Walk};
use super::{Writable, WritableError};

/// What `Limits` lets a layer have when it is unpacked: known before hours are spent on reading a hole.
const LARGEST_FILE: u64 = 256 << 30;
const WHITEOUT: &[u8] = b".wh.";
const OPAQUE: &[u8] = b".wh..wh..opq";

impl Writable<'_> {
    /// Writes the layer as a tar; gives the sink back, and whether there is anything in it.
    pub fn layer<W: Write>(&self, sink: W) -> std::result::Result<(W, bool), WritableError> {
        let mut packer = Packer::new(sink);
        let root = self.upper.look()?;
        let mut filled = differ(&root, &self.lower.look()?, b"")?;
        // The root has its attributes from the highest layer: what is not the default has to be said again.
        if filled || (root.mode(), root.uid, root.gid) != (0o755, 0, 0) {
            packer.add(b"./", &root)?;
        }
        let mut walk = Walk::new(&self.upper, &self.lower, Lower::Hidden)?;
        while let Some(found) = walk.next()? {
            // What an opaque directory hides needs no word of its own.
            let Some(file) = found.upper else { continue };
            let (path, below) = (found.path, found.lower);
            let (parent, name) = match path.iter().rposition(|&byte| byte == b'/') {
                Some(slash) => path.split_at(slash + 1),
                None => (&b""[..], &path[..]),
            };
            if file.is_whiteout() {
                packer.mark([parent, WHITEOUT, name].concat())?;
                filled = true;
                continue;
            }
            if name.starts_with(WHITEOUT) {
                let why =
                    "a name that begins with .wh. means a deletion in a layer; rename or remove the file";
                return Err(WritableError::unfit(&path, why));
            }
            if below.is_none() && is_stub(&self.upper, &path, &file)? {
                continue;
            }
            if file.kind() == FileType::RegularFile
                && u64::try_from(file.stat.st_size).unwrap_or(0) > LARGEST_FILE
            {
                return Err(WritableError::unfit(
                    &path,
                    "it is larger than 256 GiB, the most that a layer's file may have",
                ));
            }
            packer.add(&path, &file)?;
            // A directory may be here only because something was made in it.
            filled |= match &below {
                Some(below) => differ(&file, below, &path)?,
                None => true,
            };
            if file.is_directory() {
                if file.is_opaque().map_err(WritableError::walk("look at", &path))? {
                    packer.mark([&path[..], b"/", OPAQUE].concat())?;
                }
                walk.descend(path, true, below.is_some_and(|below| below.is_directory()))?;
            }
        }
        Ok((packer.finish()?, filled))
    }
}
