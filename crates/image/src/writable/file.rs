//! One file of a writable layer or an image, held by a descriptor that only names it: looked at, and read if it is regular.

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

use conex_archive::OverlayXattrs;
use rustix::fs::{FileType, Mode, OFlags, Stat};
use rustix::io::Errno;

use super::IdShift;

/// A file, whatever happens to its name.
#[derive(Debug)]
pub(super) struct Held {
    fd: OwnedFd,
    pub(super) stat: Stat,
    /// As the container numbers them.
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) ids: Option<IdShift>,
    pub(super) marks: OverlayXattrs,
}

impl Held {
    /// The file `name` of a directory (`.` is the directory itself); `None` when there is none (any more).
    pub(super) fn open(
        directory: BorrowedFd<'_>,
        name: &[u8],
        ids: Option<IdShift>,
        marks: OverlayXattrs,
    ) -> rustix::io::Result<Option<Self>> {
        // Never more than a name: opening a fifo would wait, opening a device may act.
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = match rustix::fs::openat(directory, name, flags, Mode::empty()) {
            Ok(fd) => fd,
            Err(Errno::NOENT) => return Ok(None),
            Err(error) => return Err(error),
        };
        let stat = rustix::fs::fstat(&fd)?;
        let back = |id| ids.map_or(id, |ids: IdShift| ids.back(id));
        Ok(Some(Self { uid: back(stat.st_uid), gid: back(stat.st_gid), fd, stat, ids, marks }))
    }

    pub(super) fn kind(&self) -> FileType {
        FileType::from_raw_mode(self.stat.st_mode)
    }

    pub(super) fn is_directory(&self) -> bool {
        self.kind() == FileType::Directory
    }

    /// Overlayfs's mark of a name that is hidden: a character device 0/0.
    pub(super) fn is_whiteout(&self) -> bool {
        self.kind() == FileType::CharacterDevice && self.stat.st_rdev == 0
    }

    /// Permission bits with setuid, setgid and sticky.
    pub(super) fn mode(&self) -> u32 {
        self.stat.st_mode & 0o7777
    }

    /// The kernel's own link to it, by which it can be opened and asked for attributes.
    pub(super) fn link(&self) -> String {
        format!("/proc/self/fd/{}", self.fd.as_raw_fd())
    }

    /// A regular file's contents.
    pub(super) fn contents(&self) -> io::Result<File> {
        File::open(self.link())
    }

    /// A symbolic link's text.
    pub(super) fn target(&self) -> rustix::io::Result<Vec<u8>> {
        rustix::fs::readlinkat(&self.fd, c"", Vec::new()).map(std::ffi::CString::into_bytes)
    }
}
