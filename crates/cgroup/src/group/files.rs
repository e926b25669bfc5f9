//! The files of a group: read whole or as a number, written in one go, and remembered while an update is under way.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::{MutexGuard, PoisonError};

use rustix::fs::{self, AtFlags, Mode, OFlags};
use rustix::io::Errno;

use super::{Group, names};
use crate::error::{Error, Result};
use crate::journal::Entry;

/// No file of a cgroup that is read here is larger, except `cgroup.procs`, which is read in pieces.
const MAX_FILE: usize = 4 << 20;

/// A limit on its way to a file: what messages about it need.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limit<'a> {
    pub(crate) controller: &'a str,
    /// By its name in the runtime specification.
    pub(crate) name: &'a str,
    /// What to do when the file is missing.
    pub(crate) hint: &'static str,
}

impl Group {
    pub(crate) fn has(&self, file: &str) -> bool {
        fs::accessat(&self.directory, file, fs::Access::EXISTS, AtFlags::empty()).is_ok()
    }

    /// One of the group's files, opened for reading or writing.
    pub(crate) fn file(&self, name: &str, how: OFlags) -> Result<OwnedFd> {
        open_file(&self.directory, name, how)
            .map_err(|source| Error::Open { path: self.path.join(name), source })
    }

    /// A whole file.
    pub(crate) fn read(&self, file: &str) -> Result<String> {
        self.read_raw(file).map_err(|source| Error::Read { path: self.path.join(file), source })
    }

    /// A whole file; nothing when the kernel does not have it, or the group is gone.
    pub(crate) fn read_if_there(&self, file: &str) -> Result<Option<String>> {
        match self.read_raw(file) {
            Ok(text) => Ok(Some(text)),
            Err(Errno::NOENT | Errno::NODEV | Errno::OPNOTSUPP) => Ok(None),
            Err(source) => Err(Error::Read { path: self.path.join(file), source }),
        }
    }

    fn read_raw(&self, file: &str) -> Result<String, Errno> {
        read_at(&self.directory, file)
    }

    /// A file that holds one number, or `max` (no limit: nothing).
    pub(crate) fn number(&self, file: &str) -> Result<Option<u64>> {
        let text = self.read(file)?;
        self.parse(file, &text)
    }

    /// The same with `max` as the largest number; nothing when the kernel does not have the file, or the group is gone.
    pub(crate) fn number_if_there(&self, file: &str) -> Result<Option<u64>> {
        let Some(text) = self.read_if_there(file)? else { return Ok(None) };
        Ok(Some(self.parse(file, &text)?.unwrap_or(u64::MAX)))
    }

    fn parse(&self, file: &str, text: &str) -> Result<Option<u64>> {
        match text.trim() {
            "max" => Ok(None),
            digits => digits
                .parse()
                .map(Some)
                .map_err(|_| Error::Parse { path: self.path.join(file), text: clip(digits) }),
        }
    }

    /// The names of its files.
    pub(crate) fn file_names(&self) -> Result<Vec<String>> {
        names(&self.directory, fs::FileType::RegularFile)
            .map_err(|source| Error::Read { path: self.path.clone(), source })
    }

    /// Writes a file that is no limit.
    pub(crate) fn write(&self, file: &str, value: &str) -> Result<()> {
        self.put(file, value).map_err(|source| Error::Write {
            value: value.to_owned(),
            path: self.path.join(file),
            source,
        })
    }

    /// Writes a limit; the error says which, and what to do when the file is missing.
    pub(crate) fn set(&self, limit: Limit<'_>, file: &str, value: &str) -> Result<()> {
        self.write_raw(file, value).map_err(|source| self.refused(limit, file, value, source))
    }

    /// The error for a limit that [`Group::write_raw`] could not write.
    pub(crate) fn refused(&self, limit: Limit<'_>, file: &str, value: &str, source: Errno) -> Error {
        let (controller, name, path) =
            (limit.controller.to_owned(), limit.name.to_owned(), self.path.join(file));
        match source {
            Errno::NOENT if !self.has(file) => {
                Error::NoFile { controller, limit: name, path, hint: limit.hint }
            }
            source => Error::Limit { controller, limit: name, value: value.to_owned(), path, source },
        }
    }

    /// From here on what is written is kept with what was there.
    pub(crate) fn start_journal(&self) {
        *self.journal() = Some(Vec::new());
    }

    pub(crate) fn end_journal(&self) -> Vec<Entry> {
        self.journal().take().unwrap_or_default()
    }

    fn journal(&self) -> MutexGuard<'_, Option<Vec<Entry>>> {
        self.journal.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a process in.
    pub(crate) fn enter(&self, pid: u32) -> Result<(), Errno> {
        self.put("cgroup.procs", &pid.to_string())
    }

    /// Writes a limit.
    pub(crate) fn write_raw(&self, file: &str, value: &str) -> Result<(), Errno> {
        if let Some(journal) = &mut *self.journal()
            // What cannot be read is refused when it is written, or has no state.
            && let Ok(before) = read_at(&self.directory, file)
        {
            journal.push(Entry { file: file.to_owned(), before, written: value.to_owned() });
        }
        self.put(file, value)
    }

    fn put(&self, file: &str, value: &str) -> Result<(), Errno> {
        let file = open_file(&self.directory, file, OFlags::WRONLY)?;
        loop {
            match rustix::io::write(&file, value.as_bytes()) {
                // A cgroup file takes a value in one write or not at all.
                Ok(_) => return Ok(()),
                Err(Errno::INTR) => {}
                Err(errno) => return Err(errno),
            }
        }
    }
}

fn open_file(directory: impl AsFd, name: &str, how: OFlags) -> Result<OwnedFd, Errno> {
    loop {
        match fs::openat(&directory, name, how | OFlags::CLOEXEC | OFlags::NOFOLLOW, Mode::empty()) {
            Err(Errno::INTR) => {}
            result => return result,
        }
    }
}

pub(super) fn read_at(directory: impl AsFd, name: &str) -> Result<String, Errno> {
    let file = open_file(directory, name, OFlags::RDONLY)?;
    let mut bytes = vec![0; 4096];
    let mut filled = 0;
    loop {
        match rustix::io::read(&file, &mut bytes[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
        if filled == bytes.len() {
            if filled >= MAX_FILE {
                return Err(Errno::FBIG);
            }
            bytes.resize(filled * 2, 0);
        }
    }
    bytes.truncate(filled);
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn clip(text: &str) -> String {
    text.chars().take(80).collect()
}
