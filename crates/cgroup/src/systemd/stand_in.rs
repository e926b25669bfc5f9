//! A scope cannot be made empty: systemd wants a process to put into it. The container's own is not there yet, since it is born in
//! the finished group with its limits in force. So a process of ours stands in for it, doing nothing, until it has come.

use std::os::fd::OwnedFd;

use conex_sys::process::{Cloned, clone3, die_with, exit_now};
use rustix::process::{Signal, WaitIdOptions};

use crate::error::{Error, Result};

/// The process; it ends when this is dropped, or with the caller.
#[derive(Debug)]
pub(crate) struct StandIn {
    pid: u32,
    process: OwnedFd,
}

impl StandIn {
    /// Makes it; the caller has one thread, as for clone3.
    pub(crate) fn new() -> Result<Self> {
        let parent = rustix::process::getpid();
        match clone3(0, None, false).map_err(|source| Error::StandIn { source })? {
            Cloned::Child => {
                // Left behind it would hold the scope for ever.
                if die_with(parent).is_err() {
                    exit_now(1);
                }
                loop {
                    rustix::event::pause();
                }
            }
            Cloned::Parent { pid, pidfd } => Ok(Self { pid, process: pidfd }),
        }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.pid
    }
}

impl Drop for StandIn {
    fn drop(&mut self) {
        // Dead already when the scope was killed meanwhile.
        let _already_dead = rustix::process::pidfd_send_signal(&self.process, Signal::KILL);
        let id = rustix::process::WaitId::PidFd(std::os::fd::AsFd::as_fd(&self.process));
        let _reaped = rustix::process::waitid(id, WaitIdOptions::EXITED);
    }
}
