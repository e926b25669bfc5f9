//! Namespaces: leaving and joining them, for a process of one thread.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::fs::MetadataExt;

use crate::process::await_one_thread;

/// CLONE_NEWNS: mounts.
pub const MOUNT: u64 = libc::CLONE_NEWNS as u64;
/// CLONE_NEWUSER: ids and capabilities.
pub const USER: u64 = libc::CLONE_NEWUSER as u64;
/// CLONE_NEWNET: network devices, and all that goes with them.
pub const NETWORK: u64 = libc::CLONE_NEWNET as u64;

/// The inode of the first user namespace in `/proc/PID/ns/user`: PROC_USER_INIT_INO of the kernel's `proc_ns.h`.
pub const FIRST_USER: u64 = 0xEFFF_FFFD;

/// Whether this process is in the machine's first user namespace, whose root is the machine's.
pub fn in_first_user() -> bool {
    // Without the file (a kernel without user namespaces) there is no other.
    std::fs::metadata("/proc/self/ns/user").map_or(true, |namespace| namespace.ino() == FIRST_USER)
}

/// The user id that this process has outside of its user namespace: who the user is to programs there.
pub fn outer_uid() -> u32 {
    // SAFETY: takes nothing and cannot fail.
    let own = unsafe { libc::getuid() };
    let map = std::fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    outer(&map, own).unwrap_or(own)
}

fn outer(map: &str, id: u32) -> Option<u32> {
    mapping(map).find_map(|(inside, outside, count)| {
        let offset = id.checked_sub(inside).filter(|offset| *offset < count)?;
        outside.checked_add(offset)
    })
}

/// A mapping of ids as /proc/PID/uid_map has it: the first id inside, the first outside, how many.
pub fn mapping(text: &str) -> impl Iterator<Item = (u32, u32, u32)> {
    text.lines().filter_map(|line| {
        let mut numbers = line.split_ascii_whitespace().map_while(|word| word.parse().ok());
        Some((numbers.next()?, numbers.next()?, numbers.next()?))
    })
}

/// unshare(2) with CLONE_NEW… flags only. A user namespace is for a process of one thread.
///
/// # Errors
/// The kernel's: EPERM, ENOSPC, EINVAL for a flag that is no namespace; EBUSY for a user namespace when there is a second thread.
pub fn unshare(namespaces: u64) -> io::Result<()> {
    const ALL: u64 = (libc::CLONE_NEWNS
        | libc::CLONE_NEWCGROUP
        | libc::CLONE_NEWUTS
        | libc::CLONE_NEWIPC
        | libc::CLONE_NEWUSER
        | libc::CLONE_NEWPID
        | libc::CLONE_NEWNET
        | 0x80) as u64;
    if namespaces & !ALL != 0 {
        return Err(io::Error::from_raw_os_error(libc::EINVAL));
    }
    if namespaces & USER != 0 {
        await_one_thread()?;
    }
    // SAFETY: namespaces alone change no memory and no descriptor of this process (CLONE_FILES, CLONE_VM are refused above).
    match unsafe { libc::unshare(namespaces as libc::c_int) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// setns(2): joins the namespace `fd` of kind `kind` (one CLONE_NEW…), or, when `fd` is a pidfd, all those in `kind` of that
/// process at once (Linux 5.8).
///
/// # Errors
/// The kernel's: EPERM, EINVAL for the user namespace one is in already, ESRCH for a process that is gone. EBUSY for a user namespace
/// when there is a second thread.
pub fn join(fd: BorrowedFd<'_>, kind: u64) -> io::Result<()> {
    if kind & USER != 0 {
        await_one_thread()?;
    }
    // SAFETY: changes no memory of this process; the descriptor is valid for the call.
    match unsafe { libc::setns(fd.as_raw_fd(), kind as libc::c_int) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Does something in another network namespace, which the calling thread enters for a moment. A socket stays where it was made.
///
/// # Errors
/// Those of [`join`]. When there is no way back the thread stays there.
pub fn in_network<T>(there: BorrowedFd<'_>, work: impl FnOnce() -> T) -> io::Result<T> {
    let own = File::open("/proc/thread-self/ns/net")?;
    join(there, NETWORK)?;
    let done = work();
    join(own.as_fd(), NETWORK)?;
    Ok(done)
}

/// The same for who may have no way back: the namespace that he is in may be of another user namespace (an ordinary user's). Then a thread
/// that is made for it enters, and ends there.
///
/// # Errors
/// Those of [`join`], and of making a thread.
pub fn visit_network<T: Send>(there: BorrowedFd<'_>, work: impl FnOnce() -> T + Send) -> io::Result<T> {
    if in_first_user() {
        return in_network(there, work);
    }
    std::thread::scope(|scope| {
        let builder = std::thread::Builder::new().name("network".to_owned());
        let entered = builder.spawn_scoped(scope, || join(there, NETWORK).map(|()| work()))?;
        entered.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// Which kind of namespace `fd` refers to, as one CLONE_NEW… (ioctl_nsfs(2), NS_GET_NSTYPE, Linux 4.11).
///
/// # Errors
/// ENOTTY when it is no namespace at all.
pub fn kind(fd: BorrowedFd<'_>) -> io::Result<u64> {
    const NS_GET_NSTYPE: libc::c_ulong = 0xb703;
    // SAFETY: this request takes no argument and changes nothing.
    let kind = unsafe { libc::ioctl(fd.as_raw_fd(), NS_GET_NSTYPE as _) };
    if kind < 0 { Err(io::Error::last_os_error()) } else { Ok(u64::from(kind.cast_unsigned())) }
}

#[cfg(test)]
mod tests {
    use super::outer;

    #[test]
    fn ids_are_found_in_mappings() {
        let map = "         0      54321          1\n         1     600000      65536\n";
        assert_eq!(outer(map, 0), Some(54321));
        assert_eq!(outer(map, 1), Some(600_000));
        assert_eq!(outer(map, 65536), Some(665_535));
        assert_eq!(outer(map, 65537), None);
        assert_eq!(outer("0 0 4294967295\n", 1000), Some(1000));
        assert_eq!(outer("0 4294967290 100\n", 99), None);
        assert_eq!(outer("nothing of the kind\n\n", 0), None);
    }
}
