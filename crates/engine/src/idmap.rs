//! A user namespace that exists for its mapping only: what an idmapped mount is made with.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use conex_sys::idle::Idle;
use conex_sys::mount::{Change, set_attributes};
use rustix::fs::{CWD, Mode, OFlags};
use rustix::mount::{OpenTreeFlags, open_tree};
use rustix::thread::UnshareFlags;

use crate::spec::IdRange;
use crate::{Error, Result};

/// Makes it, with a child that lives as long as this call. The caller has one thread.
pub(crate) fn namespace(range: IdRange) -> Result<OwnedFd> {
    let fail = |source| Error::UserNamespace { source };
    let child = Idle::new(u64::from(UnshareFlags::NEWUSER.bits())).map_err(fail)?;
    let pid = child.pid();
    let map = format!("0 {} {}\n", range.base, range.size);
    for file in ["uid_map", "gid_map"] {
        std::fs::write(format!("/proc/{pid}/{file}"), &map).map_err(fail)?;
    }
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    rustix::fs::open(format!("/proc/{pid}/ns/user"), flags, Mode::empty()).map_err(|errno| fail(errno.into()))
}

/// Tries an idmapped mount of `place`, with those below it (mount_setattr(2), Linux 5.12): EINVAL where a file system has none.
pub(crate) fn try_map(place: &Path, deep: bool, idmap: &OwnedFd) -> io::Result<()> {
    let mut flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    if deep {
        flags |= OpenTreeFlags::AT_RECURSIVE;
    }
    let mount = open_tree(CWD, place, flags)?;
    set_attributes(mount.as_fd(), &Change { idmap: Some(idmap.as_fd()), ..Change::default() }, deep)
}
