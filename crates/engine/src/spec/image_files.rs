//! The image's own files, which are hostile: /etc/passwd may be a link to the host's, a fifo, a device, or 10 GiB.

use std::io;
use std::os::fd::BorrowedFd;

/// Small text files in the container's root filesystem.
pub trait ImageFiles {
    /// The content of the file at an absolute path; `None` when there is none. Links are followed within the root only.
    fn read(&self, path: &str) -> io::Result<Option<Vec<u8>>>;
}

/// The files below a directory or a detached mount.
#[derive(Debug, Clone, Copy)]
pub struct RootfsFiles<'a>(pub BorrowedFd<'a>);

impl ImageFiles for RootfsFiles<'_> {
    fn read(&self, _path: &str) -> io::Result<Option<Vec<u8>>> {
        todo!()
    }
}
