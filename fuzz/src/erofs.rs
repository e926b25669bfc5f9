//! What is done with the bytes of an EROFS image that somebody else has written: all of it read, which may not panic, be slow, or
//! take more memory than the image.

use conex_erofs::{Error, Image, NodeKind};

/// Reads all that there is to read; gives how many files there were.
pub(crate) fn erofs(bytes: &[u8]) -> Result<u64, Error> {
    let image = Image::open(bytes)?;
    image.devices()?;
    let mut walk = image.walk(10_000);
    let mut files = 0;
    while let Some(visit) = walk.next()? {
        files += 1;
        let node = visit.node();
        image.xattrs(node)?;
        match node.kind() {
            NodeKind::File => {
                for segment in image.segments(node)? {
                    segment?;
                }
                image.read_at(node, &mut [0; 5000], node.size().saturating_sub(4000))?;
            }
            NodeKind::Symlink => drop(image.link_target(node)?),
            _ => {}
        }
    }
    Ok(files)
}
