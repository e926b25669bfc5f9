//! The parent of a program in another pid namespace: passes signals on, stops when it stops, and gives its status.

use std::os::fd::{AsFd, BorrowedFd};

use conex_sys::signal::{self, SignalFd};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::process::{PidfdFlags, WaitId, WaitIdOptions, getpid, pidfd_open, waitid};

use crate::{Error, Result};

const SIGCHLD: i32 = 17;
const SIGCONT: i32 = 18;
const SIGSTOP: i32 = 19;
/// SIGHUP, SIGUSR1, SIGUSR2, SIGTERM: those that come by kill(1).
const PASSED: [i32; 4] = [1, 10, 12, 15];
/// Those, and SIGINT and SIGQUIT, which the terminal sends to both of us: what they mean is the program's to say.
const HEARD: [i32; 7] = [1, 2, 3, 10, 12, 15, SIGCHLD];

/// Before there is a child, so that none is missed.
pub(super) fn listen() -> Result<SignalFd> {
    SignalFd::new(&HEARD).map_err(|source| Error::Enter { what: "listen to signals", source })
}

/// In the child.
pub(super) fn unlisten() {
    signal::unblock(&HEARD);
}

/// Until its end; gives its exit status, 128+n for signal n.
pub(super) fn follow(child: BorrowedFd<'_>, signals: &SignalFd) -> Result<i32> {
    let fail = |errno: Errno| Error::Enter { what: "wait for the program", source: errno.into() };
    loop {
        let mut ready = [PollFd::from_borrowed_fd(child, PollFlags::IN), PollFd::new(signals, PollFlags::IN)];
        match poll(&mut ready, None) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => return Err(fail(errno)),
        }
        while let Ok(Some(number)) = signals.next() {
            if PASSED.contains(&number) {
                // It may have ended, which is seen below.
                let _ = signal::send(child.as_fd(), number);
            }
        }
        let options = WaitIdOptions::EXITED | WaitIdOptions::STOPPED | WaitIdOptions::NOHANG;
        let status = match waitid(WaitId::PidFd(child), options) {
            Ok(Some(status)) => status,
            Ok(None) | Err(Errno::INTR) => continue,
            Err(errno) => return Err(fail(errno)),
        };
        if let Some(code) = status.exit_status() {
            return Ok(code);
        }
        if let Some(number) = status.terminating_signal() {
            return Ok(128 + number);
        }
        if status.stopped() {
            // The shell that we were called from takes its terminal back, and lets both go on later.
            let ourselves = pidfd_open(getpid(), PidfdFlags::empty()).map_err(fail)?;
            let _ = signal::send(ourselves.as_fd(), SIGSTOP);
            let _ = signal::send(child, SIGCONT);
        }
    }
}
