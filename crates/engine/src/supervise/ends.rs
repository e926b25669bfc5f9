//! The engine's ends of a process's standard streams: pipes, or a terminal's master.

use std::os::fd::OwnedFd;

use rustix::fs::OFlags;
use rustix::pty::OpenptFlags;
use rustix::termios::Winsize;

use crate::{Error, LogStream, Result};

/// Our ends of a process's streams.
#[derive(Debug)]
pub(super) enum Ends {
    /// Pipes; an end that is closed is `None`.
    Pipes { stdin: Option<OwnedFd>, stdout: Option<OwnedFd>, stderr: Option<OwnedFd> },
    /// A terminal's master; `open` until its other side is closed everywhere, which a side of our own keeps from happening: a process
    /// may close its terminal and open it again.
    Terminal { master: OwnedFd, open: bool, _other_side: Option<OwnedFd> },
}

impl Ends {
    /// None at all: between two runs.
    pub(super) fn closed() -> Self {
        Self::Pipes { stdin: None, stdout: None, stderr: None }
    }

    /// Those of a process that has been made: of its pipes, or of its terminal with its rows and columns; none of them blocks.
    ///
    /// # Errors
    /// [`Error::NoTerminal`], [`Error::Pipes`].
    pub(super) fn of(pipes: Option<Self>, master: Option<OwnedFd>, size: Option<(u16, u16)>) -> Result<Self> {
        let ends = match (pipes, master) {
            (Some(pipes), _) => pipes,
            (None, Some(master)) => Self::terminal(master),
            (None, None) => return Err(Error::NoTerminal),
        };
        ends.unblock().map_err(|errno| Error::Pipes { source: errno.into() })?;
        if let Some((rows, columns)) = size {
            ends.resize(rows, columns);
        }
        Ok(ends)
    }

    fn terminal(master: OwnedFd) -> Self {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        // Linux 4.13.
        let other_side = rustix::pty::ioctl_tiocgptpeer(&master, flags).ok();
        Self::Terminal { master, open: true, _other_side: other_side }
    }

    fn unblock(&self) -> rustix::io::Result<()> {
        let unblock =
            |fd: &OwnedFd| rustix::fs::fcntl_setfl(fd, rustix::fs::fcntl_getfl(fd)? | OFlags::NONBLOCK);
        match self {
            Self::Pipes { stdin, stdout, stderr } => {
                [stdin, stdout, stderr].into_iter().flatten().try_for_each(unblock)
            }
            Self::Terminal { master, .. } => unblock(master),
        }
    }

    pub(super) fn output(&self, stream: LogStream) -> Option<&OwnedFd> {
        match (self, stream) {
            (Self::Pipes { stdout, .. }, LogStream::Stdout) => stdout.as_ref(),
            (Self::Pipes { stderr, .. }, LogStream::Stderr) => stderr.as_ref(),
            (Self::Terminal { master, open: true, .. }, LogStream::Stdout) => Some(master),
            _ => None,
        }
    }

    pub(super) fn input(&self) -> Option<&OwnedFd> {
        match self {
            Self::Pipes { stdin, .. } => stdin.as_ref(),
            Self::Terminal { master, open: true, .. } => Some(master),
            Self::Terminal { .. } => None,
        }
    }

    pub(super) fn end_output(&mut self, stream: LogStream) {
        match (self, stream) {
            (Self::Pipes { stdout, .. }, LogStream::Stdout) => *stdout = None,
            (Self::Pipes { stderr, .. }, LogStream::Stderr) => *stderr = None,
            (Self::Terminal { open, .. }, _) => *open = false,
        }
    }

    /// A pipe's input ends; a terminal's cannot.
    pub(super) fn end_input(&mut self) {
        if let Self::Pipes { stdin, .. } = self {
            *stdin = None;
        }
    }

    pub(super) fn resize(&self, rows: u16, columns: u16) {
        if let Self::Terminal { master, .. } = self {
            let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
            let _ = rustix::termios::tcsetwinsize(master, size);
        }
    }
}
