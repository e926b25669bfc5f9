//! Whether images can be mounted here. No version number says so: the kernel may have no EROFS, or take none out of files on this
//! file system, and an ordinary user may not mount any. So a small one is mounted.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::path::Path;

use rustix::fs::{Mode, OFlags};

use super::{Backing, mount};
use crate::error::{Error, Result};
use crate::layer::{WriteOptions, write_layer};

/// Mounts a small image that lies in `directory`, and says how that went. Takes a few milliseconds at most; the answer is the same
/// for as long as the machine runs.
///
/// # Errors
/// Why there is no way: what was said to the first one, with the files.
pub fn probe(directory: &Path) -> Result<Backing> {
    let image = temporary(directory)?;
    let tar = conex_archive::Writer::new(Vec::new()).finish()?;
    write_layer(&tar[..], &image, &WriteOptions::default())?;
    probe_with(format!("/proc/self/fd/{}", image.as_raw_fd()).as_ref())
}

/// The same with an image that is there, which needs no space.
///
/// # Errors
/// As [`probe`].
pub fn probe_with(image: &Path) -> Result<Backing> {
    match mount(image, &[], Backing::File) {
        Ok(_) => Ok(Backing::File),
        Err(first) => mount(image, &[], Backing::Loop).map(|_| Backing::Loop).map_err(|_| first),
    }
}

/// A file without a name.
fn temporary(directory: &Path) -> Result<File> {
    let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
    match rustix::fs::open(directory, flags, Mode::RUSR | Mode::WUSR) {
        Ok(file) => Ok(file.into()),
        Err(error) => {
            let what = format!("create a temporary file in {}", directory.display());
            Err(Error::Mount { what, source: error.into(), log: None })
        }
    }
}
