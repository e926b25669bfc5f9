//! Mount points that the runtime makes in the writable layer because the image lacks them. Docker makes them in a layer
//! of its own below, so that neither `diff` nor `commit` shows them; here they are told by their names and emptiness.

use super::error::Result;
use super::file::Held;
use super::walk::Tree;

/// Where every container has a mount of the engine's, so that nothing the container does can lie there.
const PLACES: [&[u8]; 9] = [
    b"dev",
    b"dev/console",
    b"dev/pts",
    b"dev/shm",
    b"etc/hostname",
    b"etc/hosts",
    b"etc/resolv.conf",
    b"proc",
    b"sys",
];

/// Whether `file`, which no layer below has, is such a mount point, or a directory that holds nothing else.
pub(super) fn is_stub(tree: &Tree<'_>, path: &[u8], file: &Held) -> Result<bool> {
    use rustix::fs::FileType;
    let is_place = PLACES.contains(&path);
    match file.kind() {
        FileType::RegularFile => Ok(is_place && file.stat.st_size == 0),
        FileType::Directory if is_place || path == b"etc" => {
            let Some(directory) = tree.directory(path)? else { return Ok(false) };
            let names = directory.names(path)?;
            if path == b"etc" && names.is_empty() {
                return Ok(false);
            }
            for name in names {
                let inner = [path, b"/", &name].concat();
                if !PLACES.contains(&&inner[..]) {
                    return Ok(false);
                }
                if let Some(file) = directory.look(&name, &inner)?
                    && !is_stub(tree, &inner, &file)?
                {
                    return Ok(false);
                }
            }
            Ok(true)
        }
        _ => Ok(false),
    }
}
