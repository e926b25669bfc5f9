//! Signals: dispositions and masks of a process about to exec, and signals as readable descriptors.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

/// Puts every signal back to its default and unblocks all. Rust's start-up ignores SIGPIPE, and an ignored signal stays
/// ignored across execve.
pub fn reset() {
    for signal in 1..=64 {
        // SAFETY: setting a default disposition installs no code; signals that cannot be set fail harmlessly.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
    // SAFETY: an all-zero sigset_t is the empty set on Linux, and the call only reads it.
    unsafe {
        let none: libc::sigset_t = MaybeUninit::zeroed().assume_init();
        libc::sigprocmask(libc::SIG_SETMASK, &raw const none, std::ptr::null_mut());
    }
}

fn set(signals: &[i32]) -> libc::sigset_t {
    // SAFETY: sigemptyset initialises the whole set, sigaddset only changes it.
    unsafe {
        let mut set = MaybeUninit::uninit();
        libc::sigemptyset(set.as_mut_ptr());
        let mut set = set.assume_init();
        for &signal in signals {
            libc::sigaddset(&raw mut set, signal);
        }
        set
    }
}

/// Blocks `signals`, so that they wait for a [`SignalFd`].
///
/// # Errors
/// None in practice.
pub fn block(signals: &[i32]) -> io::Result<()> {
    let set = set(signals);
    // SAFETY: reads a set that lives on this stack.
    match unsafe { libc::sigprocmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut()) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Takes `signals` out of the blocked ones again: in a child, which inherits what its parent has blocked for itself.
pub fn unblock(signals: &[i32]) {
    let set = set(signals);
    // SAFETY: reads a set that lives on this stack.
    unsafe { libc::sigprocmask(libc::SIG_UNBLOCK, &raw const set, std::ptr::null_mut()) };
}

/// Gives `signal` its default disposition.
pub fn default(signal: i32) {
    // SAFETY: SIG_DFL installs no code.
    unsafe { libc::signal(signal, libc::SIG_DFL) };
}

/// Ignores `signal` from here on.
pub fn ignore(signal: i32) {
    // SAFETY: SIG_IGN installs no code.
    unsafe { libc::signal(signal, libc::SIG_IGN) };
}

/// Sends any signal, real-time ones included, to the process that `pidfd` holds (pidfd_send_signal(2)).
///
/// # Errors
/// EINVAL for a number that is no signal, ESRCH for a process that has been reaped, EPERM.
pub fn send(pidfd: BorrowedFd<'_>, signal: i32) -> io::Result<()> {
    let none = std::ptr::null::<libc::siginfo_t>();
    // SAFETY: the descriptor is open for as long as it is borrowed; without a siginfo the kernel reads no memory.
    match unsafe { libc::syscall(libc::SYS_pidfd_send_signal, pidfd.as_raw_fd(), signal, none, 0) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Blocked signals as a descriptor, signalfd(2); close-on-exec and non-blocking.
#[derive(Debug)]
pub struct SignalFd(OwnedFd);

impl SignalFd {
    /// Blocks `signals` and opens a descriptor that becomes readable when one is pending.
    ///
    /// # Errors
    /// EMFILE, ENFILE, ENOMEM.
    pub fn new(signals: &[i32]) -> io::Result<Self> {
        block(signals)?;
        let set = set(signals);
        // SAFETY: reads a set that lives on this stack; -1 asks for a new descriptor.
        let fd = unsafe { libc::signalfd(-1, &raw const set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: just made, known to nobody else.
        Ok(Self(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    /// The next pending signal's number, if there is one.
    ///
    /// # Errors
    /// None in practice.
    pub fn next(&self) -> io::Result<Option<i32>> {
        let mut info = MaybeUninit::<libc::signalfd_siginfo>::uninit();
        let size = size_of::<libc::signalfd_siginfo>();
        // SAFETY: the kernel writes at most `size` bytes there, and whole records only.
        let read = unsafe { libc::read(self.0.as_raw_fd(), info.as_mut_ptr().cast(), size) };
        if read == size.cast_signed() {
            // SAFETY: the record is complete.
            return Ok(Some(unsafe { info.assume_init() }.ssi_signo.cast_signed()));
        }
        match io::Error::last_os_error() {
            error if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            error => Err(error),
        }
    }
}

impl std::os::fd::AsFd for SignalFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
