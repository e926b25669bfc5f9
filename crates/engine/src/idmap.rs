//! A user namespace that exists for its mapping only: what an idmapped mount is made with.

use std::os::fd::OwnedFd;

use conex_sys::process::{Cloned, clone3, exit_now};
use rustix::fs::{Mode, OFlags};
use rustix::process::{Signal, WaitId, WaitIdOptions, pidfd_send_signal, waitid};
use rustix::thread::UnshareFlags;

use crate::spec::IdRange;
use crate::{Error, Result};

/// Makes it, with a child that lives as long as this call. The caller has one thread.
pub(crate) fn namespace(range: IdRange) -> Result<OwnedFd> {
    let fail = |source| Error::UserNamespace { source };
    match clone3(u64::from(UnshareFlags::NEWUSER.bits()), None, false).map_err(fail)? {
        Cloned::Child => loop {
            // Until it is killed; and its parent's end is its own.
            if rustix::process::set_parent_process_death_signal(Some(Signal::KILL)).is_err() {
                exit_now(1);
            }
            rustix::event::pause();
        },
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
            let _ = waitid(WaitId::PidFd(std::os::fd::AsFd::as_fd(&pidfd)), WaitIdOptions::EXITED);
            opened.map_err(fail)
        }
    }
}
