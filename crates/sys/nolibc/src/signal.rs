//! Signals. A set is the kernel's 64 bits at the beginning of the C library's 1,024.

use core::ptr::null_mut;

use libc::{
    SA_RESTART, SIG_ERR, SYS_ppoll, SYS_rt_sigaction, SYS_rt_sigprocmask, SYS_signalfd4, c_int, sighandler_t,
    sigset_t,
};

use crate::call::call;
use crate::error::fail;

/// The kernel's `sigset_t`, in bytes.
const SET: usize = 8;
#[cfg(target_arch = "x86_64")]
const SA_RESTORER: u64 = 0x0400_0000;

/// The kernel's `struct sigaction`.
#[repr(C)]
#[derive(Default)]
struct Action {
    handler: sighandler_t,
    flags: u64,
    #[cfg(target_arch = "x86_64")]
    restorer: usize,
    mask: u64,
}

/// signal(2), with the meaning of BSD: calls go on after the handler.
#[unsafe(no_mangle)]
pub extern "C" fn signal(signal: c_int, handler: sighandler_t) -> sighandler_t {
    let mut action = Action { handler, flags: SA_RESTART as u64, ..Action::default() };
    #[cfg(target_arch = "x86_64")]
    {
        action.flags |= SA_RESTORER;
        action.restorer = return_from_signal as *const () as usize;
    }
    action.mask = bit(signal).unwrap_or_default();
    let mut old = Action::default();
    match call!(SYS_rt_sigaction, signal, &raw const action, &raw mut old, SET) {
        0 => old.handler,
        _ => SIG_ERR,
    }
}

#[cfg(target_arch = "x86_64")]
core::arch::global_asm!(
    ".globl conex_return_from_signal",
    "conex_return_from_signal:",
    "mov eax, 15",
    "syscall"
);

#[cfg(target_arch = "x86_64")]
unsafe extern "C" {
    #[link_name = "conex_return_from_signal"]
    fn return_from_signal();
}

fn bit(signal: c_int) -> Option<u64> {
    (1..=64).contains(&signal).then(|| 1 << (signal - 1))
}

/// sigemptyset(3)
///
/// # Safety
/// `set` can be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sigemptyset(set: *mut sigset_t) -> c_int {
    // SAFETY: the caller's; zeros are a valid set.
    unsafe { set.write(core::mem::zeroed()) };
    0
}

/// sigaddset(3)
///
/// # Safety
/// `set` is one.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sigaddset(set: *mut sigset_t, signal: c_int) -> c_int {
    let Some(bit) = bit(signal) else { return fail(libc::EINVAL) };
    // SAFETY: the caller's; it begins with the kernel's.
    unsafe { *set.cast::<u64>() |= bit };
    0
}

/// sigprocmask(2)
#[unsafe(no_mangle)]
pub extern "C" fn sigprocmask(how: c_int, set: *const sigset_t, old: *mut sigset_t) -> c_int {
    call!(SYS_rt_sigprocmask, how, set, old, SET) as c_int
}

pub(crate) fn unblock(signal: c_int) {
    let set = bit(signal).unwrap_or_default();
    call!(SYS_rt_sigprocmask, libc::SIG_UNBLOCK, &raw const set, null_mut::<u64>(), SET);
}

/// signalfd(2)
#[unsafe(no_mangle)]
pub extern "C" fn signalfd(file: c_int, set: *const sigset_t, flags: c_int) -> c_int {
    call!(SYS_signalfd4, file, set, SET, flags) as c_int
}

/// pause(2)
#[unsafe(no_mangle)]
pub extern "C" fn pause() -> c_int {
    call!(SYS_ppoll, null_mut::<u8>(), 0, null_mut::<u8>(), null_mut::<u8>(), SET) as c_int
}
