//! Hard links: another name for what came before in the same layer.

use std::io;

use conex_archive::names::{Relative, refused, shown};
use conex_archive::{Error, Result};

use super::builder::Builder;
use super::resolve::Fault;
use crate::tree::InodeId;

impl Builder {
    /// As linkat(2) without following: of a symbolic link, it is the link itself that gets another name.
    pub(super) fn hard_link(&mut self, parent: &[u8], name: &[u8], target: &[u8]) -> Result<()> {
        let link = [parent, b"/", name].concat();
        let failed = |what, errno: rustix::io::Errno| Error::Unpack {
            what,
            path: shown(&link),
            source: io::Error::from(errno),
        };
        let target = Relative::new(target)?;
        let (target_parent, target_name) =
            target.split().ok_or_else(|| refused(&link, "it is a hard link to the root directory"))?;
        self.enter(parent)?;
        let from = self.beneath(target_parent).map_err(|fault| {
            let errno = match fault {
                Fault::Missing => rustix::io::Errno::NOENT,
                Fault::NotADirectory => rustix::io::Errno::NOTDIR,
                Fault::TooManyLinks | Fault::TooManySteps => rustix::io::Errno::LOOP,
            };
            failed("find the directory of the target of hard link", errno)
        })?;
        let directory = self.enter(parent)?;
        let missing = || failed("create the hard link", rustix::io::Errno::NOENT);
        let inode = self.tree.lookup(from, target_name).ok_or_else(missing)?;
        match self.tree.lookup(directory, name) {
            Some(existing) if existing == inode => return Ok(()),
            // The target goes with the directory that the link takes the place of.
            Some(existing) if self.is_beneath(from, existing)? => return Err(missing()),
            _ => {}
        }
        if self.tree.directory(inode).is_some() {
            return Err(failed("create the hard link", rustix::io::Errno::PERM));
        }
        self.tree.put(directory, name, inode).map_err(|_| self.full())
    }

    /// Whether `directory` is `above`, or lies in it.
    fn is_beneath(&mut self, mut directory: InodeId, above: InodeId) -> Result<bool> {
        if self.tree.directory(above).is_none() {
            return Ok(false);
        }
        loop {
            self.step(1)?;
            match self.tree.directory(directory) {
                _ if directory == above => return Ok(true),
                Some(place) if place.parent != directory => directory = place.parent,
                _ => return Ok(false),
            }
        }
    }
}
