//! `logs`: what a container wrote, from the log file and its rotated ones, with memory bounded by one line.

use std::collections::BTreeMap;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use conex_oci::ContainerId;
use rustix::event::{PollFd, PollFlags};
use rustix::fs::inotify::{self, CreateFlags, WatchFlags};

use crate::log::read::{Cursor, in_time};
use crate::options::LogDriver;
use crate::store::lock::Presence;
use crate::time::timespec;
use crate::{Engine, Error, Result};

/// What `logs` takes.
#[derive(Debug, Clone, Default)]
pub struct LogsQuery {
    /// `-f`: goes on until the container ends.
    pub follow: bool,
    /// `--since`, nanoseconds since 1970; lines at or after it.
    pub since: Option<i128>,
    /// `--until`, likewise; lines at or before it.
    pub until: Option<i128>,
    /// `-n`: only the last so many; `None` is all.
    pub tail: Option<usize>,
}

/// Where a line was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogStream {
    /// Standard output; also a terminal's.
    Stdout,
    /// Standard error.
    Stderr,
}

/// A line of the log.
#[derive(Debug, Clone)]
pub struct LogLine {
    /// Where it was written.
    pub stream: LogStream,
    /// RFC 3339 with nanoseconds, UTC; as `logs -t` shows it.
    pub time: String,
    /// With its newline, unless it was split (16 KiB) or is unfinished.
    pub bytes: Vec<u8>,
    /// What the log options say that it carries: labels, variables, the tag.
    pub attributes: BTreeMap<String, String>,
}

impl Engine {
    /// Hands each line to `each`, which stops the reading by returning an error (a closed pipe).
    ///
    /// # Errors
    /// A log driver that cannot be read back, a log that cannot be read, or what `each` returned.
    pub fn logs(
        &self,
        id: &ContainerId,
        query: &LogsQuery,
        each: &mut dyn FnMut(LogLine) -> std::io::Result<()>,
    ) -> Result<()> {
        let store = &self.parts.store;
        let record = store.must_record(id)?;
        let directory = store.directory(id);
        let driver = record.options.supervision.log.driver;
        if !matches!(driver, LogDriver::JsonFile | LogDriver::JournaldIfPresent) {
            return Err(Error::LogDriver { driver: driver.name() });
        }
        let fail = |source| Error::Read { path: directory.join(crate::log::JsonFile::NAME), source };
        let mut cursor = Cursor::open(&directory, query.tail).map_err(fail)?;
        let watch = if query.follow { Some(Watch::new(&directory, &store.run_directory(id))?) } else { None };
        loop {
            // Asked before the reading: what was written before the end is read after it was seen.
            let running =
                query.follow && matches!(store.presence(id)?, Presence::Owned | Presence::Supervised);
            while let Some(line) = cursor.next_line().map_err(fail)? {
                match in_time(&line, query) {
                    Ok(true) => each(line).map_err(|source| Error::Output { source })?,
                    Ok(false) => {}
                    Err(_) => return Ok(()),
                }
            }
            let now = || i128::from(crate::time::Time::now().0);
            match &watch {
                Some(watch) if running && query.until.is_none_or(|until| now() <= until) => watch.wait()?,
                _ => return Ok(()),
            }
        }
    }
}

/// Wakes when the log grows or the container's owner goes.
struct Watch(OwnedFd);

impl Watch {
    fn new(log: &std::path::Path, run: &std::path::Path) -> Result<Self> {
        let fail = |errno: rustix::io::Errno| Error::Watch { source: errno.into() };
        let fd = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK).map_err(fail)?;
        inotify::add_watch(&fd, log, WatchFlags::MODIFY | WatchFlags::CREATE | WatchFlags::DELETE_SELF)
            .map_err(fail)?;
        match inotify::add_watch(&fd, run, WatchFlags::DELETE | WatchFlags::DELETE_SELF) {
            Ok(_) | Err(rustix::io::Errno::NOENT) => Ok(Self(fd)),
            Err(errno) => Err(fail(errno)),
        }
    }

    /// A killed owner deletes nothing: so not for ever.
    fn wait(&self) -> Result<()> {
        let limit = Duration::from_millis(500);
        let timeout = timespec(limit);
        let mut fds = [PollFd::from_borrowed_fd(self.0.as_fd(), PollFlags::IN)];
        match rustix::event::poll(&mut fds, Some(&timeout)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(errno) => return Err(Error::Watch { source: errno.into() }),
        }
        // What it was does not matter.
        let mut buffer = [MaybeUninit::uninit(); 4096];
        while let Ok((read, _)) = rustix::io::read(&self.0, &mut buffer[..]) {
            if read.is_empty() {
                break;
            }
        }
        Ok(())
    }
}
