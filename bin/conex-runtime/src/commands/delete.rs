//! `delete`: removes what is left of a container.

use conex_oci::runtime::Status;
use conex_runtime::state::{Container, StateError};

use super::Act;
use crate::context::Context;
use crate::destroy;
use crate::error::Error;
use crate::flags::arguments;

arguments! {
    pub(super) struct Arguments {
        /// Kill it first if it runs; a container that is not there is no error
        force: bool = "-f --force";
    }
}

impl Act for Arguments {
    fn act(self, context: &Context) -> Result<i32, Error> {
        let container = match context.container(&self.words[0]) {
            Err(error) if error.is_not_found() => return self.without_record(context, error),
            other => other?,
        };
        if self.force {
            return by_force(container).map(|()| 0);
        }
        let mut container = container;
        container.lock()?;
        match container.status()? {
            Status::Stopped => destroy::destroy(container, None, None)?,
            Status::Created => destroy::destroy_by_force(container, None)?,
            status => {
                let why = format!(
                    "cannot delete container {} that is not stopped: {}",
                    container.id(),
                    status.name()
                );
                return Err(Error::Refused(why));
            }
        }
        Ok(0)
    }
}

impl Arguments {
    /// A directory without a record is what a crash at the very beginning leaves; nothing else exists then.
    fn without_record(&self, context: &Context, missing: Error) -> Result<i32, Error> {
        match context.root.open(&self.words[0]) {
            Ok(mut container) => {
                container.lock()?;
                container.forget()?;
            }
            Err(StateError::NotFound { .. }) => {}
            Err(error) => return Err(error.into()),
        }
        if self.force { Ok(0) } else { Err(missing) }
    }
}

/// Whoever is making or changing the container fails when its process dies, clears what it can, and lets go.
fn by_force(mut container: Container) -> Result<(), Error> {
    if !container.try_lock()? {
        destroy::kill(&container)?;
        match container.lock() {
            Err(StateError::NotFound { .. }) => return Ok(()),
            other => other?,
        }
    }
    destroy::destroy_by_force(container, None)
}
