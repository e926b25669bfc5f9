//! `healthcheck run`, and waiting for a health.

use conex_oci::ContainerId;

use crate::health::{Health, HealthStatus};
use crate::store::ContainerState;
use crate::supervise::wire::Request;
use crate::{Engine, Error, Event, Result};

impl Engine {
    /// Has the supervisor probe the container's health now, or waits for the probe that runs; whether it is well. The answer
    /// counts as any other.
    ///
    /// # Errors
    /// [`Error::NoHealthcheck`]; [`Error::NotRunning`], also when it ends meanwhile; [`Error::Paused`].
    pub fn probe(&self, id: &ContainerId) -> Result<bool> {
        let name = self.checked(id)?;
        match self.parts.store.state(id)? {
            Some(ContainerState::Running(_)) => {}
            Some(ContainerState::Paused(_)) => return Err(Error::Paused { name }),
            state => return Err(Error::at_rest(state.as_ref(), name)),
        }
        let Some(mut supervisor) = self.ask_live(id, &Request::Probe)? else {
            return Err(Error::NotRunning { name });
        };
        loop {
            match supervisor.recv()? {
                Event::Exit(code) => return Ok(code == 0),
                Event::Lost => return Err(Error::NotRunning { name }),
                Event::Stdout(_) | Event::Stderr(_) => {}
            }
        }
    }

    /// How a container that runs is; `None` when it does not run.
    ///
    /// # Errors
    /// When the supervisor's word cannot be read.
    pub fn health(&self, id: &ContainerId) -> Result<Option<Health>> {
        Health::read(&self.parts.store.run_directory(id))
    }

    /// Waits until the container's health is so, through restarts; returns at once when it is.
    ///
    /// # Errors
    /// [`Error::NoHealthcheck`]; [`Error::NotRunning`] when it does not run (any more).
    pub fn wait_health(&self, id: &ContainerId, status: HealthStatus) -> Result<()> {
        let name = self.checked(id)?;
        loop {
            let Some(mut supervisor) = self.ask_live(id, &Request::Health(status))? else {
                return Err(Error::NotRunning { name });
            };
            loop {
                match supervisor.recv()? {
                    Event::Exit(_) => return Ok(()),
                    // The end of a run; there may be another.
                    Event::Lost => break,
                    Event::Stdout(_) | Event::Stderr(_) => {}
                }
            }
            std::thread::sleep(super::start::PAUSE);
        }
    }

    /// The name of a container that has a check.
    pub(super) fn checked(&self, id: &ContainerId) -> Result<String> {
        let record = self.parts.store.must_record(id)?;
        let name = record.name.to_string();
        match record.health.and_then(|check| check.command()) {
            Some(_) => Ok(name),
            None => Err(Error::NoHealthcheck { name }),
        }
    }
}
