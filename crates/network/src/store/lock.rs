//! The lock of a directory: flock(2) on a file in it, which ends with its holder.

use std::fs::File;
use std::io;
use std::path::Path;

use rustix::fs::{FlockOperation, flock};

use crate::{Error, Result};

const FILE: &str = ".lock";

/// Held until it is dropped.
#[derive(Debug)]
pub(crate) struct Lock {
    _file: File,
}

impl Lock {
    /// Waits until nobody else holds it. Makes the directory.
    pub(crate) fn alone(directory: &Path) -> Result<Self> {
        Self::take(directory, FlockOperation::LockExclusive)
    }

    /// Waits until nobody holds it alone.
    pub(crate) fn shared(directory: &Path) -> Result<Self> {
        Self::take(directory, FlockOperation::LockShared)
    }

    fn take(directory: &Path, operation: FlockOperation) -> Result<Self> {
        let path = directory.join(FILE);
        loop {
            let file = match open(&path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    make_directory(directory)?;
                    continue;
                }
                file => file.map_err(Error::file("lock", &path))?,
            };
            rustix::io::retry_on_intr(|| flock(&file, operation))
                .map_err(|errno| Error::file("lock", &path)(errno.into()))?;
            // Who removed the network meanwhile has removed its lock with it.
            if is_at(&file, &path) {
                return Ok(Self { _file: file });
            }
        }
    }
}

fn open(path: &Path) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt;
    File::options().write(true).create(true).truncate(false).mode(0o600).open(path)
}

/// Whether the file is the one at the path.
pub(crate) fn is_at(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let identity =
        |metadata: io::Result<std::fs::Metadata>| metadata.ok().map(|data| (data.dev(), data.ino()));
    let held = identity(file.metadata());
    held.is_some() && held == identity(std::fs::metadata(path))
}

/// mkdir -p, for the owner alone.
pub(crate) fn make_directory(directory: &Path) -> Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(directory);
    made.map_err(Error::file("create", directory))
}
