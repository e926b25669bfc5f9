//! How the calling thread is scheduled, what its disk requests weigh, where its memory lies and what machine it sees: calls
//! that `rustix` does not have. All are kept across execve.

use std::io;

/// `struct sched_attr` (sched_setattr(2)).
#[repr(C)]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Scheduler {
    /// Filled in by [`set_scheduler`].
    pub size: u32,
    /// SCHED_…
    pub policy: u32,
    /// SCHED_FLAG_…
    pub flags: u64,
    /// -20 to 19.
    pub nice: i32,
    /// 1 to 99 for the real-time policies.
    pub priority: u32,
    /// Nanoseconds.
    pub runtime: u64,
    /// Nanoseconds.
    pub deadline: u64,
    /// Nanoseconds.
    pub period: u64,
    /// With SCHED_FLAG_UTIL_CLAMP_MIN (Linux 5.3).
    pub least: u32,
    /// With SCHED_FLAG_UTIL_CLAMP_MAX (Linux 5.3).
    pub most: u32,
}

/// sched_setattr(2) of this thread.
///
/// # Errors
/// EINVAL, EPERM without CAP_SYS_NICE, EBUSY for a deadline that cannot be kept, E2BIG.
pub fn set_scheduler(scheduler: &Scheduler) -> io::Result<()> {
    let attributes = Scheduler { size: size_of::<Scheduler>() as u32, ..*scheduler };
    // SAFETY: the structure says its size, outlives the call and is only read (but for its size on E2BIG, a copy of ours).
    done(unsafe { libc::syscall(libc::SYS_sched_setattr, 0, &raw const attributes, 0) })
}

/// ioprio_set(2) of this process: class 1 real-time, 2 best effort, 3 idle; level 0 (highest) to 7.
///
/// # Errors
/// EPERM for real-time without CAP_SYS_ADMIN or CAP_SYS_NICE.
pub fn set_io_priority(class: u8, level: u8) -> io::Result<()> {
    const IOPRIO_WHO_PROCESS: libc::c_int = 1;
    let priority = libc::c_int::from(class) << 13 | libc::c_int::from(level);
    // SAFETY: takes no pointers.
    done(unsafe { libc::syscall(libc::SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0, priority) })
}

/// set_mempolicy(2): `mode` with its flags, bit n of `nodes` for node n.
///
/// # Errors
/// EINVAL for nodes that are not there or that the mode does not want.
pub fn set_memory_policy(mode: i32, nodes: &[u64]) -> io::Result<()> {
    let (mask, count) = match nodes {
        [] => (std::ptr::null(), 0),
        // The kernel takes one bit less than it is told of.
        nodes => (nodes.as_ptr(), nodes.len() * 64 + 1),
    };
    // SAFETY: the kernel reads as many bits as `nodes` has and keeps no pointer.
    done(unsafe { libc::syscall(libc::SYS_set_mempolicy, mode, mask, count) })
}

/// personality(2): 0 is PER_LINUX, 8 PER_LINUX32.
///
/// # Errors
/// None that a known persona has.
pub fn set_personality(persona: u32) -> io::Result<()> {
    // SAFETY: takes no pointers; it changes how later mappings are made, not those that are there.
    match unsafe { libc::personality(persona.into()) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}

fn done(result: libc::c_long) -> io::Result<()> {
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
