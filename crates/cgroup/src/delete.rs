//! Removes groups. A group can be removed when no process is in it; a process that has just been killed leaves it a
//! moment later than its parent learns of it, so a busy group is tried again for a while.

use std::os::fd::AsFd;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::fs::{self, AtFlags};
use rustix::io::Errno;

use crate::cgroup::Cgroup;
use crate::error::{Error, Result};
use crate::group::{self, MAX_DEPTH};
use crate::host::{DEFAULT_PARENT, Hierarchy};
use crate::systemd::Scope;

/// How long a busy group is tried again.
const PATIENCE: Duration = Duration::from_secs(2);

impl Cgroup {
    /// Removes the groups and those below; idempotent. In v1 the caller's own group may belong to somebody who wants
    /// to remove it: there `/conex` goes with its last container.
    ///
    /// # Errors
    /// [`Error::Delete`] when processes are still in it; the other groups are removed all the same.
    pub fn delete(&self) -> Result<()> {
        // systemd removes what it made; what we made beside it is removed below.
        let stopped = self.path.scope.as_ref().map_or(Ok(()), Scope::stop);
        let deadline = Instant::now() + PATIENCE;
        // Every hierarchy, held or not: another process may have updated a limit and made a group for it since.
        let hierarchies = self.host.unified.iter().chain(&self.host.v1);
        let results: Vec<Result<()>> =
            hierarchies.map(|hierarchy| self.delete_in(hierarchy, deadline)).collect();
        results.into_iter().chain([stopped]).collect()
    }

    /// Removes what this very value made: a group that it found in use is another container's.
    pub(crate) fn undo(&self) -> Result<()> {
        if self.stand_in().is_some() {
            return self.delete();
        }
        let deadline = Instant::now() + PATIENCE;
        let hierarchies = self.host.unified.iter().chain(&self.host.v1);
        let made = hierarchies.filter(|hierarchy| self.all().any(|group| group.is_of(hierarchy)));
        let results: Vec<Result<()>> = made.map(|hierarchy| self.delete_in(hierarchy, deadline)).collect();
        results.into_iter().collect()
    }

    fn delete_in(&self, hierarchy: &Hierarchy, deadline: Instant) -> Result<()> {
        for place in self.path.places(&hierarchy.controllers) {
            if delete_at(&hierarchy.mount.join(place.below()), deadline)?
                && !hierarchy.controllers.is_empty()
                && let Some(parent) = place.parent(DEFAULT_PARENT)
            {
                // Not when another container is in it, or being put there: its maker begins again then.
                let _still_used = remove(&hierarchy.mount.join(parent));
            }
        }
        Ok(())
    }
}

/// Whether there was something to remove.
fn delete_at(path: &Path, deadline: Instant) -> Result<bool> {
    let mut pause = Duration::from_micros(200);
    loop {
        match remove(path) {
            Ok(()) => return Ok(true),
            Err(Errno::NOENT) => return Ok(false),
            // Busy: processes, or groups of the container's own making below.
            Err(Errno::BUSY | Errno::NOTEMPTY) if Instant::now() < deadline => {
                if let Ok(directory) = group::open_at(path) {
                    remove_children(directory, path)?;
                }
            }
            Err(source) => return Err(Error::Delete { path: path.to_owned(), source }),
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(20));
    }
}

fn remove(path: &Path) -> Result<(), Errno> {
    fs::unlinkat(fs::CWD, path, AtFlags::REMOVEDIR)
}

/// Removes the groups below a directory, the lowest first; those that are busy stay.
pub(crate) fn remove_children(directory: impl AsFd, path: &Path) -> Result<()> {
    remove_to(directory, path, MAX_DEPTH)
}

fn remove_to(directory: impl AsFd, path: &Path, depth: usize) -> Result<()> {
    let failed = |source| Error::Read { path: path.to_owned(), source };
    for name in group::child_names(&directory).map_err(failed)? {
        match fs::unlinkat(&directory, &name, AtFlags::REMOVEDIR) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(_) if depth > 0 => {
                let below = path.join(&name);
                if let Ok(child) = group::open_child(&directory, &name) {
                    remove_to(&child, &below, depth - 1)?;
                    // Still busy: the caller sees it at its own directory.
                    let _busy = fs::unlinkat(&directory, &name, AtFlags::REMOVEDIR);
                }
            }
            Err(source) => return Err(Error::Delete { path: path.join(&name), source }),
        }
    }
    Ok(())
}
