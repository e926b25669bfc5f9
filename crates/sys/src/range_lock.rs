//! Locks on single bytes of a file: open file description locks (fcntl(2), Linux 3.15), which `rustix` cannot place on
//! a range.
//!
//! They belong to the open file: they end when its last descriptor is closed, and a fork shares them.

use std::io;
use std::os::fd::{AsFd, AsRawFd};

/// How a byte is locked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// With others who share.
    Shared,
    /// Alone; the file must be open for writing.
    Exclusive,
    /// Not any more.
    Unlocked,
}

/// Locks the byte at `offset` (it need not exist), waiting for others.
///
/// # Errors
/// Those of fcntl(2); `EDEADLK` does not occur with this kind of lock.
pub fn lock(file: impl AsFd, offset: u64, mode: Mode) -> io::Result<()> {
    loop {
        match place(&file, libc::F_OFD_SETLKW, offset, mode) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            done => return done,
        }
    }
}

/// Locks the byte at `offset` if nobody stands in the way; false when somebody does.
///
/// # Errors
/// Those of fcntl(2).
pub fn try_lock(file: impl AsFd, offset: u64, mode: Mode) -> io::Result<bool> {
    match place(&file, libc::F_OFD_SETLK, offset, mode) {
        Ok(()) => Ok(true),
        Err(error) if matches!(error.raw_os_error(), Some(libc::EAGAIN | libc::EACCES)) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Whether another open file holds the byte at `offset` exclusively; takes nothing itself, so that a look disturbs nobody.
///
/// # Errors
/// Those of fcntl(2).
pub fn is_locked(file: impl AsFd, offset: u64) -> io::Result<bool> {
    let start = i64::try_from(offset).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
    // SAFETY: struct flock is plain integers, for which all zeroes is a value.
    let mut range: libc::flock = unsafe { std::mem::zeroed() };
    range.l_type = libc::F_RDLCK as libc::c_short;
    range.l_whence = libc::SEEK_SET as libc::c_short;
    range.l_start = start as libc::off_t;
    range.l_len = 1;
    // SAFETY: the descriptor is open for as long as `file` is borrowed, and `range` outlives the call, which fills it in.
    let status = unsafe { libc::fcntl(file.as_fd().as_raw_fd(), libc::F_OFD_GETLK, &raw mut range) };
    if status == -1 {
        Err(io::Error::last_os_error())
    } else {
        Ok(range.l_type != libc::F_UNLCK as libc::c_short)
    }
}

/// The process whose fcntl(2) record lock (F_SETLK) on the whole file would stand in the way of an exclusive one; such a lock
/// ends with its process and is not shared by a fork.
///
/// # Errors
/// Those of fcntl(2).
pub fn holder(file: impl AsFd) -> io::Result<Option<u32>> {
    // SAFETY: struct flock is plain integers, for which all zeroes is a value.
    let mut range: libc::flock = unsafe { std::mem::zeroed() };
    range.l_type = libc::F_WRLCK as libc::c_short;
    range.l_whence = libc::SEEK_SET as libc::c_short;
    // SAFETY: the descriptor is open for as long as `file` is borrowed, and `range` outlives the call, which fills it in.
    let status = unsafe { libc::fcntl(file.as_fd().as_raw_fd(), libc::F_GETLK, &raw mut range) };
    if status == -1 {
        return Err(io::Error::last_os_error());
    }
    let free = range.l_type == libc::F_UNLCK as libc::c_short;
    // A holder in a pid namespace that we do not see has the number 0.
    Ok((!free).then(|| u32::try_from(range.l_pid).unwrap_or(0)))
}

fn place(file: &impl AsFd, command: libc::c_int, offset: u64, mode: Mode) -> io::Result<()> {
    let kind = match mode {
        Mode::Shared => libc::F_RDLCK,
        Mode::Exclusive => libc::F_WRLCK,
        Mode::Unlocked => libc::F_UNLCK,
    };
    let start = i64::try_from(offset).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
    // SAFETY: struct flock is plain integers, for which all zeroes is a value.
    let mut range: libc::flock = unsafe { std::mem::zeroed() };
    range.l_type = kind as libc::c_short;
    range.l_whence = libc::SEEK_SET as libc::c_short;
    range.l_start = start as libc::off_t;
    range.l_len = 1;
    // SAFETY: the descriptor is open for as long as `file` is borrowed, and `range` outlives the call, which only reads it.
    let status = unsafe { libc::fcntl(file.as_fd().as_raw_fd(), command, &range) };
    if status == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_byte_excludes_itself_and_no_other() {
        let path = std::env::temp_dir().join(format!("conex-range-lock-{}", std::process::id()));
        let open =
            || std::fs::OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
        let (ours, theirs) = (open().unwrap(), open().unwrap());
        let far = u64::MAX >> 2;
        lock(&ours, far, Mode::Shared).unwrap();
        assert!(try_lock(&theirs, far, Mode::Shared).unwrap());
        assert!(!try_lock(&theirs, far, Mode::Exclusive).unwrap());
        assert!(try_lock(&theirs, far + 1, Mode::Exclusive).unwrap());
        assert!(!is_locked(&theirs, far).unwrap(), "shared is not exclusive");
        drop(ours);
        assert!(try_lock(&theirs, far, Mode::Exclusive).unwrap());
        let third = std::fs::File::open(&path).unwrap();
        assert!(is_locked(&third, far).unwrap());
        assert!(!is_locked(&third, far + 2).unwrap());
        assert!(lock(&theirs, u64::MAX, Mode::Shared).is_err(), "beyond off_t");
        std::fs::remove_file(&path).unwrap();
    }
}
