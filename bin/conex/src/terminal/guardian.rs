//! A process of a few lines that waits for this one to die without having put the terminal back (SIGKILL, an abort),
//! and does it then. It knows by a pipe: a byte means all is well, an end of file means that nobody wrote one.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use conex_sys::process::{self, Forked};
use conex_sys::signal;
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Pid, Signal, WaitOptions};
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcsetattr};

/// The watching process, while the terminal is raw.
#[derive(Debug)]
pub(super) struct Guardian {
    alive: OwnedFd,
    pid: u32,
}

impl Guardian {
    /// Starts watching over `tty`: put back to `saved` when it is still as `raw`. Forks.
    pub(super) fn spawn(tty: BorrowedFd<'_>, saved: &Termios, raw: &Termios) -> io::Result<Self> {
        let (watch, alive) = pipe_with(PipeFlags::CLOEXEC)?;
        match process::fork()? {
            Forked::Parent { pid } => Ok(Self { alive, pid }),
            Forked::Child => {
                drop(alive);
                watch_over(&watch, tty, saved, raw);
                process::exit_now(0);
            }
        }
    }

    /// Sends it home: the terminal has been put back.
    pub(super) fn dismiss(self) {
        // A guardian that is gone already needs no word.
        let _ = rustix::io::write(&self.alive, b"x");
        let pid = i32::try_from(self.pid).ok().and_then(Pid::from_raw);
        while let Err(rustix::io::Errno::INTR) = rustix::process::waitpid(pid, WaitOptions::empty()) {}
    }
}

fn watch_over(watch: &OwnedFd, tty: BorrowedFd<'_>, saved: &Termios, raw: &Termios) {
    // Out of the terminal's foreground group, whose signals are not for it; and a background process that changes
    // a terminal is stopped by SIGTTOU unless it ignores that.
    let _ = rustix::process::setpgid(None, None);
    for signal in [Signal::TTOU, Signal::HUP, Signal::INT, Signal::QUIT, Signal::TERM, Signal::TSTP] {
        signal::ignore(signal.as_raw());
    }
    let mut byte = [0; 1];
    let read = loop {
        match rustix::io::read(watch.as_fd(), &mut byte) {
            Err(rustix::io::Errno::INTR) => {}
            other => break other,
        }
    };
    // A shell that has put it right by itself (and set it up for its prompt) is not disturbed.
    if read == Ok(0) && tcgetattr(tty).is_ok_and(|now| same(&now, raw)) {
        let _ = tcsetattr(tty, OptionalActions::Now, saved);
    }
}

fn same(one: &Termios, other: &Termios) -> bool {
    one.input_modes == other.input_modes
        && one.output_modes == other.output_modes
        && one.local_modes == other.local_modes
        && one.control_modes == other.control_modes
}
