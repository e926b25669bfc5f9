//! One group of one hierarchy: a directory held by descriptor, and its files ([`files`]).
//! Nothing outside this module opens a file of a cgroup tree; names below the held directory are single components
//! or were checked by [`crate::CgroupPath`], and no link or mount point is ever followed.

mod files;

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use rustix::fs::{self, AtFlags, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use crate::error::{Error, Result};
use crate::host::Hierarchy;
use crate::journal::Entry;
use crate::path::{CgroupPath, Place};

pub(crate) use files::Limit;
use files::read_at;

const DIRECTORY: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC).union(OFlags::NOFOLLOW);
const BENEATH: ResolveFlags =
    ResolveFlags::BENEATH.union(ResolveFlags::NO_SYMLINKS).union(ResolveFlags::NO_XDEV);

/// How deep groups below a container's are followed; the kernel has no lower bound of its own.
pub(crate) const MAX_DEPTH: usize = 64;

/// A held group.
#[derive(Debug)]
pub(crate) struct Group {
    directory: OwnedFd,
    /// For messages only.
    path: PathBuf,
    /// v1: the controllers of its hierarchy; empty for v2.
    controllers: Vec<String>,
    /// While an update is under way.
    journal: Mutex<Option<Vec<Entry>>>,
    /// Not made by us just now: there may be a filter of ours on it.
    pub(crate) was_there: bool,
}

impl Group {
    /// The group at `path` in a hierarchy, if it exists.
    pub(crate) fn open(hierarchy: &Hierarchy, path: &CgroupPath) -> Result<Option<Self>> {
        for place in path.places(&hierarchy.controllers) {
            let full = hierarchy.mount.join(place.below());
            match open_at(&full) {
                Ok(directory) => return Ok(Some(Self::of(directory, full, hierarchy.controllers.clone()))),
                Err(Errno::NOENT) => {}
                Err(source) => return Err(Error::Open { path: full, source }),
            }
        }
        Ok(None)
    }

    fn of(directory: OwnedFd, path: PathBuf, controllers: Vec<String>) -> Self {
        Self { directory, path, controllers, journal: Mutex::new(None), was_there: true }
    }

    /// Makes the group and those above it that are missing. One that is there already is taken over when no process is in it: as it
    /// is where a bundle names it (somebody may have set limits of his own there), else emptied.
    pub(crate) fn make(hierarchy: &Hierarchy, path: &CgroupPath) -> Result<Self> {
        let places = path.places(&hierarchy.controllers);
        for place in &places {
            match Self::make_at(hierarchy, place, path.is_given) {
                // The place's beginning does not exist any more.
                Err(Error::Make { source: Errno::NOENT, .. }) => {}
                result => return result,
            }
        }
        let below = places.first().map_or("", Place::below);
        Err(Error::Make { path: hierarchy.mount.join(below), source: Errno::NOENT })
    }

    fn make_at(hierarchy: &Hierarchy, place: &Place, is_given: bool) -> Result<Self> {
        let full = hierarchy.mount.join(place.below());
        let mut was_there = false;
        // Another container's end may remove an empty parent between two of these calls: begin again then.
        for _ in 0..100 {
            match make_directory(&full) {
                Ok(()) => {}
                Err(Errno::EXIST) if is_given => was_there = true,
                Err(Errno::EXIST) => clear_leftover(&full)?,
                Err(Errno::NOENT) => {
                    make_above(hierarchy, place)
                        .map_err(|source| Error::Make { path: full.clone(), source })?;
                    continue;
                }
                Err(source) => return Err(Error::Make { path: full, source }),
            }
            match open_at(&full) {
                Ok(directory) => {
                    let mut group = Self::of(directory, full, hierarchy.controllers.clone());
                    group.was_there = was_there;
                    return if was_there { group.refuse_used() } else { Ok(group) };
                }
                Err(Errno::NOENT) => {}
                Err(source) => return Err(Error::Open { path: full, source }),
            }
        }
        Err(Error::Make { path: full, source: Errno::NOENT })
    }

    /// Itself, when it is fit for a new container: no process in it, and not frozen (runtime-spec config-linux.md#control-groups).
    fn refuse_used(self) -> Result<Self> {
        let mut is_used = false;
        self.walk(&mut |group| {
            is_used |= group.read_if_there("cgroup.procs")?.is_some_and(|procs| !procs.trim().is_empty());
            Ok(())
        })?;
        if is_used {
            return Err(Error::InUse { path: self.path });
        }
        let is_frozen = self.read_if_there("cgroup.freeze")?.is_some_and(|text| text.trim() == "1")
            || self.read_if_there("freezer.state")?.is_some_and(|text| text.trim() != "THAWED");
        if is_frozen { Err(Error::Frozen { path: self.path }) } else { Ok(self) }
    }

    /// The groups above this one, the root first.
    pub(crate) fn above(&self, hierarchy: &Hierarchy) -> Result<Vec<Self>> {
        let mut groups = Vec::new();
        for path in self.path.ancestors().skip(1).take_while(|path| path.starts_with(&hierarchy.mount)) {
            let directory = open_at(path).map_err(|source| Error::Open { path: path.to_owned(), source })?;
            groups.push(Self::of(directory, path.to_owned(), hierarchy.controllers.clone()));
        }
        groups.reverse();
        Ok(groups)
    }

    pub(crate) fn is_v2(&self) -> bool {
        self.controllers.is_empty()
    }

    pub(crate) fn is_of(&self, hierarchy: &Hierarchy) -> bool {
        self.controllers == hierarchy.controllers
    }

    /// v1: whether its hierarchy has this controller (by its v1 name).
    pub(crate) fn carries(&self, controller: &str) -> bool {
        self.controllers.iter().any(|name| name == controller)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn directory(&self) -> BorrowedFd<'_> {
        self.directory.as_fd()
    }

    /// Whether it has not been removed since it was opened.
    pub(crate) fn exists(&self) -> bool {
        self.has("cgroup.procs")
    }

    /// A group that exists beneath this one.
    pub(crate) fn open_beneath(&self, group: &str) -> Result<Self> {
        let path = self.path.join(group);
        match open(&self.directory, Path::new(group), BENEATH) {
            Ok(directory) => Ok(Self::of(directory, path, self.controllers.clone())),
            Err(source) => Err(Error::Open { path, source }),
        }
    }

    /// The groups directly below; one that vanishes meanwhile is left out.
    pub(crate) fn children(&self) -> Result<Vec<Self>> {
        let mut children = Vec::new();
        let names =
            child_names(&self.directory).map_err(|source| Error::Read { path: self.path.clone(), source })?;
        for name in names {
            let path = self.path.join(&name);
            match open_child(&self.directory, &name) {
                Ok(directory) => {
                    children.push(Self::of(directory, path, self.controllers.clone()));
                }
                Err(Errno::NOENT) => {}
                Err(source) => return Err(Error::Open { path, source }),
            }
        }
        Ok(children)
    }

    /// Calls `visit` for this group and all below it, parents first.
    pub(crate) fn walk(&self, visit: &mut dyn FnMut(&Self) -> Result<()>) -> Result<()> {
        self.walk_to(MAX_DEPTH, visit)
    }

    fn walk_to(&self, depth: usize, visit: &mut dyn FnMut(&Self) -> Result<()>) -> Result<()> {
        visit(self)?;
        if depth > 0 {
            for child in self.children()? {
                child.walk_to(depth - 1, visit)?;
            }
        }
        Ok(())
    }
}

/// Makes what is missing between a place's beginning and its group. ENOENT: the beginning itself is gone.
fn make_above(hierarchy: &Hierarchy, place: &Place) -> Result<(), Errno> {
    for (at, above) in place.own_above().enumerate() {
        match make_directory(&hierarchy.mount.join(above)) {
            Ok(()) | Err(Errno::EXIST) => {}
            // Removed again by another's end: the caller tries again.
            Err(Errno::NOENT) if at > 0 => return Ok(()),
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}

fn make_directory(path: &Path) -> Result<(), Errno> {
    fs::mkdirat(fs::CWD, path, Mode::from_raw_mode(0o755))
}

/// A group by its whole path, which holds no link: mount points are known by their true names, and in a tree of groups there is none.
pub(crate) fn open_at(path: &Path) -> Result<OwnedFd, Errno> {
    open(fs::CWD, path, ResolveFlags::NO_SYMLINKS)
}

/// A group directly below a held directory.
pub(crate) fn open_child(directory: impl AsFd, name: &str) -> Result<OwnedFd, Errno> {
    open(directory, Path::new(name), BENEATH)
}

fn open(from: impl AsFd, path: &Path, resolve: ResolveFlags) -> Result<OwnedFd, Errno> {
    loop {
        match fs::openat2(&from, path, DIRECTORY, Mode::empty(), resolve) {
            // A rename somewhere in the tree disturbed the walk.
            Err(Errno::AGAIN | Errno::INTR) => {}
            result => return result,
        }
    }
}

/// Removes a group of an earlier container of this id that crashed half-way, so that no old limit stays in force.
fn clear_leftover(path: &Path) -> Result<()> {
    let directory = match open_at(path) {
        Ok(directory) => directory,
        Err(Errno::NOENT) => return Ok(()),
        Err(source) => return Err(Error::Open { path: path.to_owned(), source }),
    };
    // Groups below a live one are its own, however empty.
    let procs = read_at(&directory, "cgroup.procs").unwrap_or_default();
    let events = read_at(&directory, "cgroup.events").unwrap_or_default();
    if !procs.trim().is_empty() || crate::cgroup::field(&events, "populated") == Some(1) {
        return Err(Error::InUse { path: path.to_owned() });
    }
    crate::delete::remove_children(&directory, path)?;
    let remade = fs::unlinkat(fs::CWD, path, AtFlags::REMOVEDIR).and_then(|()| make_directory(path));
    match remade {
        Ok(()) | Err(Errno::NOENT | Errno::EXIST) => Ok(()),
        Err(Errno::BUSY | Errno::NOTEMPTY) => Err(Error::InUse { path: path.to_owned() }),
        Err(source) => Err(Error::Make { path: path.to_owned(), source }),
    }
}

/// The names of the groups directly below a directory.
pub(crate) fn child_names(directory: impl AsFd) -> Result<Vec<String>, Errno> {
    names(directory, fs::FileType::Directory)
}

fn names(directory: impl AsFd, kind: fs::FileType) -> Result<Vec<String>, Errno> {
    let mut names = Vec::new();
    for entry in fs::Dir::read_from(directory)? {
        let entry = entry?;
        let name = entry.file_name();
        if entry.file_type() == kind && !matches!(name.to_bytes(), b"." | b"..") {
            // The kernel lets a group's name be any bytes; one that is no text cannot be ours or systemd's.
            names.extend(name.to_str().map(str::to_owned));
        }
    }
    Ok(names)
}
