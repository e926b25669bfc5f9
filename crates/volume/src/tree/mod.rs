//! Trees that containers wrote, gone through over held descriptors: copied, packed, unpacked, given other owners, measured.
//!
//! A name is opened as a name (O_PATH, O_NOFOLLOW) and looked at; a directory is entered only when it is one and on the same mount, and
//! of the rest nothing but a regular file is opened. What has gone since its name was read is passed over.

mod copy;
mod measure;
mod owners;
mod pack;
mod populate;
mod unpack;

use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use rustix::fs::{Dir, FileType, Mode, OFlags, ResolveFlags, Stat};
use rustix::io::Errno;

use crate::{Error, Result};

pub use copy::copy;
pub use measure::{length, usage};
pub use owners::chown;
pub use pack::export;
pub(crate) use populate::is_unfinished;
pub use populate::populate;
pub use unpack::import;

/// Deeper than any tree that people make, and as many descriptors as a process has by default.
const DEEPEST: usize = 240;
/// Bytes of names that are kept at once, with what each takes: some three million files in the directories on a way down.
const MOST_KEPT: usize = 256 << 20;
/// The kernel's own bounds (`<linux/limits.h>`): XATTR_LIST_MAX, XATTR_SIZE_MAX.
const LONGEST_ATTRIBUTE: usize = 64 << 10;

/// Something with a name, whatever happens to that.
#[derive(Debug)]
struct Node {
    fd: OwnedFd,
    stat: Stat,
}

impl Node {
    /// `None` when there is nothing of that name (any more).
    fn open(directory: BorrowedFd<'_>, name: &[u8], path: &[u8]) -> Result<Option<Self>> {
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = match rustix::fs::openat(directory, name, flags, Mode::empty()) {
            Ok(fd) => fd,
            Err(Errno::NOENT) => return Ok(None),
            Err(errno) => return Err(Error::tree("open", path)(errno)),
        };
        let stat = rustix::fs::fstat(&fd).map_err(Error::tree("look at", path))?;
        Ok(Some(Self { fd, stat }))
    }

    fn kind(&self) -> FileType {
        FileType::from_raw_mode(self.stat.st_mode)
    }

    /// Of the same kind, and the same device.
    fn is_like(&self, other: &Self) -> bool {
        self.kind() == other.kind() && self.stat.st_rdev == other.stat.st_rdev
    }

    /// Permission bits with setuid, setgid and sticky.
    fn mode(&self) -> u32 {
        self.stat.st_mode & 0o7777
    }

    /// By which it can be opened, or asked for attributes.
    fn link(&self) -> String {
        format!("/proc/self/fd/{}", self.fd.as_raw_fd())
    }

    /// A regular file's contents.
    fn contents(&self, path: &[u8]) -> Result<File> {
        let opened = rustix::fs::open(self.link(), OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty());
        Ok(opened.map_err(Error::tree("read", path))?.into())
    }

    /// A symbolic link's text.
    fn target(&self, path: &[u8]) -> Result<Vec<u8>> {
        let target = rustix::fs::readlinkat(&self.fd, c"", Vec::new());
        Ok(target.map_err(Error::tree("read the link", path))?.into_bytes())
    }

    /// The attributes that travel, in order of their names.
    fn attributes(&self, path: &[u8]) -> Result<Vec<(Vec<u8>, Vec<u8>)>> {
        let failed = Error::tree("read the extended attributes of", path);
        let mut list = vec![0; 1024];
        let names = loop {
            match rustix::fs::listxattr(self.link(), &mut list[..]) {
                Ok(length) => break &list[..length],
                Err(Errno::RANGE) if list.len() < LONGEST_ATTRIBUTE => list.resize(LONGEST_ATTRIBUTE, 0),
                Err(Errno::OPNOTSUPP) => break &[],
                Err(errno) => return Err(failed(errno)),
            }
        };
        let mut attributes = Vec::new();
        for name in names.split(|&byte| byte == 0).filter(|name| conex_archive::names::may_set_xattr(name)) {
            let mut value = vec![0; 1024];
            let length = loop {
                match rustix::fs::getxattr(self.link(), name, &mut value[..]) {
                    Ok(length) => break Some(length),
                    Err(Errno::RANGE) if value.len() < LONGEST_ATTRIBUTE => {
                        value.resize(LONGEST_ATTRIBUTE, 0);
                    }
                    Err(Errno::NODATA | Errno::OPNOTSUPP) => break None,
                    Err(errno) => return Err(failed(errno)),
                }
            };
            if let Some(length) = length {
                value.truncate(length);
                attributes.push((name.to_vec(), value));
            }
        }
        attributes.sort_unstable();
        Ok(attributes)
    }
}

/// Opens a directory to read, the one at `name` below another: `None` when it is none (any more), or something is mounted on it.
fn enter(parent: BorrowedFd<'_>, name: &[u8], path: &[u8]) -> Result<Option<OwnedFd>> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    open_beneath(parent, name, flags).map_err(Error::tree("open the directory", path))
}

/// Opens what is at a path below a directory and on its mount, with no link on the way: `None` when it is not there (any more).
fn open_beneath(parent: BorrowedFd<'_>, path: &[u8], flags: OFlags) -> rustix::io::Result<Option<OwnedFd>> {
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_XDEV;
    loop {
        match rustix::fs::openat2(parent, path, flags, Mode::empty(), resolve) {
            Ok(fd) => return Ok(Some(fd)),
            Err(Errno::INTR | Errno::AGAIN) => {}
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::XDEV) => return Ok(None),
            Err(errno) => return Err(errno),
        }
    }
}

/// The directory itself, to read.
fn reopen(directory: BorrowedFd<'_>) -> Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::openat(directory, c".", flags, Mode::empty()).map_err(Error::tree("open", b""))
}

/// The names in a directory, in order. [`MOST_KEPT`] of them are too many.
fn names(directory: &OwnedFd, path: &[u8]) -> Result<Vec<Box<[u8]>>> {
    names_within(directory, path, MOST_KEPT).map(|(names, _)| names)
}

/// The same with a bound, and how many bytes they take.
fn names_within(directory: &OwnedFd, path: &[u8], most: usize) -> Result<(Vec<Box<[u8]>>, usize)> {
    let failed = Error::tree("read the directory", path);
    let mut names: Vec<Box<[u8]>> = Vec::new();
    let mut kept = 0;
    for entry in Dir::read_from(directory).map_err(&failed)? {
        let entry = match entry {
            Ok(entry) => entry,
            // Removed meanwhile.
            Err(Errno::NOENT) => break,
            Err(errno) => return Err(failed(errno)),
        };
        let name = entry.file_name().to_bytes();
        if name != b"." && name != b".." {
            names.push(name.into());
        }
        kept += name.len() + size_of::<Box<[u8]>>() * 2;
        if kept > most {
            return Err(failed(Errno::TOOBIG));
        }
    }
    names.sort_unstable();
    Ok((names, kept))
}

/// Goes through a tree, directories before what is in them. `visit` is given the open directory, the name in it, the path from the
/// root, and what is there; `leave` the path of each directory when all in it was visited.
fn walk(
    root: BorrowedFd<'_>,
    mut visit: impl FnMut(BorrowedFd<'_>, &[u8], &[u8], &Node) -> Result<()>,
    mut leave: impl FnMut(&[u8]) -> Result<()>,
) -> Result<()> {
    struct Level {
        fd: OwnedFd,
        path: Vec<u8>,
        names: std::vec::IntoIter<Box<[u8]>>,
        kept: usize,
    }
    let open = |fd: OwnedFd, path: Vec<u8>, most: usize| {
        let (names, kept) = names_within(&fd, &path, most)?;
        Ok::<_, Error>(Level { names: names.into_iter(), kept, fd, path })
    };
    let mut levels = vec![open(reopen(root)?, Vec::new(), MOST_KEPT)?];
    let mut left = MOST_KEPT - levels[0].kept;
    while let Some(level) = levels.last_mut() {
        let Some(name) = level.names.next() else {
            leave(&level.path)?;
            left += level.kept;
            levels.pop();
            continue;
        };
        let path =
            if level.path.is_empty() { name.to_vec() } else { [&level.path[..], b"/", &name].concat() };
        let Some(node) = Node::open(level.fd.as_fd(), &name, &path)? else { continue };
        visit(level.fd.as_fd(), &name, &path, &node)?;
        if node.kind() == FileType::Directory {
            let inside = enter(level.fd.as_fd(), &name, &path)?;
            match inside {
                Some(_) if levels.len() >= DEEPEST => {
                    return Err(Error::Deep { path: conex_archive::names::shown(&path), limit: DEEPEST });
                }
                Some(fd) => {
                    let level = open(fd, path, left)?;
                    left -= level.kept;
                    levels.push(level);
                }
                None => leave(&path)?,
            }
        }
    }
    Ok(())
}
