//! `wait`: until a container ends.

use std::time::Duration;

use conex_oci::ContainerId;

use crate::store::{ContainerState, LastRun};
use crate::supervise::wire::Request;
use crate::{Engine, Error, Event, Result};

/// What is waited for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum WaitCondition {
    /// That it does not run; returns at once when so.
    #[default]
    NotRunning,
    /// Its next end.
    NextExit,
    /// That it is gone.
    Removed,
}

/// Between two looks at a container that nobody supervises.
const PAUSE: Duration = Duration::from_millis(50);

impl Engine {
    /// Waits; returns the exit status.
    ///
    /// # Errors
    /// [`Error::NoSuchContainer`] when it is not there to begin with.
    pub fn wait(&self, id: &ContainerId, condition: WaitCondition) -> Result<i32> {
        let store = &self.parts.store;
        let name = store.must_record(id)?.name;
        let mut code = None;
        loop {
            let gone = || Error::NoSuchContainer { name: name.to_string() };
            let rest = match store.state(id)? {
                // A --rm container whose supervisor was killed.
                None => return code.or(Some(137)).ok_or_else(gone),
                _ if store.record(id)?.is_none() => return code.ok_or_else(gone),
                Some(state) if state.is_live() => {
                    match self.ask(id, &Request::Wait)? {
                        Some(mut supervisor) => loop {
                            match supervisor.recv()? {
                                Event::Exit(status) => {
                                    code = Some(status);
                                    break;
                                }
                                Event::Lost => break,
                                Event::Stdout(_) | Event::Stderr(_) => {}
                            }
                        },
                        None => std::thread::sleep(super::start::PAUSE),
                    }
                    if let (Some(code), false) = (code, condition == WaitCondition::Removed) {
                        return Ok(code);
                    }
                    continue;
                }
                Some(rest) => rest,
            };
            let last = match rest {
                ContainerState::Exited(exit) => Some(exit.code),
                _ => match store.last_run(id)? {
                    Some(LastRun::Ended(exit)) => Some(exit.code),
                    _ => None,
                },
            };
            match condition {
                WaitCondition::NotRunning => return Ok(last.unwrap_or(0)),
                WaitCondition::Removed => code = last,
                WaitCondition::NextExit => {}
            }
            std::thread::sleep(PAUSE);
        }
    }
}
