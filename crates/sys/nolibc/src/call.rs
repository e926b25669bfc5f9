//! The system call instruction, and its results as C functions give them.

use core::arch::asm;

use libc::{c_int, c_long};

use crate::error::fail;

/// What a system call takes: a number or an address.
pub(crate) trait Argument {
    fn word(self) -> usize;
}

macro_rules! numbers {
    ($($number:ty),*) => {$(
        impl Argument for $number {
            // Signed ones keep their sign, as in C.
            fn word(self) -> usize {
                self as isize as usize
            }
        }
    )*};
}

numbers!(i32, u32, i64, u64, usize, isize);

impl<T> Argument for *const T {
    fn word(self) -> usize {
        self as usize
    }
}

impl<T> Argument for *mut T {
    fn word(self) -> usize {
        self as usize
    }
}

/// The kernel's answer: a result, or an error number from -4095 to -1.
///
/// # Safety
/// What the call does to memory is the caller's affair.
#[inline]
pub(crate) unsafe fn raw<const N: usize>(number: c_long, arguments: [usize; N]) -> isize {
    // The kernel does not look at the others.
    let [a, b, c, d, e, f] = core::array::from_fn(|index| arguments.get(index).copied().unwrap_or_default());
    let result: isize;
    // SAFETY: the kernel preserves all registers but those declared; memory is the caller's affair.
    #[cfg(target_arch = "x86_64")]
    unsafe {
        asm!("syscall", inlateout("rax") number as isize => result, in("rdi") a, in("rsi") b, in("rdx") c, in("r10") d,
            in("r8") e, in("r9") f, out("rcx") _, out("r11") _, options(nostack));
    }
    // SAFETY: as above.
    #[cfg(target_arch = "aarch64")]
    unsafe {
        asm!("svc 0", in("x8") number, inlateout("x0") a as isize => result, in("x1") b, in("x2") c, in("x3") d,
            in("x4") e, in("x5") f, options(nostack));
    }
    result
}

/// -1 and `errno` for an error.
pub(crate) fn checked(result: isize) -> isize {
    if (-4095..0).contains(&result) { fail(-result as c_int) as isize } else { result }
}

/// A system call: number, then up to six arguments; gives what the C function gives.
macro_rules! call {
    ($number:expr $(, $argument:expr)*) => {
        $crate::call::checked($crate::call::call!(raw $number $(, $argument)*))
    };
    (raw $number:expr $(, $argument:expr)*) => {{
        let arguments = [$($crate::call::Argument::word($argument)),*];
        // SAFETY: the caller of the C function vouches for the memory that its arguments name, as the man page asks.
        unsafe { $crate::call::raw($number, arguments) }
    }};
}
pub(crate) use call;

/// syscall(2)
///
/// # Safety
/// As the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn syscall(
    number: c_long,
    a: usize,
    b: usize,
    c: usize,
    d: usize,
    e: usize,
    f: usize,
) -> c_long {
    // SAFETY: the caller's.
    checked(unsafe { raw(number, [a, b, c, d, e, f]) }) as c_long
}
