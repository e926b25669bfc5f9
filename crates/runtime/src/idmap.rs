//! User namespaces that exist only for the mapping of an idmapped mount (mount_setattr(2), Linux 5.12).
//!
//! A namespace is born with a process and lives on as a descriptor: a child is made in it, its mappings are written from
//! outside, `/proc/PID/ns/user` is opened, and the child ends. Mounts with the same mappings share one.

use std::fmt::Write as _;
use std::fs;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use conex_oci::runtime::{IdMapping, NamespaceKind};
use conex_sys::idle::Idle;
use rustix::fs::{Mode, OFlags};

use crate::Error;
use crate::plan::{parent, parent_errno};

/// The namespaces made so far, by mappings.
#[derive(Default)]
pub(crate) struct IdMaps<'a>(Vec<(&'a [IdMapping], &'a [IdMapping], OwnedFd)>);

impl<'a> IdMaps<'a> {
    /// The user namespace with these mappings.
    pub(crate) fn get(
        &mut self,
        uids: &'a [IdMapping],
        gids: &'a [IdMapping],
    ) -> Result<BorrowedFd<'_>, Error> {
        let known = self.0.iter().position(|(u, g, _)| (*u, *g) == (uids, gids));
        let index = match known {
            Some(index) => index,
            None => {
                self.0.push((uids, gids, make(uids, gids)?));
                self.0.len() - 1
            }
        };
        Ok(self.0[index].2.as_fd())
    }
}

fn make(uids: &[IdMapping], gids: &[IdMapping]) -> Result<OwnedFd, Error> {
    let child = Idle::new(NamespaceKind::User.clone_flag())
        .map_err(parent("make a user namespace for an idmapped mount"))?;
    let pid = child.pid();
    let write = |file: &str, map| fs::write(format!("/proc/{pid}/{file}"), lines(map));
    write("uid_map", uids)
        .and_then(|()| write("gid_map", gids))
        .map_err(parent("write the id mappings of an idmapped mount"))?;
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    rustix::fs::open(format!("/proc/{pid}/ns/user"), flags, Mode::empty())
        .map_err(parent_errno("hold the user namespace of an idmapped mount"))
}

/// As `/proc/PID/uid_map` takes them, user_namespaces(7).
pub(crate) fn lines(mappings: &[IdMapping]) -> String {
    let mut text = String::new();
    for map in mappings {
        let _ = writeln!(text, "{} {} {}", map.container_id, map.host_id, map.size);
    }
    text
}
