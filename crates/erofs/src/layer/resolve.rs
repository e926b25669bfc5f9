//! The directories of entries: found as a container would find them whose root is the layer, and made where they are missing.
//! Step for step what unpacking has the kernel do (`openat2` with `RESOLVE_IN_ROOT`), so that both take the same layers.

use conex_archive::names::refused;
use conex_archive::{Error, Result};

use super::builder::Builder;
use crate::tree::{Body, InodeId, ROOT};

/// Symbolic links followed on one way (`MAXSYMLINKS`).
const MOST_LINKS: u32 = 40;
/// Names looked up on the way of symbolic links, all entries together: a layer whose links lead through links takes time for
/// each entry, and this ends it after a minute or so. A real layer stays below one for an entry.
const MOST_STEPS: u64 = 1 << 30;

/// Why a path leads to no directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    Missing,
    NotADirectory,
    TooManyLinks,
    /// Not the path's own fault.
    TooManySteps,
}

impl Builder {
    /// The directory of an entry, made if it is missing.
    pub(super) fn enter(&mut self, path: &[u8]) -> Result<InodeId> {
        match &self.current {
            Some((current, directory)) if current == path => Ok(*directory),
            _ => {
                let directory = match self.beneath(path) {
                    Ok(directory) => directory,
                    Err(Fault::Missing | Fault::NotADirectory) => self.walk(path)?,
                    Err(fault) => return Err(way(path, fault)),
                };
                self.current = Some((path.to_vec(), directory));
                Ok(directory)
            }
        }
    }

    /// Follows the path, symbolic links and all; `/` and `..` in a link end at the root.
    pub(super) fn beneath(&mut self, path: &[u8]) -> std::result::Result<InodeId, Fault> {
        let mut at = ROOT;
        let mut links = 0;
        // What is left to follow: the path, and on top of it the targets of links, each with a position.
        let mut left = vec![(path.to_vec(), 0)];
        while let Some((text, position)) = left.last_mut() {
            let Some(rest) = text.get(*position..).filter(|rest| !rest.is_empty()) else {
                left.pop();
                continue;
            };
            let length = rest.iter().position(|&byte| byte == b'/').unwrap_or(rest.len());
            let name = &rest[..length];
            *position += length + 1;
            let next = match name {
                b"" | b"." => continue,
                b".." => {
                    at = self.tree.directory(at).map_or(ROOT, |directory| directory.parent);
                    continue;
                }
                _ => self.tree.lookup(at, name).ok_or(Fault::Missing)?,
            };
            match self.tree.inode(next).body {
                Body::Directory(_) => at = next,
                Body::Symlink(target) => {
                    links += 1;
                    if links > MOST_LINKS {
                        return Err(Fault::TooManyLinks);
                    }
                    let target = self.tree.text(target).to_vec();
                    if target.starts_with(b"/") {
                        at = ROOT;
                    }
                    self.step(target.len() as u64 / 2 + 1).map_err(|_| Fault::TooManySteps)?;
                    left.push((target, 0));
                }
                _ => return Err(Fault::NotADirectory),
            }
        }
        Ok(at)
    }

    /// Counts names that are looked up for more than an entry's own path.
    pub(super) fn step(&mut self, names: u64) -> Result<()> {
        self.steps += names;
        if self.steps > MOST_STEPS { Err(too_many_steps(None)) } else { Ok(()) }
    }

    /// Goes down part by part and makes what is missing.
    fn walk(&mut self, path: &[u8]) -> Result<InodeId> {
        let mut directory = ROOT;
        let mut end = 0;
        for name in path.split(|&byte| byte == b'/') {
            end += name.len() + usize::from(end > 0);
            directory = match self.tree.lookup(directory, name) {
                None => self.imply(directory, name, false)?,
                Some(next) => match self.tree.inode(next).body {
                    Body::Directory(_) => next,
                    Body::Symlink(_) => self.beneath(&path[..end]).map_err(|fault| way(path, fault))?,
                    body if body.is_whiteout() => self.imply(directory, name, true)?,
                    _ => return Err(refused(path, "a directory in its path is a file")),
                },
            };
        }
        Ok(directory)
    }

    /// Makes a directory that no entry describes (yet): owned by root, mode 0755, of 1970.
    fn imply(&mut self, parent: InodeId, name: &[u8], replaces_whiteout: bool) -> Result<InodeId> {
        let metadata = super::builder::implied();
        let made = self.tree.add_directory(parent, metadata);
        let made = made.and_then(|made| self.tree.put(parent, name, made).map(|()| made));
        let made = made.map_err(|_| self.full())?;
        if replaces_whiteout {
            self.tree.make_opaque(made);
        }
        self.implied += 1;
        Ok(made)
    }
}

fn way(path: &[u8], fault: Fault) -> Error {
    match fault {
        Fault::Missing => refused(path, "a directory in its path is a symbolic link to nothing"),
        Fault::NotADirectory => refused(path, "a directory in its path is a symbolic link to a file"),
        Fault::TooManyLinks => refused(path, "there are too many symbolic links in its path"),
        Fault::TooManySteps => too_many_steps(Some(path)),
    }
}

fn too_many_steps(path: Option<&[u8]>) -> Error {
    let path = path.map(conex_archive::names::shown);
    Error::Limit { what: "the way that its links lead", limit: MOST_STEPS, path }
}
