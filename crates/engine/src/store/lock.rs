//! The owner's lock; see the module above for what it means.
//!
//! A lock file is locked before it gets its name, so that one which is seen unlocked belonged to a killed process.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use conex_oci::ContainerId;
use conex_sys::range_lock::{self, Mode};
use rustix::fs::{AtFlags, CWD, OFlags};
use rustix::io::Errno;

use super::{Store, write};
use crate::health::Health;
use crate::supervise::clear_notices;
use crate::{Error, Result};

/// The byte that every owner locks, and the one that a supervisor locks too.
const OWNER: u64 = 0;
const SUPERVISOR: u64 = 1;
/// In a visitor's lock.
const VISIT: &[u8] = b"visit";

/// What the lock of a container says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    /// Nobody is at work on the container.
    Absent,
    /// Somebody is, for a moment.
    Owned,
    /// Its supervisor is.
    Supervised,
    /// Somebody was, and was killed.
    Dead,
}

/// The lock, held. Closing it (a drop, the end of the process) without [`Owned::finish`] is what a kill looks like.
#[derive(Debug)]
pub struct Owned {
    file: File,
    directory: PathBuf,
    /// See [`Store::visit`]: the lock file is not empty then.
    visiting: AtomicBool,
    /// Whether it was a dead owner's: then the container has to be reconciled first.
    pub inherited: bool,
}

impl Owned {
    /// `RUN/containers/ID`
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Says that the owner is a supervisor from here on, and no visitor: what `state.json` says is his word.
    ///
    /// # Errors
    /// [`Error::Lock`].
    pub fn supervise(&self) -> Result<()> {
        range_lock::lock(&self.file, SUPERVISOR, Mode::Exclusive).map_err(|source| self.fail(source))?;
        match self.visiting.swap(false, Ordering::Relaxed) {
            true => self.file.set_len(0).map_err(|source| self.fail(source)),
            false => Ok(()),
        }
    }

    /// Makes a visitor of whoever took the lock over from a dead owner, whose container has been settled.
    pub(super) fn visit(&self) -> Result<()> {
        self.file.write_all_at(VISIT, 0).map_err(|source| self.fail(source))?;
        self.visiting.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// Whether this owner, or the dead one whose lock it has, was a visitor.
    pub(super) fn is_visit(&self) -> bool {
        self.visiting.load(Ordering::Relaxed)
    }

    fn fail(&self, source: io::Error) -> Error {
        Error::Lock { path: self.directory.join("lock"), source }
    }

    /// Removes the run directory, the lock last.
    ///
    /// # Errors
    /// [`Error::Remove`].
    pub fn finish(self) -> Result<()> {
        for name in ["sock", "state.json", ".state.json.new"] {
            write::unlink(&self.directory.join(name))?;
        }
        // A supervisor takes away itself what only some have.
        if self.inherited {
            Health::forget(&self.directory)?;
            clear_notices(&self.directory)?;
        }
        write::unlink(&self.directory.join("lock"))?;
        // Somebody may have made a lock of his own there in the meantime: then the directory is his.
        match std::fs::remove_dir(&self.directory) {
            Err(error) if !matches!(error.raw_os_error(), Some(2 | 39)) => {
                Err(Error::Remove { path: self.directory.clone(), source: error })
            }
            _ => Ok(()),
        }
    }
}

impl AsFd for Owned {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.file.as_fd()
    }
}

impl Store {
    /// Asks the kernel whether the container has an owner; takes nothing.
    ///
    /// # Errors
    /// [`Error::Lock`].
    pub fn presence(&self, id: &ContainerId) -> Result<Presence> {
        let path = self.run_directory(id).join("lock");
        presence(&path).map_err(|source| Error::Lock { path, source })
    }

    /// Becomes the owner, to create, run or remove the container; `None` when somebody else is.
    ///
    /// # Errors
    /// [`Error::Directory`], [`Error::Lock`].
    pub fn own(&self, id: &ContainerId) -> Result<Option<Owned>> {
        self.own_as(id, false)
    }

    /// The same for who only looks at or changes a container at rest, or has not begun to run it: what he leaves when he is killed is no
    /// end of the container, not even of a `--rm` one. The word is in the lock's own file before it can be seen, and goes with it.
    ///
    /// # Errors
    /// As [`Store::own`].
    pub fn visit(&self, id: &ContainerId) -> Result<Option<Owned>> {
        self.own_as(id, true)
    }

    fn own_as(&self, id: &ContainerId, visiting: bool) -> Result<Option<Owned>> {
        let directory = self.run_directory(id);
        let fail = |source: io::Error| Error::Lock { path: directory.join("lock"), source };
        let mut refused = 0;
        loop {
            match rustix::fs::mkdir(&directory, 0o700.into()) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(Errno::NOENT) => {
                    write::make_directory(&self.runs())?;
                    continue;
                }
                Err(errno) => return Err(Error::Directory { path: directory, source: errno.into() }),
            }
            match make(&directory, visiting) {
                Ok(file) => {
                    let visiting = AtomicBool::new(visiting);
                    return Ok(Some(Owned { file, directory, visiting, inherited: false }));
                }
                Err(Errno::NOENT) => continue,
                Err(Errno::EXIST) => {}
                // What ext4 says of a directory that was removed after it was found: somebody took it for the rest of one.
                Err(Errno::PERM) if refused < 100 => {
                    refused += 1;
                    continue;
                }
                Err(errno) => {
                    // On a full disk the directory is all there is; an empty one is of no use to anybody else either.
                    let _ = rustix::fs::rmdir(&directory);
                    return Err(fail(errno.into()));
                }
            }
            let file = match File::options().read(true).write(true).open(directory.join("lock")) {
                Ok(file) => file,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(fail(error)),
            };
            if !range_lock::try_lock(&file, OWNER, Mode::Exclusive).map_err(fail)? {
                return Ok(None);
            }
            if linked(&file).map_err(fail)? {
                let visiting = AtomicBool::new(file.metadata().map_err(fail)?.len() > 0);
                return Ok(Some(Owned { file, directory, visiting, inherited: true }));
            }
        }
    }
}

/// A lock file that is locked from the moment it can be seen. `EEXIST` when there is one already.
fn make(directory: &Path, visiting: bool) -> std::result::Result<File, Errno> {
    let lock = directory.join("lock");
    let errno = |error: io::Error| Errno::from_io_error(&error).unwrap_or(Errno::IO);
    let locked = |file: &File| match range_lock::try_lock(file, OWNER, Mode::Exclusive) {
        Ok(true) if visiting => file.write_all_at(VISIT, 0).map_err(errno),
        Ok(true) => Ok(()),
        Ok(false) => Err(Errno::AGAIN),
        Err(error) => Err(errno(error)),
    };
    let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
    match rustix::fs::open(directory, flags, 0o600.into()) {
        Ok(file) => {
            let file = File::from(file);
            locked(&file)?;
            link_file(&file, &lock)?;
            Ok(file)
        }
        // File systems without unnamed files: one with a name that nobody looks for.
        Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::INVAL) => {
            let temporary = directory.join(format!(".lock.{}", rustix::process::getpid().as_raw_nonzero()));
            let flags = OFlags::CREATE | OFlags::RDWR | OFlags::CLOEXEC | OFlags::NOFOLLOW;
            let file = File::from(rustix::fs::open(&temporary, flags, 0o600.into())?);
            locked(&file)?;
            let linked = rustix::fs::link(&temporary, &lock);
            let _ = rustix::fs::unlink(&temporary);
            linked.map(|()| file)
        }
        Err(errno) => Err(errno),
    }
}

/// Gives an unnamed file (O_TMPFILE) its name; `EEXIST` when the name is taken.
pub(super) fn link_file(file: &File, path: &Path) -> std::result::Result<(), Errno> {
    // AT_EMPTY_PATH needs CAP_DAC_READ_SEARCH or, since Linux 6.10, the credentials that opened the file.
    match rustix::fs::linkat(file, "", CWD, path, AtFlags::EMPTY_PATH) {
        Err(Errno::NOENT | Errno::PERM) => {
            use std::os::fd::AsRawFd;
            let link = format!("/proc/self/fd/{}", file.as_raw_fd());
            rustix::fs::linkat(CWD, link, CWD, path, AtFlags::SYMLINK_FOLLOW)
        }
        done => done,
    }
}

/// Whether the file still has a name.
pub(super) fn linked(file: &File) -> io::Result<bool> {
    Ok(rustix::fs::fstat(file)?.st_nlink > 0)
}

fn presence(path: &Path) -> io::Result<Presence> {
    loop {
        let file = match rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW, 0.into())
        {
            Ok(file) => File::from(file),
            Err(Errno::NOENT) => return Ok(Presence::Absent),
            Err(errno) => return Err(errno.into()),
        };
        if range_lock::is_locked(&file, SUPERVISOR)? {
            return Ok(Presence::Supervised);
        }
        if range_lock::is_locked(&file, OWNER)? {
            return Ok(Presence::Owned);
        }
        // Unlocked and without a name: its owner ended well since; look again.
        if linked(&file)? {
            return Ok(Presence::Dead);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store() -> (tempfile::TempDir, Store, ContainerId) {
        let place = tempfile::tempdir().unwrap();
        let store = Store::new(&place.path().join("root"), &place.path().join("run"));
        (place, store, ContainerId::from_random([7; 32]))
    }

    #[test]
    fn an_owner_excludes_others_and_leaves_nothing() {
        let (_place, store, id) = store();
        assert_eq!(store.presence(&id).unwrap(), Presence::Absent);
        let owned = store.own(&id).unwrap().expect("free");
        assert!(!owned.inherited);
        assert_eq!(store.presence(&id).unwrap(), Presence::Owned);
        assert!(store.own(&id).unwrap().is_none());
        owned.supervise().unwrap();
        assert_eq!(store.presence(&id).unwrap(), Presence::Supervised);
        owned.finish().unwrap();
        assert_eq!(store.presence(&id).unwrap(), Presence::Absent);
        assert!(!store.run_directory(&id).exists());
    }

    #[test]
    fn a_dead_owner_is_seen_and_inherited_from() {
        let (_place, store, id) = store();
        drop(store.own(&id).unwrap().expect("free"));
        assert_eq!(store.presence(&id).unwrap(), Presence::Dead);
        let heir = store.own(&id).unwrap().expect("dead owners do not exclude");
        assert!(heir.inherited);
        assert_eq!(store.presence(&id).unwrap(), Presence::Owned);
        heir.finish().unwrap();
    }

    #[test]
    fn a_dead_visitor_is_known_until_somebody_runs_the_container() {
        let (_place, store, id) = store();
        drop(store.visit(&id).unwrap().expect("free"));
        // However many heirs are killed, too.
        for _ in 0..2 {
            assert!(store.own(&id).unwrap().expect("dead").is_visit());
        }
        let heir = store.own(&id).unwrap().expect("dead");
        heir.supervise().unwrap();
        drop(heir);
        let heir = store.own(&id).unwrap().expect("dead");
        assert!(!heir.is_visit());
        heir.finish().unwrap();
        assert!(!store.own(&id).unwrap().expect("free").is_visit());
    }
}
