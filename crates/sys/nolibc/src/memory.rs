//! Bytes copied, set and compared.
//!
//! The crate is `no_builtins`: or the compiler would recognise these loops and call the functions that they are in. Their test
//! is `tests/bytes.rs` of the crate above, for which they have no names.

use core::arch::asm;
use core::ptr::{read_unaligned, write_unaligned};

use libc::{c_char, c_int, c_void};

/// Up to here bytes are moved by hand; beyond, the processor's own copying pays for its start.
const SMALL: usize = 64;

/// memcpy(3)
///
/// # Safety
/// Both have `count` bytes.
#[cfg_attr(not(test), unsafe(no_mangle))]
pub unsafe extern "C" fn memcpy(to: *mut c_void, from: *const c_void, count: usize) -> *mut c_void {
    // SAFETY: the caller's.
    unsafe { forward(to.cast(), from.cast(), count) };
    to
}

/// memmove(3)
///
/// # Safety
/// Both have `count` bytes; they may be the same.
#[cfg_attr(not(test), unsafe(no_mangle))]
pub unsafe extern "C" fn memmove(to: *mut c_void, from: *const c_void, count: usize) -> *mut c_void {
    let (target, source) = (to.cast::<u8>(), from.cast::<u8>());
    // SAFETY: the caller's; the end that is written first is the one that the other end of the source does not need any more.
    unsafe {
        if target.addr().wrapping_sub(source.addr()) >= count {
            forward(target, source, count);
        } else {
            backward(target, source, count);
        }
    }
    to
}

/// Whatever lies before `from` may be overwritten.
unsafe fn forward(to: *mut u8, from: *const u8, count: usize) {
    // SAFETY: each access lies within `count` bytes, which are the caller's. A word is read before anything at or after its
    // place is written.
    unsafe {
        if count > SMALL {
            return copy_many(to, from, count);
        }
        let mut at = 0;
        while at + 8 <= count {
            write_unaligned(to.add(at).cast::<u64>(), read_unaligned(from.add(at).cast::<u64>()));
            at += 8;
        }
        while at < count {
            to.add(at).write(from.add(at).read());
            at += 1;
        }
    }
}

/// Whatever lies after `from` may be overwritten.
unsafe fn backward(to: *mut u8, from: *const u8, count: usize) {
    let mut at = count;
    // SAFETY: as above, from the other end.
    unsafe {
        while at >= 8 {
            at -= 8;
            write_unaligned(to.add(at).cast::<u64>(), read_unaligned(from.add(at).cast::<u64>()));
        }
        while at > 0 {
            at -= 1;
            to.add(at).write(from.add(at).read());
        }
    }
}

#[cfg(target_arch = "x86_64")]
unsafe fn copy_many(to: *mut u8, from: *const u8, count: usize) {
    // SAFETY: writes `count` bytes at `to`, which are the caller's; the direction flag is clear, as the ABI has it.
    unsafe {
        asm!("rep movsb", inout("rcx") count => _, inout("rdi") to => _, inout("rsi") from => _,
            options(nostack, preserves_flags));
    }
}

#[cfg(target_arch = "aarch64")]
unsafe fn copy_many(to: *mut u8, from: *const u8, count: usize) {
    // SAFETY: 16 bytes at a time while there are 16, then one at a time: `count` in all.
    unsafe {
        asm!(
            "2:", "cmp {n}, 16", "b.lo 3f", "ldp {a}, {b}, [{from}], 16", "stp {a}, {b}, [{to}], 16", "sub {n}, {n}, 16", "b 2b",
            "3:", "cbz {n}, 4f", "ldrb {a:w}, [{from}], 1", "strb {a:w}, [{to}], 1", "sub {n}, {n}, 1", "b 3b", "4:",
            n = inout(reg) count => _, from = inout(reg) from => _, to = inout(reg) to => _, a = out(reg) _, b = out(reg) _,
            options(nostack));
    }
}

/// memset(3)
///
/// # Safety
/// `to` has `count` bytes.
#[cfg_attr(not(test), unsafe(no_mangle))]
pub unsafe extern "C" fn memset(to: *mut c_void, byte: c_int, count: usize) -> *mut c_void {
    let target = to.cast::<u8>();
    let byte = byte as u8;
    let word = u64::from(byte) * 0x0101_0101_0101_0101;
    // SAFETY: each access lies within `count` bytes, which are the caller's.
    unsafe {
        #[cfg(target_arch = "x86_64")]
        if count > SMALL {
            asm!("rep stosb", inout("rcx") count => _, inout("rdi") target => _, in("al") byte,
                options(nostack, preserves_flags));
            return to;
        }
        let mut at = 0;
        while at + 8 <= count {
            write_unaligned(target.add(at).cast::<u64>(), word);
            at += 8;
        }
        while at < count {
            target.add(at).write(byte);
            at += 1;
        }
    }
    to
}

/// memcmp(3)
///
/// # Safety
/// Both have `count` bytes.
#[cfg_attr(not(test), unsafe(no_mangle))]
pub unsafe extern "C" fn memcmp(one: *const c_void, other: *const c_void, count: usize) -> c_int {
    let (one, other) = (one.cast::<u8>(), other.cast::<u8>());
    let mut at = 0;
    // SAFETY: each access lies within `count` bytes, which are the caller's.
    unsafe {
        while at + 8 <= count {
            let (a, b) =
                (read_unaligned(one.add(at).cast::<u64>()), read_unaligned(other.add(at).cast::<u64>()));
            if a != b {
                // The first byte that differs decides.
                return if a.swap_bytes() < b.swap_bytes() { -1 } else { 1 };
            }
            at += 8;
        }
        while at < count {
            let (a, b) = (one.add(at).read(), other.add(at).read());
            if a != b {
                return c_int::from(a) - c_int::from(b);
            }
            at += 1;
        }
    }
    0
}

/// bcmp(3)
///
/// # Safety
/// As [`memcmp`].
#[cfg_attr(not(test), unsafe(no_mangle))]
pub unsafe extern "C" fn bcmp(one: *const c_void, other: *const c_void, count: usize) -> c_int {
    // SAFETY: the caller's.
    unsafe { memcmp(one, other, count) }
}

/// strlen(3)
///
/// # Safety
/// The string ends.
#[cfg_attr(not(test), unsafe(no_mangle))]
pub unsafe extern "C" fn strlen(string: *const c_char) -> usize {
    let mut length = 0;
    // SAFETY: nothing beyond the end is read.
    while unsafe { string.add(length).read() } != 0 {
        length += 1;
    }
    length
}
