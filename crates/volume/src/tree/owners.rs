//! `:U`: all files of a tree given to one user.

use std::os::fd::BorrowedFd;

use rustix::fs::{AtFlags, Gid, Uid};

use super::Node;
use crate::{Error, Result};

/// Gives the tree's root and all in it to a user and a group, links themselves and not what they lead to. What is his already is
/// left as it is. The kernel takes setuid and setgid away, as it should: a file that one user made so must not become another's.
///
/// # Errors
/// When an owner cannot be changed.
pub fn chown(root: BorrowedFd<'_>, uid: u32, gid: u32) -> Result<()> {
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
