//! `top`: the container's processes as the host sees them.

use conex_oci::ContainerId;

use crate::{Engine, Result};

/// A table of processes.
#[derive(Debug, Clone, Default)]
pub struct Top {
    /// `UID`, `PID`, …
    pub titles: Vec<String>,
    /// One row a process, as long as the titles.
    pub processes: Vec<Vec<String>>,
}

impl Engine {
    /// Lists the processes; `ps` options as ps(1) takes them, none for `-ef`.
    ///
    /// # Errors
    /// Not running, or options that ps refuses.
    pub fn top(&self, id: &ContainerId, ps: &[String]) -> Result<Top> {
        let _ = (id, ps);
        todo!()
    }
}
