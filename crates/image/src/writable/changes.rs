//! `diff`: what the container has added, changed and deleted, by Docker's rules.
//!
//! A path is changed when its type, mode, owner or device differs, or a file's size, modification time or capability: a file that
//! was copied up and put back as it was is not. A directory whose contents changed is changed too, and stands before
//! them. What was in a deleted directory is not listed.

use rustix::fs::FileType;

use super::error::Result;
use super::file::Held;
use super::stubs::is_stub;
use super::walk::{Found, Lower, Walk};
use super::{Writable, WritableError};

/// What happened to a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChangeKind {
    /// `A`
    Added,
    /// `C`
    Changed,
    /// `D`
    Deleted,
}

impl ChangeKind {
    /// Docker's letter.
    pub fn letter(self) -> char {
        match self {
            Self::Added => 'A',
            Self::Changed => 'C',
            Self::Deleted => 'D',
        }
    }
}

/// One line of `diff`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// What happened.
    pub kind: ChangeKind,
    /// To what: absolute, bytes in no particular encoding.
    pub path: Vec<u8>,
}

impl Writable<'_> {
    /// All changes, each directory before its contents, in the order of names.
    pub fn changes(&self) -> std::result::Result<Vec<Change>, WritableError> {
        let mut walk = Walk::new(&self.upper, &self.lower, Lower::Hidden)?;
        let mut list = List { changes: Vec::new(), told: vec![true] };
        while let Some(found) = walk.next()? {
            list.told.truncate(walk.depth());
            let Found { path, upper, lower } = found;
            match (upper, lower) {
                (Some(upper), below) if upper.is_whiteout() => {
                    if below.is_some() {
                        list.add(&walk, ChangeKind::Deleted, &path);
                    }
                }
                (Some(upper), None) => {
                    if is_stub(&self.upper, &path, &upper)? {
                        continue;
                    }
                    list.add(&walk, ChangeKind::Added, &path);
                    if upper.is_directory() {
                        walk.descend(path, true, false)?;
                        list.told.push(true);
                    }
                }
                (Some(upper), Some(lower)) => {
                    let changed = differ(&upper, &lower, &path)?;
                    if changed {
                        list.add(&walk, ChangeKind::Changed, &path);
                    }
                    if upper.is_directory() {
                        walk.descend(path, true, lower.is_directory())?;
                        list.told.push(changed);
                    }
                }
                // Hidden by an opaque directory.
                (None, _) => list.add(&walk, ChangeKind::Deleted, &path),
            }
        }
        Ok(list.changes)
    }
}

struct List {
    changes: Vec<Change>,
    /// Of each directory that the walk is in, whether it is listed (the root never is).
    told: Vec<bool>,
}

impl List {
    fn add(&mut self, walk: &Walk<'_>, kind: ChangeKind, path: &[u8]) {
        for (above, told) in self.told.iter_mut().enumerate() {
            if !std::mem::replace(told, true) {
                self.changes.push(Change { kind: ChangeKind::Changed, path: absolute(walk.path(above + 1)) });
            }
        }
        self.changes.push(Change { kind, path: absolute(path) });
    }
}

fn absolute(path: &[u8]) -> Vec<u8> {
    [b"/", path].concat()
}

/// Docker's comparison (`pkg/archive`, statDifferent). A directory's own size and time say nothing.
pub(super) fn differ(upper: &Held, lower: &Held, path: &[u8]) -> Result<bool> {
    let (new, old) = (&upper.stat, &lower.stat);
    if (new.st_mode, upper.uid, upper.gid, new.st_rdev) != (old.st_mode, lower.uid, lower.gid, old.st_rdev) {
        return Ok(true);
    }
    if upper.is_directory() {
        return Ok(false);
    }
    // Some archives have whole seconds only.
    let same_time = new.st_mtime == old.st_mtime
        && (new.st_mtime_nsec == old.st_mtime_nsec || new.st_mtime_nsec == 0 || old.st_mtime_nsec == 0);
    if !same_time || new.st_size != old.st_size {
        return Ok(true);
    }
    if upper.kind() != FileType::RegularFile {
        return Ok(false);
    }
    let capability = |held: &Held| -> Result<_> {
        let all = held.xattrs(path)?;
        Ok(all.into_iter().find(|(name, _)| name == b"security.capability"))
    };
    Ok(capability(upper)? != capability(lower)?)
}
