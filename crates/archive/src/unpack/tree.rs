//! The destination: finds and makes the directories that entries go into, and never leaves it.
//!
//! One directory is held open, the one of the last entry: archives go directory by directory. A directory's own times
//! would change with every file that is put in it, so they are read when it is entered and put back when it is left;
//! nothing has to be remembered for the end, however many directories there are.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, Dev, FileType, Gid, Mode, OFlags, ResolveFlags, Stat, Timestamps, Uid};
use rustix::fs::{Timespec, UTIME_OMIT};
use rustix::io::Errno;

use super::xattr::Inherited;
use super::{OverlayXattrs, xattr};
use crate::error::shown;
use crate::names::refused;
use crate::{Error, Result};

pub(super) struct Tree<'a> {
    root: BorrowedFd<'a>,
    overlay: OverlayXattrs,
    current: Option<Directory>,
    /// Directories made because an entry lies in them, not because they are one.
    pub(super) implied: u64,
    pub(super) inherited: Inherited,
}

/// A directory that is open, as a path handle only.
pub(super) struct Directory {
    path: Vec<u8>,
    fd: OwnedFd,
    mtime: Timespec,
    /// New files get the directory's group.
    pub(super) setgid: bool,
}

impl Directory {
    fn new(path: &[u8], fd: OwnedFd) -> Result<Self> {
        let stat = rustix::fs::fstat(&fd).map_err(unpack("look at", path))?;
        let setgid = Mode::from_raw_mode(stat.st_mode).contains(Mode::SGID);
        Ok(Self { path: path.to_vec(), fd, mtime: mtime(&stat), setgid })
    }

    /// Puts the time back that it had when it was entered, or has been given since.
    fn leave(self) -> Result<()> {
        let omit = Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT };
        let times = Timestamps { last_access: omit, last_modification: self.mtime };
        rustix::fs::utimensat(&self.fd, c"", &times, AtFlags::EMPTY_PATH)
            .map_err(unpack("set the times of", &self.path))
    }

    /// The directory itself has been given another time and mode while it is the one that is entered.
    pub(super) fn dressed(&mut self, mtime: Timespec, mode: u32) {
        self.mtime = mtime;
        self.setgid = Mode::from_raw_mode(mode).contains(Mode::SGID);
    }
}

impl AsFd for Directory {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl<'a> Tree<'a> {
    pub(super) fn new(root: BorrowedFd<'a>, overlay: OverlayXattrs, is_confined: bool) -> Self {
        let inherited = Inherited { any: false, is_confined };
        Self { root, overlay, current: None, implied: 0, inherited }
    }

    pub(super) fn overlay(&self) -> OverlayXattrs {
        self.overlay
    }

    /// The directory of an entry, made if it is missing.
    pub(super) fn enter(&mut self, path: &[u8]) -> Result<&mut Directory> {
        match &self.current {
            Some(directory) if directory.path == path => {}
            _ => {
                self.leave()?;
                let fd = self.resolve(path)?;
                self.current = Some(Directory::new(path, fd)?);
            }
        }
        Ok(self.current.as_mut().expect("it has just been entered"))
    }

    /// Leaves the directory of the last entry.
    pub(super) fn leave(&mut self) -> Result<()> {
        self.current.take().map_or(Ok(()), Directory::leave)
    }

    /// The directory of a hard link's target: it must be there.
    pub(super) fn find(&self, path: &[u8], link: &[u8]) -> Result<OwnedFd> {
        self.beneath(path).map_err(|source| Error::Unpack {
            what: "find the directory of the target of hard link",
            path: shown(link),
            source: source.into(),
        })
    }

    fn resolve(&mut self, path: &[u8]) -> Result<OwnedFd> {
        match self.beneath(path) {
            Ok(fd) => Ok(fd),
            // A part is missing, or is a file; a whiteout is a file here.
            Err(Errno::NOENT | Errno::NOTDIR) => self.walk(path),
            Err(error) => Err(unpack("enter", path)(error)),
        }
    }

    /// Resolves a directory as a container would whose root is the destination: a symbolic link on the way is followed
    /// (a layer may have `lib -> usr/lib` and then `lib/x`, which is `usr/lib/x` to all tools), but `/` and `..` in it
    /// cannot lead out, nor can a mount or a magic link.
    fn beneath(&self, path: &[u8]) -> rustix::io::Result<OwnedFd> {
        let path = if path.is_empty() { b"." } else { path };
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS | ResolveFlags::NO_XDEV;
        let mut tries = 0;
        loop {
            match rustix::fs::openat2(self.root, path, flags, Mode::empty(), resolve) {
                // Something was renamed somewhere on the machine while ".." was being checked (openat2(2)).
                Err(Errno::AGAIN) if tries < 1000 => tries += 1,
                other => return other,
            }
        }
    }

    /// Goes down part by part and makes what is missing.
    fn walk(&mut self, path: &[u8]) -> Result<OwnedFd> {
        let mut directory = self.beneath(b"").map_err(unpack("enter", b"/"))?;
        let mut end = 0;
        for name in path.split(|&byte| byte == b'/') {
            end += name.len() + usize::from(end > 0);
            let so_far = &path[..end];
            directory = match step(directory.as_fd(), name) {
                Ok(next) => next,
                Err(Errno::NOENT) => self.imply(directory.as_fd(), name, so_far, false)?,
                Err(Errno::LOOP) => self.beneath(so_far).map_err(|error| match error {
                    Errno::NOENT => refused(path, "a directory in its path is a symbolic link to nothing"),
                    Errno::NOTDIR => refused(path, "a directory in its path is a symbolic link to a file"),
                    other => unpack("enter", so_far)(other),
                })?,
                Err(Errno::NOTDIR) if is_whiteout(directory.as_fd(), name) => {
                    self.imply(directory.as_fd(), name, so_far, true)?
                }
                Err(Errno::NOTDIR) => return Err(refused(path, "a directory in its path is a file")),
                Err(error) => return Err(unpack("enter", so_far)(error)),
            };
        }
        Ok(directory)
    }

    /// Makes a directory that no entry describes (yet): owned by root, mode 0755, of 1970.
    fn imply(
        &mut self,
        parent: BorrowedFd<'_>,
        name: &[u8],
        path: &[u8],
        replaces_whiteout: bool,
    ) -> Result<OwnedFd> {
        let failed = || unpack("make the directory", path);
        let before = rustix::fs::fstat(parent).map_err(failed())?;
        if replaces_whiteout {
            rustix::fs::unlinkat(parent, name, AtFlags::empty()).map_err(failed())?;
        }
        rustix::fs::mkdirat(parent, name, Mode::RWXU).map_err(failed())?;
        self.inherited.forget(parent, name, path)?;
        if rustix::process::geteuid().is_root() {
            let no_follow = AtFlags::SYMLINK_NOFOLLOW;
            rustix::fs::chownat(parent, name, Some(Uid::ROOT), Some(Gid::ROOT), no_follow)
                .map_err(failed())?;
        }
        rustix::fs::chmodat(parent, name, Mode::from_raw_mode(0o755), AtFlags::empty()).map_err(failed())?;
        let directory = step(parent, name).map_err(failed())?;
        if replaces_whiteout {
            xattr::make_opaque(directory.as_fd(), self.overlay, path)?;
        }
        set_mtime(directory.as_fd(), Timespec { tv_sec: 0, tv_nsec: 0 }).map_err(failed())?;
        set_mtime(parent, mtime(&before)).map_err(failed())?;
        self.implied += 1;
        Ok(directory)
    }
}

/// Opens the directory `name`, which may not be a symbolic link.
fn step(directory: BorrowedFd<'_>, name: &[u8]) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_XDEV;
    rustix::fs::openat2(directory, name, flags, Mode::empty(), resolve)
}

/// Whether the name is a whiteout as overlayfs has them: a character device 0/0.
pub(super) fn is_whiteout(directory: BorrowedFd<'_>, name: &[u8]) -> bool {
    rustix::fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW).is_ok_and(|stat| is_whiteout_stat(&stat))
}

pub(super) fn is_whiteout_stat(stat: &Stat) -> bool {
    let device: Dev = 0;
    FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice && stat.st_rdev == device
}

fn set_mtime(file: BorrowedFd<'_>, mtime: Timespec) -> rustix::io::Result<()> {
    let times = Timestamps { last_access: mtime, last_modification: mtime };
    rustix::fs::utimensat(file, c"", &times, AtFlags::EMPTY_PATH)
}

fn mtime(stat: &Stat) -> Timespec {
    Timespec { tv_sec: stat.st_mtime, tv_nsec: stat.st_mtime_nsec as _ }
}

pub(super) fn unpack(what: &'static str, path: &[u8]) -> impl Fn(Errno) -> Error {
    let path = shown(path);
    move |error| Error::Unpack { what, path: path.clone(), source: error.into() }
}
