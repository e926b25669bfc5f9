//! Kills everything in a group: `cgroup.kill` of v2 (Linux 5.14), else one process after the other while they are frozen.

use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::process::{Pid, Signal};

use crate::cgroup::Cgroup;
use crate::error::{Error, Result};
use crate::freeze::await_event;
use crate::group::Group;

/// How long the dead may take to leave; one in an uninterruptible sleep can take for ever.
const PATIENCE: Duration = Duration::from_secs(10);

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
                // A frozen group dies all the same, but is thawed so that nothing of it stays frozen.
                match await_event(group, "populated", 0, PATIENCE)? {
                    true => Ok(()),
                    false => Err(timeout(group)),
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

    /// Freezing first keeps them from forking away, and their numbers from being given to others.
    fn kill_one_by_one(&self, group: &Group) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            let frozen = self.freeze();
            let pids = self.procs()?;
            if pids.is_empty() {
                // Frozen or not, a group without processes is done with.
                return self.thaw();
            }
            for pid in pids {
                let number = i32::try_from(pid).ok().and_then(Pid::from_raw);
                match number.map(|number| rustix::process::kill_process(number, Signal::KILL)) {
                    None | Some(Ok(()) | Err(Errno::SRCH)) => {}
                    Some(Err(source)) => {
                        return Err(Error::Kill { pid, path: group.path().to_owned(), source });
                    }
                }
            }
            if let Err(error) = frozen {
                log::debug!("{error}");
            }
            self.thaw()?;
            std::thread::sleep(Duration::from_millis(1));
        }
        Err(timeout(group))
    }
}

fn timeout(group: &Group) -> Error {
    Error::Timeout { path: group.path().to_owned(), state: "empty", seconds: PATIENCE.as_secs() }
}
