//! Memory: mappings, and a `malloc` made of them.
//!
//! Programs on this library have an allocator of their own; what is left for `malloc` are a path and a directory now and then.

use core::ptr::null_mut;

use libc::{SYS_mmap, SYS_munmap, c_int, c_void, off_t};

use crate::call::call;

/// Before each block: its mapping's length, and what keeps the block aligned.
const HEAD: usize = 16;

/// mmap(2)
#[unsafe(no_mangle)]
pub extern "C" fn mmap(
    address: *mut c_void,
    length: usize,
    protection: c_int,
    flags: c_int,
    file: c_int,
    offset: off_t,
) -> *mut c_void {
    call!(SYS_mmap, address, length, protection, flags, file, offset) as *mut c_void
}

/// mmap(2)
#[unsafe(no_mangle)]
pub extern "C" fn mmap64(
    address: *mut c_void,
    length: usize,
    protection: c_int,
    flags: c_int,
    file: c_int,
    offset: off_t,
) -> *mut c_void {
    mmap(address, length, protection, flags, file, offset)
}

/// munmap(2)
#[unsafe(no_mangle)]
pub extern "C" fn munmap(address: *mut c_void, length: usize) -> c_int {
    call!(SYS_munmap, address, length) as c_int
}

/// malloc(3)
#[unsafe(no_mangle)]
pub extern "C" fn malloc(size: usize) -> *mut c_void {
    let Some(length) = size.checked_add(HEAD) else { return null_mut() };
    let (protection, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
    let block = mmap(null_mut(), length, protection, flags, -1, 0);
    if block == libc::MAP_FAILED {
        return null_mut();
    }
    // SAFETY: the mapping is new, writable, and has at least HEAD bytes.
    unsafe {
        block.cast::<usize>().write(length);
        block.byte_add(HEAD)
    }
}

/// free(3)
///
/// # Safety
/// `block` came from [`malloc`], or is null.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn free(block: *mut c_void) {
    if !block.is_null() {
        // SAFETY: `malloc` has written the length before the block.
        unsafe {
            let mapping = block.byte_sub(HEAD);
            munmap(mapping, mapping.cast::<usize>().read());
        }
    }
}
