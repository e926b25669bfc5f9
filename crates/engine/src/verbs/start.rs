//! `start`, `restart` and `attach`.

use conex_oci::ContainerId;

use super::Grace;
use crate::{Attachment, Engine, Result};

/// Which streams an attachment carries.
#[derive(Debug, Clone, Copy, Default)]
pub struct AttachOptions {
    /// Sends input; has no effect on a container without `-i`.
    pub stdin: bool,
    /// Receives standard output (a terminal's too).
    pub stdout: bool,
    /// Receives standard error.
    pub stderr: bool,
    /// With a terminal: rows and columns at the start.
    pub size: Option<(u16, u16)>,
}

/// How `start` leaves the container.
#[derive(Debug, Clone, Copy)]
pub enum StartMode {
    /// On its own.
    Detached,
    /// With an attachment made before its first instruction, so that no output is missed.
    Attached(AttachOptions),
}

impl Engine {
    /// Starts a container; returns when its program has been executed. A running one is left alone (`None` or a new
    /// attachment). Forks: the caller must have one thread.
    ///
    /// # Errors
    /// What stood in the way, with its [`Failure`](crate::Failure); the container is left created, or exited with 126
    /// or 127, or is removed with `--rm`.
    pub fn start(&self, id: &ContainerId, mode: StartMode) -> Result<Option<Attachment>> {
        let _ = (id, mode);
        todo!()
    }

    /// Stops (with `signal` and `grace`, as [`Engine::stop`]) and starts again.
    ///
    /// # Errors
    /// As stop's and start's.
    pub fn restart(&self, id: &ContainerId, signal: Option<i32>, grace: Grace) -> Result<()> {
        let _ = (id, signal, grace);
        todo!()
    }

    /// Attaches to a running container.
    ///
    /// # Errors
    /// [`Error::NotRunning`](crate::Error::NotRunning), [`Error::Paused`](crate::Error::Paused) as Docker words it.
    pub fn attach(&self, id: &ContainerId, options: AttachOptions) -> Result<Attachment> {
        let _ = (id, options);
        todo!()
    }
}
