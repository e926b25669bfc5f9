//! `resume`: lets a container's frozen processes go on.

use clap::Args;
use conex_oci::runtime::Status;

use super::Act;
use crate::context::Context;
use crate::error::Error;
use crate::groups;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The container
    id: String,
}

impl Act for Arguments {
    fn act(self, context: &Context) -> Result<i32, Error> {
        let mut container = context.container(&self.id)?;
        container.lock()?;
        if container.status()? != Status::Paused {
            return Err(Error::refused("container not paused"));
        }
        if let Some(cgroup) = container.record().map(groups::open).transpose()?.flatten() {
            cgroup.thaw()?;
        }
        Ok(0)
    }
}
