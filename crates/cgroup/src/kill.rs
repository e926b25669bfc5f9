//! Kills everything in a group: `cgroup.kill` of v2 (Linux 5.14), else one process after the other while they are frozen.

use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use crate::cgroup::Cgroup;
use crate::error::{Error, Result};
use crate::freeze::await_event;
use crate::group::Group;

/// How long the dead may take to leave; one in an uninterruptible sleep can take for ever.
const PATIENCE: Duration = Duration::from_secs(10);

/// Processes that are held at a time, within anybody's limit of open files.
const AT_ONCE: usize = 200;

impl Cgroup {
    /// Kills every process, also of groups below, frozen or not, and waits until none is left. Nothing to kill is no error.
    ///
    /// # Errors
    /// [`Error::Timeout`].
    pub fn kill(&self) -> Result<()> {
        let Some(group) = self.tracking() else { return Ok(()) };
        if !group.is_v2() {
            return self.kill_one_by_one(group);
        }
        match group.write_raw("cgroup.kill", "1") {
            Ok(()) => {
                if !await_event(group, "populated", 0, PATIENCE)? {
                    return Err(timeout(group));
                }
                // The frozen die as well, but their group would freeze whoever comes next.
                match group.write_raw("cgroup.freeze", "0") {
                    Ok(()) | Err(Errno::NODEV | Errno::NOENT) => Ok(()),
                    Err(source) => Err(Error::Write {
                        value: "0".to_owned(),
                        path: group.path().join("cgroup.freeze"),
                        source,
                    }),
                }
            }
            // Removed meanwhile.
            Err(Errno::NODEV) => Ok(()),
            Err(Errno::NOENT) if !group.has("cgroup.procs") => Ok(()),
            Err(Errno::NOENT | Errno::OPNOTSUPP) => self.kill_one_by_one(group),
            Err(source) => {
                Err(Error::Write { value: "1".to_owned(), path: group.path().join("cgroup.kill"), source })
            }
        }
    }

    /// Sends a signal to every process, also of groups below; those that fork meanwhile may be missed unless it is SIGKILL.
    ///
    /// # Errors
    /// [`Error::Kill`]; as for [`Cgroup::kill`] with SIGKILL.
    pub fn signal(&self, signal: i32) -> Result<()> {
        if signal == Signal::KILL.as_raw() {
            return self.kill();
        }
        for (pid, process) in self.procs()?.chunks(AT_ONCE).flat_map(|pids| hold(pids.to_vec())) {
            match conex_sys::signal::send(process.as_fd(), signal).map_err(|error| error.raw_os_error()) {
                Ok(()) => {}
                Err(Some(code)) if Errno::from_raw_os_error(code) == Errno::SRCH => {}
                Err(code) => {
                    let source = code.map_or(Errno::IO, Errno::from_raw_os_error);
                    return Err(Error::Kill { pid, path: self.name(), source });
                }
            }
        }
        Ok(())
    }

    /// Freezing first keeps them from forking away, and their numbers from being given to others.
    pub(crate) fn kill_one_by_one(&self, group: &Group) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        // A delete that was cut short may have left another hierarchy's group and not the freezer's.
        let thaw = || if group.has("freezer.state") || group.is_v2() { self.thaw() } else { Ok(()) };
        while Instant::now() < deadline {
            let frozen = self.freeze();
            let mut pids = self.procs()?;
            if pids.is_empty() {
                // Frozen or not, a group without processes is done with.
                return thaw();
            }
            pids.truncate(AT_ONCE);
            let held = hold(pids);
            // A number that is in the group now was not given to a process elsewhere before it was held.
            let inside = self.procs()?;
            for (pid, process) in held.into_iter().filter(|(pid, _)| inside.binary_search(pid).is_ok()) {
                match pidfd_send_signal(&process, Signal::KILL) {
                    Ok(()) | Err(Errno::SRCH) => {}
                    Err(source) => return Err(Error::Kill { pid, path: group.path().to_owned(), source }),
                }
            }
            if let Err(error) = frozen {
                log::debug!("{error}");
            }
            thaw()?;
            std::thread::sleep(Duration::from_millis(1));
        }
        Err(timeout(group))
    }
}

/// Processes by descriptor; those that have ended meanwhile are left out.
fn hold(pids: Vec<u32>) -> Vec<(u32, OwnedFd)> {
    let open = |pid: u32| {
        let number = Pid::from_raw(pid.cast_signed())?;
        Some((pid, pidfd_open(number, PidfdFlags::empty()).ok()?))
    };
    pids.into_iter().filter_map(open).collect()
}

fn timeout(group: &Group) -> Error {
    Error::Timeout { path: group.path().to_owned(), state: "empty", seconds: PATIENCE.as_secs() }
}
