//! When a container's health is asked after, and what becomes of the answers.
//!
//! One probe at a time, the next one an interval after the end of the last. None is run while the container is frozen or being
//! stopped: one that runs then is killed, and does not count. Every answer is written to `health.json` before anybody is told.

use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;
use std::time::{Duration, Instant};

use conex_cgroup::Cgroup;
use conex_oci::ContainerId;

use super::probe::{Outcome, Question, Running};
use crate::engine::Parts;
use crate::health::{Check, Health, HealthStatus, Probe};
use crate::options::OnUnhealthy;
use crate::store::{Process, Record};
use crate::time::Time;

/// How much longer than its time a probe may take, to be killed and to say so, before it is given up.
const DYING: Duration = Duration::from_secs(20);
/// The group of probes, below the container's.
const GROUP: &str = "conex-probe";

/// What a supervisor keeps in mind of a container whose health is checked.
pub(super) struct Monitor {
    check: Check,
    command: Vec<String>,
    pub(super) on_failure: OnUnhealthy,
    pub(super) health: Health,
    /// When this run began.
    began: Instant,
    /// When the next probe is due; `None` while one runs, and while there are none.
    due: Option<Instant>,
    running: Option<Asked>,
    /// The run is being ended: there are none any more.
    over: bool,
}

/// A probe that runs.
struct Asked {
    probe: Running,
    start: Time,
    /// How long the container had run by then.
    age: Duration,
    /// When it is given up.
    lost_at: Option<Instant>,
}

/// What an answer changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Answer {
    /// 0 is well.
    pub(super) code: i32,
    /// The new status, when it is another.
    pub(super) turned: Option<HealthStatus>,
}

impl Monitor {
    /// `None` for a container without a check.
    pub(super) fn of(record: &Record) -> Option<Self> {
        let check = record.health.clone()?;
        let command = check.command()?;
        Some(Self {
            check,
            command,
            on_failure: record.options.supervision.health.on_failure,
            health: Health::default(),
            began: Instant::now(),
            due: None,
            running: None,
            over: false,
        })
    }

    /// A run has begun.
    pub(super) fn begin(&mut self, directory: &Path) {
        self.health.begin();
        self.began = Instant::now();
        self.running = None;
        self.over = false;
        self.write(directory);
        self.resume();
    }

    /// No probes from here on; one that runs is killed.
    pub(super) fn suspend(&mut self) {
        self.running = None;
        self.due = None;
    }

    /// None until the next run begins.
    pub(super) fn cease(&mut self) {
        self.suspend();
        self.over = true;
    }

    /// The next one is an interval from now.
    pub(super) fn resume(&mut self) {
        if self.over {
            return;
        }
        let starting = self.health.status == HealthStatus::Starting;
        let interval = match starting && self.began.elapsed() < self.check.start_period() {
            true => self.check.start_interval(),
            false => self.check.interval(),
        };
        // One that is never due is none.
        self.due = Instant::now().checked_add(interval);
    }

    /// The next one is due now, if none runs: somebody asks.
    pub(super) fn hurry(&mut self) {
        if self.running.is_none() && !self.over {
            self.due = Some(Instant::now());
        }
    }

    /// When to look again without anything to hear.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.running.as_ref().map_or(self.due, |asked| asked.lost_at)
    }

    /// What the running probe is heard on.
    pub(super) fn watched(&self) -> Option<BorrowedFd<'_>> {
        self.running.as_ref().map(|asked| asked.probe.as_fd())
    }

    /// Starts a probe that is due.
    pub(super) fn ask(
        &mut self,
        parts: &Parts,
        id: &ContainerId,
        target: &Process,
        group: &Cgroup,
        directory: &Path,
    ) -> Option<Answer> {
        if self.due.is_none_or(|due| due > Instant::now()) {
            return None;
        }
        self.due = None;
        let (start, age, timeout) = (Time::now(), self.began.elapsed(), self.check.timeout());
        // It goes with the container's.
        let inner = group.inner(GROUP).unwrap_or_else(|error| {
            log::warn!("{error}");
            None
        });
        let command = self.command.clone();
        let question = Question { id, target, command, timeout, group: inner.as_ref() };
        match Running::start(parts, &question) {
            Ok(probe) => {
                let lost_at = timeout.checked_add(DYING).and_then(|time| Instant::now().checked_add(time));
                self.running = Some(Asked { probe, start, age, lost_at });
                None
            }
            Err(error) => {
                Some(self.take(Outcome { code: -1, output: error.to_string() }, start, age, directory))
            }
        }
    }

    /// Hears the running probe out.
    pub(super) fn hear(&mut self, directory: &Path) -> Option<Answer> {
        let asked = self.running.as_ref()?;
        let lost = asked.lost_at.is_some_and(|at| at <= Instant::now());
        let outcome = asked.probe.outcome().or_else(|| {
            lost.then(|| Outcome {
                code: -1,
                output: "the probe did not end, not even by SIGKILL".to_owned(),
            })
        })?;
        let (start, age) = (asked.start, asked.age);
        self.running = None;
        Some(self.take(outcome, start, age, directory))
    }

    fn take(&mut self, outcome: Outcome, start: Time, age: Duration, directory: &Path) -> Answer {
        let Outcome { code, output } = outcome;
        let probe = Probe { start, end: Time::now(), exit_code: code, output };
        let turned = self.health.take(probe, &self.check, age);
        self.write(directory);
        self.resume();
        Answer { code, turned: turned.then_some(self.health.status) }
    }

    fn write(&self, directory: &Path) {
        if let Err(error) = self.health.write(directory) {
            log::warn!("{error}");
        }
    }
}
