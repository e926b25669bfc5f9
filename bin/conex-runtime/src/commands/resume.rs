//! `resume`: lets a container's frozen processes go on.

use conex_oci::runtime::Status;

use super::Act;
use crate::context::Context;
use crate::error::Error;
use crate::flags::arguments;
use crate::groups;

arguments! {
    pub(super) struct Arguments {
    }
}

impl Act for Arguments {
    fn act(self, context: &Context) -> Result<i32, Error> {
        let mut container = context.container(&self.words[0])?;
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
