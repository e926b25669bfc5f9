//! `wait`: until a container ends.

use std::time::Duration;

use conex_oci::ContainerId;

use crate::store::{ContainerState, LastRun};
use crate::supervise::wire::Request;
use crate::time::Time;
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
    /// That it has run and ended (`exited`, `stopped`).
    Exited,
    /// That it was never started (`created`, `configured`, `initialized`).
    Created,
    /// That it runs.
    Running,
    /// That it is paused.
    Paused,
    /// That it waits for the restart policy.
    Restarting,
    /// What its health check says.
    Healthy,
    /// Likewise.
    Unhealthy,
}

impl WaitCondition {
    /// Docker's API's words, then Podman's.
    const WORDS: [(&str, Self); 14] = [
        ("not-running", Self::NotRunning),
        ("next-exit", Self::NextExit),
        ("removed", Self::Removed),
        ("exited", Self::Exited),
        ("stopped", Self::Exited),
        ("created", Self::Created),
        ("configured", Self::Created),
        ("initialized", Self::Created),
        ("running", Self::Running),
        ("paused", Self::Paused),
        ("restarting", Self::Restarting),
        ("healthy", Self::Healthy),
        ("unhealthy", Self::Unhealthy),
        ("removing", Self::Removed),
    ];

    fn holds(self, state: &ContainerState, health: Option<&str>) -> bool {
        match self {
            Self::NotRunning => !state.is_live(),
            // Told by what happens, and not by what is.
            Self::NextExit | Self::Removed => false,
            Self::Exited => matches!(state, ContainerState::Exited(_)),
            Self::Created => matches!(state, ContainerState::Created),
            Self::Running => matches!(state, ContainerState::Running(_)),
            Self::Paused => matches!(state, ContainerState::Paused(_)),
            Self::Restarting => matches!(state, ContainerState::Restarting(_)),
            Self::Healthy => health == Some("healthy"),
            Self::Unhealthy => health == Some("unhealthy"),
        }
    }
}

impl std::str::FromStr for WaitCondition {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::WORDS.iter().find(|(word, _)| *word == text);
        found.map(|(_, condition)| *condition).ok_or_else(|| {
            let words: Vec<&str> = Self::WORDS.iter().map(|(word, _)| *word).collect();
            format!("unknown condition {text:?}; there are {}", words.join(", "))
        })
    }
}

/// Between two looks at a container that nobody supervises.
const PAUSE: Duration = Duration::from_millis(50);

impl Engine {
    /// Waits until one of the conditions holds, looking every so often where nobody tells; the exit status, or -1 where the container
    /// has not ended.
    ///
    /// # Errors
    /// [`Error::NoSuchContainer`] when it is not there to begin with, or goes while something else is waited for;
    /// [`Error::NoHealthcheck`].
    pub fn wait_for(&self, id: &ContainerId, conditions: &[WaitCondition], pause: Duration) -> Result<i32> {
        if let [condition @ (WaitCondition::NotRunning | WaitCondition::NextExit | WaitCondition::Removed)] =
            conditions
        {
            return self.wait(id, *condition);
        }
        let store = &self.parts.store;
        let name = store.must_record(id)?.name;
        let is_asked = |condition| conditions.contains(&condition);
        let asks_health = is_asked(WaitCondition::Healthy) || is_asked(WaitCondition::Unhealthy);
        let ended = |id: &ContainerId| -> Result<Option<(i32, Time)>> {
            Ok(match store.last_run(id)? {
                Some(LastRun::Ended(exit)) => Some((exit.code, exit.finished_at)),
                _ => None,
            })
        };
        let before = ended(id)?;
        let mut last = before;
        loop {
            let state = if store.record(id)?.is_some() { store.state(id)? } else { None };
            let Some(state) = state else {
                return match is_asked(WaitCondition::Removed) {
                    true => Ok(last.map_or(0, |(code, _)| code)),
                    false => Err(Error::NoSuchContainer { name: name.to_string() }),
                };
            };
            last = ended(id)?.or(last);
            if is_asked(WaitCondition::NextExit) && last != before {
                return Ok(last.map_or(0, |(code, _)| code));
            }
            let health = match asks_health && state.is_live() {
                true => {
                    self.checked(id)?;
                    self.health(id)?.map(|health| health.status.word())
                }
                false => None,
            };
            if conditions.iter().any(|condition| condition.holds(&state, health)) {
                return Ok(match state {
                    ContainerState::Exited(exit) => exit.code,
                    _ => -1,
                });
            }
            std::thread::sleep(pause);
        }
    }

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
                WaitCondition::Removed => code = last,
                WaitCondition::NextExit => {}
                _ => return Ok(last.unwrap_or(0)),
            }
            std::thread::sleep(PAUSE);
        }
    }
}
