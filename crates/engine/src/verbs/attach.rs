//! `attach`: another client of a running container.

use conex_oci::ContainerId;

use crate::store::ContainerState;
use crate::supervise::wire::Request;
use crate::{Attachment, Engine, Error, Result};

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

impl Engine {
    /// Attaches to a running container.
    ///
    /// # Errors
    /// A container that does not run, is paused, or waits to be restarted, as Docker words it.
    pub fn attach(&self, id: &ContainerId, options: AttachOptions) -> Result<Attachment> {
        let AttachOptions { stdin, stdout, stderr, size } = options;
        loop {
            match self.parts.store.state(id)? {
                Some(ContainerState::Running(_)) => {}
                Some(ContainerState::Paused(_)) => return Err(Error::AttachPaused),
                Some(ContainerState::Restarting(_)) => return Err(Error::AttachRestarting),
                _ => return Err(Error::AttachStopped),
            }
            if let Some(attachment) = self.ask(id, &Request::Attach { stdin, stdout, stderr, size })? {
                self.container_event(id, "attach");
                return Ok(attachment);
            }
            // It ended this moment: the state will say so.
            std::thread::sleep(super::start::PAUSE);
        }
    }
}
