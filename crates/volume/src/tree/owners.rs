//! `:U`: all files of a tree given to one user.

use std::os::fd::BorrowedFd;

use rustix::fs::{AtFlags, FileType, Gid, Uid};
use rustix::io::Errno;

use super::Node;
use crate::{Error, Result};

/// Gives the tree's root, which may be a single file, and all in it to a user and a group, links themselves and not what they lead to.
/// What is his already is left as it is. The kernel takes setuid and setgid away, as it should: a file that one user made so must not
/// become another's.
///
/// # Errors
/// When an owner cannot be changed.
pub fn chown(root: BorrowedFd<'_>, uid: u32, gid: u32) -> Result<()> {
    let stat = rustix::fs::fstat(root).map_err(Error::tree("look at", b""))?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::Directory {
        let fd = root
            .try_clone_to_owned()
            .map_err(|error| Error::tree("hold", b"")(Errno::from_io_error(&error).unwrap_or(Errno::IO)))?;
        return give(&Node { fd, stat }, b"", uid, gid);
    }
    if let Some(node) = Node::open(root, b".", b"")? {
        give(&node, b"", uid, gid)?;
    }
    super::walk(root, |_, _, path, node| give(node, path, uid, gid), |_| Ok(()))
}

fn give(node: &Node, path: &[u8], uid: u32, gid: u32) -> Result<()> {
    if (node.stat.st_uid, node.stat.st_gid) == (uid, gid) {
        return Ok(());
    }
    let (user, group) = (Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)));
    rustix::fs::chownat(&node.fd, c"", user, group, AtFlags::EMPTY_PATH)
        .map_err(Error::tree("set the owner of", path))
}
