//! Names (and other things that only one container can have): a file named after the thing, holding the id.
//!
//! A claim is an unnamed file, locked, then linked into place: one of two claimants wins, and the winner is locked from
//! the moment the file can be seen until his record says the same. Nobody unlinks a name without its lock.

use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use conex_oci::ContainerId;
use conex_sys::range_lock::{self, Mode};
use rustix::fs::OFlags;
use rustix::io::Errno;

use super::lock::{link_file, linked};
use super::write;
use crate::{Error, Result};

/// How long a name's lock is waited for. It is held for a few system calls, or while a container is being made.
const PATIENCE: Duration = Duration::from_secs(5);

/// A name whose file is locked by us; it stays when this is dropped.
#[derive(Debug)]
#[must_use = "dropping it lets go of the name's lock"]
pub struct Claim {
    file: File,
    path: PathBuf,
}

impl Claim {
    /// Waits until it is on the disk.
    ///
    /// # Errors
    /// [`Error::Write`].
    pub(crate) fn sync(&self) -> Result<()> {
        self.file.sync_all().map_err(|source| Error::Write { path: self.path.clone(), source })?;
        write::sync(self.path.parent().unwrap_or(&self.path))
    }

    /// Gives the name up.
    ///
    /// # Errors
    /// [`Error::Remove`].
    pub fn forfeit(self) -> Result<()> {
        write::unlink(&self.path)
    }
}

/// How a claim went.
#[derive(Debug)]
pub enum Claimed {
    /// It is ours.
    Ours(Claim),
    /// This one has it.
    Taken(ContainerId),
}

/// Claims `name` in `directory` for `id`. `counts` says, of the id found in an existing file, whether the name is really
/// that one's; it is asked while the file is locked. One that does not count is taken over.
///
/// # Errors
/// [`Error::Name`] and what `counts` returns.
pub fn claim(
    directory: &Path,
    name: &str,
    id: &ContainerId,
    mut counts: impl FnMut(&ContainerId) -> Result<bool>,
) -> Result<Claimed> {
    let path = directory.join(name);
    let fail = |errno: Errno| Error::Name { path: path.clone(), source: errno.into() };
    loop {
        match make(directory, &path, id) {
            Ok(file) => return Ok(Claimed::Ours(Claim { file, path })),
            Err(Errno::NOENT) => {
                write::make_directory(directory)?;
                continue;
            }
            Err(Errno::EXIST) => {}
            Err(errno) => return Err(fail(errno)),
        }
        let Some((claim, text)) = (match lock(&path, PATIENCE) {
            // Held for so long by somebody who is between two names himself, or stopped.
            Err(Error::NameBusy { .. }) => match holder(directory, name)? {
                Some(holder) => return Ok(Claimed::Taken(holder)),
                None => continue,
            },
            locked => locked?,
        }) else {
            continue;
        };
        match text.parse::<ContainerId>() {
            Ok(holder) if holder != *id && counts(&holder)? => return Ok(Claimed::Taken(holder)),
            // Stale, or no id at all (the file system lost it in a power cut).
            _ => claim.forfeit()?,
        }
    }
}

/// Locks the name if it is `id`'s; `None` when it is not.
///
/// # Errors
/// [`Error::Name`].
pub fn hold(directory: &Path, name: &str, id: &ContainerId) -> Result<Option<Claim>> {
    Ok(lock(&directory.join(name), PATIENCE)?
        .and_then(|(claim, text)| (text == id.as_str()).then_some(claim)))
}

/// Gives up what is `id`'s, or what a power failure has left without an id.
///
/// # Errors
/// [`Error::Name`], [`Error::Remove`].
pub fn forfeit(directory: &Path, name: &str, id: &ContainerId) -> Result<()> {
    match lock(&directory.join(name), PATIENCE)? {
        Some((claim, text)) if text == id.as_str() || text.parse::<ContainerId>().is_err() => claim.forfeit(),
        _ => Ok(()),
    }
}

/// The id in a name's file, without a lock and without asking whether it counts.
///
/// # Errors
/// [`Error::Read`].
pub fn holder(directory: &Path, name: &str) -> Result<Option<ContainerId>> {
    let bytes = write::read(&directory.join(name))?;
    Ok(bytes.and_then(|bytes| std::str::from_utf8(&bytes).ok()?.trim_end().parse().ok()))
}

/// Gives up everything in `directory` that is `id`'s, whatever it is called.
///
/// # Errors
/// [`Error::Name`], [`Error::Remove`].
pub fn forfeit_all(directory: &Path, id: &ContainerId) -> Result<()> {
    let entries = match std::fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(source) => return Err(Error::Read { path: directory.to_owned(), source }),
    };
    for name in entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()) {
        if holder(directory, &name)?.as_ref() == Some(id)
            && let Some(held) = hold(directory, &name, id)?
        {
            held.forfeit()?;
        }
    }
    Ok(())
}

/// Waits for the file's lock; `None` when it is not there (any more).
fn lock(path: &Path, patience: Duration) -> Result<Option<(Claim, String)>> {
    let fail = |source| Error::Name { path: path.to_owned(), source };
    let until = Instant::now() + patience;
    loop {
        let flags = OFlags::RDWR | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let mut file = match rustix::fs::open(path, flags, 0.into()) {
            Ok(file) => File::from(file),
            Err(Errno::NOENT) => return Ok(None),
            Err(errno) => return Err(fail(errno.into())),
        };
        if !range_lock::try_lock(&file, 0, Mode::Exclusive).map_err(fail)? {
            // Two renames that want each other's name would wait for ever.
            if Instant::now() > until {
                return Err(Error::NameBusy { path: path.to_owned() });
            }
            std::thread::sleep(Duration::from_millis(2));
            continue;
        }
        if !linked(&file).map_err(fail)? {
            continue;
        }
        let mut text = String::new();
        // Not UTF-8 is as good as empty: no id.
        let _ = (&mut file).take(256).read_to_string(&mut text);
        text.truncate(text.trim_end().len());
        return Ok(Some((Claim { file, path: path.to_owned() }, text)));
    }
}

/// A locked file with the id in it, under its name. `EEXIST` when the name is taken.
fn make(directory: &Path, path: &Path, id: &ContainerId) -> std::result::Result<File, Errno> {
    let fill = |file: &File| {
        range_lock::lock(file, 0, Mode::Exclusive)
            .and_then(|()| (&mut &*file).write_all(id.as_str().as_bytes()))
            .map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))
    };
    match rustix::fs::open(directory, OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC, 0o600.into()) {
        Ok(file) => {
            let file = File::from(file);
            fill(&file)?;
            link_file(&file, path)?;
            Ok(file)
        }
        Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::INVAL) => {
            // No name of a container begins with a dot.
            let temporary = directory.join(format!(".{}", id.as_str()));
            let flags = OFlags::CREATE | OFlags::RDWR | OFlags::CLOEXEC | OFlags::NOFOLLOW;
            let file = File::from(rustix::fs::open(&temporary, flags, 0o600.into())?);
            fill(&file)?;
            let linked = rustix::fs::link(&temporary, path);
            let _ = rustix::fs::unlink(&temporary);
            linked.map(|()| file)
        }
        Err(errno) => Err(errno),
    }
}

/// A name for a container whose user gave none: `brave_turing`, from eight random bytes; the later attempts with a digit.
pub fn invent(random: [u8; 8], attempt: u32) -> String {
    let pick = |words: &[&'static str], low: usize| {
        let number = u32::from_le_bytes([random[low], random[low + 1], random[low + 2], random[low + 3]]);
        words[number as usize % words.len()]
    };
    let (adjective, surname) = (pick(super::words::ADJECTIVES, 0), pick(super::words::SURNAMES, 4));
    match attempt {
        0 => format!("{adjective}_{surname}"),
        _ => format!("{adjective}_{surname}{attempt}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(byte: u8) -> ContainerId {
        ContainerId::from_random([byte; 32])
    }

    #[test]
    fn one_name_one_container() {
        let place = tempfile::tempdir().unwrap();
        let directory = place.path().join("names");
        let Claimed::Ours(claim) = claim(&directory, "web", &id(1), |_| unreachable!()).unwrap() else {
            panic!("free")
        };
        drop(claim);
        assert_eq!(holder(&directory, "web").unwrap(), Some(id(1)));
        match super::claim(&directory, "web", &id(2), |holder| Ok(*holder == id(1))).unwrap() {
            Claimed::Taken(holder) => assert_eq!(holder, id(1)),
            Claimed::Ours(_) => panic!("taken"),
        }
        assert!(hold(&directory, "web", &id(2)).unwrap().is_none());
        hold(&directory, "web", &id(1)).unwrap().unwrap().forfeit().unwrap();
        assert_eq!(holder(&directory, "web").unwrap(), None);
    }

    #[test]
    fn a_stale_name_is_taken_over() {
        let place = tempfile::tempdir().unwrap();
        let directory = place.path();
        drop(claim(directory, "web", &id(1), |_| Ok(true)).unwrap());
        match claim(directory, "web", &id(2), |_| Ok(false)).unwrap() {
            Claimed::Ours(_) => assert_eq!(holder(directory, "web").unwrap(), Some(id(2))),
            Claimed::Taken(_) => panic!("stale"),
        }
        std::fs::write(directory.join("db"), b"").unwrap();
        assert!(matches!(claim(directory, "db", &id(3), |_| Ok(true)).unwrap(), Claimed::Ours(_)));
    }

    #[test]
    fn invented_names_are_names() {
        for byte in 0..=255 {
            for attempt in [0, 1, 12] {
                let name = invent([byte; 8], attempt);
                assert!(name.parse::<conex_oci::ContainerName>().is_ok(), "{name}");
            }
        }
    }
}
