//! `wait`: until a container ends.

use conex_oci::ContainerId;

use crate::{Engine, Result};

/// What is waited for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum WaitCondition {
    /// That it does not run; returns at once when so.
    #[default]
    NotRunning,
    /// Its next end.
    NextExit,
    /// That it is gone.
    Removed,
}

impl Engine {
    /// Waits; returns the exit status.
    ///
    /// # Errors
    /// [`Error::NoSuchContainer`](crate::Error::NoSuchContainer) when it is removed before it is looked at.
    pub fn wait(&self, id: &ContainerId, condition: WaitCondition) -> Result<i32> {
        let _ = (id, condition);
        todo!()
    }
}
