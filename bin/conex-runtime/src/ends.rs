//! What ties a new process to the caller: the terminal, the pid file, the sockets that descriptors are sent to.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::process::{Pid, PidfdFlags};

use crate::error::Error;
use crate::foreground::Signals;
use crate::launch::{Manner, Wishes};
use crate::sockets::Receiver;
use crate::terminal::{Console, Relay};

/// First the paths, then what is there.
#[derive(Default)]
pub(crate) struct Ends {
    pub(crate) pid_file: Option<PathBuf>,
    pub(crate) console_socket: Option<PathBuf>,
    pub(crate) pidfd_socket: Option<PathBuf>,
    /// What the pidfd socket is told beside the descriptor: `standard`, or `setns` for an exec.
    pub(crate) kind: &'static str,
    console: Option<Console>,
    receiver: Option<Receiver>,
    pidfd: Option<Receiver>,
    signals: Option<Signals>,
}

/// What a command in the foreground goes on with.
#[derive(Default)]
pub(crate) struct Held {
    pub(crate) signals: Option<Signals>,
    pub(crate) relay: Option<Relay>,
}

impl Ends {
    pub(crate) fn find(wishes: &Wishes) -> Result<Self, Error> {
        Ok(Self {
            pid_file: absolute(wishes.pid_file.as_deref())?,
            console_socket: absolute(wishes.console_socket.as_deref())?,
            pidfd_socket: absolute(wishes.pidfd_socket.as_deref())?,
            kind: "standard",
            ..Self::default()
        })
    }

    /// Refuses what does not fit together, connects, and begins to hold signals back: all that can fail before a process exists.
    pub(crate) fn take(mut self, terminal: bool, manner: Manner) -> Result<Self, Error> {
        let foreground = matches!(manner, Manner::Foreground { .. });
        if !foreground && terminal && self.console_socket.is_none() {
            return Err(Error::refused(
                "cannot allocate tty if conex-runtime will detach without setting console socket",
            ));
        }
        if (foreground || !terminal) && self.console_socket.is_some() {
            return Err(Error::refused(
                "cannot use console socket if conex-runtime will not detach or allocate tty",
            ));
        }
        if let Some(path) = &self.console_socket {
            self.receiver = Some(Receiver::connect(path, "connect to the console socket")?);
        }
        if let Some(path) = &self.pidfd_socket {
            self.pidfd = Some(Receiver::connect(path, "connect to the pidfd socket")?);
        }
        if foreground {
            self.signals = Some(Signals::take()?);
            if terminal {
                self.console = Some(Console::open()?);
            }
        }
        Ok(self)
    }

    /// Whether there is nothing to be done between the process's being set up and its start.
    pub(crate) fn are_plain(&self) -> bool {
        self.pidfd.is_none() && self.pid_file.is_none() && self.receiver.is_none() && self.console.is_none()
    }

    /// The process is there: tells everybody.
    pub(crate) fn hand_over(self, pid: u32, terminal: Option<OwnedFd>) -> Result<Held, Error> {
        if let Some(socket) = &self.pidfd {
            let held = Pid::from_raw(pid.cast_signed())
                .ok_or(rustix::io::Errno::SRCH)
                .and_then(|pid| rustix::process::pidfd_open(pid, PidfdFlags::empty()))
                .map_err(|errno| Error::io("hold", "the process", errno))?;
            socket.send_process(self.kind, held.as_fd())?;
        }
        if let Some(path) = &self.pid_file {
            write_pid(path, pid)?;
        }
        let relay = match (terminal, self.receiver, self.console) {
            (Some(master), Some(receiver), _) => {
                receiver.send_master(master.as_fd())?;
                None
            }
            (Some(master), None, Some(console)) => Some(Relay::new(console, master)?),
            _ => None,
        };
        Ok(Held { signals: self.signals, relay })
    }
}

fn absolute(path: Option<&Path>) -> Result<Option<PathBuf>, Error> {
    let path = path.filter(|path| !path.as_os_str().is_empty());
    path.map(|path| std::path::absolute(path).map_err(|source| Error::io("find", path, source))).transpose()
}

/// Whole or not at all.
fn write_pid(path: &Path, pid: u32) -> Result<(), Error> {
    let failed = |source| Error::io("write the pid file", path, source);
    let name = path.file_name().ok_or_else(|| failed(rustix::io::Errno::ISDIR.into()))?;
    let mut hidden = std::ffi::OsString::from(".");
    hidden.push(name);
    let unfinished = path.with_file_name(hidden);
    let write = || {
        // One that a crash has left is in nobody's way.
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).open(&unfinished)?;
        file.write_all(pid.to_string().as_bytes())?;
        fs::rename(&unfinished, path)
    };
    write().map_err(failed)
}
