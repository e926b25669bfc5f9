//! Standing by a process until it ends: its signals, its terminal, its orphans.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use conex_sys::signal::SignalFd;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::{Errno, retry_on_intr};
use rustix::process::{Pid, WaitId, WaitIdOptions, WaitIdStatus, waitid};

use crate::error::Error;
use crate::terminal::Relay;

const SIGCHLD: i32 = 17;
const SIGURG: i32 = 23;
const SIGWINCH: i32 = 28;

/// Those that a fault of our own raises, and the two that nobody can catch.
const NOT_FORWARDED: [i32; 8] = [4, 5, 7, 8, 9, 11, 19, 31];

/// Signals that are kept for the process, from before it exists.
pub(crate) struct Signals(SignalFd);

impl Signals {
    pub(crate) fn take() -> Result<Self, Error> {
        let wanted: Vec<i32> = (1..=64).filter(|signal| !NOT_FORWARDED.contains(signal)).collect();
        SignalFd::new(&wanted).map(Self).map_err(|source| Error::io("wait for", "signals", source))
    }

    /// Waits for the end of the process, which is a child of this one; gives its exit status, 128+n for signal n.
    pub(crate) fn stand_by(&self, pid: u32, pidfd: &OwnedFd, mut relay: Option<Relay>) -> Result<i32, Error> {
        loop {
            let mut ready = Vec::new();
            {
                let mut fds = vec![PollFd::new(&self.0, PollFlags::IN)];
                let watched = relay.as_ref().map(Relay::watched).unwrap_or_default();
                fds.extend(watched.iter().map(|(fd, flags)| PollFd::from_borrowed_fd(*fd, *flags)));
                retry_on_intr(|| poll(&mut fds, None))
                    .map_err(|errno| Error::io("wait for", "the process", errno))?;
                ready.extend(fds.iter().map(|fd| !fd.revents().is_empty()));
            }
            if let Some(relay) = &mut relay {
                relay.move_bytes();
            }
            if !ready[0] {
                continue;
            }
            while let Ok(Some(signal)) = self.0.next() {
                match signal {
                    SIGCHLD => {
                        if let Some(status) = reap(pid) {
                            if let Some(relay) = relay {
                                relay.finish();
                            }
                            return Ok(status);
                        }
                    }
                    SIGWINCH if relay.is_some() => {
                        if let Some(relay) = &relay {
                            relay.resize();
                        }
                    }
                    SIGURG => {}
                    signal => forward(pidfd.as_fd(), signal),
                }
            }
        }
    }
}

fn forward(pidfd: BorrowedFd<'_>, signal: i32) {
    if let Err(error) = conex_sys::signal::send(pidfd, signal) {
        log::warn!("cannot forward signal {signal}: {error}");
    }
}

/// Reaps whatever has ended; the status of `pid` when it is among them.
fn reap(pid: u32) -> Option<i32> {
    let own = Pid::from_raw(pid.cast_signed())?;
    // The process itself first: its status must not be lost among many orphans.
    if let Ok(Some(status)) = waitid(WaitId::Pid(own), WaitIdOptions::EXITED | WaitIdOptions::NOHANG) {
        return Some(exit_status(&status));
    }
    loop {
        match rustix::process::wait(rustix::process::WaitOptions::NOHANG) {
            Ok(Some((ended, status))) if ended == own => {
                let code = status.exit_status().or_else(|| status.terminating_signal().map(|n| 128 + n));
                return Some(code.unwrap_or(255));
            }
            Ok(Some(_)) | Err(Errno::INTR) => {}
            Ok(None) | Err(_) => return None,
        }
    }
}

fn exit_status(status: &WaitIdStatus) -> i32 {
    status.exit_status().or_else(|| status.terminating_signal().map(|signal| 128 + signal)).unwrap_or(255)
}
