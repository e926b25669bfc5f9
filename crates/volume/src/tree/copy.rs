//! A tree copied with all that belongs to its files: owners, modes, times, extended attributes, hard links, holes.
//!
//! A container may be at work where the copy is made: what was made by name counts only as what it is found to be when it is held, and
//! nothing is changed, and no other name given, by a path that a link could lead elsewhere.

use std::collections::HashMap;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use rustix::fs::{
    AtFlags, CWD, FileType, Gid, Mode, OFlags, SeekFrom, Timespec, Timestamps, Uid, XattrFlags,
};
use rustix::io::Errno;

use super::Node;
use crate::{Error, Result};

/// Read and written at once where the kernel cannot copy by itself.
const PIECE: usize = 128 << 10;

/// Copies what is in the directory `from` into the empty directory `to`, which gets the former's owner, mode and attributes.
/// `owner` says what a user's or group's number becomes.
///
/// # Errors
/// When something cannot be read or written; then a part of it is there.
pub fn copy(from: BorrowedFd<'_>, to: BorrowedFd<'_>, owner: &dyn Fn(u32) -> u32) -> Result<()> {
    let copier = Copier { owner };
    // The directories that the walk is in, and their times, which are set when nothing more is made in them.
    let mut stack: Vec<(OwnedFd, Timestamps)> = vec![];
    let mut known: HashMap<(u64, u64), Vec<u8>> = HashMap::new();
    let root = super::reopen(to)?;
    if let Some(node) = Node::open(from, b".", b"")? {
        copier.dress(&node, root.as_fd(), b"")?;
        stack.push((root, times(&node)));
    }
    let stack = std::cell::RefCell::new(stack);
    super::walk(
        from,
        |_, name, path, node| {
            let made = {
                let stack = stack.borrow();
                let Some((here, _)) = stack.last() else { return Ok(()) };
                let first = (node.stat.st_nlink > 1 && node.kind() != FileType::Directory)
                    .then(|| {
                        known.entry((node.stat.st_dev, node.stat.st_ino)).or_insert_with(|| path.to_vec())
                    })
                    .filter(|first| first.as_slice() != path);
                match first {
                    Some(first) => link(to, first, here.as_fd(), name, path).map(|()| None)?,
                    None => copier.one(node, here.as_fd(), name, path)?,
                }
            };
            if let Some(directory) = made {
                stack.borrow_mut().push((directory, times(node)));
            }
            Ok(())
        },
        |path| match stack.borrow_mut().pop() {
            Some((directory, times)) => {
                rustix::fs::futimens(&directory, &times).map_err(Error::tree("set the times of", path))
            }
            None => Ok(()),
        },
    )
}

struct Copier<'a> {
    owner: &'a dyn Fn(u32) -> u32,
}

impl Copier<'_> {
    /// Makes one file; gives the directory, when it is one.
    fn one(&self, node: &Node, here: BorrowedFd<'_>, name: &[u8], path: &[u8]) -> Result<Option<OwnedFd>> {
        let failed = Error::tree("create", path);
        match node.kind() {
            FileType::Directory => {
                rustix::fs::mkdirat(here, name, Mode::RWXU).map_err(failed)?;
                let directory = super::enter(here, name, path)?
                    .ok_or_else(|| Error::tree("enter", path)(Errno::NOENT))?;
                self.dress(node, directory.as_fd(), path)?;
                return Ok(Some(directory));
            }
            FileType::RegularFile => {
                let flags =
                    OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                let file = rustix::fs::openat(here, name, flags, Mode::RUSR | Mode::WUSR).map_err(failed)?;
                let contents = node.contents(path)?;
                bytes(contents.as_fd(), file.as_fd(), node.stat.st_size.cast_unsigned())
                    .map_err(Error::tree("copy", path))?;
                self.dress(node, file.as_fd(), path)?;
                rustix::fs::futimens(&file, &times(node)).map_err(Error::tree("set the times of", path))?;
                return Ok(None);
            }
            FileType::Symlink => {
                rustix::fs::symlinkat(&node.target(path)?[..], here, name).map_err(failed)?;
            }
            kind @ (FileType::Fifo | FileType::CharacterDevice | FileType::BlockDevice) => {
                let made = rustix::fs::mknodat(here, name, kind, Mode::RUSR, node.stat.st_rdev);
                match made {
                    // An ordinary user makes no devices.
                    Err(Errno::PERM) if kind != FileType::Fifo => return Ok(None),
                    made => made.map_err(failed)?,
                }
            }
            FileType::Socket | FileType::Unknown => return Ok(None),
        }
        match Node::open(here, name, path)? {
            Some(made) if made.is_like(node) => self.dress_held(node, &made, path).map(|()| None),
            // Somebody else's by now, or gone.
            _ => Ok(None),
        }
    }

    /// What is not opened.
    fn dress_held(&self, node: &Node, made: &Node, path: &[u8]) -> Result<()> {
        let (uid, gid) = self.owners(node);
        rustix::fs::chownat(&made.fd, c"", uid, gid, AtFlags::EMPTY_PATH)
            .map_err(Error::tree("set the owner of", path))?;
        if node.kind() != FileType::Symlink {
            rustix::fs::chmodat(CWD, made.link(), Mode::from_raw_mode(node.mode()), AtFlags::empty())
                .map_err(Error::tree("set the mode of", path))?;
        }
        rustix::fs::utimensat(&made.fd, c"", &times(node), AtFlags::EMPTY_PATH)
            .map_err(Error::tree("set the times of", path))
    }

    fn owners(&self, node: &Node) -> (Option<Uid>, Option<Gid>) {
        let (uid, gid) = ((self.owner)(node.stat.st_uid), (self.owner)(node.stat.st_gid));
        (Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)))
    }

    /// Owner, attributes and mode, in this order: each takes something of those before away.
    fn dress(&self, node: &Node, file: BorrowedFd<'_>, path: &[u8]) -> Result<()> {
        let (uid, gid) = self.owners(node);
        rustix::fs::fchown(file, uid, gid).map_err(Error::tree("set the owner of", path))?;
        for (name, value) in node.attributes(path)? {
            match rustix::fs::fsetxattr(file, &name[..], &value, XattrFlags::empty()) {
                // A file system without them, or a user who may not.
                Ok(()) | Err(Errno::OPNOTSUPP | Errno::PERM) => {}
                Err(errno) => return Err(Error::tree("set an extended attribute of", path)(errno)),
            }
        }
        rustix::fs::fchmod(file, Mode::from_raw_mode(node.mode()))
            .map_err(Error::tree("set the mode of", path))
    }
}

fn times(node: &Node) -> Timestamps {
    let time = |seconds, nanoseconds| Timespec { tv_sec: seconds, tv_nsec: nanoseconds as _ };
    let stat = &node.stat;
    Timestamps {
        last_access: time(stat.st_atime, stat.st_atime_nsec),
        last_modification: time(stat.st_mtime, stat.st_mtime_nsec),
    }
}

/// Another name for what was copied, if it is there still.
fn link(root: BorrowedFd<'_>, first: &[u8], here: BorrowedFd<'_>, name: &[u8], path: &[u8]) -> Result<()> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let Some(held) = super::open_beneath(root, first, flags).map_err(Error::tree("link", path))? else {
        return Ok(());
    };
    // By a descriptor alone it takes a right that ordinary users have not: linkat(2), AT_EMPTY_PATH.
    let held = format!("/proc/self/fd/{}", held.as_raw_fd());
    match rustix::fs::linkat(CWD, held, here, name, AtFlags::SYMLINK_FOLLOW) {
        // Its last name has gone since, or somebody has made this one.
        Err(Errno::NOENT | Errno::EXIST) => Ok(()),
        done => done.map_err(Error::tree("link", path)),
    }
}

/// The file's data, and its holes as holes.
fn bytes(from: BorrowedFd<'_>, to: BorrowedFd<'_>, size: u64) -> rustix::io::Result<()> {
    let mut at = 0;
    while at < size {
        let start = match rustix::fs::seek(from, SeekFrom::Data(at)) {
            Ok(start) => start,
            Err(Errno::NXIO) => break,
            // A file system that cannot tell.
            Err(Errno::INVAL | Errno::OPNOTSUPP) => at,
            Err(errno) => return Err(errno),
        };
        let end = rustix::fs::seek(from, SeekFrom::Hole(start)).unwrap_or(size).min(size);
        range(from, to, start, end)?;
        at = end.max(start + 1);
    }
    rustix::fs::ftruncate(to, size)
}

fn range(from: BorrowedFd<'_>, to: BorrowedFd<'_>, start: u64, end: u64) -> rustix::io::Result<()> {
    let (mut input, mut output) = (start, start);
    while input < end {
        let length = usize::try_from(end - input).unwrap_or(usize::MAX).min(1 << 30);
        match rustix::fs::copy_file_range(from, Some(&mut input), to, Some(&mut output), length) {
            Ok(0) => return Ok(()),
            Ok(_) | Err(Errno::INTR) => {}
            Err(Errno::XDEV | Errno::INVAL | Errno::OPNOTSUPP | Errno::NOSYS | Errno::PERM) => break,
            Err(errno) => return Err(errno),
        }
    }
    let mut piece = vec![0; if input < end { PIECE } else { 0 }];
    while input < end {
        let length = PIECE.min(usize::try_from(end - input).unwrap_or(PIECE));
        let count = rustix::io::retry_on_intr(|| rustix::io::pread(from, &mut piece[..length], input))?;
        if count == 0 {
            return Ok(());
        }
        let mut left = &piece[..count];
        while !left.is_empty() {
            let written = rustix::io::retry_on_intr(|| rustix::io::pwrite(to, left, input))?;
            input += written as u64;
            left = &left[written..];
        }
    }
    Ok(())
}
