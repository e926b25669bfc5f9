//! An ordinary user's engine: root of a user namespace, in which everything else is as for root.
//!
//! Whatever an ordinary user starts goes on in one user namespace with one mount namespace (user_namespaces(7)): he is root there, and
//! his subordinate ids (subuid(5)) are the others, so that an image's owners have somebody to be. The first command makes it, and later
//! ones join it for as long as anybody is in it: supervisors, mostly. Then commands may do to containers what root may.
//!
//! Who is in it says so by a record lock on `RUN/userns` (fcntl(2), F_SETLK), which ends with the process: the kernel names a holder to
//! whoever asks, and nothing has to be cleared after a kill. No process stays only to keep the namespaces, as Podman's does.

mod enter;
mod network;
mod ranges;

use std::fs::{DirBuilder, File};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use conex_sys::namespace;
use rustix::fs::{FlockOperation, Mode, OFlags};

use crate::{Error, Result};

pub use self::enter::enter;
pub(crate) use self::network::on_host;

/// A process's place in the namespaces: as long as it is held, others find them.
#[derive(Debug)]
pub struct Member {
    lock: File,
}

impl Member {
    /// Says that the calling process is in them, when its engine is an ordinary user's. A fork has to say so itself.
    ///
    /// # Errors
    /// [`Error::Read`] when the file cannot be opened or locked.
    fn here(run: &Path) -> Result<Option<Self>> {
        if !is_rootless() {
            return Ok(None);
        }
        Self::of(open(run)?, run).map(Some)
    }

    /// What came from the program before this one (`enter`) is not for those that are started by it. To close it would end the lock.
    fn keep_to_itself(&self) {
        let Ok(own) = rustix::fs::fstat(&self.lock) else { return };
        for entry in std::fs::read_dir("/proc/self/fd").into_iter().flatten().flatten() {
            let Some(number) = entry.file_name().to_str().and_then(|name| name.parse::<i32>().ok()) else {
                continue;
            };
            let stat = rustix::fs::stat(entry.path());
            if stat.is_ok_and(|stat| (stat.st_dev, stat.st_ino) == (own.st_dev, own.st_ino)) {
                let _ = conex_sys::descriptors::close_at_exec(number);
            }
        }
    }

    /// Whether nobody else is in them.
    ///
    /// # Errors
    /// [`Error::Read`].
    pub fn is_alone(&self) -> Result<bool> {
        let holder = conex_sys::range_lock::holder(&self.lock);
        Ok(holder.map_err(|source| Error::Read { path: "userns".into(), source })?.is_none())
    }

    /// The same for who goes on without: others may then find nobody, and make namespaces of their own.
    pub(crate) fn or_warn(run: &Path) -> Option<Self> {
        Self::here(run).unwrap_or_else(|error| {
            log::warn!("{error}");
            None
        })
    }

    fn of(file: File, run: &Path) -> Result<Self> {
        rustix::fs::fcntl_lock(&file, FlockOperation::LockShared)
            .map_err(|errno| Error::Read { path: path(run), source: errno.into() })?;
        Ok(Self { lock: file })
    }
}

/// Whether this process is root of a user namespace of somebody's only: what only the machine's root may is not for it.
pub fn is_rootless() -> bool {
    !(rustix::process::geteuid().is_root() && namespace::in_first_user())
}

/// The last of the group ids that this process's user namespace maps without a gap from 0 on.
pub(crate) fn last_group() -> u32 {
    last(&std::fs::read_to_string("/proc/self/gid_map").unwrap_or_default())
}

fn last(map: &str) -> u32 {
    let mut next = 0_u32;
    while let Some((_, _, count)) =
        namespace::mapping(map).find(|(inside, _, count)| *inside == next && *count > 0)
    {
        next = next.saturating_add(count);
    }
    next.saturating_sub(1)
}

/// The run directory of a user without `XDG_RUNTIME_DIR`: `/run/user/UID/conex` if the host has that, else `/tmp/conex-run-UID`, which is
/// made and has to be his alone.
///
/// # Errors
/// [`Error::Directory`], also for one that is somebody else's.
pub fn run_directory(uid: u32) -> Result<PathBuf> {
    let is_his = |path: &Path| {
        let found = std::fs::symlink_metadata(path);
        found.map(|found| found.is_dir() && found.uid() == uid && found.mode() & 0o077 == 0)
    };
    let session = PathBuf::from(format!("/run/user/{uid}"));
    if is_his(&session).unwrap_or(false) {
        return Ok(session.join("conex"));
    }
    let path = PathBuf::from(format!("/tmp/conex-run-{uid}"));
    let made = match DirBuilder::new().mode(0o700).create(&path) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => Err(error),
        _ => is_his(&path),
    };
    match made {
        Ok(true) => Ok(path),
        Ok(false) => Err(Error::Directory { path, source: std::io::ErrorKind::PermissionDenied.into() }),
        Err(source) => Err(Error::Directory { path, source }),
    }
}

fn path(run: &Path) -> PathBuf {
    run.join("userns")
}

fn open(run: &Path) -> Result<File> {
    let path = path(run);
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    match rustix::fs::open(&path, flags, Mode::RUSR | Mode::WUSR) {
        Ok(file) => Ok(file.into()),
        Err(errno) => Err(Error::Read { path, source: errno.into() }),
    }
}

#[cfg(test)]
mod tests {
    use super::last;

    #[test]
    fn what_is_mapped_without_a_gap() {
        assert_eq!(last("         0      54321          1\n         1     600000      65536\n"), 65536);
        assert_eq!(last("0 0 4294967295\n"), u32::MAX - 1);
        assert_eq!([last("0 1000 1\n"), last("1 1 1\n"), last("0 1 1\n5 6 7\n"), last("")], [0; 4]);
    }
}
