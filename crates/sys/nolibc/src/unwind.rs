//! What the unwinder of a panic's backtrace asks for.

use libc::{c_int, c_void, dl_phdr_info};

use crate::start;

/// _dl_find_object(3) of the C library of GNU: nothing is known here, ask [`dl_iterate_phdr`].
#[unsafe(no_mangle)]
pub extern "C" fn _dl_find_object(_address: *const c_void, _found: *mut c_void) -> c_int {
    -1
}

/// dl_iterate_phdr(3): there is the program, and nothing else.
///
/// # Safety
/// As `each` says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dl_iterate_phdr(
    each: Option<unsafe extern "C" fn(*mut dl_phdr_info, usize, *mut c_void) -> c_int>,
    data: *mut c_void,
) -> c_int {
    let (headers, count) = start::program_headers();
    // SAFETY: zeros are a valid value of every field: an address of 0, no name, no thread-local storage to be asked for.
    let mut info: dl_phdr_info = unsafe { core::mem::zeroed() };
    info.dlpi_name = c"".as_ptr();
    info.dlpi_phdr = headers;
    info.dlpi_phnum = count;
    // SAFETY: the caller's function takes what the man page says.
    each.map_or(0, |each| unsafe { each(&raw mut info, size_of::<dl_phdr_info>(), data) })
}
