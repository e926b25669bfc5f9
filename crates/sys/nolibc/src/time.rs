//! Clocks.

use libc::{SYS_clock_gettime, SYS_clock_nanosleep, c_int, clockid_t, timespec};

use crate::call::call;

/// clock_gettime(2)
#[unsafe(no_mangle)]
pub extern "C" fn clock_gettime(clock: clockid_t, now: *mut timespec) -> c_int {
    call!(SYS_clock_gettime, clock, now) as c_int
}

/// clock_nanosleep(2): gives the error itself.
#[unsafe(no_mangle)]
pub extern "C" fn clock_nanosleep(
    clock: clockid_t,
    flags: c_int,
    wanted: *const timespec,
    left: *mut timespec,
) -> c_int {
    -(call!(raw SYS_clock_nanosleep, clock, flags, wanted, left) as c_int)
}
