//! `exec`: one more process in a running container.

use conex_oci::ContainerId;
use serde::{Deserialize, Serialize};

use crate::{Attachment, Engine, Result};

/// What `exec` takes.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ExecOptions {
    /// Program and arguments.
    pub command: Vec<String>,
    /// `-e`, `--env-file`: `NAME=value`, after the container's own.
    pub env: Vec<String>,
    /// `-u`; the container's when absent.
    pub user: Option<String>,
    /// `-w`; the container's when absent.
    pub workdir: Option<String>,
    /// `-t`
    pub tty: bool,
    /// `-i`
    pub interactive: bool,
    /// `--privileged`: all capabilities, no seccomp filter.
    pub privileged: bool,
    /// `-d`: no attachment is returned.
    pub detach: bool,
    /// With `tty`: rows and columns at the start.
    pub size: Option<(u16, u16)>,
}

impl Engine {
    /// Runs a command in a running container. `None` with [`ExecOptions::detach`].
    ///
    /// # Errors
    /// [`Error::NotRunning`](crate::Error::NotRunning), [`Error::Paused`](crate::Error::Paused), or what the program's
    /// execve said, with its [`Failure`](crate::Failure).
    pub fn exec(&self, id: &ContainerId, options: &ExecOptions) -> Result<Option<Attachment>> {
        let _ = (id, options);
        todo!()
    }
}
