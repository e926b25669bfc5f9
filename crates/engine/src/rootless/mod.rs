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

use std::fs::File;
use std::path::{Path, PathBuf};

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
        let member = Self::of(open(run)?, run)?;
        member.keep_to_itself();
        Ok(Some(member))
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
    !(rustix::process::geteuid().is_root() && conex_sys::namespace::in_first_user())
}

/// The user id that this process has outside of its user namespace: who the user is to other programs.
pub fn outer_uid() -> u32 {
    let own = rustix::process::getuid().as_raw();
    let map = std::fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    outer(&map, own).unwrap_or(own)
}

/// The last of the group ids that this process's user namespace maps without a gap from 0 on.
pub(crate) fn last_group() -> u32 {
    last(&std::fs::read_to_string("/proc/self/gid_map").unwrap_or_default())
}

fn last(map: &str) -> u32 {
    let mut next = 0_u32;
    while let Some((_, _, count)) = lines(map).find(|(inside, _, count)| *inside == next && *count > 0) {
        next = next.saturating_add(count);
    }
    next.saturating_sub(1)
}

fn outer(map: &str, id: u32) -> Option<u32> {
    lines(map).find_map(|(inside, outside, count)| {
        let offset = id.checked_sub(inside).filter(|offset| *offset < count)?;
        outside.checked_add(offset)
    })
}

/// A mapping as /proc has it: the first id inside, the first outside, how many.
fn lines(map: &str) -> impl Iterator<Item = (u32, u32, u32)> {
    map.lines().filter_map(|line| {
        let mut numbers = line.split_ascii_whitespace().map_while(|word| word.parse().ok());
        Some((numbers.next()?, numbers.next()?, numbers.next()?))
    })
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
    use super::{last, outer};

    #[test]
    fn ids_are_found_in_mappings() {
        let map = "         0      54321          1\n         1     600000      65536\n";
        assert_eq!(outer(map, 0), Some(54321));
        assert_eq!(outer(map, 1), Some(600_000));
        assert_eq!(outer(map, 65536), Some(665_535));
        assert_eq!(outer(map, 65537), None);
        assert_eq!(outer("0 0 4294967295\n", 1000), Some(1000));
        assert_eq!(outer("0 4294967290 100\n", 99), None);
        assert_eq!(
            [last(map), last("0 0 4294967295\n"), last("0 1000 1\n"), last("1 1 1\n")],
            [65536, u32::MAX - 1, 0, 0]
        );
        assert_eq!(outer("nothing of the kind\n\n", 0), None);
    }
}
