//! Files that others write for an overlay.

use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use crate::{Error, Result};

/// The text of a file of at most that many bytes, and whose it is.
pub(super) fn read(path: &Path, longest: u64) -> Result<(String, Metadata)> {
    // A pipe in its place would be waited for.
    let nonblock = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
    let read = || -> io::Result<(String, Metadata)> {
        let file = File::options().read(true).custom_flags(nonblock).open(path)?;
        let data = file.metadata()?;
        if !data.is_file() || data.len() > longest {
            let why = format!("it is no file of at most {} KiB", longest >> 10);
            return Err(io::Error::new(io::ErrorKind::InvalidData, why));
        }
        let mut text = String::new();
        (&file).take(longest).read_to_string(&mut text)?;
        Ok((text, data))
    };
    read().map_err(Error::file("read", path))
}
