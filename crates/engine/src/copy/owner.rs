//! Whose the files are that a copy makes.

use conex_archive::Header;
use conex_image::writable::IdShift;
use conex_sys::file_owner::FileOwner;
use rustix::fs::{Gid, Mode, Uid};

use super::Root;
use super::error::{CopyError, Result};

/// Whose the files are that are made.
#[derive(Debug, Clone, Copy)]
pub(super) struct Owner {
    /// As the header says, and not the destination's own.
    pub(super) keep: bool,
    pub(super) container: bool,
    pub(super) ids: Option<IdShift>,
}

/// Makes the files that follow those of the container's root, as a mount that shows others wants them.
pub(super) fn root_of_the_container(ids: Option<IdShift>) -> Result<Option<FileOwner>> {
    let Some(ids) = ids else { return Ok(None) };
    let root = ids.forth(0);
    let owner = FileOwner::become_for_files(root, root);
    owner.map(Some).map_err(|source| CopyError::Owner { source })
}

impl Owner {
    pub(super) fn of(root: &Root, keep: bool) -> Self {
        Self { keep, container: root.is_container(), ids: root.ids() }
    }

    /// See the function of that name.
    pub(super) fn root_of_the_container(self) -> Result<Option<FileOwner>> {
        root_of_the_container(self.ids)
    }

    /// What the host calls the owner; `None` for whoever makes the file.
    pub(super) fn of_header(self, header: &Header) -> Option<(Uid, Gid)> {
        let (uid, gid) = match (self.keep, self.container) {
            (true, _) => (header.uid, header.gid),
            (false, true) => (0, 0),
            (false, false) => return None,
        };
        let host = |id| self.ids.map_or(id, |ids| ids.forth(id));
        // The largest number is no owner (chown(2)).
        let valid = |id: u32| if id == u32::MAX { 65_534 } else { id };
        Some((Uid::from_raw(host(valid(uid))), Gid::from_raw(host(valid(gid)))))
    }

    /// A program that changes owner gets no rights along with it.
    pub(super) fn mode(self, header: &Header) -> Mode {
        let kept = if self.keep || self.container { 0o7777 } else { 0o1777 };
        Mode::from_raw_mode(header.mode & kept)
    }
}
