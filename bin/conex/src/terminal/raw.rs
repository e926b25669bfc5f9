//! Raw mode: every key goes to the container as a byte, Ctrl-C and Ctrl-Z too; its own terminal does the rest.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::process::Signal;
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcsetattr};

use super::guardian::Guardian;

/// The terminal at standard input, in raw mode until dropped. A guardian process restores it when even drop does not
/// come to it.
#[must_use = "the terminal is put back when this is dropped"]
#[derive(Debug)]
pub(crate) struct Raw {
    tty: OwnedFd,
    saved: Termios,
    raw: Termios,
    guardian: Option<Guardian>,
}

impl Raw {
    /// Enters raw mode. Forks: the caller has one thread.
    ///
    /// # Errors
    /// When standard input is no terminal, or the guardian cannot be started.
    pub(crate) fn enter() -> io::Result<Self> {
        let tty = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdin(), 3)?;
        let saved = tcgetattr(&tty)?;
        let mut raw = saved.clone();
        raw.make_raw();
        let guardian = Guardian::spawn(tty.as_fd(), &saved, &raw)?;
        let this = Self { tty, saved, raw, guardian: Some(guardian) };
        // In the background this stops the process until it is in the foreground, as it should.
        tcsetattr(&this.tty, OptionalActions::Now, &this.raw)?;
        Ok(this)
    }

    /// Raw again, after somebody stopped and continued this process.
    pub(crate) fn again(&self) {
        // A terminal that is gone is noticed by the next read.
        let _ = tcsetattr(&self.tty, OptionalActions::Now, &self.raw);
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        // From the background (the shell has taken over meanwhile) this must not stop us in the middle of leaving.
        conex_sys::signal::ignore(Signal::TTOU.as_raw());
        let _ = tcsetattr(&self.tty, OptionalActions::Now, &self.saved);
        if let Some(guardian) = self.guardian.take() {
            guardian.dismiss();
        }
    }
}
