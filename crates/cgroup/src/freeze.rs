//! Stops and resumes all processes of a group: `cgroup.freeze` of v2 (Linux 5.2), the freezer controller of v1.

use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fs::OFlags;

use crate::cgroup::{Cgroup, field};
use crate::error::{Error, Result};
use crate::group::Group;

/// How long a freeze may take; a process in an uninterruptible sleep can hold it up for as long as it likes.
const PATIENCE: Duration = Duration::from_secs(10);

impl Cgroup {
    /// Stops every process; returns when all have stopped.
    ///
    /// # Errors
    /// [`Error::Timeout`] when one sits in an uninterruptible sleep; the group is thawed again then.
    pub fn freeze(&self) -> Result<()> {
        let group = self.tracking().ok_or_else(|| self.gone())?;
        let frozen = if group.is_v2() { freeze_v2(group) } else { freeze_v1(group) };
        if frozen.is_err() {
            // The freeze is what failed; the caller hears of that.
            let _also_failed = self.thaw();
        }
        frozen
    }

    /// Lets the processes go on.
    ///
    /// # Errors
    /// [`Error::Write`].
    pub fn thaw(&self) -> Result<()> {
        let group = self.tracking().ok_or_else(|| self.gone())?;
        if group.is_v2() { group.write("cgroup.freeze", "0") } else { group.write("freezer.state", "THAWED") }
    }

    /// Whether the group is frozen or freezing.
    ///
    /// # Errors
    /// [`Error::Read`].
    pub fn is_frozen(&self) -> Result<bool> {
        match self.tracking() {
            None => Ok(false),
            Some(group) if group.is_v2() => {
                Ok(group.read_if_there("cgroup.freeze")?.is_some_and(|text| text.trim() == "1"))
            }
            Some(group) => {
                Ok(group.read_if_there("freezer.state")?.is_some_and(|text| text.trim() != "THAWED"))
            }
        }
    }
}

fn freeze_v2(group: &Group) -> Result<()> {
    group.write("cgroup.freeze", "1")?;
    await_event(group, "frozen", 1, PATIENCE)?.then_some(()).ok_or_else(|| timeout(group))
}

fn freeze_v1(group: &Group) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        // Asking again picks up processes that were forked while the others froze.
        group.write("freezer.state", "FROZEN")?;
        if group.read("freezer.state")?.trim() == "FROZEN" {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    Err(timeout(group))
}

fn timeout(group: &Group) -> Error {
    Error::Timeout { path: group.path().to_owned(), state: "frozen", seconds: PATIENCE.as_secs() }
}

/// Waits until a field of a v2 group's `cgroup.events` has a value; `false` when it has not in time. A group that is
/// gone has neither processes nor frozen ones.
pub(crate) fn await_event(group: &Group, name: &str, value: u64, patience: Duration) -> Result<bool> {
    const EVENTS: &str = "cgroup.events";
    let deadline = Instant::now() + patience;
    // The kernel marks an open file when its content changes: it is opened before it is read.
    let file = match group.file(EVENTS, OFlags::RDONLY) {
        Err(Error::Open { source: rustix::io::Errno::NOENT | rustix::io::Errno::NODEV, .. }) => {
            return Ok(true);
        }
        file => file?,
    };
    loop {
        let text = read_again(&file);
        if text.is_none_or(|text| field(&text, name) == Some(value)) {
            return Ok(true);
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(false);
        }
        let timeout = Timespec { tv_sec: left.as_secs().cast_signed(), tv_nsec: left.subsec_nanos().into() };
        // A signal or a change: either way the file is read again.
        let _woken = rustix::event::poll(&mut [PollFd::new(&file, PollFlags::PRI)], Some(&timeout));
    }
}

/// The file from its beginning; nothing when the group is gone.
fn read_again(file: &std::os::fd::OwnedFd) -> Option<String> {
    let mut bytes = [0; 256];
    let count = rustix::io::pread(file, &mut bytes, 0).ok()?;
    Some(String::from_utf8_lossy(&bytes[..count]).into_owned())
}
