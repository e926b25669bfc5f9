//! A process of our own that outlives the command: forked, in its own session, with nothing open but what it is given.

use std::ffi::CStr;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::panic::{AssertUnwindSafe, catch_unwind};

use conex_sys::process::{Forked, exit_now, fork};
use conex_sys::{descriptors, signal};
use rustix::fs::{Mode, OFlags};
use rustix::net::{AddressFamily, SocketFlags, SocketType};
use rustix::process::{Pid, WaitOptions, waitpid};

use crate::{Error, Result};

/// Forks; `child` runs in the new process with one end of a socket pair, and the other end is returned here. Of the open
/// descriptors the child keeps `keep` only, and it ends with the status that `child` gives; the parent's copies go with `child`. The caller has one thread.
pub(super) fn spawn(keep: &[RawFd], child: impl FnOnce(OwnedFd) -> u8) -> Result<OwnedFd> {
    let fail = |source| Error::Supervisor { source };
    let (ours, theirs) =
        rustix::net::socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)
            .map_err(|errno| fail(errno.into()))?;
    match fork().map_err(fail)? {
        Forked::Parent { .. } => Ok(ours),
        Forked::Child => {
            // Nothing may unwind into the frames that this process shares with the command's.
            let done = catch_unwind(AssertUnwindSafe(|| {
                let mut keep = keep.to_vec();
                keep.push(theirs.as_raw_fd());
                match leave(&keep, c"conex-supervise") {
                    Ok(()) => child(theirs),
                    Err(error) => {
                        log::error!("{error}");
                        1
                    }
                }
            }));
            exit_now(done.map_or(1, i32::from));
        }
    }
}

/// Forks a process that is nobody's child, named so; `child` runs in it, with `keep` open and nothing else. The caller has one thread.
pub(crate) fn spawn_apart(name: &CStr, keep: &[RawFd], child: impl FnOnce()) -> std::io::Result<()> {
    match fork()? {
        Forked::Parent { pid } => {
            let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
            // It ends at once, with the second fork's result.
            let status = rustix::io::retry_on_intr(|| waitpid(pid, WaitOptions::empty()))?;
            match status.and_then(|(_, status)| status.exit_status()) {
                Some(0) => Ok(()),
                _ => Err(std::io::ErrorKind::OutOfMemory.into()),
            }
        }
        Forked::Child => {
            let forked = fork();
            if let Ok(Forked::Child) = forked {
                let done = catch_unwind(AssertUnwindSafe(|| match leave(keep, name) {
                    Ok(()) => child(),
                    Err(error) => log::error!("{error}"),
                }));
                exit_now(i32::from(done.is_err()));
            }
            exit_now(i32::from(forked.is_err()));
        }
    }
}

/// Leaves the command's session, terminal, directory and descriptors.
fn leave(keep: &[RawFd], name: &CStr) -> std::io::Result<()> {
    rustix::process::setsid()?;
    rustix::process::chdir("/")?;
    signal::reset();
    // A client that goes away is seen by its error, not by a signal.
    signal::ignore(13);
    let null = rustix::fs::open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())?;
    rustix::stdio::dup2_stdin(&null)?;
    rustix::stdio::dup2_stdout(&null)?;
    rustix::stdio::dup2_stderr(&null)?;
    drop(null);
    descriptors::close_all_but(keep)?;
    rustix::thread::set_name(name)?;
    Ok(())
}
