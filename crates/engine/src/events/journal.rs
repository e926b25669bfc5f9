//! Writing events: one append of one line (write(2) with O_APPEND puts each whole and apart), files of a bounded size.
//!
//! A file that has grown too large is renamed (`events.json.1`, and so on, the oldest goes) by whoever opens it next. So nobody
//! keeps it open for longer than a moment: what is written to the old file in that moment is still read there.

use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, Mode, OFlags};
use rustix::io::Errno;

use super::Event;

/// The file that is written.
pub(super) const NAME: &str = "events.json";
/// Bytes from which on it is put aside.
pub(super) const LARGEST: u64 = 4 << 20;
/// How many are kept besides.
pub(super) const KEPT: usize = 3;
/// How long a writer keeps it open.
pub(super) const MOMENT: Duration = Duration::from_secs(1);
/// Bytes of a line: an event with more labels goes without them.
pub(super) const LONGEST: usize = 64 << 10;

/// The events' file, opened when there is the first to write.
#[derive(Debug)]
pub(crate) struct Journal {
    directory: PathBuf,
    open: Mutex<Option<Open>>,
    has_warned: AtomicBool,
}

#[derive(Debug)]
struct Open {
    file: OwnedFd,
    since: Instant,
}

impl Journal {
    /// `directory` is made when it is needed.
    pub(crate) fn new(directory: PathBuf) -> Self {
        Self { directory, open: Mutex::new(None), has_warned: AtomicBool::new(false) }
    }

    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    /// The descriptor that is open now, for a process that is about to be forked to keep.
    pub(crate) fn raw_fd(&self) -> Option<RawFd> {
        self.lock().as_ref().map(|open| open.file.as_raw_fd())
    }

    /// Closes the file until there is another event: who idles would keep one on the disk that was removed long ago.
    pub(crate) fn rest(&self) {
        *self.lock() = None;
    }

    /// Notes an event; what keeps it from that is told once.
    pub(crate) fn write(&self, event: &Event) {
        if let Err(errno) = self.append(&line(event))
            && !self.has_warned.swap(true, Ordering::Relaxed)
        {
            log::warn!("events are not noted: {}: {errno}", self.directory.join(NAME).display());
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Open>> {
        self.open.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn append(&self, line: &[u8]) -> rustix::io::Result<()> {
        let mut open = self.lock();
        if open.as_ref().is_none_or(|open| open.since.elapsed() >= MOMENT) {
            *open = None;
            *open = Some(Open { file: self.open()?, since: Instant::now() });
        }
        let Some(Open { file, .. }) = open.as_ref() else { return Ok(()) };
        let written = rustix::io::retry_on_intr(|| rustix::io::write(file, line))?;
        if written < line.len() {
            // The disk is full. The next line begins on one of its own, if there is room by then.
            let _ = rustix::io::write(file, b"\n");
            return Err(Errno::NOSPC);
        }
        Ok(())
    }

    fn open(&self) -> rustix::io::Result<OwnedFd> {
        let path = self.directory.join(NAME);
        let flags = OFlags::WRONLY | OFlags::APPEND | OFlags::CREATE | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let open = || rustix::fs::open(&path, flags, Mode::RUSR | Mode::WUSR);
        let file = match open() {
            Err(Errno::NOENT) => {
                match rustix::fs::mkdir(&self.directory, Mode::RWXU) {
                    Ok(()) | Err(Errno::EXIST) => {}
                    Err(errno) => return Err(errno),
                }
                open()?
            }
            file => file?,
        };
        if is_large(&file)? {
            self.put_aside(&path)?;
            return open();
        }
        Ok(file)
    }

    /// Renames the file, unless somebody else is at it or has done so.
    fn put_aside(&self, path: &Path) -> rustix::io::Result<()> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let directory = rustix::fs::open(&self.directory, flags, Mode::empty())?;
        if rustix::fs::flock(&directory, FlockOperation::NonBlockingLockExclusive).is_err() {
            return Ok(());
        }
        let now = rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
        if !is_large(&now)? {
            return Ok(());
        }
        for number in (1..KEPT).rev() {
            match rustix::fs::renameat(&directory, aside(number), &directory, aside(number + 1)) {
                Ok(()) | Err(Errno::NOENT) => {}
                Err(errno) => return Err(errno),
            }
        }
        rustix::fs::renameat(&directory, NAME, &directory, aside(1))
    }
}

/// `events.json.1`, the younger the lower.
pub(super) fn aside(number: usize) -> String {
    format!("{NAME}.{number}")
}

fn is_large(file: &OwnedFd) -> rustix::io::Result<bool> {
    Ok(u64::try_from(rustix::fs::fstat(file.as_fd())?.st_size).unwrap_or(0) >= LARGEST)
}

fn line(event: &Event) -> Vec<u8> {
    let text = |event: &Event| serde_json::to_vec(event).unwrap_or_else(|error| unreachable!("{error}"));
    let mut line = text(event);
    if line.len() >= LONGEST {
        let mut short = event.clone();
        // An exec's has the whole command in it.
        [&mut short.status, &mut short.action].into_iter().for_each(cut);
        if text(&short).len() >= LONGEST {
            short.actor.attributes.retain(|name, value| name.len() + value.len() < 256);
        }
        while text(&short).len() >= LONGEST && !short.actor.attributes.is_empty() {
            let half = short.actor.attributes.len() / 2;
            let kept = short.actor.attributes.into_iter().take(half).collect();
            short.actor.attributes = kept;
            short.from.clear();
        }
        line = text(&short);
    }
    line.push(b'\n');
    line
}

/// So that with each of its characters escaped a line has room for it, twice.
fn cut(text: &mut String) {
    const MOST: usize = 4096;
    if text.len() > MOST {
        let end = (0..=MOST).rev().find(|end| text.is_char_boundary(*end));
        text.truncate(end.unwrap_or(0));
        text.push('…');
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::events::Follow;

    #[test]
    fn old_files_are_put_aside_and_bounded() {
        let place = tempfile::tempdir().unwrap();
        let journal = Journal::new(place.path().join("events"));
        let filler = "x".repeat(30_000);
        for number in 0..1000 {
            let event = Event::new("container", "start", number.to_string()).with("filler", &filler);
            *journal.lock() = None;
            journal.write(&event);
        }
        let mut names: Vec<_> = std::fs::read_dir(journal.directory())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        assert_eq!(names, ["events.json", "events.json.1", "events.json.2", "events.json.3"]);
        let mut follow = Follow::open(journal.directory()).unwrap();
        let ids: Vec<u32> = std::iter::from_fn(|| follow.next_event().unwrap())
            .map(|event| event.actor.id.parse().unwrap())
            .collect();
        assert!(ids.len() > 400, "{}", ids.len());
        assert!(ids.windows(2).all(|two| two[0] + 1 == two[1]) && ids.last() == Some(&999));
    }

    #[test]
    fn an_event_with_endless_labels_goes_without_them() {
        let mut event = Event::new("container", "start", "a").with("name", "web");
        for number in 0..2000 {
            event = event.with(&format!("label{number}"), "y".repeat(1000));
        }
        let line = line(&event);
        assert!(line.len() <= LONGEST);
        let read: Event = serde_json::from_slice(&line).unwrap();
        assert_eq!(read.actor.attributes, [("name".to_owned(), "web".to_owned())].into());
    }
    #[test]
    fn an_endless_command_is_cut() {
        for filler in ["x", "\u{1}", "ä"] {
            let action = format!("exec_start: {}", filler.repeat(100_000));
            let event = Event::new("container", &action, "a").with("name", "web");
            let line = line(&event);
            assert!(line.len() <= LONGEST);
            let read: Event = serde_json::from_slice(&line).unwrap();
            assert!(read.action.starts_with(&action[..2000]) && read.action.ends_with('…'), "{filler}");
            assert_eq!(read.actor, event.actor, "what is short stays");
        }
    }
}
