//! How a container is: the owner's `state.json` while there is one, else how the last run went.

use serde::{Deserialize, Serialize};

use crate::time::Time;

/// A process that runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    /// In the pid namespace of whoever started it.
    pub pid: u32,
    /// Field 22 of `/proc/PID/stat`: with the pid it names one process for ever.
    pub start_ticks: u64,
    /// The supervisor's pid.
    pub supervisor: u32,
    /// When.
    pub started_at: Time,
    /// How often the restart policy has started it since somebody else did.
    pub restarts: u32,
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exit {
    /// 0 to 255; 128+n for signal n.
    pub code: i32,
    /// Whether the kernel killed a process of it because of its memory limit.
    #[serde(default)]
    pub oom_killed: bool,
    /// When the run began; `None` when it did not come to that.
    #[serde(default)]
    pub started_at: Option<Time>,
    /// When it ended, or was found to have ended.
    pub finished_at: Time,
    /// Why it could not be started, or what happened to its supervisor.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub error: String,
    /// How often the restart policy started it.
    #[serde(default)]
    pub restarts: u32,
    /// Whether a person stopped it (`--restart unless-stopped`).
    #[serde(default)]
    pub stopped: bool,
    /// How it was, of one whose health is checked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health: Option<crate::health::Health>,
}

/// What the owner says runs: `state.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "lowercase")]
pub enum Live {
    /// It runs.
    Running(Process),
    /// It is frozen.
    Paused(Process),
    /// It ended and will be started again.
    Restarting(Exit),
}

/// How the last run went: `exit`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "run", rename_all = "lowercase")]
pub enum LastRun {
    /// It began. Without an owner: the machine went down before it ended.
    Started {
        /// When.
        at: Time,
    },
    /// It ended.
    Ended(Exit),
}

/// How a container is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ContainerState {
    /// Never started (or being started this moment).
    Created,
    /// It runs.
    Running(Process),
    /// It is frozen.
    Paused(Process),
    /// It waits for the restart policy's next attempt.
    Restarting(Exit),
    /// It ended.
    Exited(Exit),
}

impl ContainerState {
    /// Of one without an owner.
    pub(crate) fn at_rest(last: Option<LastRun>) -> Self {
        match last {
            None => Self::Created,
            Some(LastRun::Ended(exit)) if exit.started_at.is_none() => Self::Created,
            Some(LastRun::Ended(exit)) => Self::Exited(exit),
            Some(LastRun::Started { at }) => Self::Exited(Exit {
                code: 255,
                oom_killed: false,
                started_at: Some(at),
                finished_at: at,
                error: "the machine went down while the container ran".to_owned(),
                restarts: 0,
                stopped: false,
                health: None,
            }),
        }
    }

    /// Docker's word.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Running(_) => "running",
            Self::Paused(_) => "paused",
            Self::Restarting(_) => "restarting",
            Self::Exited(_) => "exited",
        }
    }

    /// The process, of one that runs or is paused.
    pub fn process(&self) -> Option<&Process> {
        match self {
            Self::Running(process) | Self::Paused(process) => Some(process),
            _ => None,
        }
    }

    /// Whether there is a supervisor to talk to.
    pub fn is_live(&self) -> bool {
        matches!(self, Self::Running(_) | Self::Paused(_) | Self::Restarting(_))
    }
}

impl From<Live> for ContainerState {
    fn from(live: Live) -> Self {
        match live {
            Live::Running(process) => Self::Running(process),
            Live::Paused(process) => Self::Paused(process),
            Live::Restarting(exit) => Self::Restarting(exit),
        }
    }
}
