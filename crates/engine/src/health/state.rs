//! Docker's state machine of health: starting, then healthy or unhealthy by what the probes say.

use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Check;
use crate::store::write::{self, Durability};
use crate::time::Time;
use crate::{Error, Result};

/// In the run directory.
pub(crate) const FILE: &str = "health.json";
/// Probes that are kept.
const KEPT: usize = 5;

/// How a container is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HealthStatus {
    /// No probe has succeeded yet, and not enough have failed.
    #[default]
    Starting,
    /// The last probe succeeded, or not enough have failed since.
    Healthy,
    /// As many have failed in a row as make it so.
    Unhealthy,
}

impl HealthStatus {
    /// Docker's word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Healthy => "healthy",
            Self::Unhealthy => "unhealthy",
        }
    }
}

impl std::str::FromStr for HealthStatus {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self> {
        match text {
            "starting" => Ok(Self::Starting),
            "healthy" => Ok(Self::Healthy),
            "unhealthy" => Ok(Self::Unhealthy),
            _ => Err(Error::HealthStatus { text: text.to_owned() }),
        }
    }
}

/// One probe that has ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Probe {
    /// When it began.
    pub start: Time,
    /// When it ended.
    pub end: Time,
    /// Its status; -1 for one that was not run, or took too long.
    pub exit_code: i32,
    /// What it said, both streams: 4096 bytes at most, and `...` where there was more.
    pub output: String,
}

/// How a container is, and why: Docker's `State.Health`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Health {
    /// How it is.
    pub status: HealthStatus,
    /// Failures in a row.
    pub failing_streak: u32,
    /// The last five probes, the oldest first.
    pub log: Vec<Probe>,
}

impl Health {
    /// Takes a probe's word for it; whether the status is another one now. `age` is how long the container had run when the
    /// probe began.
    pub(crate) fn take(&mut self, probe: Probe, check: &Check, age: Duration) -> bool {
        let before = self.status;
        let success = probe.exit_code == 0;
        if self.log.len() >= KEPT {
            self.log.drain(..=self.log.len() - KEPT);
        }
        self.log.push(probe);
        if success {
            self.failing_streak = 0;
            self.status = HealthStatus::Healthy;
        } else if before != HealthStatus::Starting || age >= check.start_period() {
            self.failing_streak = self.failing_streak.saturating_add(1);
            if self.failing_streak >= check.retries() {
                self.status = HealthStatus::Unhealthy;
            }
        }
        self.status != before
    }

    /// Another run begins. What the last one's probes said stays to be read.
    pub(crate) fn begin(&mut self) {
        self.status = HealthStatus::Starting;
        self.failing_streak = 0;
    }

    /// The run has ended: what does not run is not healthy, as Docker has it.
    #[must_use]
    pub(crate) fn ended(self) -> Self {
        Self { status: HealthStatus::Unhealthy, ..self }
    }

    /// What a supervisor has written; `None` when it has not.
    pub(crate) fn read(directory: &Path) -> Result<Option<Self>> {
        write::read_json(&directory.join(FILE))
    }

    /// The last run has ended, and is on record.
    pub(crate) fn forget(directory: &Path) -> Result<()> {
        write::unlink(&directory.join(FILE))?;
        write::unlink(&directory.join(".health.json.new"))
    }

    pub(crate) fn write(&self, directory: &Path) -> Result<()> {
        write::replace_json(directory, FILE, self, Durability::Passing)
    }
}

#[cfg(test)]
mod tests {
    use conex_oci::image::Healthcheck;

    use super::*;

    fn probe(exit_code: i32) -> Probe {
        Probe { start: Time(1), end: Time(2), exit_code, output: String::new() }
    }

    fn check() -> Check {
        let config =
            Healthcheck { retries: Some(2), start_period: Some(10_000_000_000), ..Healthcheck::default() };
        Check { config, shell: Vec::new() }
    }

    #[test]
    fn as_docker_counts() {
        use HealthStatus::{Healthy, Starting, Unhealthy};
        let (check, mut health) = (check(), Health::default());
        let (early, late) = (Duration::from_secs(1), Duration::from_secs(10));
        // (age, status of the probe, status then, streak then)
        for (age, code, status, streak) in [
            (early, 1, Starting, 0),
            (early, 1, Starting, 0),
            (late, 1, Starting, 1),
            (late, 1, Unhealthy, 2),
            (late, 127, Unhealthy, 3),
            (late, 0, Healthy, 0),
            (late, -1, Healthy, 1),
            (late, 0, Healthy, 0),
            // A container that has been healthy is not starting any more, however young it is.
            (early, 1, Healthy, 1),
            (early, 1, Unhealthy, 2),
        ] {
            let before = health.status;
            assert_eq!(health.take(probe(code), &check, age), before != status);
            assert_eq!((health.status, health.failing_streak), (status, streak));
        }
        assert_eq!(health.log.len(), KEPT);
        health.begin();
        assert_eq!((health.status, health.failing_streak, health.log.len()), (Starting, 0, KEPT));
    }

    #[test]
    fn written_as_docker_shows_it() {
        let mut health = Health::default();
        health.take(probe(1), &Check::default(), Duration::ZERO);
        let text = serde_json::to_string(&health).unwrap();
        let probe = r#"{"Start":"1970-01-01T00:00:00.000000001Z","End":"1970-01-01T00:00:00.000000002Z","ExitCode":1,"Output":""}"#;
        assert_eq!(text, format!(r#"{{"Status":"starting","FailingStreak":1,"Log":[{probe}]}}"#));
    }
}
