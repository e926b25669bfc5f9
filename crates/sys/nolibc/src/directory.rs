//! Directories, read in pieces of 32 KiB.

use core::ptr::null_mut;

use libc::{O_CLOEXEC, O_DIRECTORY, O_RDONLY, SYS_getdents64, c_char, c_int, dirent64};

use crate::call::call;
use crate::file::{close, open64};
use crate::heap::{free, malloc};

const BUFFER: usize = 32 << 10;

/// What `DIR` is here.
#[repr(C)]
pub struct Directory {
    file: c_int,
    at: usize,
    end: usize,
    /// `struct linux_dirent64`, one behind the other, which is `struct dirent64`.
    entries: [u64; BUFFER / 8],
}

/// opendir(3)
#[unsafe(no_mangle)]
pub extern "C" fn opendir(path: *const c_char) -> *mut Directory {
    match open64(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0) {
        file if file < 0 => null_mut(),
        file => {
            let directory = fdopendir(file);
            if directory.is_null() {
                close(file);
            }
            directory
        }
    }
}

/// fdopendir(3)
#[unsafe(no_mangle)]
pub extern "C" fn fdopendir(file: c_int) -> *mut Directory {
    let directory = malloc(size_of::<Directory>()).cast::<Directory>();
    if !directory.is_null() {
        // SAFETY: new memory of that size, zeroed, which is a valid value of every field.
        unsafe { (*directory).file = file };
    }
    directory
}

/// readdir(3)
///
/// # Safety
/// `directory` is open.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn readdir64(directory: *mut Directory) -> *mut dirent64 {
    // SAFETY: the caller's, and nobody else's.
    let directory = unsafe { &mut *directory };
    if directory.at == directory.end {
        let read = call!(SYS_getdents64, directory.file, directory.entries.as_mut_ptr(), BUFFER);
        if read <= 0 {
            return null_mut();
        }
        (directory.at, directory.end) = (0, read as usize);
    }
    // SAFETY: the kernel's entries follow each other, aligned to 8, and fill what was read.
    unsafe {
        let entry = directory.entries.as_mut_ptr().byte_add(directory.at).cast::<dirent64>();
        directory.at += usize::from((*entry).d_reclen);
        entry
    }
}

/// dirfd(3)
///
/// # Safety
/// `directory` is open.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dirfd(directory: *mut Directory) -> c_int {
    // SAFETY: the caller's.
    unsafe { (*directory).file }
}

/// closedir(3)
///
/// # Safety
/// `directory` is open.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn closedir(directory: *mut Directory) -> c_int {
    // SAFETY: the caller's, who is done with it.
    unsafe {
        let result = close((*directory).file);
        free(directory.cast());
        result
    }
}
