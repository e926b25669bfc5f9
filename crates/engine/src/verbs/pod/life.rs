//! `pod start`, `stop`, `restart`, `kill`, `pause`, `unpause`, `rm`: the pod's own container first when it begins, last when it ends.

use conex_oci::ContainerId;

use super::members;
use crate::engine::Parts;
use crate::options::{ExitPolicy, PodOptions, PodPart};
use crate::store::ContainerState;
use crate::supervise::wire::{After, Request};
use crate::verbs::{Grace, RemoveOptions, StartMode};
use crate::{Attachment, Engine, Error, Result};

const SIGTERM: i32 = 15;

/// Stops a pod whose last container has just ended, if that is its exit policy. Of two that end at once the later one sees it.
pub(crate) fn stop_if_left(parts: &Parts, pod: &ContainerId) -> Result<()> {
    let store = &parts.store;
    let infra = store.record(pod)?.and_then(|record| record.options.pod);
    if !matches!(infra, Some(PodPart::Infra(PodOptions { exit_policy: ExitPolicy::Stop, .. }))) {
        return Ok(());
    }
    for member in members(store, pod)? {
        if store.state(&member)?.is_some_and(|state| state.is_live()) {
            return Ok(());
        }
    }
    match Attachment::connect(&store.run_directory(pod))? {
        Some(mut supervisor) => supervisor
            .ask(&Request::Signal { signal: SIGTERM, then: After::Stop, kill_after: None })
            .map(drop),
        None => Ok(()),
    }
}

impl Engine {
    /// Starts all of a pod's containers; those that run are left alone. Forks: the caller must have one thread.
    ///
    /// # Errors
    /// The first that cannot be started; the others are tried all the same.
    pub fn start_pod(&self, pod: &ContainerId) -> Result<()> {
        self.start(pod, StartMode::Detached)?;
        self.each_member(pod, |id| self.start(id, StartMode::Detached).map(drop))
    }

    /// Stops all of them, the pod's own container last: what they share is there for as long as one of them runs.
    ///
    /// # Errors
    /// As [`Engine::stop`]; the others are stopped all the same.
    pub fn stop_pod(&self, pod: &ContainerId, grace: Grace) -> Result<()> {
        let mut stopped: Vec<Result<()>> = Vec::new();
        self.at_once(
            &self.pod_members(pod)?,
            |engine, id| engine.stop(id, None, grace),
            |_, done| {
                stopped.push(done.unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
                Ok(())
            },
        )?;
        first_error(stopped)?;
        self.stop(pod, None, grace)
    }

    /// Stops and starts them.
    ///
    /// # Errors
    /// As both.
    pub fn restart_pod(&self, pod: &ContainerId) -> Result<()> {
        self.stop_pod(pod, Grace::Default)?;
        self.start_pod(pod)
    }

    /// Sends a signal to the first process of each that runs.
    ///
    /// # Errors
    /// As [`Engine::kill`].
    pub fn kill_pod(&self, pod: &ContainerId, signal: i32) -> Result<()> {
        let running = |id: &ContainerId| {
            Ok::<_, Error>(self.parts.store.state(id)?.is_some_and(|state| state.process().is_some()))
        };
        self.each_member(pod, |id| if running(id)? { self.kill(id, signal) } else { Ok(()) })?;
        if running(pod)? { self.kill(pod, signal) } else { Ok(()) }
    }

    /// Freezes all that run.
    ///
    /// # Errors
    /// As [`Engine::pause`].
    pub fn pause_pod(&self, pod: &ContainerId) -> Result<()> {
        let pause = |id: &ContainerId| match self.parts.store.state(id)? {
            Some(ContainerState::Running(_)) => self.pause(id),
            _ => Ok(()),
        };
        self.each_member(pod, pause)?;
        pause(pod)
    }

    /// Thaws all that are frozen.
    ///
    /// # Errors
    /// As [`Engine::unpause`].
    pub fn unpause_pod(&self, pod: &ContainerId) -> Result<()> {
        let unpause = |id: &ContainerId| match self.parts.store.state(id)? {
            Some(ContainerState::Paused(_)) => self.unpause(id),
            _ => Ok(()),
        };
        unpause(pod)?;
        self.each_member(pod, unpause)
    }

    /// Removes a pod with its containers; with running ones only by force, and then after `grace`.
    ///
    /// # Errors
    /// [`Error::PodRunning`], and as [`Engine::remove`].
    pub fn remove_pod(&self, pod: &ContainerId, force: bool, grace: Grace) -> Result<()> {
        let (record, _) = self.pod_record(pod)?;
        let mut live = Vec::new();
        for id in self.pod_members(pod)?.into_iter().chain([pod.clone()]) {
            if self.parts.store.state(&id)?.is_some_and(|state| state.is_live()) {
                live.push(id);
            }
        }
        match live.first() {
            // One that waits for nothing but to hold the others' namespaces is no reason.
            Some(first) if !force && first != pod => {
                return Err(Error::PodRunning { name: record.name.to_string(), container: first.clone() });
            }
            Some(_) => self.stop_pod(pod, grace)?,
            None => {}
        }
        let options = RemoveOptions { force: true, volumes: true };
        self.each_member(pod, |id| self.remove(id, options))?;
        self.remove_infra(pod, options)
    }

    /// Does it to each of a pod's containers but its own; gives the first error.
    fn each_member(&self, pod: &ContainerId, act: impl Fn(&ContainerId) -> Result<()>) -> Result<()> {
        first_error(self.pod_members(pod)?.iter().map(act))
    }
}

fn first_error(results: impl IntoIterator<Item = Result<()>>) -> Result<()> {
    let mut first = Ok(());
    for result in results {
        match result {
            // Removed meanwhile, as a --rm container is when it ends.
            Ok(()) | Err(Error::NoSuchContainer { .. }) => {}
            Err(error) if first.is_ok() => first = Err(error),
            Err(error) => log::warn!("{error}"),
        }
    }
    first
}
