//! Containers' directories: made, found, locked, removed.

use std::fs::{DirBuilder, File};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use conex_cgroup::{Cgroup, Host};
use conex_oci::runtime::{Spec, Status};
use rustix::fs::{AtFlags, FlockOperation, Mode, OFlags, openat, renameat, unlinkat};
use rustix::io::Errno;

use super::{Init, Record, StateError};
use crate::bundle::{CONFIG, LONGEST_CONFIG};

const RECORD: &str = "state.json";
const UNFINISHED: &str = "state.json.new";
const LOCK: &str = "lock";

/// The socket that a created container's first process waits on.
const START: &str = "start";

/// How often a directory is tried to be removed by itself, a millisecond apart, before all that is in it is.
const ATTEMPTS: usize = 10;

/// How long a command waits for another that changes the same container.
const PATIENCE: Duration = Duration::from_secs(10);

/// Where the directories are.
#[derive(Debug, Clone)]
pub struct Root {
    path: PathBuf,
}

/// One container's directory, open.
#[derive(Debug)]
pub struct Container {
    id: String,
    path: PathBuf,
    directory: OwnedFd,
    /// Held for as long as the container is being changed.
    lock: Option<OwnedFd>,
    /// As last read or written.
    record: Option<Record>,
}

/// What [`Container::live`] has found, held.
#[derive(Debug)]
pub struct Live {
    /// Created, running or paused.
    pub status: Status,
    /// The first process.
    pub init: Init,
    /// The same.
    pub pidfd: OwnedFd,
    /// Where it is, if that was looked at: not in a container that is only created.
    pub cgroup: Option<Cgroup>,
}

impl Root {
    /// `path` is absolute; it need not exist.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// The root itself.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Takes a name and makes its directory, locked, with the text of the spec in it. No record yet.
    ///
    /// # Errors
    /// [`StateError::InvalidId`], [`StateError::Exists`], [`StateError::File`].
    pub fn create(&self, id: &str, config: &[u8]) -> Result<Container, StateError> {
        validate(id)?;
        let path = self.path.join(id);
        let make = || DirBuilder::new().mode(0o700).create(&path);
        let made = match make() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                DirBuilder::new()
                    .recursive(true)
                    .mode(0o700)
                    .create(&self.path)
                    .map_err(failed("make the state directory", &self.path))?;
                make()
            }
            other => other,
        };
        match made {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                return Err(StateError::Exists { id: id.to_owned() });
            }
            other => other.map_err(failed("make the state directory", &path))?,
        }
        let mut container = Container::open(id, path)?;
        let kept = container.lock().and_then(|()| container.write(CONFIG, config));
        if let Err(error) = kept {
            container.forget()?;
            return Err(error);
        }
        Ok(container)
    }

    /// A container with its record.
    ///
    /// # Errors
    /// [`StateError::InvalidId`], [`StateError::NotFound`] (also without a record), [`StateError::File`],
    /// [`StateError::Corrupt`].
    pub fn load(&self, id: &str) -> Result<Container, StateError> {
        let mut container = self.open(id)?;
        container.read_record()?;
        match container.record {
            Some(_) => Ok(container),
            None => Err(StateError::NotFound { id: id.to_owned() }),
        }
    }

    /// A container's directory, whatever is in it.
    ///
    /// # Errors
    /// [`StateError::InvalidId`], [`StateError::NotFound`], [`StateError::File`].
    pub fn open(&self, id: &str) -> Result<Container, StateError> {
        validate(id)?;
        Container::open(id, self.path.join(id))
    }

    /// The names of all directories, sorted. No root: no containers.
    ///
    /// # Errors
    /// [`StateError::File`].
    pub fn ids(&self) -> Result<Vec<String>, StateError> {
        let entries = match std::fs::read_dir(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            other => other.map_err(failed("read the directory", &self.path))?,
        };
        let mut ids = Vec::new();
        for entry in entries {
            let entry = entry.map_err(failed("read the directory", &self.path))?;
            let is_directory = entry.file_type().is_ok_and(|kind| kind.is_dir());
            let id = entry.file_name().into_string().ok().filter(|id| is_directory && validate(id).is_ok());
            ids.extend(id);
        }
        ids.sort_unstable();
        Ok(ids)
    }
}

impl Container {
    fn open(id: &str, path: PathBuf) -> Result<Self, StateError> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        match rustix::fs::open(&path, flags, Mode::empty()) {
            Ok(directory) => Ok(Self { id: id.to_owned(), path, directory, lock: None, record: None }),
            Err(Errno::NOENT) => Err(StateError::NotFound { id: id.to_owned() }),
            Err(errno) => Err(failed("open the state directory", &path)(errno.into())),
        }
    }

    /// Its name.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Its directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its directory, held.
    pub fn directory(&self) -> BorrowedFd<'_> {
        self.directory.as_fd()
    }

    /// Its record, if it was read or written.
    pub fn record(&self) -> Option<&Record> {
        self.record.as_ref()
    }

    /// The name of the socket in [`Container::directory`] that the first process waits on.
    pub fn start_socket() -> &'static str {
        START
    }

    /// Replaces the record.
    ///
    /// # Errors
    /// [`StateError::File`].
    pub fn save(&mut self, record: Record) -> Result<(), StateError> {
        self.write_record(&record)?;
        self.publish(record)
    }

    /// Writes what [`Container::publish`] is going to make the record.
    ///
    /// # Errors
    /// [`StateError::File`].
    pub fn write_record(&mut self, record: &Record) -> Result<(), StateError> {
        let path = self.path.join(RECORD);
        let text = serde_json::to_vec(record).map_err(|error| failed("write", &path)(error.into()))?;
        self.write(UNFINISHED, &text)
    }

    /// Makes what was written last the record; it is `record`.
    ///
    /// # Errors
    /// [`StateError::File`].
    pub fn publish(&mut self, record: Record) -> Result<(), StateError> {
        let path = self.path.join(RECORD);
        renameat(&self.directory, UNFINISHED, &self.directory, RECORD)
            .map_err(|errno| failed("write", &path)(errno.into()))?;
        self.record = Some(record);
        Ok(())
    }

    /// The spec as it was at create.
    ///
    /// # Errors
    /// [`StateError::File`].
    pub fn spec(&self) -> Result<Spec, StateError> {
        let path = self.path.join(CONFIG);
        let text = self.read(CONFIG)?.ok_or_else(|| failed("read", &path)(Errno::NOENT.into()))?;
        Spec::from_json(&text)
            .map_err(|error| failed("read", &path)(io::Error::new(io::ErrorKind::InvalidData, error)))
    }

    /// Lets no other command change the container until [`Container::unlock`] or this process's end.
    ///
    /// # Errors
    /// [`StateError::Busy`] when another holds it for 10 s; [`StateError::File`]; [`StateError::NotFound`] when it is being
    /// removed.
    pub fn lock(&mut self) -> Result<(), StateError> {
        let deadline = Instant::now() + PATIENCE;
        while !self.try_lock()? {
            if Instant::now() > deadline {
                return Err(StateError::Busy { id: self.id.clone(), pid: self.holder().unwrap_or(0) });
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }

    /// The same without waiting; false when another holds it.
    ///
    /// # Errors
    /// As [`Container::lock`].
    pub fn try_lock(&mut self) -> Result<bool, StateError> {
        // A record lock belongs to this process: not to the children that have the descriptor for a while, nor to the dead.
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = match openat(&self.directory, LOCK, flags, Mode::RUSR | Mode::WUSR) {
            Err(Errno::NOENT) => return Err(StateError::NotFound { id: self.id.clone() }),
            other => other.map_err(|errno| failed("lock", &self.path)(errno.into()))?,
        };
        match rustix::fs::fcntl_lock(&file, FlockOperation::NonBlockingLockExclusive) {
            Err(Errno::AGAIN | Errno::ACCESS) => Ok(false),
            Err(errno) => Err(failed("lock", &self.path)(errno.into())),
            // Whoever has removed the container since took the lock's file away after the record: then this lock is on a file
            // of our own, and there is nothing any more.
            Ok(()) if self.record.is_some() && !self.has(RECORD) => {
                let _ = unlinkat(&self.directory, LOCK, AtFlags::empty());
                Err(StateError::NotFound { id: self.id.clone() })
            }
            Ok(()) => {
                self.lock = Some(file);
                Ok(true)
            }
        }
    }

    /// Ends [`Container::lock`].
    pub fn unlock(&mut self) {
        self.lock = None;
    }

    /// Who holds the lock, if another does.
    pub fn holder(&self) -> Option<u32> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = openat(&self.directory, LOCK, flags, Mode::empty()).ok()?;
        conex_sys::range_lock::holder(&file).ok().flatten()
    }

    /// Where it is in its life, by the record, the process, the socket and the freezer. A container whose maker died on the
    /// way is stopped.
    ///
    /// # Errors
    /// [`StateError::File`] when the cgroup does not tell.
    pub fn status(&self) -> Result<Status, StateError> {
        let Some(record) = &self.record else { return Ok(Status::Stopped) };
        if record.init.is_none() {
            let making = self.lock.is_some() || self.holder().is_some();
            return Ok(if making { Status::Creating } else { Status::Stopped });
        }
        self.live().map(|live| live.map_or(Status::Stopped, |live| live.status))
    }

    /// The first process and where it is, held for who goes on from there; `None` when it has ended or never was.
    ///
    /// # Errors
    /// [`StateError::File`] when the cgroup does not tell.
    pub fn live(&self) -> Result<Option<Live>, StateError> {
        let Some((init, pidfd)) = self.init() else { return Ok(None) };
        if self.has(START) {
            return Ok(Some(Live { status: Status::Created, init, pidfd, cgroup: None }));
        }
        let cgroup = self.record.as_ref().and_then(|record| record.cgroup.as_ref());
        let look = || -> conex_cgroup::Result<(Status, Option<Cgroup>)> {
            let cgroup = cgroup.map(|path| Cgroup::open(&Host::detect()?, path)).transpose()?;
            let cgroup = cgroup.filter(Cgroup::exists);
            let is_frozen = cgroup.as_ref().map(Cgroup::is_frozen).transpose()?.unwrap_or_default();
            Ok((if is_frozen { Status::Paused } else { Status::Running }, cgroup))
        };
        let (status, cgroup) = look().map_err(|error| {
            failed("ask for the state of the cgroup of", &self.path)(io::Error::other(error))
        })?;
        Ok(Some(Live { status, init, pidfd, cgroup }))
    }

    /// The first process, held, while it lives.
    pub fn init(&self) -> Option<(Init, OwnedFd)> {
        let init = self.record.as_ref()?.init?;
        Some((init, init.hold()?))
    }

    /// Removes the socket that the first process was started by.
    ///
    /// # Errors
    /// [`StateError::File`].
    pub fn mark_started(&self) -> Result<(), StateError> {
        match unlinkat(&self.directory, START, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(errno) => Err(failed("remove", &self.path.join(START))(errno.into())),
        }
    }

    fn has(&self, name: &str) -> bool {
        rustix::fs::accessat(&self.directory, name, rustix::fs::Access::EXISTS, AtFlags::empty()).is_ok()
    }

    /// Removes the directory, the record when nothing is left that it tells of, and after it the lock: who gets that from now on
    /// sees that he is too late.
    ///
    /// # Errors
    /// [`StateError::File`].
    pub fn forget(self) -> Result<(), StateError> {
        for name in [START, CONFIG, UNFINISHED, RECORD] {
            // What is not there need not go; what does not go is told of below.
            let _ = unlinkat(&self.directory, name, AtFlags::empty());
        }
        for _ in 0..ATTEMPTS {
            let _ = unlinkat(&self.directory, LOCK, AtFlags::empty());
            match std::fs::remove_dir(&self.path) {
                Ok(()) => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
                // Somebody who is too late has made a lock for a moment.
                Err(_) if self.has(LOCK) => std::thread::sleep(Duration::from_millis(1)),
                Err(_) => break,
            }
        }
        // Sockets and the like that a verb has put there.
        match std::fs::remove_dir_all(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(failed("remove the state directory", &self.path)(error))
            }
            _ => Ok(()),
        }
    }

    fn read_record(&mut self) -> Result<(), StateError> {
        let path = self.path.join(RECORD);
        self.record = match self.read(RECORD)? {
            None => None,
            Some(text) => {
                Some(serde_json::from_slice(&text).map_err(|source| StateError::Corrupt { path, source })?)
            }
        };
        Ok(())
    }

    /// `None` when it is not there.
    fn read(&self, name: &str) -> Result<Option<Vec<u8>>, StateError> {
        let path = self.path.join(name);
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = match openat(&self.directory, name, flags, Mode::empty()) {
            Err(Errno::NOENT) => return Ok(None),
            other => other.map_err(|errno| failed("read", &path)(errno.into()))?,
        };
        let mut text = Vec::with_capacity(4096);
        File::from(file).take(LONGEST_CONFIG).read_to_end(&mut text).map_err(failed("read", &path))?;
        Ok(Some(text))
    }

    fn write(&self, name: &str, text: &[u8]) -> Result<(), StateError> {
        let path = self.path.join(name);
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = openat(&self.directory, name, flags, Mode::RUSR | Mode::WUSR)
            .map_err(|errno| failed("write", &path)(errno.into()))?;
        File::from(file).write_all(text).map_err(failed("write", &path))
    }
}

fn failed(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> StateError {
    let path = path.to_owned();
    move |source| StateError::File { what, path, source }
}

/// runc's rule, and no longer than a file's name may be.
fn validate(id: &str) -> Result<(), StateError> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_+-.".contains(&byte);
    if !id.is_empty() && id.len() <= 255 && id.bytes().all(allowed) && id != "." && id != ".." {
        return Ok(());
    }
    Err(StateError::InvalidId { id: id.chars().take(80).collect() })
}
