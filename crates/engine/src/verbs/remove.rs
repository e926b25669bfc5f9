//! `rm`: a container and all that belongs to it.

use std::time::Instant;

use conex_oci::ContainerId;

use super::start::{PATIENCE, PAUSE};
use crate::events::Subject;
use crate::options::PodPart;
use crate::store::{ContainerState, Record, Store};
use crate::{Engine, Error, Result};

/// What `rm` takes.
#[derive(Debug, Clone, Copy, Default)]
pub struct RemoveOptions {
    /// `-f`: a running container is killed first.
    pub force: bool,
    /// `-v`: its anonymous volumes too, when no other container has them.
    pub volumes: bool,
}

impl Engine {
    /// Removes a container and all that belongs to it.
    ///
    /// # Errors
    /// [`Error::RemoveRunning`] and its like without force.
    pub fn remove(&self, id: &ContainerId, options: RemoveOptions) -> Result<()> {
        match self.parts.store.must_record(id)? {
            record if matches!(record.options.pod, Some(PodPart::Infra(_))) => {
                Err(Error::IsPod { name: record.name.to_string() })
            }
            record => self.remove_any(id, &record, options),
        }
    }

    /// The same for what holds a pod.
    pub(super) fn remove_infra(&self, id: &ContainerId, options: RemoveOptions) -> Result<()> {
        self.remove_any(id, &self.parts.store.must_record(id)?, options)
    }

    fn remove_any(&self, id: &ContainerId, record: &Record, options: RemoveOptions) -> Result<()> {
        let (name, subject) = (record.name.to_string(), Subject::from(record));
        let store = &self.parts.store;
        let mut until = Instant::now() + PATIENCE;
        loop {
            let state = store.state(id)?;
            if let Some(state) = state.filter(ContainerState::is_live) {
                let name = name.clone();
                match state {
                    _ if options.force => {
                        self.kill_off(id, &state)?;
                        until = Instant::now() + PATIENCE;
                    }
                    ContainerState::Paused(_) => return Err(Error::RemovePaused { name }),
                    ContainerState::Restarting(_) => return Err(Error::RemoveRestarting { name }),
                    _ => return Err(Error::RemoveRunning { name }),
                }
            }
            if store.record(id)?.is_none() {
                return Ok(());
            }
            if let Some(owned) = store.own_settled(id)? {
                if options.volumes {
                    crate::volumes::mark(store, id)?;
                }
                store.erase(id)?;
                self.parts.event(&subject.event("destroy"));
                // Clears what killed supervisors of execs have left.
                self.exec_ids(id);
                return owned.finish();
            }
            if Instant::now() > until {
                return Err(Error::Busy { name });
            }
            std::thread::sleep(PAUSE);
        }
    }

    /// Ends a container by all means.
    fn kill_off(&self, id: &ContainerId, state: &ContainerState) -> Result<()> {
        use super::Grace;
        use crate::supervise::wire::After;
        match self.end(id, Some(9), Grace::For(std::time::Duration::from_secs(2)), After::Stop) {
            Err(Error::Undying { name } | Error::Deaf { name }) => {
                // A supervisor that does not answer is ended itself; its lock tells that it was one.
                let Some(process) = state.process() else { return Err(Error::Undying { name }) };
                end_supervisor(&self.parts.store, id, process.supervisor)
            }
            done => done.map(drop),
        }
    }
}

/// Kills the owner of a container, whose run the next look at it settles.
fn end_supervisor(store: &Store, id: &ContainerId, pid: u32) -> Result<()> {
    use crate::store::lock::Presence;
    use rustix::process::{Pid, PidfdFlags, pidfd_open};
    let Some(raw) = i32::try_from(pid).ok().and_then(Pid::from_raw) else { return Ok(()) };
    let Ok(pidfd) = pidfd_open(raw, PidfdFlags::empty()) else { return Ok(()) };
    let comm = std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    // Its pid is its own as long as it holds the lock.
    if store.presence(id)? == Presence::Supervised && comm.trim_end() == "conex-supervise" {
        conex_sys::signal::send(std::os::fd::AsFd::as_fd(&pidfd), 9)
            .map_err(|source| Error::Kill { signal: 9, source })?;
    }
    Ok(())
}
