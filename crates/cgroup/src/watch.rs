//! Word of the kernel's OOM killer, for `events`: v2 changes a file (`memory.events`, by inotify), v1 writes to an eventfd that one
//! registers. On a hybrid host the memory may be v1's and the end of the processes v2's: both are behind one descriptor to poll.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::event::{EventfdFlags, eventfd};
use rustix::fs::OFlags;
use rustix::fs::inotify::{self, WatchFlags};
use rustix::io::Errno;

use crate::cgroup::Cgroup;
use crate::controllers::Controller;
use crate::error::{Error, Result};
use crate::group::Group;

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Notice {
    /// The kernel killed for want of memory; once for whatever happened since the last look.
    Oom,
    /// No process is left, or no group.
    Ended,
}

/// Waits for a container's notices; poll it for reading, then ask [`OomWatch::notice`] until it has no more to say.
#[derive(Debug)]
pub struct OomWatch<'a> {
    cgroup: &'a Cgroup,
    poll: OwnedFd,
    /// Of the v2 group's files.
    inotify: Option<OwnedFd>,
    /// Of the v1 memory group.
    event: Option<OwnedFd>,
    kills: u64,
}

impl AsFd for OomWatch<'_> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.poll.as_fd()
    }
}

impl Cgroup {
    /// Watches for the OOM killer, from now on. Without a memory controller's group only the end is told.
    ///
    /// # Errors
    /// [`Error::Watch`].
    pub fn watch_oom(&self) -> Result<OomWatch<'_>> {
        let failed = |source| Error::Watch { path: self.name(), source };
        let poll = epoll::create(CreateFlags::CLOEXEC).map_err(failed)?;
        let inotify = self.unified.as_ref().map(watch_files).transpose().map_err(failed)?;
        let memory = self.group_of(Controller::Memory).filter(|group| !group.is_v2());
        let event = memory.map(register).transpose()?;
        for source in [&inotify, &event].into_iter().flatten() {
            epoll::add(&poll, source, EventData::new_u64(0), EventFlags::IN).map_err(failed)?;
        }
        Ok(OomWatch { cgroup: self, poll, inotify, event, kills: self.oom_kills()? })
    }
}

impl OomWatch<'_> {
    /// The next notice, if there is one; never waits.
    ///
    /// # Errors
    /// [`Error::Watch`], [`Error::Read`].
    pub fn notice(&mut self) -> Result<Option<Notice>> {
        let drained = |source: &Option<OwnedFd>| {
            let drained = source.as_ref().map_or(Ok(false), drain);
            drained.map_err(|source| Error::Watch { path: self.cgroup.name(), source })
        };
        drained(&self.inotify)?;
        let is_oom = match &self.event {
            // v1 tells before it kills, so that the count says nothing yet; and when the group is removed.
            Some(_) => {
                drained(&self.event)? && self.cgroup.v1_of(Controller::Memory).is_some_and(Group::exists)
            }
            None => {
                let kills = self.cgroup.oom_kills()?;
                kills > std::mem::replace(&mut self.kills, kills)
            }
        };
        if is_oom {
            return Ok(Some(Notice::Oom));
        }
        Ok(self.has_ended()?.then_some(Notice::Ended))
    }

    fn has_ended(&self) -> Result<bool> {
        let Some(group) = self.cgroup.tracking() else { return Ok(true) };
        if group.is_v2() {
            let events = group.read_if_there("cgroup.events")?;
            return Ok(events.is_none_or(|text| crate::cgroup::field(&text, "populated") == Some(0)));
        }
        Ok(!group.exists())
    }
}

/// A cgroup file system tells of changes to these two alone; `memory.events` is not there without the controller.
fn watch_files(group: &Group) -> Result<OwnedFd, Errno> {
    let inotify = inotify::init(inotify::CreateFlags::CLOEXEC | inotify::CreateFlags::NONBLOCK)?;
    for file in ["memory.events", "cgroup.events"] {
        let path = format!("/proc/self/fd/{}/{file}", group.directory().as_raw_fd());
        match inotify::add_watch(&inotify, &path, WatchFlags::MODIFY) {
            Ok(_) => {}
            Err(Errno::NOENT) if file == "memory.events" => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(inotify)
}

fn register(group: &Group) -> Result<OwnedFd> {
    let event = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)
        .map_err(|source| Error::Watch { path: group.path().to_owned(), source })?;
    let control = group.file("memory.oom_control", OFlags::RDONLY)?;
    group.write("cgroup.event_control", &format!("{} {}", event.as_raw_fd(), control.as_raw_fd()))?;
    Ok(event)
}

/// Whether there was anything to read.
fn drain(source: &OwnedFd) -> Result<bool, Errno> {
    let mut bytes = [0; 4096];
    let mut any = false;
    loop {
        match rustix::io::read(source, &mut bytes) {
            Ok(0) | Err(Errno::AGAIN) => return Ok(any),
            Ok(_) => any = true,
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
    }
}
