//! What brings a run to its end before its time, and what follows an end: bad health, a service manager's wish, a start that
//! fails.

use std::time::Instant;

use super::container::{Life, SETTLED};
use super::health::{Answer, Monitor};
use super::launch::Launched;
use super::notify::Notices;
use super::wire::After;
use crate::health::HealthStatus;
use crate::options::OnUnhealthy;
use crate::store::Exit;
use crate::time::Time;
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
        if monitor.health.status == HealthStatus::Healthy {
            self.notices.iter_mut().for_each(Notices::healthy);
        }
        if turned.is_some() {
            let word = monitor.health.status.word();
            self.parts.event(&self.subject.event(&format!("health_status: {word}")));
        }
        let Some(monitor) = &self.health else { return OnUnhealthy::None };
        match turned {
            Some(HealthStatus::Unhealthy) => monitor.on_failure,
            _ => OnUnhealthy::None,
        }
    }

    pub(super) fn next(&mut self) -> Next {
        match self.parts.job(&self.id).and_then(|job| self.start(job)) {
            Ok(launched) => Next::Runs(Box::new(launched)),
            Err(error) => Next::Failed(error),
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
}

/// As a process's own.
pub(super) fn status(code: i32) -> u8 {
    u8::try_from(code).unwrap_or(255)
}

/// How the wait for the next start went.
pub(super) enum Next {
    Runs(Box<Launched>),
    Failed(Error),
    /// Somebody stopped it in between.
    Stopped {
        by_hand: bool,
    },
}

/// The status of a container that could not be started.
pub(super) fn failure_code(error: &Error) -> i32 {
    match error.failure() {
        Failure::NotFound => 127,
        Failure::NotExecutable => 126,
        Failure::Engine => 128,
    }
}
