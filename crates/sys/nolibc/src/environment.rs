//! The environment, as the kernel passed it, and what else it passed.

use core::ptr::{null, null_mut};

use libc::{c_char, c_ulong};

use crate::error::fail;
use crate::memory::{memcmp, strlen};

/// environ(7)
#[unsafe(no_mangle)]
pub static mut environ: *const *const c_char = null();

/// The auxiliary vector (getauxval(3)): pairs, up to one whose first is 0.
static mut AUXILIARY: *const [usize; 2] = null();

/// Remembers where both are.
///
/// # Safety
/// They are as the kernel passes them, and stay.
pub(crate) unsafe fn set_up(variables: *const *const c_char) {
    // SAFETY: there is one thread; the vector follows the variables' terminating null.
    unsafe {
        environ = variables;
        let mut end = variables;
        while !(*end).is_null() {
            end = end.add(1);
        }
        AUXILIARY = end.add(1).cast();
    }
}

/// getenv(3)
///
/// # Safety
/// The name is a string.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn getenv(name: *const c_char) -> *const c_char {
    // SAFETY: the environment's strings end, and nobody changes it; an entry is compared up to its end at most, since a
    // difference there ends the comparison before.
    unsafe {
        let length = strlen(name);
        let mut entry = environ;
        while !entry.is_null() && !(*entry).is_null() {
            let text = *entry;
            if strlen(text) > length
                && memcmp(text.cast(), name.cast(), length) == 0
                && *text.add(length) == b'=' as c_char
            {
                return text.add(length + 1);
            }
            entry = entry.add(1);
        }
    }
    null_mut()
}

/// getauxval(3)
#[unsafe(no_mangle)]
pub extern "C" fn getauxval(kind: c_ulong) -> c_ulong {
    // SAFETY: the vector ends with a pair of kind 0, and nobody changes it.
    unsafe {
        let mut pair = AUXILIARY;
        while !pair.is_null() && (*pair)[0] != 0 {
            if (*pair)[0] == kind as usize {
                return (*pair)[1] as c_ulong;
            }
            pair = pair.add(1);
        }
    }
    fail(libc::ENOENT);
    0
}
