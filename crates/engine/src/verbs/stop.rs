//! `stop`, `kill`, `pause`, `unpause`: requests to the supervisor, which alone touches the process.

use std::io::ErrorKind;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use conex_oci::ContainerId;
use rustix::event::{PollFd, PollFlags};

use crate::attach::LONGEST_ANSWER;
use crate::events::Subject;
use crate::store::ContainerState;
use crate::supervise::wire::{After, Request};
use crate::time::timespec;
use crate::{Attachment, Engine, Error, Event, Result};

const SIGKILL: i32 = 9;
/// How long a killed container may take to go.
const DYING: Duration = Duration::from_secs(10);
/// How much later than a `stop` the supervisor kills by itself.
const MARGIN: Duration = Duration::from_millis(500);

/// How long `stop` waits before SIGKILL.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Grace {
    /// The container's `--stop-timeout`, else 10 s.
    #[default]
    Default,
    /// `-t -1`
    Forever,
    /// `-t 5`
    For(Duration),
}

impl Engine {
    /// Stops a container: its stop signal (or `signal`), then SIGKILL after `grace`. One that does not run is left alone.
    ///
    /// # Errors
    /// When the signal cannot be sent or the container outlives even SIGKILL.
    pub fn stop(&self, id: &ContainerId, signal: Option<i32>, grace: Grace) -> Result<()> {
        let subject = Subject::from(&self.parts.store.must_record(id)?);
        if self.end(id, signal, grace, After::Stop)? {
            self.parts.event(&subject.event("stop"));
        }
        Ok(())
    }

    /// The same for a machine that goes down: `--restart unless-stopped` counts the container as running, and a boot starts it
    /// again.
    ///
    /// # Errors
    /// As [`Engine::stop`].
    pub fn shut_down(&self, id: &ContainerId, signal: Option<i32>, grace: Grace) -> Result<()> {
        self.parts.store.must_record(id)?;
        self.end(id, signal, grace, After::Rest).map(drop)
    }

    /// Ends a container's run. False when it did not run.
    pub(super) fn end(
        &self,
        id: &ContainerId,
        signal: Option<i32>,
        grace: Grace,
        then: After,
    ) -> Result<bool> {
        let Some(record) = self.parts.store.record(id)? else { return Ok(false) };
        let signal = signal.unwrap_or(record.stop_signal);
        let timeout = match grace {
            Grace::Default => {
                Some(record.options.supervision.stop_timeout.unwrap_or(crate::options::STOP_TIMEOUT))
            }
            Grace::Forever => None,
            Grace::For(timeout) => Some(timeout),
        };
        // The supervisor goes on with it when this command is interrupted. A little later, so that it is otherwise for us to do.
        let kill_after = timeout.and_then(|timeout| timeout.checked_add(MARGIN));
        let Some(mut supervisor) = self.ask_live(id, &Request::Signal { signal, then, kill_after })? else {
            return Ok(false);
        };
        if ended(&mut supervisor, timeout)? {
            return Ok(true);
        }
        let kill = Request::Signal { signal: SIGKILL, then, kill_after: None };
        let Some(mut supervisor) = self.ask_live(id, &kill)? else {
            return Ok(true);
        };
        match ended(&mut supervisor, Some(DYING))? {
            true => Ok(true),
            false => Err(Error::Undying { name: record.name.to_string() }),
        }
    }

    /// Asks the supervisor of a container that runs, is paused or waits to be restarted; `None` when it is none of these.
    pub(super) fn ask_live(&self, id: &ContainerId, request: &Request) -> Result<Option<Attachment>> {
        // So long, too, it may turn requests away.
        let until = Instant::now() + LONGEST_ANSWER;
        let deaf = || Error::Deaf { name: id.short().to_owned() };
        loop {
            match self.parts.store.state(id)? {
                Some(state) if state.is_live() => {}
                _ => return Ok(None),
            }
            match self.ask(id, request) {
                Ok(Some(supervisor)) => return Ok(Some(supervisor)),
                Err(Error::Attachment { source }) if source.kind() == ErrorKind::TimedOut => {
                    return Err(deaf());
                }
                Ok(None) if Instant::now() > until => return Err(deaf()),
                asked => drop(asked?),
            }
            std::thread::sleep(super::start::PAUSE);
        }
    }

    /// Sends a signal to the container's first process. SIGKILL and the stop signal count as stopping it by hand:
    /// the restart policy does not apply then, nor to one that waits to be restarted. Returns after a SIGKILL when it has ended.
    ///
    /// # Errors
    /// [`Error::NotRunning`]; [`Error::Restarting`] for another signal than these.
    pub fn kill(&self, id: &ContainerId, signal: i32) -> Result<()> {
        let record = self.parts.store.must_record(id)?;
        let name = || record.name.to_string();
        let then =
            if signal == SIGKILL || signal == record.stop_signal { After::Stop } else { After::Policy };
        let Some(mut supervisor) = self.ask_live(id, &Request::Signal { signal, then, kill_after: None })?
        else {
            return Err(Error::NotRunning { name: name() });
        };
        if signal == SIGKILL && !ended(&mut supervisor, Some(DYING))? {
            return Err(Error::Undying { name: name() });
        }
        Ok(())
    }

    /// Freezes all processes.
    ///
    /// # Errors
    /// Not running, or paused already.
    pub fn pause(&self, id: &ContainerId) -> Result<()> {
        self.freeze_or_thaw(id, &Request::Pause)
    }

    /// Thaws them.
    ///
    /// # Errors
    /// [`Error::NotPaused`].
    pub fn unpause(&self, id: &ContainerId) -> Result<()> {
        self.freeze_or_thaw(id, &Request::Unpause)
    }

    fn freeze_or_thaw(&self, id: &ContainerId, request: &Request) -> Result<()> {
        let name = self.parts.store.must_record(id)?.name.to_string();
        match self.parts.store.state(id)? {
            Some(ContainerState::Running(_)) if *request == Request::Unpause => {
                Err(Error::NotPaused { name })
            }
            Some(ContainerState::Paused(_)) if *request == Request::Pause => {
                Err(Error::AlreadyPaused { name })
            }
            Some(ContainerState::Restarting(_)) => Err(Error::Restarting { name }),
            _ => match self.ask_live(id, request)? {
                Some(_) => Ok(()),
                None if *request == Request::Unpause => Err(Error::NotPaused { name }),
                None => Err(Error::NotRunning { name }),
            },
        }
    }
}

/// Waits for the end of the run that the supervisor was asked to end. False when it takes longer than `timeout`.
fn ended(supervisor: &mut Attachment, timeout: Option<Duration>) -> Result<bool> {
    let until = timeout.map(|timeout| Instant::now() + timeout);
    loop {
        let left = until.map(|until| until.saturating_duration_since(Instant::now()));
        let left = left.map(timespec);
        let mut fds = [PollFd::from_borrowed_fd(supervisor.as_fd(), PollFlags::IN)];
        match rustix::event::poll(&mut fds, left.as_ref()) {
            Ok(0) => return Ok(false),
            Err(rustix::io::Errno::INTR) => continue,
            Err(errno) => return Err(Error::Attachment { source: errno.into() }),
            Ok(_) => {}
        }
        if let Event::Exit(_) | Event::Lost = supervisor.recv()? {
            return Ok(true);
        }
    }
}
