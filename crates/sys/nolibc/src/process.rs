//! Processes: made, replaced, ended.

use libc::{
    SIGCHLD, SYS_clone, SYS_execve, SYS_exit_group, SYS_getpid, SYS_gettid, SYS_personality, SYS_sched_yield,
    SYS_setns, SYS_tgkill, SYS_unshare, c_char, c_int, c_ulong, pid_t,
};

use crate::call::call;
use crate::signal;

/// fork(2)
#[unsafe(no_mangle)]
pub extern "C" fn fork() -> pid_t {
    // Without CLONE_VM and the rest the order of arguments, which differs, is that of zeros.
    call!(SYS_clone, SIGCHLD, 0, 0, 0, 0) as pid_t
}

/// execve(2)
#[unsafe(no_mangle)]
pub extern "C" fn execve(
    path: *const c_char,
    words: *const *const c_char,
    variables: *const *const c_char,
) -> c_int {
    call!(SYS_execve, path, words, variables) as c_int
}

/// getpid(2)
#[unsafe(no_mangle)]
pub extern "C" fn getpid() -> pid_t {
    call!(SYS_getpid) as pid_t
}

/// _exit(2)
#[unsafe(no_mangle)]
pub extern "C" fn _exit(status: c_int) -> ! {
    loop {
        call!(SYS_exit_group, status);
    }
}

/// exit(3); nothing was registered to be done at the end.
#[unsafe(no_mangle)]
pub extern "C" fn exit(status: c_int) -> ! {
    _exit(status)
}

/// abort(3)
#[unsafe(no_mangle)]
pub extern "C" fn abort() -> ! {
    signal::signal(libc::SIGABRT, libc::SIG_DFL);
    signal::unblock(libc::SIGABRT);
    call!(SYS_tgkill, getpid(), call!(SYS_gettid), libc::SIGABRT);
    _exit(127)
}

/// unshare(2)
#[unsafe(no_mangle)]
pub extern "C" fn unshare(flags: c_int) -> c_int {
    call!(SYS_unshare, flags) as c_int
}

/// setns(2)
#[unsafe(no_mangle)]
pub extern "C" fn setns(file: c_int, kind: c_int) -> c_int {
    call!(SYS_setns, file, kind) as c_int
}

/// personality(2)
#[unsafe(no_mangle)]
pub extern "C" fn personality(domain: c_ulong) -> c_int {
    call!(SYS_personality, domain) as c_int
}

/// sched_yield(2)
#[unsafe(no_mangle)]
pub extern "C" fn sched_yield() -> c_int {
    call!(SYS_sched_yield) as c_int
}
