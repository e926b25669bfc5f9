//! From the kernel to `main`: the environment, thread-local storage, the program's initializers.
//!
//! The C library's `_start` (crt1.o) calls `__libc_start_main`; this is it. The program is static and loaded where it was linked.

#[cfg(target_arch = "aarch64")]
use core::arch::asm;
use core::ptr::{copy_nonoverlapping, null};

use libc::{AT_PHDR, AT_PHNUM, Elf64_Phdr, PT_TLS, c_char, c_int, c_void};

use crate::environment;
use crate::environment::getauxval;
use crate::process::{_exit, exit};

/// Room for thread-local variables; those of the standard library are some 150 bytes.
const STORAGE: usize = 4096;
/// What the ABI puts at the thread pointer: on x86-64 its own address first (and a stack protector's word at 40), on AArch64
/// two words that are the dynamic linker's.
const CONTROL: usize = 64;

#[repr(C, align(64))]
struct Storage([u8; STORAGE + CONTROL]);

static mut THREAD: Storage = Storage([0; STORAGE + CONTROL]);

type Main = unsafe extern "C" fn(c_int, *const *const c_char, *const *const c_char) -> c_int;
type Initializer = unsafe extern "C" fn(c_int, *const *const c_char, *const *const c_char);

unsafe extern "C" {
    // The linker's.
    static __init_array_start: Initializer;
    static __init_array_end: Initializer;
}

/// The Linux Standard Base's name for it; the initializers that `_start` passes are those of an older C library.
///
/// # Safety
/// `words` is what the kernel has put on the stack.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn __libc_start_main(
    main: Main,
    count: c_int,
    words: *const *const c_char,
    _initialize: *const c_void,
    _finish: *const c_void,
    _finish_linker: *const c_void,
    _stack_end: *const c_void,
) -> ! {
    // SAFETY: the environment follows the arguments and their terminating null (System V ABI, "Initial Process Stack"); the
    // initializers are functions that take what `main` takes, as the C library of GNU calls them.
    unsafe {
        let variables = words.add(count as usize + 1);
        environment::set_up(variables);
        set_up_thread();
        let (mut at, end) = (&raw const __init_array_start, &raw const __init_array_end);
        while at < end {
            at.read()(count, words, variables);
            at = at.add(1);
        }
        exit(main(count, words, variables))
    }
}

/// Where the kernel has mapped the program's headers.
pub(crate) fn program_headers() -> (*const Elf64_Phdr, u16) {
    (getauxval(AT_PHDR) as *const Elf64_Phdr, getauxval(AT_PHNUM) as u16)
}

/// Copies the initial values, and lets the thread pointer point to them.
fn set_up_thread() {
    let (headers, count) = program_headers();
    let mut template = (null::<u8>(), 0, 0, 1);
    for index in 0..usize::from(count) {
        // SAFETY: the kernel's vector says where they are and how many.
        let header = unsafe { headers.add(index).read() };
        if header.p_type == PT_TLS {
            let sizes = (header.p_filesz as usize, header.p_memsz as usize);
            template = (header.p_vaddr as *const u8, sizes.0, sizes.1, (header.p_align as usize).max(1));
        }
    }
    let (values, filled, size, align) = template;
    if align > align_of::<Storage>() || size + align > STORAGE {
        // A program with more of them than there is room for was never started.
        _exit(125);
    }
    let storage = (&raw mut THREAD).cast::<u8>();
    // SAFETY: the storage is large enough and aligned, as was just seen, and nobody has used it yet.
    unsafe {
        let (variables, pointer) = place(storage, size, align);
        copy_nonoverlapping(values, variables, filled);
        point(pointer);
    }
}

/// The variables lie below the thread pointer, which points to its own address (ELF TLS, variant II).
#[cfg(target_arch = "x86_64")]
unsafe fn place(storage: *mut u8, size: usize, align: usize) -> (*mut u8, *mut u8) {
    // SAFETY: the caller has looked.
    unsafe {
        let pointer = storage.add(STORAGE);
        pointer.cast::<*mut u8>().write(pointer);
        (pointer.sub(size.next_multiple_of(align)), pointer)
    }
}

/// The variables lie two words above the thread pointer (variant I).
#[cfg(target_arch = "aarch64")]
unsafe fn place(storage: *mut u8, _size: usize, align: usize) -> (*mut u8, *mut u8) {
    // SAFETY: the caller has looked.
    unsafe { (storage.add(16_usize.next_multiple_of(align)), storage) }
}

#[cfg(target_arch = "x86_64")]
unsafe fn point(pointer: *mut u8) {
    const ARCH_SET_FS: c_int = 0x1002;
    crate::call::call!(libc::SYS_arch_prctl, ARCH_SET_FS, pointer);
}

#[cfg(target_arch = "aarch64")]
unsafe fn point(pointer: *mut u8) {
    // SAFETY: nothing is in use at the old one: there was none.
    unsafe { asm!("msr tpidr_el0, {}", in(reg) pointer, options(nostack, nomem)) };
}
