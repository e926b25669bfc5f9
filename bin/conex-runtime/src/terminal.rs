//! A terminal in the foreground: bytes between the caller's terminal, in raw mode, and the process's.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::event::PollFlags;
use rustix::fs::{Mode, OFlags};
use rustix::io::{Errno, retry_on_intr};
use rustix::termios::{OptionalActions, OutputModes, Termios};

use crate::error::Error;

/// The caller's terminal. Dropping it restores its modes.
pub(crate) struct Console {
    fd: OwnedFd,
    before: Termios,
}

impl Console {
    /// Whichever of descriptors 2, 1 and 0 is a terminal, else the controlling one.
    pub(crate) fn open() -> Result<Self, Error> {
        let failed = |errno: Errno| Error::io("use", "the terminal", errno);
        let (stdin, stdout, stderr) = (std::io::stdin(), std::io::stdout(), std::io::stderr());
        for stream in [stderr.as_fd(), stdout.as_fd(), stdin.as_fd()] {
            if let Ok(before) = rustix::termios::tcgetattr(stream) {
                let fd = rustix::io::fcntl_dupfd_cloexec(stream, 3).map_err(failed)?;
                return Ok(Self { fd, before });
            }
        }
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
        let fd = rustix::fs::open("/dev/tty", flags, Mode::empty())
            .map_err(|errno| Error::io("open, for a container with a terminal,", "/dev/tty", errno))?;
        let before = rustix::termios::tcgetattr(&fd).map_err(failed)?;
        Ok(Self { fd, before })
    }

    /// Raw, but for the translation of line ends on output, which the process's terminal then need not do.
    fn make_raw(&self) -> Result<(), Errno> {
        let mut raw = self.before.clone();
        raw.make_raw();
        raw.output_modes |= OutputModes::OPOST;
        rustix::termios::tcsetattr(&self.fd, OptionalActions::Now, &raw)
    }
}

impl Drop for Console {
    fn drop(&mut self) {
        // A terminal that is gone needs no modes.
        let _ = rustix::termios::tcsetattr(&self.fd, OptionalActions::Now, &self.before);
    }
}

/// The way of the bytes. Nothing is read that cannot be written at once or kept in the one buffer.
pub(crate) struct Relay {
    console: Console,
    master: OwnedFd,
    /// Typed, not yet taken by the process's terminal.
    typed: Vec<u8>,
    stdin_open: bool,
    master_open: bool,
}

impl Relay {
    /// From here on the caller's terminal is raw.
    pub(crate) fn new(console: Console, master: OwnedFd) -> Result<Self, Error> {
        let prepare = || -> Result<(), Errno> {
            let mut modes = rustix::termios::tcgetattr(&master)?;
            modes.output_modes &= !OutputModes::ONLCR;
            rustix::termios::tcsetattr(&master, OptionalActions::Now, &modes)?;
            rustix::io::ioctl_fionbio(&master, true)?;
            console.make_raw()
        };
        prepare().map_err(|errno| Error::io("set up", "the terminal", errno))?;
        let relay = Self { console, master, typed: Vec::new(), stdin_open: true, master_open: true };
        // Before the program looks.
        relay.resize();
        Ok(relay)
    }

    /// Gives the process's terminal the size of the caller's.
    pub(crate) fn resize(&self) {
        if let Ok(size) = rustix::termios::tcgetwinsize(&self.console.fd) {
            // A process that has just gone has no use for it.
            let _ = rustix::termios::tcsetwinsize(&self.master, size);
        }
    }

    /// What to poll for.
    pub(crate) fn watched(&self) -> Vec<(BorrowedFd<'_>, PollFlags)> {
        let mut watched = Vec::with_capacity(2);
        if self.master_open {
            let mut flags = PollFlags::IN;
            flags.set(PollFlags::OUT, !self.typed.is_empty());
            watched.push((self.master.as_fd(), flags));
        }
        if self.stdin_open && self.typed.is_empty() {
            watched.push((rustix::stdio::stdin(), PollFlags::IN));
        }
        watched
    }

    /// Moves what can be moved without waiting, at most a buffer each way.
    pub(crate) fn move_bytes(&mut self) {
        if self.stdin_open && self.typed.is_empty() && is_readable(rustix::stdio::stdin()) {
            let mut buffer = [0; 4096];
            match retry_on_intr(|| rustix::io::read(rustix::stdio::stdin(), &mut buffer)) {
                Ok(0) => self.stdin_open = false,
                Ok(count) => self.typed.extend_from_slice(&buffer[..count]),
                Err(Errno::AGAIN) => {}
                Err(_) => self.stdin_open = false,
            }
        }
        if !self.typed.is_empty() {
            match retry_on_intr(|| rustix::io::write(&self.master, &self.typed)) {
                Ok(count) => drop(self.typed.drain(..count)),
                Err(Errno::AGAIN) => {}
                Err(_) => self.typed.clear(),
            }
        }
        self.show();
    }

    /// One buffer of output; false when there is none.
    fn show(&mut self) -> bool {
        if !self.master_open {
            return false;
        }
        let mut buffer = [0; 8192];
        match retry_on_intr(|| rustix::io::read(&self.master, &mut buffer)) {
            Ok(count @ 1..) => {
                write_all(&buffer[..count]);
                true
            }
            Err(Errno::AGAIN) => false,
            // EIO: nobody holds the other end.
            _ => {
                self.master_open = false;
                false
            }
        }
    }

    /// The process has ended: shows its last words. The caller's terminal is restored.
    pub(crate) fn finish(mut self) {
        while self.show() {}
    }
}

fn is_readable(fd: BorrowedFd<'_>) -> bool {
    let mut fds = [rustix::event::PollFd::from_borrowed_fd(fd, PollFlags::IN)];
    let now = rustix::event::Timespec { tv_sec: 0, tv_nsec: 0 };
    matches!(rustix::event::poll(&mut fds, Some(&now)), Ok(1..))
}

/// To standard output; who has closed it loses the rest.
fn write_all(mut bytes: &[u8]) {
    while !bytes.is_empty() {
        match retry_on_intr(|| rustix::io::write(rustix::stdio::stdout(), bytes)) {
            Ok(count) => bytes = &bytes[count..],
            Err(_) => return,
        }
    }
}
