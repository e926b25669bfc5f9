//! A user namespace that exists for its mapping only: what an idmapped mount is made with.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use conex_sys::mount::{Change, set_attributes};
use conex_sys::process::{Cloned, clone3, die_with, exit_now};
use rustix::fs::{CWD, Mode, OFlags};
use rustix::mount::{OpenTreeFlags, open_tree};
use rustix::process::{Signal, WaitId, WaitIdOptions, pidfd_send_signal, waitid};
use rustix::thread::UnshareFlags;

use crate::spec::IdRange;
use crate::{Error, Result};

/// Makes it, with a child that lives as long as this call. The caller has one thread.
pub(crate) fn namespace(range: IdRange) -> Result<OwnedFd> {
    let fail = |source| Error::UserNamespace { source };
    let parent = rustix::process::getpid();
    match clone3(u64::from(UnshareFlags::NEWUSER.bits()), None, false).map_err(fail)? {
        Cloned::Child => {
            if die_with(parent).is_err() {
                exit_now(1);
            }
            loop {
                rustix::event::pause();
            }
        }
        Cloned::Parent { pid, pidfd } => {
            let map = format!("0 {} {}\n", range.base, range.size);
            let opened = ["uid_map", "gid_map"]
                .iter()
                .try_for_each(|file| std::fs::write(format!("/proc/{pid}/{file}"), &map))
                .and_then(|()| {
                    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
                    Ok(rustix::fs::open(format!("/proc/{pid}/ns/user"), flags, Mode::empty())?)
                });
            let _ = pidfd_send_signal(&pidfd, Signal::KILL);
            let _ = waitid(WaitId::PidFd(pidfd.as_fd()), WaitIdOptions::EXITED);
            opened.map_err(fail)
        }
    }
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
