//! The code of the launch program: a loop over system calls, position-independent, without data of its own.
//!
//! What it reads is what [`super::script`] lays out behind it: a header of 64 bytes that begins with the report socket's
//! number, then calls of 80 bytes: number, flags (1: a failure is no matter; 2: the first argument is the last result), six
//! arguments, address and length of the fault. A fault is a packet whose bytes 2 to 5 take the errno.

use std::arch::global_asm;

/// `e_machine` in elf(5).
#[cfg(target_arch = "x86_64")]
pub(super) const MACHINE: u16 = 62;
#[cfg(target_arch = "aarch64")]
pub(super) const MACHINE: u16 = 183;

// A first argument that is not empty: the container has executed /proc/self/exe, by an interpreter line or as the
// interpreter of an ELF file. 126 is "cannot execute".
#[cfg(target_arch = "x86_64")]
global_asm!(
    ".pushsection .rodata.conex_launch,\"a\",@progbits",
    ".balign 16",
    ".globl conex_launch_begin",
    "conex_launch_begin:",
    "mov rax, [rsp + 8]",
    "cmp byte ptr [rax], 0",
    "jne 8f",
    "lea rbx, [rip + conex_launch_end]",
    "lea r12, [rbx + 64]",
    "xor r13d, r13d",
    "1:",
    "mov rax, [r12]",
    "mov rdi, [r12 + 16]",
    "test byte ptr [r12 + 8], 2",
    "cmovnz rdi, r13",
    "mov rsi, [r12 + 24]",
    "mov rdx, [r12 + 32]",
    "mov r10, [r12 + 40]",
    "mov r8, [r12 + 48]",
    "mov r9, [r12 + 56]",
    "syscall",
    "mov r13, rax",
    "cmp rax, -4095",
    "jae 3f",
    "2:",
    "add r12, 80",
    "jmp 1b",
    "3:",
    "test byte ptr [r12 + 8], 1",
    "jnz 2b",
    "neg eax",
    "mov rsi, [r12 + 64]",
    "mov [rsi + 2], eax",
    "mov rdx, [r12 + 72]",
    "mov edi, [rbx]",
    "mov r10d, 0x4000", // MSG_NOSIGNAL
    "xor r8d, r8d",
    "xor r9d, r9d",
    "mov eax, 44", // sendto
    "syscall",
    "jmp 9f",
    "8:",
    "mov edi, 2",
    "lea rsi, [rip + 5f]",
    "mov edx, 46",
    "mov eax, 1", // write
    "syscall",
    "9:",
    "mov edi, 126",
    "mov eax, 231", // exit_group
    "syscall",
    "ud2",
    "5:",
    ".ascii \"conex: /proc/self/exe is no program to be run\\n\"",
    ".balign 16",
    ".globl conex_launch_end",
    "conex_launch_end:",
    ".popsection",
);

#[cfg(target_arch = "aarch64")]
global_asm!(
    ".pushsection .rodata.conex_launch,\"a\",@progbits",
    ".balign 16",
    ".globl conex_launch_begin",
    "conex_launch_begin:",
    "ldr x0, [sp, 8]",
    "ldrb w0, [x0]",
    "cbnz w0, 8f",
    "adr x19, conex_launch_end",
    "add x20, x19, 64",
    "mov x21, 0",
    "1:",
    "ldr x8, [x20]",
    "ldr x9, [x20, 8]",
    "ldr x0, [x20, 16]",
    "tst x9, 2",
    "csel x0, x21, x0, ne",
    "ldp x1, x2, [x20, 24]",
    "ldp x3, x4, [x20, 40]",
    "ldr x5, [x20, 56]",
    "svc 0",
    "mov x21, x0",
    "cmn x0, 4095",
    "b.hs 3f",
    "2:",
    "add x20, x20, 80",
    "b 1b",
    "3:",
    "tbnz x9, 0, 2b",
    "neg w0, w0",
    "ldp x1, x2, [x20, 64]",
    "strh w0, [x1, 2]", // two halves: the address is only even
    "lsr w0, w0, 16",
    "strh w0, [x1, 4]",
    "ldr w0, [x19]",
    "mov x3, 0x4000", // MSG_NOSIGNAL
    "mov x4, 0",
    "mov x5, 0",
    "mov x8, 206", // sendto
    "svc 0",
    "b 9f",
    "8:",
    "mov x0, 2",
    "adr x1, 5f",
    "mov x2, 46",
    "mov x8, 64", // write
    "svc 0",
    "9:",
    "mov x0, 126",
    "mov x8, 94", // exit_group
    "svc 0",
    "brk 0",
    "5:",
    ".ascii \"conex: /proc/self/exe is no program to be run\\n\"",
    ".balign 16",
    ".globl conex_launch_end",
    "conex_launch_end:",
    ".popsection",
);

unsafe extern "C" {
    static conex_launch_begin: u8;
    static conex_launch_end: u8;
}

/// The code, to be put at an address that is a multiple of 8.
pub(super) fn bytes() -> &'static [u8] {
    let (begin, end) = (&raw const conex_launch_begin, &raw const conex_launch_end);
    // SAFETY: the assembly above puts both labels into one section, the end behind the beginning, and nothing writes there.
    unsafe { std::slice::from_raw_parts(begin, end.addr() - begin.addr()) }
}
