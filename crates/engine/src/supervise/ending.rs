//! What brings a run to its end before its time (bad health, a service manager's wish), what has to be done after each run, and
//! the end of it all.

use std::time::Instant;

use super::container::{Life, SETTLED, SIGKILL};
use super::health::{Answer, Monitor};
use super::launch::Launched;
use super::notify::Notices;
use super::wire::After;
use crate::health::{Health, HealthStatus};
use crate::network::release;
use crate::options::OnUnhealthy;
use crate::store::{Exit, LastRun};
use crate::time::Time;
use crate::verbs::stop_if_left;
use crate::{Error, Failure};

impl Life<'_> {
    /// Begins to stop it; gives when it has to be killed, if at all.
    pub(super) fn end_by(&mut self, launched: &Launched, paused: &mut bool) -> Option<Instant> {
        self.health.iter_mut().for_each(Monitor::cease);
        let _ = self.signal(launched, self.stop_signal, paused);
        Instant::now().checked_add(self.stop_timeout)
    }

    /// Hears the probe that runs, or starts one that is due, and tells those who wait for it. What is to be done now.
    pub(super) fn look_after(&mut self, launched: &Launched) -> OnUnhealthy {
        let Some(monitor) = &mut self.health else { return OnUnhealthy::None };
        let directory = self.owned.directory();
        let answer = monitor.hear(directory);
        let answer = answer
            .or_else(|| monitor.ask(self.parts, &self.id, &launched.process, &launched.group, directory));
        let Some(Answer { code, turned }) = answer else { return OnUnhealthy::None };
        self.lean_at = Some(Instant::now() + SETTLED);
        for client in &mut self.streams.clients {
            client.probed(code);
            client.health(monitor.health.status);
        }
        let (status, on_failure) = (monitor.health.status, monitor.on_failure);
        if status == HealthStatus::Healthy {
            self.notices.iter_mut().for_each(Notices::healthy);
        }
        if turned.is_some() {
            self.event(&format!("health_status: {}", status.word()));
        }
        match turned {
            Some(HealthStatus::Unhealthy) => on_failure,
            _ => OnUnhealthy::None,
        }
    }

    /// What has to be done after each run: nothing of its processes or groups is left, its output is where it belongs.
    pub(super) fn end(&mut self, launched: Launched, code: i32, then: After) -> Exit {
        self.held = false;
        self.health.iter_mut().for_each(Monitor::cease);
        self.notices.iter_mut().for_each(Notices::hear);
        let networks = launched.networks();
        let Launched { process, group, private_pids, wired, names, .. } = launched;
        if !private_pids && let Err(error) = group.kill() {
            log::warn!("{error}");
        }
        self.streams.drain();
        let oom_killed = (self.memory_limit || code == 128 + SIGKILL) && group.oom_kills().unwrap_or(0) > 0;
        if oom_killed {
            self.event("oom");
        }
        let lived = process.started_at.elapsed().as_secs();
        self.parts.event(&self.subject.event("die").with("exitCode", code).with("execDuration", lived));
        // The names go before their addresses can be another's.
        drop(names);
        if let Err(error) = release(&self.parts.store, &self.id) {
            // The next command tries again.
            log::warn!("{error}");
        }
        drop(wired);
        self.network_events(networks, "disconnect");
        self.volume_events("unmount");
        // A process that joined from outside may be in it still.
        if let Err(error) = group.delete().or_else(|_| group.kill().and_then(|()| group.delete())) {
            log::warn!("{error}");
        }
        if self.has_cdi {
            crate::devices::take_back(&self.parts.store, &self.id);
        }
        Exit {
            code,
            oom_killed,
            started_at: Some(process.started_at),
            finished_at: Time::now(),
            error: String::new(),
            restarts: process.restarts,
            stopped: then == After::Stop,
            health: self.health.as_ref().map(|monitor| monitor.health.clone().ended()),
        }
    }

    /// A start failed; `before` is how the last run went, if there was one.
    pub(super) fn never_ran(self, error: &Error, before: Option<&Exit>) -> u8 {
        let exit = Exit {
            code: failure_code(error),
            oom_killed: false,
            started_at: before.and_then(|exit| exit.started_at),
            finished_at: Time::now(),
            error: error.to_string(),
            restarts: self.restarts.count,
            stopped: false,
            health: before.and_then(|exit| exit.health.clone()),
        };
        self.finish(&exit, After::Policy)
    }

    /// Puts the end on record, lets go of the container, then tells. One that is removed is told of when it is gone for
    /// everybody; its files go after that.
    pub(super) fn finish(mut self, exit: &Exit, then: After) -> u8 {
        self.streams.close_listener();
        let released = crate::volumes::release(&self.parts.store, &self.id, &self.volatile);
        let (store, id) = (&self.parts.store, &self.id);
        if self.health.is_some()
            && let Err(error) = Health::forget(self.owned.directory())
        {
            log::warn!("{error}");
        }
        if let Some(notices) = &self.notices
            && let Err(error) = notices.forget()
        {
            log::warn!("{error}");
        }
        let status = match then {
            After::Rest if self.failed => status(exit.code).max(1),
            After::Stop | After::Rest => 0,
            _ => status(exit.code),
        };
        // Without these the lock stays, as a dead owner's: the next command settles what could not be settled here.
        let settled = if self.auto_remove {
            let disowned = store.disown_ended(id);
            let reaped = disowned.and_then(|()| match self.volumes.is_empty() {
                false => crate::volumes::reap(store, id),
                true => Ok(()),
            });
            self.event("destroy");
            self.streams.tell_exit(exit.code);
            reaped.and_then(|()| store.remove_directory(id)).and_then(|()| self.owned.finish())
        } else {
            let settled = store.set_last_run(id, &LastRun::Ended(exit.clone()));
            let settled = settled.and_then(|()| self.owned.finish());
            self.streams.tell_exit(exit.code);
            settled
        };
        if !released {
            crate::volumes::release(store, id, &self.volatile);
        }
        if let Err(error) = settled {
            log::warn!("{error}");
        }
        if let Some(pod) = &self.pod
            && let Err(error) = stop_if_left(self.parts, pod)
        {
            log::warn!("{error}");
        }
        self.streams.linger();
        status
    }
}

/// As a process's own.
pub(super) fn status(code: i32) -> u8 {
    u8::try_from(code).unwrap_or(255)
}

/// The status of a container that could not be started.
pub(super) fn failure_code(error: &Error) -> i32 {
    match error.failure() {
        Failure::NotFound => 127,
        Failure::NotExecutable => 126,
        Failure::Engine => 128,
    }
}
