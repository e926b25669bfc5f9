//! Files and paths.

use core::ptr::null_mut;

use libc::{
    AT_FDCWD, AT_REMOVEDIR, AT_SYMLINK_NOFOLLOW, O_CLOEXEC, O_PATH, SYS_chdir, SYS_close, SYS_fchmodat,
    SYS_fcntl, SYS_fstat, SYS_getcwd, SYS_ioctl, SYS_lseek, SYS_mkdirat, SYS_newfstatat, SYS_openat,
    SYS_read, SYS_readlinkat, SYS_renameat2, SYS_sendfile, SYS_splice, SYS_unlinkat, SYS_write, TCGETS,
    c_char, c_int, c_uint, c_ulong, c_void, mode_t, off_t, stat,
};

use crate::call::call;
use crate::error::fail;
use crate::heap::{free, malloc};

const LARGEFILE: c_int = 0o100_000;
const PATH_MAX: usize = 4096;

/// openat(2)
#[unsafe(no_mangle)]
pub extern "C" fn openat64(directory: c_int, path: *const c_char, flags: c_int, mode: mode_t) -> c_int {
    call!(SYS_openat, directory, path, flags | LARGEFILE, mode) as c_int
}

/// open(2)
#[unsafe(no_mangle)]
pub extern "C" fn open64(path: *const c_char, flags: c_int, mode: mode_t) -> c_int {
    openat64(AT_FDCWD, path, flags, mode)
}

/// close(2)
#[unsafe(no_mangle)]
pub extern "C" fn close(file: c_int) -> c_int {
    call!(SYS_close, file) as c_int
}

/// read(2)
#[unsafe(no_mangle)]
pub extern "C" fn read(file: c_int, buffer: *mut c_void, count: usize) -> isize {
    call!(SYS_read, file, buffer, count)
}

/// write(2)
#[unsafe(no_mangle)]
pub extern "C" fn write(file: c_int, buffer: *const c_void, count: usize) -> isize {
    call!(SYS_write, file, buffer, count)
}

/// lseek(2)
#[unsafe(no_mangle)]
pub extern "C" fn lseek64(file: c_int, offset: off_t, whence: c_int) -> off_t {
    call!(SYS_lseek, file, offset, whence) as off_t
}

/// fcntl(2)
#[unsafe(no_mangle)]
pub extern "C" fn fcntl(file: c_int, command: c_int, argument: c_ulong) -> c_int {
    call!(SYS_fcntl, file, command, argument) as c_int
}

/// ioctl(2)
#[unsafe(no_mangle)]
pub extern "C" fn ioctl(file: c_int, request: c_ulong, argument: c_ulong) -> c_int {
    call!(SYS_ioctl, file, request, argument) as c_int
}

/// isatty(3)
#[unsafe(no_mangle)]
pub extern "C" fn isatty(file: c_int) -> c_int {
    let mut termios = [0_u64; 16];
    c_int::from(call!(SYS_ioctl, file, TCGETS, termios.as_mut_ptr()) == 0)
}

/// stat(2)
#[unsafe(no_mangle)]
pub extern "C" fn fstatat64(directory: c_int, path: *const c_char, found: *mut stat, flags: c_int) -> c_int {
    call!(SYS_newfstatat, directory, path, found, flags) as c_int
}

/// stat(2)
#[unsafe(no_mangle)]
pub extern "C" fn stat64(path: *const c_char, found: *mut stat) -> c_int {
    fstatat64(AT_FDCWD, path, found, 0)
}

/// lstat(2)
#[unsafe(no_mangle)]
pub extern "C" fn lstat64(path: *const c_char, found: *mut stat) -> c_int {
    fstatat64(AT_FDCWD, path, found, AT_SYMLINK_NOFOLLOW)
}

/// fstat(2)
#[unsafe(no_mangle)]
pub extern "C" fn fstat64(file: c_int, found: *mut stat) -> c_int {
    call!(SYS_fstat, file, found) as c_int
}

/// readlink(2)
#[unsafe(no_mangle)]
pub extern "C" fn readlink(path: *const c_char, buffer: *mut c_char, size: usize) -> isize {
    call!(SYS_readlinkat, AT_FDCWD, path, buffer, size)
}

/// unlinkat(2)
#[unsafe(no_mangle)]
pub extern "C" fn unlinkat(directory: c_int, path: *const c_char, flags: c_int) -> c_int {
    call!(SYS_unlinkat, directory, path, flags) as c_int
}

/// unlink(2)
#[unsafe(no_mangle)]
pub extern "C" fn unlink(path: *const c_char) -> c_int {
    unlinkat(AT_FDCWD, path, 0)
}

/// rmdir(2)
#[unsafe(no_mangle)]
pub extern "C" fn rmdir(path: *const c_char) -> c_int {
    unlinkat(AT_FDCWD, path, AT_REMOVEDIR)
}

/// mkdir(2)
#[unsafe(no_mangle)]
pub extern "C" fn mkdir(path: *const c_char, mode: mode_t) -> c_int {
    call!(SYS_mkdirat, AT_FDCWD, path, mode) as c_int
}

/// rename(2)
#[unsafe(no_mangle)]
pub extern "C" fn rename(from: *const c_char, to: *const c_char) -> c_int {
    call!(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0) as c_int
}

/// chmod(2)
#[unsafe(no_mangle)]
pub extern "C" fn chmod(path: *const c_char, mode: mode_t) -> c_int {
    call!(SYS_fchmodat, AT_FDCWD, path, mode) as c_int
}

/// chdir(2)
#[unsafe(no_mangle)]
pub extern "C" fn chdir(path: *const c_char) -> c_int {
    call!(SYS_chdir, path) as c_int
}

/// getcwd(3); the buffer is the caller's.
#[unsafe(no_mangle)]
pub extern "C" fn getcwd(buffer: *mut c_char, size: usize) -> *mut c_char {
    if buffer.is_null() {
        fail(libc::EINVAL);
        return null_mut();
    }
    match call!(SYS_getcwd, buffer, size) {
        length if length < 0 => null_mut(),
        // SAFETY: the kernel has written a string there. One that does not begin with a slash lies outside of the root.
        _ if unsafe { buffer.read() } != b'/' as c_char => {
            fail(libc::ENOENT);
            null_mut()
        }
        _ => buffer,
    }
}

/// realpath(3), by the kernel: the name of what the path leads to.
///
/// # Safety
/// `resolved` has PATH_MAX bytes, or is null: then the result is the caller's to free.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn realpath(path: *const c_char, resolved: *mut c_char) -> *mut c_char {
    let file = open64(path, O_PATH | O_CLOEXEC, 0);
    if file < 0 {
        return null_mut();
    }
    let link = link_of(file);
    let owned = resolved.is_null();
    let name = if owned { malloc(PATH_MAX).cast() } else { resolved };
    if name.is_null() {
        close(file);
        fail(libc::ENOMEM);
        return null_mut();
    }
    let length = readlink(link.as_ptr().cast(), name, PATH_MAX - 1);
    close(file);
    if length < 0 {
        if owned {
            // SAFETY: it came from malloc above.
            unsafe { free(name.cast()) };
        }
        return null_mut();
    }
    // SAFETY: the name has PATH_MAX bytes.
    unsafe { name.offset(length).write(0) };
    name
}

/// `/proc/self/fd/FILE`. Nothing here may panic: what a panic calls is not in reach when all else is linked as one.
fn link_of(file: c_int) -> [u8; 32] {
    let mut link = [0; 32];
    let mut digits = [0; 10];
    let (mut rest, mut count) = (file, 0);
    for digit in &mut digits {
        *digit = b'0' + (rest % 10) as u8;
        rest /= 10;
        count += 1;
        if rest == 0 {
            break;
        }
    }
    let text = b"/proc/self/fd/".iter().chain(digits.iter().take(count).rev());
    for (place, byte) in link.iter_mut().zip(text) {
        *place = *byte;
    }
    link
}

/// splice(2)
#[unsafe(no_mangle)]
pub extern "C" fn splice(
    from: c_int,
    from_at: *mut off_t,
    to: c_int,
    to_at: *mut off_t,
    count: usize,
    flags: c_uint,
) -> isize {
    call!(SYS_splice, from, from_at, to, to_at, count, flags)
}

/// sendfile(2)
#[unsafe(no_mangle)]
pub extern "C" fn sendfile64(to: c_int, from: c_int, at: *mut off_t, count: usize) -> isize {
    call!(SYS_sendfile, to, from, at, count)
}
