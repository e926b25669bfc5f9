//! A process that does nothing: what the kernel has only with a process, as a new namespace or a place in a group, is had by it.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::process::{Signal, WaitId, WaitIdOptions, pidfd_send_signal, waitid};

use crate::process::{Cloned, clone3, die_with, exit_now};

/// The process. It ends when this is dropped, or with the caller.
#[derive(Debug)]
pub struct Idle {
    pid: u32,
    process: OwnedFd,
}

impl Idle {
    /// Makes it in new `namespaces` (CLONE_NEW…). The caller is the only thread.
    ///
    /// # Errors
    /// As [`clone3`].
    pub fn new(namespaces: u64) -> io::Result<Self> {
        let parent = rustix::process::getpid();
        match clone3(namespaces, None, false)? {
            Cloned::Child => {
                // Left behind it would be there for ever, with all that it has open.
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

    /// Its pid in the caller's pid namespace.
    pub fn pid(&self) -> u32 {
        self.pid
    }
}

impl Drop for Idle {
    fn drop(&mut self) {
        // Dead already when a group was killed that it was put into.
        let _already_dead = pidfd_send_signal(&self.process, Signal::KILL);
        let _reaped = waitid(WaitId::PidFd(self.process.as_fd()), WaitIdOptions::EXITED);
    }
}
