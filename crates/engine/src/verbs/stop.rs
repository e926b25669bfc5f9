//! `stop`, `kill`, `pause`, `unpause`.

use std::time::Duration;

use conex_oci::ContainerId;

use crate::{Engine, Result};

/// How long `stop` waits before SIGKILL.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Grace {
    /// The container's `--stop-timeout`, else 10 s.
    #[default]
    Default,
    /// `-t -1`
    Forever,
    /// `-t 5`
    For(Duration),
}

impl Engine {
    /// Stops a container: its stop signal (or `signal`), then SIGKILL after `grace`. One that does not run is left alone.
    ///
    /// # Errors
    /// When the signal cannot be sent or the container outlives even SIGKILL.
    pub fn stop(&self, id: &ContainerId, signal: Option<i32>, grace: Grace) -> Result<()> {
        let _ = (id, signal, grace);
        todo!()
    }

    /// Sends a signal to the container's first process; SIGKILL ends all of them.
    ///
    /// # Errors
    /// [`Error::NotRunning`](crate::Error::NotRunning).
    pub fn kill(&self, id: &ContainerId, signal: i32) -> Result<()> {
        let _ = (id, signal);
        todo!()
    }

    /// Freezes all processes.
    ///
    /// # Errors
    /// Not running, or paused already.
    pub fn pause(&self, id: &ContainerId) -> Result<()> {
        let _ = id;
        todo!()
    }

    /// Thaws them.
    ///
    /// # Errors
    /// [`Error::NotPaused`](crate::Error::NotPaused).
    pub fn unpause(&self, id: &ContainerId) -> Result<()> {
        let _ = id;
        todo!()
    }
}
