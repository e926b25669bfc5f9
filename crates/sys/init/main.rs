//! The init that `--init` puts at PID 1: reaps orphans, passes signals on, ends with its child's status.
//!
//! Called as `init -- PATH ARGV0 ARGV1…`. Called alone it is a pod's pause: it keeps the namespaces that the pod's containers share, reaps
//! what they leave, and ends when it is told to. It is not part of the library: the command line's build script compiles this one
//! file with neither a standard nor a C library, so that it is a few kilobytes, copied into a sealed memory file at each
//! start. Whatever goes wrong ends it; it never allocates and opens nothing.

#![no_std]
#![no_main]

use core::arch::{asm, global_asm};
use core::panic::PanicInfo;

#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    exit(125)
}

// The kernel leaves argc, argv and envp on the stack; `start` gets its address.
#[cfg(target_arch = "x86_64")]
global_asm!(".globl _start", "_start:", "mov rdi, rsp", "and rsp, -16", "call {start}", start = sym start);
#[cfg(target_arch = "aarch64")]
global_asm!(".globl _start", "_start:", "mov x0, sp", "bl {start}", start = sym start);

#[cfg(target_arch = "x86_64")]
mod number {
    pub const RT_SIGPROCMASK: usize = 14;
    pub const IOCTL: usize = 16;
    pub const CLONE: usize = 56;
    pub const EXECVE: usize = 59;
    pub const WAIT4: usize = 61;
    pub const KILL: usize = 62;
    pub const SETPGID: usize = 109;
    pub const GETPID: usize = 39;
    pub const RT_SIGTIMEDWAIT: usize = 128;
    pub const EXIT_GROUP: usize = 231;
}
#[cfg(target_arch = "aarch64")]
mod number {
    pub const RT_SIGPROCMASK: usize = 135;
    pub const IOCTL: usize = 29;
    pub const CLONE: usize = 220;
    pub const EXECVE: usize = 221;
    pub const WAIT4: usize = 260;
    pub const KILL: usize = 129;
    pub const SETPGID: usize = 154;
    pub const GETPID: usize = 172;
    pub const RT_SIGTIMEDWAIT: usize = 137;
    pub const EXIT_GROUP: usize = 94;
}

const SIGHUP: isize = 1;
const SIGINT: isize = 2;
const SIGTERM: isize = 15;
const SIGCHLD: isize = 17;
const SIGTTIN: isize = 21;
const SIGTTOU: isize = 22;
const WNOHANG: usize = 1;
const SIG_SETMASK: usize = 2;
const TIOCSPGRP: usize = 0x5410;
const ENOENT: isize = 2;

/// One system call of four arguments, negative errno on failure.
fn call(number: usize, a: usize, b: usize, c: usize, d: usize) -> isize {
    let result: isize;
    // SAFETY: the callers pass addresses only of memory that lives for the whole call, and the kernel preserves all
    // registers but those declared.
    #[cfg(target_arch = "x86_64")]
    unsafe {
        asm!("syscall", inlateout("rax") number as isize => result, in("rdi") a, in("rsi") b, in("rdx") c, in("r10") d,
            in("r8") 0, out("rcx") _, out("r11") _, options(nostack));
    }
    // SAFETY: as above.
    #[cfg(target_arch = "aarch64")]
    unsafe {
        asm!("svc 0", in("x8") number, inlateout("x0") a as isize => result, in("x1") b, in("x2") c, in("x3") d,
            in("x4") 0, options(nostack));
    }
    result
}

fn exit(status: usize) -> ! {
    loop {
        call(number::EXIT_GROUP, status, 0, 0, 0);
    }
}

extern "C" fn start(stack: *const usize) -> ! {
    // SAFETY: the kernel put argc there, then argv and a null, then the environment.
    let (argc, argv) = unsafe { (*stack, stack.add(1)) };
    if argc == 1 {
        pause();
    }
    if argc < 4 {
        exit(125);
    }
    // SAFETY: argc >= 4, so argv[2] and argv[3] are there, and the environment begins after argv's null.
    let (program, arguments, environment) = unsafe { (*argv.add(2), argv.add(3) as usize, argv.add(argc + 1) as usize) };
    let all = u64::MAX;
    let mut before = 0_u64;
    mask(&all, Some(&mut before));
    let child = call(number::CLONE, SIGCHLD as usize, 0, 0, 0);
    if child == 0 {
        // A group of its own in front of the terminal, if there is one; SIGTTOU is still blocked.
        call(number::SETPGID, 0, 0, 0, 0);
        let group = call(number::GETPID, 0, 0, 0, 0) as i32;
        call(number::IOCTL, 0, TIOCSPGRP, (&raw const group) as usize, 0);
        mask(&before, None);
        let failed = call(number::EXECVE, program, arguments, environment, 0);
        exit(if failed == -ENOENT { 127 } else { 126 });
    }
    if child < 0 {
        exit(125);
    }
    serve(child, &all)
}

/// PID 1 of a pod.
fn pause() -> ! {
    let all = u64::MAX;
    mask(&all, None);
    loop {
        match call(number::RT_SIGTIMEDWAIT, (&raw const all) as usize, 0, 0, 8) {
            SIGCHLD => reap(0),
            SIGHUP | SIGINT | SIGTERM => exit(0),
            _ => {}
        }
    }
}

fn serve(child: isize, all: &u64) -> ! {
    loop {
        let signal = call(number::RT_SIGTIMEDWAIT, core::ptr::from_ref(all) as usize, 0, 0, 8);
        match signal {
            SIGCHLD => reap(child),
            // Ours for having put the child in front of the terminal.
            SIGTTIN | SIGTTOU => {}
            signal if signal > 0 => {
                call(number::KILL, child as usize, signal as usize, 0, 0);
            }
            _ => {}
        }
    }
}

fn reap(child: isize) {
    loop {
        let mut status = 0_i32;
        let pid = call(number::WAIT4, usize::MAX, (&raw mut status) as usize, WNOHANG, 0);
        if pid <= 0 {
            return;
        }
        if pid == child {
            let signal = status & 0x7f;
            exit(if signal == 0 { (status >> 8 & 0xff) as usize } else { 128 + signal as usize });
        }
    }
}

fn mask(set: &u64, old: Option<&mut u64>) {
    let old = old.map_or(0, |old| core::ptr::from_mut(old) as usize);
    call(number::RT_SIGPROCMASK, SIG_SETMASK, core::ptr::from_ref(set) as usize, old, 8);
}
