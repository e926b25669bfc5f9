//! The parent of a program in another pid namespace: passes signals on, stops when it stops, and gives its status.

use std::os::fd::{AsFd, BorrowedFd};

use conex_sys::signal::{self, SignalFd};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::process::{
    Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, getpgrp, getpid, kill_process_group, pidfd_open, setpgid,
    waitid,
};
use rustix::termios::{isatty, tcgetpgrp, tcsetpgrp};

use crate::supervise::code;
use crate::{Error, Result};

const SIGCHLD: i32 = 17;
const SIGCONT: i32 = 18;
const SIGSTOP: i32 = 19;
/// SIGHUP, SIGUSR1, SIGUSR2, SIGTERM: those that come by kill(1).
const PASSED: [i32; 4] = [1, 10, 12, 15];
/// Those, and SIGINT and SIGQUIT, which the terminal sends to both of us: what they mean is the program's to say.
/// SIGTTOU, blocked, lets who is in the background give the terminal away.
const HEARD: [i32; 8] = [1, 2, 3, 10, 12, 15, SIGCHLD, 22];

/// Whether a person types at us: then the program becomes a job of its own in front of the terminal. In its pid namespace our process
/// group has no number, and a shell that finds none cannot give the terminal back. With a pipe at either end we stay one job.
pub(super) fn is_typed_at() -> bool {
    let all = [rustix::stdio::stdin(), rustix::stdio::stdout(), rustix::stdio::stderr()];
    all.into_iter().all(isatty) && tcgetpgrp(rustix::stdio::stdin()).is_ok_and(|front| front == getpgrp())
}

/// In the child, before [`unlisten`].
pub(super) fn step_forward() {
    // What fails here fails in an orphaned group: the program runs all the same.
    let _ = setpgid(None, None).and_then(|()| tcsetpgrp(rustix::stdio::stdin(), getpid()));
}

fn front(group: Pid) {
    let _ = tcsetpgrp(rustix::stdio::stdin(), group);
}

/// Before there is a child, so that none is missed.
pub(super) fn listen() -> Result<SignalFd> {
    SignalFd::new(&HEARD).map_err(|source| Error::Enter { what: "listen to signals", source })
}

/// In the child.
pub(super) fn unlisten() {
    signal::unblock(&HEARD);
}

/// Until its end; gives its exit status, 128+n for signal n.
pub(super) fn follow(pid: u32, child: BorrowedFd<'_>, signals: &SignalFd, typed_at: bool) -> Result<i32> {
    let job = Pid::from_raw(pid.cast_signed()).filter(|_| typed_at);
    let code = until_end(child, job, signals);
    if job.is_some() {
        front(getpgrp());
    }
    code
}

fn until_end(child: BorrowedFd<'_>, job: Option<Pid>, signals: &SignalFd) -> Result<i32> {
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
        if let Some(code) = code(&status) {
            return Ok(code);
        }
        if status.stopped() {
            // The shell that we were called from takes its terminal back, and lets both go on later.
            if job.is_some() {
                front(getpgrp());
            }
            let ourselves = pidfd_open(getpid(), PidfdFlags::empty()).map_err(fail)?;
            let _ = signal::send(ourselves.as_fd(), SIGSTOP);
            if let Some(job) = job {
                front(job);
                // Its group is its pid, which is its own until we have waited for it.
                let _ = kill_process_group(job, Signal::CONT);
            }
            let _ = signal::send(child, SIGCONT);
        }
    }
}
