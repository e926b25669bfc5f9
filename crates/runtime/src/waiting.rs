//! A process between its set-up and its exec, and after it.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::process::{PidfdFlags, Signal, WaitId, WaitIdOptions, pidfd_send_signal, waitid};

use crate::channel::{Channel, Order, Report};
use crate::plan::parent;
use crate::{Created, Error};

/// A process before its exec. Dropping it kills it.
#[derive(Debug)]
#[must_use = "dropping it kills the process"]
pub struct Waiting {
    pid: u32,
    /// Taken by `start`; what is left in a drop is killed.
    pidfd: Option<OwnedFd>,
    channel: Channel,
    /// Whether it has its order to start already.
    ordered: bool,
}

/// A process after its exec. Dropping it leaves it running.
#[derive(Debug)]
pub struct Running {
    /// In the caller's pid namespace.
    pub pid: u32,
    /// Readable when it has exited; the caller reaps with waitid(P_PIDFD).
    pub pidfd: OwnedFd,
}

impl Waiting {
    pub(crate) fn new(pid: u32, pidfd: OwnedFd, channel: Channel) -> Self {
        Self { pid, pidfd: Some(pidfd), channel, ordered: false }
    }

    /// In the caller's pid namespace.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Lets it exec and returns when it has.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::NotExecutable`], [`Error::Init`]; the process is gone then.
    pub fn start(mut self) -> Result<Running, Error> {
        if !self.ordered {
            self.channel.order(Order::Start).map_err(parent("start the container's first process"))?;
        }
        let hear = |report: std::io::Result<Report>| {
            report.map_err(parent("hear from the container's first process"))
        };
        let report = match self.channel.report() {
            // It ended with the order unread; what it said before comes after this.
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => {
                match hear(self.channel.report())? {
                    Report::Closed => return Err(Error::Died { status: self.status() }),
                    report => report,
                }
            }
            report => hear(report)?,
        };
        match report {
            Report::Failed(error) => Err(error),
            _ => {
                let pidfd = self.pidfd.take().expect("taken only here, by value");
                Ok(Running { pid: self.pid, pidfd })
            }
        }
    }

    /// Leaves it waiting for an order on the socket of [`Start::BySocket`](crate::Start::BySocket); the caller may end.
    ///
    /// # Errors
    /// [`Error::Parent`] when it is dead.
    pub fn leave(mut self) -> Result<Running, Error> {
        self.channel.order(Order::Leave).map_err(parent("leave the container's first process alone"))?;
        let pidfd = self.pidfd.take().expect("taken only by value");
        Ok(Running { pid: self.pid, pidfd })
    }

    pub(crate) fn pidfd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_ref().expect("taken only by start, by value").as_fd()
    }

    pub(crate) fn channel(&self) -> &Channel {
        &self.channel
    }

    /// Waits until its namespaces and mounts are there.
    pub(crate) fn await_staged(&self) -> Result<(), Error> {
        match self.channel.report().map_err(parent("hear from the container's first process"))? {
            Report::Staged => Ok(()),
            Report::Failed(error) => Err(error),
            _ => Err(Error::Died { status: self.status() }),
        }
    }

    /// Waits until it is about to install its filter; gives the number that the notification fd will have.
    pub(crate) fn await_filtering(&self) -> Result<i32, Error> {
        match self.channel.report().map_err(parent("hear from the container's first process"))? {
            Report::Filtering { number } => Ok(number),
            Report::Failed(error) => Err(error),
            _ => Err(Error::Died { status: self.status() }),
        }
    }

    /// Lets it go on by itself, or waits until it is set up.
    pub(crate) fn created(mut self, at_once: bool) -> Result<Created, Error> {
        let terminal = if at_once {
            match self.channel.order(Order::Start) {
                // It has failed already, and `start` hears of it.
                Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => {}
                ordered => ordered.map_err(parent("start the container's first process"))?,
            }
            self.ordered = true;
            None
        } else {
            self.await_ready()?
        };
        Ok(Created { process: self, terminal })
    }

    /// Waits until it is set up; gives the terminal's master when there is one.
    fn await_ready(&self) -> Result<Option<OwnedFd>, Error> {
        match self.channel.report().map_err(parent("hear from the container's first process"))? {
            Report::Ready { terminal } => Ok(terminal),
            Report::Failed(error) => Err(error),
            _ => Err(Error::Died { status: self.status() }),
        }
    }

    fn status(&self) -> String {
        match waitid(WaitId::PidFd(self.pidfd()), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT) {
            Ok(Some(status)) => match (status.exit_status(), status.terminating_signal()) {
                (Some(code), _) => format!("exit status {code}"),
                (_, Some(signal)) => format!("signal {signal}"),
                _ => "no status".to_owned(),
            },
            _ => "no status".to_owned(),
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if let Some(pidfd) = self.pidfd.take() {
            // It may be dead already; either way it is reaped here.
            let _ = pidfd_send_signal(&pidfd, Signal::KILL);
            let _ = waitid(WaitId::PidFd(pidfd.as_fd()), WaitIdOptions::EXITED);
        }
    }
}

/// A pidfd of a child that nobody else reaps.
pub(crate) fn hold(pid: u32) -> Result<OwnedFd, Error> {
    let raw = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw);
    let pid = raw.ok_or(Error::Spec { what: "a process id out of range".to_owned() })?;
    rustix::process::pidfd_open(pid, PidfdFlags::empty())
        .map_err(|errno| Error::Parent { what: "hold the container's first process", source: errno.into() })
}
