//! `rm` and `rename`.

use conex_oci::{ContainerId, ContainerName};

use crate::{Engine, Result};

/// What `rm` takes.
#[derive(Debug, Clone, Copy, Default)]
pub struct RemoveOptions {
    /// `-f`: a running container is killed first.
    pub force: bool,
    /// `-v`: anonymous volumes too.
    pub volumes: bool,
}

impl Engine {
    /// Removes a container and all that belongs to it.
    ///
    /// # Errors
    /// [`Error::RemoveRunning`](crate::Error::RemoveRunning) without force.
    pub fn remove(&self, id: &ContainerId, options: RemoveOptions) -> Result<()> {
        let _ = (id, options);
        todo!()
    }

    /// Gives a container another name.
    ///
    /// # Errors
    /// [`Error::NameInUse`](crate::Error::NameInUse).
    pub fn rename(&self, id: &ContainerId, name: &ContainerName) -> Result<()> {
        let _ = (id, name);
        todo!()
    }
}
