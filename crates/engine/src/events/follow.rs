//! Reading events, from the oldest that is kept, and waiting for more. Memory is bounded by one line.

use std::fs::File;
use std::io::{self, Read};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags};
use rustix::fs::inotify::{self, CreateFlags, WatchFlags};

use super::Event;
use super::journal::{KEPT, LONGEST, MOMENT, NAME, aside};
use crate::time::timespec;

/// The events, in the order in which they were written.
#[derive(Debug)]
pub struct Follow {
    directory: PathBuf,
    /// The oldest first; the last is the one that is written.
    tails: Vec<Tail>,
    watch: Option<OwnedFd>,
}

impl Follow {
    /// At the oldest event that is kept.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn open(directory: &Path) -> io::Result<Self> {
        let mut follow = Self { directory: directory.to_owned(), tails: Vec::new(), watch: None };
        follow.look()?;
        Ok(follow)
    }

    /// Sees what is written from now on, too: before the first event is read.
    ///
    /// # Errors
    /// When the directory cannot be made or watched.
    pub fn watch(&mut self) -> io::Result<()> {
        use std::os::unix::fs::DirBuilderExt;
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.directory)?;
        let fd = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?;
        inotify::add_watch(
            &fd,
            &self.directory,
            WatchFlags::MODIFY | WatchFlags::CREATE | WatchFlags::MOVED_TO,
        )?;
        self.watch = Some(fd);
        self.look().map(drop)
    }

    /// Passes over all that is written so far.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn skip_all(&mut self) -> io::Result<()> {
        self.tails.iter_mut().try_for_each(Tail::skip)
    }

    /// The next event that is written already.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn next_event(&mut self) -> io::Result<Option<Event>> {
        loop {
            for tail in &mut self.tails {
                if let Some(event) = tail.next_event()? {
                    return Ok(Some(event));
                }
            }
            if !self.look()? {
                return Ok(None);
            }
        }
    }

    /// Waits until there may be more, at most so long.
    ///
    /// # Errors
    /// The kernel's.
    pub fn wait(&self, most: Option<Duration>) -> io::Result<()> {
        // Somebody may still write to a file that was put aside, and that is not told.
        let lingers = self.tails.len() > 1;
        let most = [most, lingers.then_some(MOMENT)].into_iter().flatten().min();
        let timeout = most.map(timespec);
        let Some(watch) = &self.watch else { return Ok(()) };
        let mut fds = [PollFd::from_borrowed_fd(watch.as_fd(), PollFlags::IN)];
        match rustix::event::poll(&mut fds, timeout.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
        // What it was does not matter.
        let mut buffer = [MaybeUninit::uninit(); 4096];
        while let Ok((read, _)) = rustix::io::read(watch, &mut buffer[..]) {
            if read.is_empty() {
                break;
            }
        }
        Ok(())
    }

    /// Looks for files that are new; whether there are any. From the youngest to the oldest, so that one that is put aside meanwhile
    /// is come by again and not missed.
    fn look(&mut self) -> io::Result<bool> {
        let mut found = Vec::new();
        for name in std::iter::once(NAME.to_owned()).chain((1..=KEPT).map(aside)) {
            let file = match File::open(self.directory.join(name)) {
                Ok(file) => file,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            };
            let id = file.metadata().map(|meta| (meta.dev(), meta.ino()))?;
            if self.tails.last().is_some_and(|tail| tail.id == id) {
                break;
            }
            if !found.iter().any(|(_, other)| *other == id) {
                found.push((file, id));
            }
        }
        let is_new = !found.is_empty();
        self.tails.extend(found.into_iter().rev().map(|(file, id)| Tail::new(file, id)));
        // Read to its end, and nobody has it open any more.
        let last = self.tails.len().saturating_sub(1);
        let mut number = 0;
        self.tails.retain(|tail| {
            number += 1;
            number > last || tail.ended.is_none_or(|since| since.elapsed() < MOMENT * 2)
        });
        Ok(is_new)
    }
}

/// One file.
#[derive(Debug)]
struct Tail {
    file: File,
    id: (u64, u64),
    /// What was read and not yet given.
    pending: Vec<u8>,
    at: usize,
    /// Since when there was no more.
    ended: Option<Instant>,
}

impl Tail {
    fn new(file: File, id: (u64, u64)) -> Self {
        Self { file, id, pending: Vec::new(), at: 0, ended: None }
    }

    fn skip(&mut self) -> io::Result<()> {
        use std::io::Seek;
        self.file.seek(io::SeekFrom::End(0))?;
        (self.pending, self.at) = (Vec::new(), 0);
        Ok(())
    }

    fn next_event(&mut self) -> io::Result<Option<Event>> {
        loop {
            let rest = &self.pending[self.at..];
            if let Some(end) = rest.iter().position(|&byte| byte == b'\n') {
                let event = parse(&rest[..end]);
                self.at += end + 1;
                match event {
                    Some(event) => return Ok(Some(event)),
                    None => continue,
                }
            }
            self.pending.drain(..self.at);
            self.at = 0;
            if self.pending.len() > LONGEST {
                // No line of ours.
                self.pending.clear();
            }
            let mut buffer = [0; 32 << 10];
            let count = self.file.read(&mut buffer)?;
            if count == 0 {
                self.ended.get_or_insert_with(Instant::now);
                return Ok(None);
            }
            self.ended = None;
            self.pending.extend_from_slice(&buffer[..count]);
        }
    }
}

/// An event; also one that comes after the beginning of another, which a full disk cut off. A quotation mark in a value is escaped, so that
/// no value looks like a beginning.
fn parse(line: &[u8]) -> Option<Event> {
    if let Ok(event) = serde_json::from_slice(line) {
        return Some(event);
    }
    let begins = |at: &usize| {
        [&b"{\"status\":\""[..], b"{\"Type\":\""].iter().any(|head| line[*at..].starts_with(head))
    };
    let last = (1..line.len()).rev().find(begins)?;
    serde_json::from_slice(&line[last..]).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_was_cut_off_costs_no_other() {
        let whole = r#"{"Type":"network","Action":"create","Actor":{"ID":"a","Attributes":{"x":"{\"Type\":\""}},"scope":"local","time":1,"timeNano":1}"#;
        let event = parse(whole.as_bytes()).unwrap();
        for cut in 1..whole.len() {
            assert_eq!(parse(format!("{}{whole}", &whole[..cut]).as_bytes()).as_ref(), Some(&event), "{cut}");
        }
        assert_eq!(parse(b""), None);
    }
}
