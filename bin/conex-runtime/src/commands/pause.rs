//! `pause`: freezes a container's processes.

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
        match container.status()? {
            Status::Running | Status::Created => {}
            _ => return Err(Error::refused("container not running")),
        }
        match container.record().map(groups::open).transpose()?.flatten() {
            Some(cgroup) => cgroup.freeze()?,
            None => return Err(Error::refused("cannot pause a container without a cgroup")),
        }
        Ok(0)
    }
}
