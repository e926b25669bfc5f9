//! Making processes: fork, clone3 with namespaces and a cgroup, and execve.

use std::ffi::{CStr, CString, OsString};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::{Pid, Signal};

/// Which side of a fork this is.
#[derive(Debug)]
pub enum Forked {
    /// The new process.
    Child,
    /// The old one.
    Parent {
        /// The child's pid in the caller's pid namespace.
        pid: u32,
    },
}

/// Which side of a clone3 this is.
#[derive(Debug)]
pub enum Cloned {
    /// The new process, alone in its new namespaces.
    Child,
    /// The old one.
    Parent {
        /// The child's pid in the caller's pid namespace.
        pid: u32,
        /// Refers to the child for as long as it is held; becomes readable when the child exits.
        pidfd: OwnedFd,
    },
}

/// Waits until the caller is its process's only thread, as fork, clone3 and a user namespace want it.
///
/// A thread that has been joined can be there for a moment yet: its exit wakes who joins it before the kernel forgets it. Of a scope's
/// thread only the closure has ended, and what it does then may hold the allocator's lock.
///
/// # Errors
/// EBUSY when another thread goes on for a second.
pub(crate) fn await_one_thread() -> io::Result<()> {
    const PATIENCE: Duration = Duration::from_secs(1);
    const STEP: Duration = Duration::from_micros(50);
    let mut waited = Duration::ZERO;
    while has_other_threads() {
        if waited >= PATIENCE {
            return Err(io::Error::from_raw_os_error(libc::EBUSY));
        }
        std::thread::sleep(STEP);
        waited += STEP;
    }
    Ok(())
}

/// `/proc/self/task` has two links and one more for each thread (`proc_task_getattr` in the kernel's `fs/proc/base.c`). Where it is not
/// to be seen, nobody is.
fn has_other_threads() -> bool {
    std::fs::metadata("/proc/self/task").is_ok_and(|task| task.nlink() > 3)
}

/// fork(2), when the caller is the only thread, so that the child may go on to run any code.
///
/// # Errors
/// EAGAIN or ENOMEM from the kernel; EBUSY when there is a second thread that does not end.
pub fn fork() -> io::Result<Forked> {
    await_one_thread()?;
    fork_to_execute()
}

/// fork(2) for a child that executes a program at once. Other threads may be there: locks that they hold stay held in the child (but the
/// allocator's, which fork itself takes and gives back), so until then it makes system calls and little else.
///
/// # Errors
/// EAGAIN or ENOMEM.
pub fn fork_to_execute() -> io::Result<Forked> {
    // SAFETY: the child has its own copy of the memory. A lock that nobody gives back there would hold it up, and not break it.
    match unsafe { libc::fork() } {
        -1 => Err(io::Error::last_os_error()),
        0 => Ok(Forked::Child),
        pid => Ok(Forked::Parent { pid: pid.cast_unsigned() }),
    }
}

/// `struct clone_args`, version 2 (Linux 5.7).
#[repr(C, align(8))]
#[derive(Default)]
struct CloneArgs {
    flags: u64,
    pidfd: u64,
    child_tid: u64,
    parent_tid: u64,
    exit_signal: u64,
    stack: u64,
    stack_size: u64,
    tls: u64,
    set_tid: u64,
    set_tid_size: u64,
    cgroup: u64,
}

/// `<linux/sched.h>`, Linux 5.7; wider than `libc`'s own constant can hold.
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

/// clone3(2) like a fork: own copy of the memory, with `namespaces` (CLONE_NEW…) made anew and, on Linux 5.7 and
/// later, started in the cgroup v2 directory `cgroup`. `sibling` makes the child the caller's parent's
/// (CLONE_PARENT). The caller is the only thread.
///
/// # Errors
/// The kernel's (EPERM, ENOSPC for too many namespaces, EBUSY for a cgroup with controllers and members, …); EBUSY also
/// when there is a second thread that does not end.
pub fn clone3(namespaces: u64, cgroup: Option<BorrowedFd<'_>>, sibling: bool) -> io::Result<Cloned> {
    await_one_thread()?;
    let mut pidfd: libc::c_int = -1;
    let mut args = CloneArgs {
        flags: namespaces | libc::CLONE_PIDFD as u64,
        pidfd: std::ptr::from_mut(&mut pidfd) as u64,
        exit_signal: libc::SIGCHLD as u64,
        ..CloneArgs::default()
    };
    if sibling {
        // The kernel takes the exit signal from the caller then and wants none here.
        args.flags |= libc::CLONE_PARENT as u64;
        args.exit_signal = 0;
    }
    if let Some(cgroup) = cgroup {
        args.flags |= CLONE_INTO_CGROUP;
        args.cgroup = cgroup.as_raw_fd().cast_unsigned().into();
    }
    // SAFETY: `args` outlives the call and its only pointer is to `pidfd`. Without CLONE_VM the child has a copy of
    // the memory and stack, and with one thread no lock is held by somebody who does not exist in it.
    let pid = unsafe { libc::syscall(libc::SYS_clone3, &raw mut args, size_of::<CloneArgs>()) };
    match pid {
        -1 => Err(io::Error::last_os_error()),
        0 => Ok(Cloned::Child),
        pid => {
            // SAFETY: on success the kernel has stored a new descriptor there, and nobody else knows it.
            let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "pids are below 2^22"
            )]
            Ok(Cloned::Parent { pid: pid as u32, pidfd })
        }
    }
}

/// Ties the caller's life to that of `parent`, who made it: SIGKILL when that one ends (prctl(2), PR_SET_PDEATHSIG), and no life at all
/// if it has ended before, which nobody would be told of. The two are in one pid namespace.
///
/// # Errors
/// ESRCH when `parent` is no longer there: the caller ends by itself then.
pub fn die_with(parent: Pid) -> io::Result<()> {
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    match rustix::process::getppid() == Some(parent) {
        true => Ok(()),
        false => Err(io::Error::from_raw_os_error(libc::ESRCH)),
    }
}

/// Arguments or environment of a program, ready for execve.
#[derive(Debug)]
pub struct Strings(Vec<CString>);

impl Strings {
    /// Copies `strings`; `None` when one holds a NUL.
    pub fn new<S: AsRef<[u8]>>(strings: impl IntoIterator<Item = S>) -> Option<Self> {
        strings.into_iter().map(|s| CString::new(s.as_ref()).ok()).collect::<Option<_>>().map(Self)
    }

    /// No strings.
    pub fn none() -> Self {
        Self(Vec::new())
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &CStr> {
        self.0.iter().map(CString::as_c_str)
    }

    fn pointers(&self) -> Vec<*const libc::c_char> {
        self.0.iter().map(|s| s.as_ptr()).chain([std::ptr::null()]).collect()
    }
}

/// execve(2): returns only with an error.
pub fn execve(program: &CStr, arguments: &Strings, environment: &Strings) -> io::Error {
    let (argv, envp) = (arguments.pointers(), environment.pointers());
    // SAFETY: both lists end with a null pointer and point into strings that live until the call is over.
    unsafe { libc::execve(program.as_ptr(), argv.as_ptr(), envp.as_ptr()) };
    io::Error::last_os_error()
}

/// execveat(2) of an open file itself: returns only with an error.
pub fn execve_fd(program: BorrowedFd<'_>, arguments: &Strings, environment: &Strings) -> io::Error {
    let (argv, envp) = (arguments.pointers(), environment.pointers());
    // SAFETY: as in `execve`; the empty path is a static string.
    unsafe {
        libc::syscall(
            libc::SYS_execveat,
            program.as_raw_fd(),
            c"".as_ptr(),
            argv.as_ptr(),
            envp.as_ptr(),
            libc::AT_EMPTY_PATH,
        );
    }
    io::Error::last_os_error()
}

/// Ends this process at once: no destructors, no exit handlers. The only right end of a forked child.
pub fn exit_now(status: i32) -> ! {
    // SAFETY: _exit has no preconditions.
    unsafe { libc::_exit(status) }
}

/// Marks every descriptor from `first` on close-on-exec (close_range(2), Linux 5.11).
///
/// # Errors
/// EINVAL on an older kernel.
pub fn cloexec_from(first: u32) -> io::Result<()> {
    // SAFETY: closes nothing; a flag is set on descriptors that may be anybody's, which no Rust value observes.
    let done = unsafe { libc::syscall(libc::SYS_close_range, first, u32::MAX, libc::CLOSE_RANGE_CLOEXEC) };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// A session keyring of its own (keyctl(2), KEYCTL_JOIN_SESSION_KEYRING), so that the container does not hold the keys of
/// whoever started it. A kernel without keyrings, or a caller over its key quota, has none to share: not an error.
///
/// # Errors
/// Any but ENOSYS, EDQUOT and EPERM (a filter around us).
pub fn new_session_keyring() -> io::Result<()> {
    const KEYCTL_JOIN_SESSION_KEYRING: libc::c_ulong = 1;
    // SAFETY: a null name asks for an anonymous keyring; nothing is read from memory.
    let done = unsafe { libc::syscall(libc::SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, 0 as libc::c_ulong) };
    if done >= 0 {
        return Ok(());
    }
    match io::Error::last_os_error() {
        error if matches!(error.raw_os_error(), Some(libc::ENOSYS | libc::EDQUOT | libc::EPERM)) => Ok(()),
        error => Err(error),
    }
}

/// The program of that name in a `$PATH`: in its absolute directories alone, since a helper from the working directory would be anybody's.
pub fn find_helper(name: &str, path: Option<OsString>) -> Option<PathBuf> {
    let path = path.unwrap_or_else(|| "/usr/local/bin:/usr/bin:/bin".into());
    let is_program = |file: &Path| {
        std::fs::metadata(file).is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
    };
    std::env::split_paths(&path)
        .filter(|directory| directory.is_absolute())
        .map(|directory| directory.join(name))
        .find(|file| is_program(file))
}

#[cfg(test)]
mod tests {
    use super::find_helper;

    #[test]
    fn helpers_are_found_in_absolute_directories_alone() {
        assert_eq!(find_helper("sh", Some(".:bin:/nowhere:/bin".into())), Some("/bin/sh".into()));
        assert_eq!(find_helper("no-such-program", None), None);
        // A directory, and a file that nobody can execute.
        assert_eq!(find_helper("etc", Some("/".into())), None);
        assert_eq!(find_helper("passwd", Some("/etc".into())), None);
    }
}
