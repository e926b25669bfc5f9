//! Goes through a writable layer, and with it the image below, directory by directory in the order of names.
//!
//! A bounded number of directories is open at once, however deep the tree is: those further up are opened again by their
//! path when the walk comes back to them.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use conex_archive::OverlayXattrs;
use rustix::fs::{Dir, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use super::error::Result;
use super::file::Held;
use super::{IdShift, WritableError};

/// Levels whose directories stay open.
const OPEN: usize = 64;
/// As many files as an archive may have when it is read again.
const ENTRIES: u64 = 8_000_000;

/// A directory tree, its root held.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tree<'a> {
    pub(super) root: BorrowedFd<'a>,
    pub(super) ids: Option<IdShift>,
    /// Asked once: a walk comes by many files.
    pub(super) marks: OverlayXattrs,
}

impl Tree<'_> {
    /// The directory at `path`, no part of which may be a symbolic link; `None` when it is no directory (any more).
    pub(super) fn directory(&self, path: &[u8]) -> Result<Option<Directory>> {
        let at = if path.is_empty() { b"." } else { path };
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_XDEV;
        loop {
            match rustix::fs::openat2(self.root, at, flags, Mode::empty(), resolve) {
                Ok(fd) => return Ok(Some(Directory { fd, ids: self.ids, marks: self.marks })),
                Err(Errno::INTR | Errno::AGAIN) => {}
                Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => return Ok(None),
                Err(error) => return Err(WritableError::walk("open the directory", path)(error)),
            }
        }
    }

    /// The root itself.
    pub(super) fn look(&self) -> Result<Held> {
        let root =
            Held::open(self.root, b".", self.ids, self.marks).and_then(|held| held.ok_or(Errno::NOENT));
        root.map_err(WritableError::walk("look at", b""))
    }
}

/// An open directory.
#[derive(Debug)]
pub(super) struct Directory {
    fd: OwnedFd,
    ids: Option<IdShift>,
    marks: OverlayXattrs,
}

impl Directory {
    /// Its names, in order.
    pub(super) fn names(&self, path: &[u8]) -> Result<Vec<Box<[u8]>>> {
        let failed = || WritableError::walk("read the directory", path);
        let mut names: Vec<Box<[u8]>> = Vec::new();
        for entry in Dir::read_from(&self.fd).map_err(failed())? {
            let entry = match entry {
                Ok(entry) => entry,
                // Removed meanwhile.
                Err(Errno::NOENT) => break,
                Err(error) => return Err(failed()(error)),
            };
            let name = entry.file_name().to_bytes();
            if name != b"." && name != b".." {
                names.push(name.into());
            }
            if names.len() as u64 > ENTRIES {
                return Err(WritableError::unfit(path, "it has too many files"));
            }
        }
        names.sort_unstable();
        Ok(names)
    }

    /// The file of that name.
    pub(super) fn look(&self, name: &[u8], path: &[u8]) -> Result<Option<Held>> {
        Held::open(self.fd.as_fd(), name, self.ids, self.marks).map_err(WritableError::walk("look at", path))
    }

    /// The directory's own attributes.
    fn is_opaque(&self, path: &[u8]) -> Result<bool> {
        let this = self.look(b".", path)?;
        let opaque = this.map_or(Ok(false), |this| this.is_opaque());
        opaque.map_err(WritableError::walk("look at", path))
    }
}

/// Which names of the image the walk comes by, besides those of the writable layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lower {
    /// Those that an opaque directory hides: with the whiteouts these are all that is gone.
    Hidden,
    /// Those that show through: together it is what the container sees.
    Shown,
}

/// What has one name: in the writable layer, in the image below, or in both.
#[derive(Debug)]
pub(super) struct Found {
    /// From the root, without a slash in front.
    pub(super) path: Vec<u8>,
    pub(super) upper: Option<Held>,
    pub(super) lower: Option<Held>,
}

/// A directory that the walk is in.
#[derive(Debug)]
struct Level {
    path: Vec<u8>,
    names: std::vec::IntoIter<Box<[u8]>>,
    upper: Side,
    lower: Side,
}

#[derive(Debug)]
enum Side {
    /// There is none, or it is of no interest.
    None,
    Open(Directory),
    /// To be opened again.
    Closed,
}

impl Side {
    fn of(directory: Option<Directory>) -> Self {
        directory.map_or(Self::None, Self::Open)
    }

    fn close(&mut self) {
        if let Self::Open(_) = self {
            *self = Self::Closed;
        }
    }

    fn open(&mut self, tree: &Tree<'_>, path: &[u8]) -> Result<Option<&Directory>> {
        if let Self::Closed = self {
            *self = Self::of(tree.directory(path)?);
        }
        Ok(match self {
            Self::Open(directory) => Some(directory),
            _ => None,
        })
    }
}

/// The walk. After each [`Walk::next`] that gives a directory, [`Walk::descend`] goes into it or it is left aside.
#[derive(Debug)]
pub(super) struct Walk<'t> {
    upper: &'t Tree<'t>,
    lower: &'t Tree<'t>,
    names: Lower,
    levels: Vec<Level>,
    entries: u64,
}

impl<'t> Walk<'t> {
    pub(super) fn new(upper: &'t Tree<'t>, lower: &'t Tree<'t>, names: Lower) -> Result<Self> {
        let mut walk = Self { upper, lower, names, levels: Vec::new(), entries: 0 };
        walk.descend(Vec::new(), true, true)?;
        Ok(walk)
    }

    /// How many directories the walk is in, the root included.
    pub(super) fn depth(&self) -> usize {
        self.levels.len()
    }

    /// The path of the directory at a depth, 1 being the root's.
    pub(super) fn path(&self, depth: usize) -> &[u8] {
        self.levels.get(depth - 1).map_or(b"", |level| &level.path)
    }

    /// The next name; `None` at the end.
    pub(super) fn next(&mut self) -> Result<Option<Found>> {
        while let Some(level) = self.levels.last_mut() {
            let Some(name) = level.names.next() else {
                self.levels.pop();
                continue;
            };
            let path =
                if level.path.is_empty() { name.to_vec() } else { [&level.path[..], b"/", &name].concat() };
            self.entries += 1;
            if self.entries > ENTRIES {
                return Err(WritableError::unfit(&path, "the container has too many files"));
            }
            let upper = match level.upper.open(self.upper, &level.path)? {
                Some(directory) => directory.look(&name, &path)?,
                None => None,
            };
            let lower = match level.lower.open(self.lower, &level.path)? {
                Some(directory) => directory.look(&name, &path)?,
                None => None,
            };
            if upper.is_some() || lower.is_some() {
                return Ok(Some(Found { path, upper, lower }));
            }
        }
        Ok(None)
    }

    /// Goes into the directory at `path`, in the writable layer and in the image, as is wished.
    pub(super) fn descend(&mut self, path: Vec<u8>, upper: bool, lower: bool) -> Result<()> {
        let upper = if upper { self.upper.directory(&path)? } else { None };
        let mut lower = if lower { self.lower.directory(&path)? } else { None };
        let mut names = match &upper {
            Some(directory) => directory.names(&path)?,
            None => Vec::new(),
        };
        let opaque = match &upper {
            // The root is never marked, and nothing above it could be.
            Some(directory) if !path.is_empty() => directory.is_opaque(&path)?,
            _ => false,
        };
        if opaque && self.names == Lower::Shown {
            lower = None;
        }
        if let Some(directory) = &lower
            && (self.names == Lower::Shown || (self.names == Lower::Hidden && opaque))
        {
            names.extend(directory.names(&path)?);
            names.sort_unstable();
            names.dedup();
        }
        if let Some(far) = self.levels.len().checked_sub(OPEN) {
            self.levels[far].upper.close();
            self.levels[far].lower.close();
        }
        let (upper, lower) = (Side::of(upper), Side::of(lower));
        self.levels.push(Level { path, names: names.into_iter(), upper, lower });
        Ok(())
    }
}
