//! Seals: fs-verity on the files that images are mounted from, where the file system has it. The kernel then checks every page of
//! them as it is read, so that a disk's flipped bit is an error of the one who reads it, and never another byte; and nobody
//! changes them, root included. A layer's digest is noted in its `layer.json` and compared when the layer is mounted.
//!
//! Sealing reads the file once more (out of the page cache), and takes 1/128 of its size.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::path::Path;
use std::time::Duration;

use conex_oci::Digest;
use conex_sys::verity;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use super::{LayerError, Result};

/// How often, every 10 ms, a file is tried that somebody has open for writing: a process forked from this one, until it
/// executes its program.
const TRIES: u32 = 50;

/// Whether files in `directory` can be sealed: one without a name is.
pub(super) fn is_possible(directory: &Path) -> bool {
    let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
    let sealed = rustix::fs::open(directory, flags, Mode::RUSR | Mode::WUSR).map_err(io::Error::from);
    let sealed = sealed.and_then(|writer| {
        let file = File::open(format!("/proc/self/fd/{}", writer.as_raw_fd()))?;
        drop(writer);
        enable(&file)
    });
    match sealed {
        Ok(()) => true,
        Err(error) => {
            log::debug!("{}: no fs-verity: {error}", directory.display());
            false
        }
    }
}

/// Seals the file at `path`, which nobody writes to any more. Its digest.
///
/// # Errors
/// [`LayerError::Store`].
pub(super) fn seal(path: &Path) -> Result<Digest> {
    let sealed = File::open(path).and_then(|file| {
        enable(&file)?;
        measure(&file)?.ok_or_else(|| Errno::NOTSUP.into())
    });
    sealed.map_err(|source| LayerError::Store { what: "seal", path: path.to_owned(), source })
}

/// Compares the file with the digest that was noted when it was sealed. A file that has lost its seal, since it was copied here, is
/// sealed again if it can be.
///
/// # Errors
/// [`LayerError::Seal`] for another file, [`LayerError::Store`].
pub(super) fn check(path: &Path, noted: &Digest) -> Result<()> {
    let failed = |source| LayerError::Store { what: "measure", path: path.to_owned(), source };
    let file = File::open(path).map_err(failed)?;
    let found = match measure(&file).map_err(failed)? {
        Some(found) => found,
        None => match seal(path) {
            Ok(found) => found,
            Err(error) => {
                log::debug!("{error}");
                return Ok(());
            }
        },
    };
    if found == *noted {
        return Ok(());
    }
    Err(LayerError::Seal { path: path.to_owned(), expected: *noted, found })
}

/// The seal of a file; nothing for one that has none, or where there are none.
pub(crate) fn found(file: &File) -> Option<Digest> {
    measure(file).unwrap_or_else(|error| {
        log::debug!("{error}");
        None
    })
}

fn enable(file: &File) -> io::Result<()> {
    let mut tries = TRIES;
    loop {
        match verity::enable(file.as_fd()) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::ExecutableFileBusy && tries > 0 => {
                tries -= 1;
                std::thread::sleep(Duration::from_millis(10));
            }
            done => return done,
        }
    }
}

fn measure(file: &File) -> io::Result<Option<Digest>> {
    Ok(verity::measure(file.as_fd())?.map(Digest::from_sha256))
}
