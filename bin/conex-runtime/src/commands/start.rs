//! `start`: lets a created container's process run its program.

use conex_oci::runtime::Status;
use conex_runtime::state::Container;

use super::Act;
use crate::context::Context;
use crate::destroy;
use crate::error::Error;
use crate::flags::arguments;
use crate::launch::poststart;
use crate::notify::NotifySocket;

arguments! {
    pub(super) struct Arguments {
    }
}

impl Act for Arguments {
    fn act(self, context: &Context) -> Result<i32, Error> {
        let mut container = context.container(&self.words[0])?;
        if !container.try_lock()? {
            // Its maker may take its time.
            if container.status()? == Status::Creating {
                return Err(Error::refused("cannot start a container in the creating state"));
            }
            container.lock()?;
        }
        match container.status()? {
            Status::Created => {}
            Status::Stopped => return Err(Error::refused("cannot start a container that has stopped")),
            Status::Running => return Err(Error::refused("cannot start an already running container")),
            status => {
                let why = format!("cannot start a container in the {} state", status.name());
                return Err(Error::Refused(why));
            }
        }
        let spec = container.spec()?;
        // runtime.md#start; the container stays as it is.
        if spec.process.is_none() {
            return Err(Error::refused(
                "cannot start a container without a process (its config.json has none)",
            ));
        }
        let notify =
            if container.path().join("notify").exists() { NotifySocket::of(&container)? } else { None };
        if let Some(notify) = &notify {
            notify.listen()?;
        }
        let Some((init, pidfd)) = container.init() else {
            return Err(Error::refused("cannot start a container that has stopped"));
        };
        conex_runtime::start(container.directory(), Container::start_socket())?;
        container.mark_started()?;
        if let Some(record) = container.record()
            && let Err(error) = poststart(record, &spec, init.pid)
        {
            // The specification's way: stopped, and an error; the record stays for `delete`.
            destroy::kill(&container)?;
            return Err(error);
        }
        container.unlock();
        notify.map_or(Ok(()), |notify| notify.wait(init.pid, &pidfd))?;
        Ok(0)
    }
}
