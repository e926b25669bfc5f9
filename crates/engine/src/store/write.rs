//! Small files, read whole and written in one step.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{Error, Result};

/// No document of ours is larger: a seccomp profile of a user's is the largest part of one.
const LARGEST: u64 = 16 << 20;

/// The file's bytes; `None` when it is not there.
pub(crate) fn read(path: &Path) -> Result<Option<Vec<u8>>> {
    let fail = |source| Error::Read { path: path.to_owned(), source };
    let file = match OpenOptions::new().read(true).custom_flags(libc_nofollow()).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(fail(error)),
    };
    // One read does for the usual small file, and one more sees its end.
    let mut bytes = Vec::with_capacity(4096);
    file.take(LARGEST).read_to_end(&mut bytes).map_err(fail)?;
    Ok(Some(bytes))
}

/// A JSON document; `None` when it is not there.
pub(crate) fn read_json<T: DeserializeOwned>(path: &Path) -> Result<Option<T>> {
    let Some(bytes) = read(path)? else { return Ok(None) };
    serde_json::from_slice(&bytes)
        .map(Some)
        .map_err(|source| Error::Document { path: path.to_owned(), source })
}

/// What a power failure may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Durability {
    /// The document: nobody was promised that it lasts.
    Passing,
    /// Nothing, once the call has returned: the document and its name are on the disk.
    Lasting,
}

/// Makes `directory/name` or replaces it, whole or not at all. One writer at a time, which the caller sees to.
pub(crate) fn replace(directory: &Path, name: &str, bytes: &[u8], durability: Durability) -> Result<()> {
    let (path, temporary) = (directory.join(name), directory.join(format!(".{name}.new")));
    let fail = |source| Error::Write { path: path.clone(), source };
    let mut file = create(&temporary).map_err(fail)?;
    file.write_all(bytes).map_err(fail)?;
    if durability == Durability::Lasting {
        file.sync_data().map_err(fail)?;
    }
    std::fs::rename(&temporary, &path).map_err(fail)?;
    if durability == Durability::Lasting {
        sync(directory)?;
    }
    Ok(())
}

/// [`replace`] with JSON.
pub(crate) fn replace_json<T: Serialize>(
    directory: &Path,
    name: &str,
    value: &T,
    durability: Durability,
) -> Result<()> {
    replace(directory, name, &to_json(value), durability)
}

/// Waits until a file, or the names in a directory, are on the disk.
pub(crate) fn sync(path: &Path) -> Result<()> {
    let synced = File::open(path).and_then(|file| file.sync_all());
    synced.map_err(|source| Error::Write { path: path.to_owned(), source })
}

/// Makes a file whose presence means nothing yet.
pub(crate) fn new_file(path: &Path, bytes: &[u8]) -> Result<()> {
    let fail = |source| Error::Write { path: path.to_owned(), source };
    create(path).map_err(fail)?.write_all(bytes).map_err(fail)
}

/// Makes a file that the container's own processes read, owned by its root.
pub(crate) fn shared_file(path: &Path, bytes: &[u8], owner: u32) -> Result<()> {
    let fail = |source| Error::Write { path: path.to_owned(), source };
    let mut file = create(path).map_err(fail)?;
    file.write_all(bytes).map_err(fail)?;
    rustix::fs::fchmod(&file, 0o644.into()).map_err(|errno| fail(errno.into()))?;
    if owner != 0 {
        std::os::unix::fs::fchown(&file, Some(owner), Some(owner)).map_err(fail)?;
    }
    Ok(())
}

/// Our own types always serialise.
pub(crate) fn to_json<T: Serialize>(value: &T) -> Vec<u8> {
    let mut text = serde_json::to_vec(value).unwrap_or_else(|error| unreachable!("{error}"));
    text.push(b'\n');
    text
}

/// Unlinks; nothing there is success.
pub(crate) fn unlink(path: &Path) -> Result<()> {
    match std::fs::remove_file(path) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => {
            Err(Error::Remove { path: path.to_owned(), source })
        }
        _ => Ok(()),
    }
}

/// mkdir -p, of directories that only the owner may look into.
pub(crate) fn make_directory(path: &Path) -> Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o711)
        .create(path)
        .map_err(|source| Error::Directory { path: path.to_owned(), source })
}

fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .custom_flags(libc_nofollow())
        .open(path)
}

#[expect(clippy::cast_possible_wrap, reason = "a flag")]
fn libc_nofollow() -> i32 {
    rustix::fs::OFlags::NOFOLLOW.bits() as i32
}
