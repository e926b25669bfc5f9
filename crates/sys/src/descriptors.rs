//! What a process that goes on alone does with the descriptors it inherited.

use std::io;
use std::os::fd::RawFd;

/// Closes every descriptor from 3 on but `keep` (close_range(2), Linux 5.9). For a forked child that never returns to
/// code that owns what is closed here.
///
/// # Errors
/// ENOSYS on an older kernel.
pub fn close_all_but(keep: &[RawFd]) -> io::Result<()> {
    let mut keep: Vec<u32> = keep.iter().map(|fd| fd.cast_unsigned()).filter(|&fd| fd > 2).collect();
    keep.sort_unstable();
    let mut first = 3;
    for fd in keep {
        if first < fd {
            close(first, fd - 1)?;
        }
        first = fd + 1;
    }
    close(first, u32::MAX)
}

/// Has a descriptor closed by the next execve(2), by its number: for one that this program was started with, of which nobody in it is
/// the owner.
///
/// # Errors
/// EBADF when it is not open.
pub fn close_at_exec(fd: RawFd) -> io::Result<()> {
    // SAFETY: changes a flag of the descriptor and takes no pointers; nothing is closed while this program runs.
    let done = unsafe { libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC) };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

fn close(first: u32, last: u32) -> io::Result<()> {
    // SAFETY: takes no pointers. The caller is a forked child that never drops the owners of what is closed.
    let done = unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
