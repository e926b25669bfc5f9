//! `start` and `restart`.

use std::time::{Duration, Instant};

use conex_oci::ContainerId;

use super::Grace;
use super::attach::AttachOptions;
use crate::events::Subject;
use crate::store::ContainerState;
use crate::store::lock::Owned;
use crate::supervise::wire::{After, Request};
use crate::supervise::{First, Job, supervise};
use crate::{Attachment, Engine, Error, Result};

/// How `start` leaves the container.
#[derive(Debug, Clone, Copy)]
pub enum StartMode {
    /// On its own.
    Detached,
    /// With an attachment made before its first instruction, so that no output is missed.
    Attached(AttachOptions),
}

/// How long another command may take for what it does to a container.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);
/// Between two looks at what another command does.
pub(crate) const PAUSE: Duration = Duration::from_millis(5);

impl Engine {
    /// Starts a container; returns when its program has been executed. A running one is left alone (`None` or a new
    /// attachment). Forks: the caller must have one thread.
    ///
    /// # Errors
    /// What stood in the way, with its [`Failure`](crate::Failure); the container is left created, or is removed with
    /// `--rm`.
    pub fn start(&self, id: &ContainerId, mode: StartMode) -> Result<Option<Attachment>> {
        let prepared = self.prepared.take();
        let (owned, mut job) = match prepared {
            Some((owned, job)) if job.record.id == *id => (owned, job),
            other => {
                *self.prepared.borrow_mut() = other;
                match self.own_to_start(id, mode)? {
                    Turn::Ours(owned, job) => (owned, *job),
                    Turn::Running(attachment) => return Ok(attachment),
                }
            }
        };
        let first = match mode {
            StartMode::Detached => First::Started,
            StartMode::Attached(options) => {
                job.size = options.size;
                self.parts.event(&Subject::from(&job.record).event("attach"));
                First::Streams(options)
            }
        };
        let attachment = supervise(&self.parts, job, owned, first)?;
        Ok(match mode {
            StartMode::Detached => None,
            StartMode::Attached(_) => Some(attachment),
        })
    }

    /// Becomes the owner of a container that is at rest.
    fn own_to_start(&self, id: &ContainerId, mode: StartMode) -> Result<Turn> {
        let store = &self.parts.store;
        let until = Instant::now() + PATIENCE;
        self.start_pod_of(store.must_record(id)?.options.pod.as_ref())?;
        loop {
            let record = store.must_record(id)?;
            match store.state(id)? {
                None => return Err(Error::NoSuchContainer { name: record.name.to_string() }),
                Some(ContainerState::Paused(_)) => return Err(Error::StartPaused),
                Some(ContainerState::Running(_) | ContainerState::Restarting(_)) => {
                    return Ok(Turn::Running(match mode {
                        StartMode::Detached => None,
                        StartMode::Attached(options) => Some(self.attach(id, options)?),
                    }));
                }
                Some(ContainerState::Created | ContainerState::Exited(_)) => {}
            }
            // A visit until its supervisor has it.
            if let Some(owned) = store.visit_settled(id)? {
                return match self.parts.job(id) {
                    Ok(job) => Ok(Turn::Ours(owned, Box::new(job))),
                    Err(error) => {
                        owned.finish()?;
                        Err(error)
                    }
                };
            }
            if Instant::now() > until {
                return Err(Error::Busy { name: record.name.to_string() });
            }
            std::thread::sleep(PAUSE);
        }
    }

    /// Stops (with `signal` and `grace`, as [`Engine::stop`]) and starts again.
    ///
    /// # Errors
    /// As stop's and start's.
    pub fn restart(&self, id: &ContainerId, signal: Option<i32>, grace: Grace) -> Result<()> {
        self.stop_and_start(id, signal, grace)?;
        self.container_event(id, "restart");
        Ok(())
    }

    fn stop_and_start(&self, id: &ContainerId, signal: Option<i32>, grace: Grace) -> Result<()> {
        let before = self.parts.store.state(id)?;
        let Some(before) = before.filter(ContainerState::is_live) else {
            return self.start(id, StartMode::Detached).map(drop);
        };
        // One that could not start again is not stopped for it.
        self.parts.check_joined(&self.parts.store.must_record(id)?)?;
        // The supervisor starts it again itself: so a --rm container lives on, and nobody else can come in between.
        if !self.end(id, signal, grace, After::Restart)? {
            return self.start(id, StartMode::Detached).map(drop);
        }
        let until = Instant::now() + PATIENCE;
        loop {
            match self.parts.store.state(id)? {
                Some(ContainerState::Running(process))
                    if before.process().is_none_or(|old| old.started_at != process.started_at) =>
                {
                    return Ok(());
                }
                Some(ContainerState::Created | ContainerState::Exited(_)) => {
                    // It ended again already, or could not be started: the record says which.
                    return match self.last_error(id)? {
                        Some(message) => Err(Error::Start { failure: crate::Failure::Engine, message }),
                        None => Ok(()),
                    };
                }
                None => return Ok(()),
                _ if Instant::now() > until => return Err(Error::Busy { name: id.short().to_owned() }),
                _ => std::thread::sleep(PAUSE),
            }
        }
    }

    fn last_error(&self, id: &ContainerId) -> Result<Option<String>> {
        use crate::store::LastRun;
        Ok(match self.parts.store.last_run(id)? {
            Some(LastRun::Ended(exit)) if !exit.error.is_empty() => Some(exit.error),
            _ => None,
        })
    }

    /// Asks the supervisor of a container for something. `None` when there is none (any more).
    pub(super) fn ask(&self, id: &ContainerId, request: &Request) -> Result<Option<Attachment>> {
        let Some(mut supervisor) = Attachment::connect(&self.parts.store.run_directory(id))? else {
            return Ok(None);
        };
        match supervisor.ask(request)? {
            None => Ok(None),
            Some(crate::supervise::wire::Reply::Ok) => Ok(Some(supervisor)),
            Some(crate::supervise::wire::Reply::Error { failure, message }) => {
                Err(Error::Start { failure, message })
            }
        }
    }
}

enum Turn {
    Ours(Owned, Box<Job>),
    Running(Option<Attachment>),
}
