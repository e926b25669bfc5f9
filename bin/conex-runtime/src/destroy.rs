//! The end of a container: its processes, its groups, its record, its last hooks. Goes on after a failure where it can.

use conex_cgroup::Cgroup;
use conex_oci::runtime::{Spec, Status};
use conex_runtime::hooks::{self, HookKind};
use conex_runtime::state::Container;

use crate::error::Error;
use crate::groups;
use crate::launch::document;

/// Removes a container whose first process has ended. `spec` and `cgroup` save looking for them again.
pub(crate) fn destroy(
    container: Container,
    spec: Option<&Spec>,
    cgroup: Option<Cgroup>,
) -> Result<(), Error> {
    let record = container.record().cloned();
    let kept = match (spec, &record) {
        (None, Some(_)) => container.spec().map_err(|error| log::warn!("no poststop hooks: {error}")).ok(),
        _ => None,
    };
    let found = match (&cgroup, &record) {
        (None, Some(record)) => groups::open(record)?,
        _ => None,
    };
    if let (Some(cgroup), Some(record)) = (cgroup.or(found), &record) {
        // In a pid namespace of its own everything died with the first process.
        if record.shares_pids {
            cgroup.kill()?;
        }
        if cgroup.delete().is_err() {
            cgroup.kill()?;
            cgroup.delete()?;
        }
    }
    let rdt = spec.or(kept.as_ref()).and_then(|spec| spec.linux.as_ref()?.intel_rdt.as_ref());
    if let Some(rdt) = rdt {
        conex_runtime::intel_rdt::remove(rdt, container.id())?;
    }
    container.forget()?;
    let hooks = spec.or(kept.as_ref()).and_then(|spec| spec.hooks.as_ref());
    if let (Some(hooks), Some(record)) = (hooks, record)
        && !hooks.poststop.is_empty()
    {
        let state = document(&record, Status::Stopped, 0);
        hooks::run_all(HookKind::Poststop, &hooks.poststop, &state, |error| log::warn!("{error}"));
    }
    Ok(())
}

/// Kills what is left of a container, then removes it.
pub(crate) fn destroy_by_force(container: Container, spec: Option<&Spec>) -> Result<(), Error> {
    kill(&container)?;
    destroy(container, spec, None)
}

/// After a failure on the way: nothing of the container stays, and what cannot be removed is told of.
pub(crate) fn give_up(container: Container, spec: &Spec) {
    let id = container.id().to_owned();
    if let Err(error) = destroy_by_force(container, Some(spec)) {
        log::warn!("cannot remove what was made of the container {id}: {error}");
    }
}

/// Every process of the container, until none is left.
pub(crate) fn kill(container: &Container) -> Result<(), Error> {
    if let Some((_, pidfd)) = container.init() {
        // It may be in no group at all. Whoever it belongs to reaps it.
        let _ = conex_sys::signal::send(std::os::fd::AsFd::as_fd(&pidfd), 9);
    }
    let Some(record) = container.record() else { return Ok(()) };
    if let Some(cgroup) = groups::open(record)? {
        cgroup.kill()?;
    }
    await_end(container)
}

/// The first process's end, reaped or not, for as long as a killed one may take.
fn await_end(container: &Container) -> Result<(), Error> {
    let Some((init, pidfd)) = container.init() else { return Ok(()) };
    let mut fds = [rustix::event::PollFd::new(&pidfd, rustix::event::PollFlags::IN)];
    let patience = rustix::event::Timespec { tv_sec: 10, tv_nsec: 0 };
    match rustix::io::retry_on_intr(|| rustix::event::poll(&mut fds, Some(&patience))) {
        Ok(1..) => Ok(()),
        _ => Err(Error::Refused(format!("process {} has not ended 10 s after it was killed", init.pid))),
    }
}
