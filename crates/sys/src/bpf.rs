//! `bpf(2)`, as far as a cgroup's device filter needs it: load a program, attach it to a group, find and replace
//! the ones that are attached. And programs that look at packets, which netlink attaches to devices. The programs themselves are made by
//! `conex-cgroup` and `conex-network`.

use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use rustix::io::Errno;

const BPF_PROG_LOAD: libc::c_int = 5;
const BPF_PROG_ATTACH: libc::c_int = 8;
const BPF_PROG_DETACH: libc::c_int = 9;
const BPF_PROG_GET_FD_BY_ID: libc::c_int = 13;
const BPF_OBJ_GET_INFO_BY_FD: libc::c_int = 15;
const BPF_PROG_QUERY: libc::c_int = 16;

const PROG_TYPE_SCHED_CLS: u32 = 3;
const PROG_TYPE_CGROUP_DEVICE: u32 = 15;
const ATTACH_CGROUP_DEVICE: u32 = 6;

const F_ALLOW_MULTI: u32 = 1 << 1;
const F_REPLACE: u32 = 1 << 2;

/// One instruction, as `struct bpf_insn` has it: 8 bytes, the two registers packed into one.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Instruction {
    code: u8,
    registers: u8,
    offset: i16,
    immediate: i32,
}

impl Instruction {
    /// `destination` and `source` are registers 0 to 10; `offset` is a jump's distance or a memory offset.
    pub const fn new(code: u8, destination: u8, source: u8, offset: i16, immediate: i32) -> Self {
        let (destination, source) = (destination & 0xf, source & 0xf);
        // The kernel's bit fields fill a byte from its low end on a little-endian machine.
        let registers = if cfg!(target_endian = "little") {
            destination | source << 4
        } else {
            destination << 4 | source
        };
        Self { code, registers, offset, immediate }
    }

    /// The parts again, in the order of [`Instruction::new`]; for those who check a program.
    pub const fn parts(self) -> (u8, u8, u8, i16, i32) {
        let (low, high) = (self.registers & 0xf, self.registers >> 4);
        let (destination, source) = if cfg!(target_endian = "little") { (low, high) } else { (high, low) };
        (self.code, destination, source, self.offset, self.immediate)
    }
}

/// The leading part of `union bpf_attr` for BPF_PROG_LOAD; the kernel takes any prefix of the union.
#[repr(C)]
#[derive(Default)]
struct LoadAttributes {
    prog_type: u32,
    insn_count: u32,
    insns: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log_buf: u64,
    kern_version: u32,
    prog_flags: u32,
    prog_name: [u8; 16],
}

#[repr(C)]
#[derive(Default)]
struct AttachAttributes {
    target_fd: u32,
    attach_bpf_fd: u32,
    attach_type: u32,
    attach_flags: u32,
    replace_bpf_fd: u32,
}

#[repr(C)]
#[derive(Default)]
struct QueryAttributes {
    target_fd: u32,
    attach_type: u32,
    query_flags: u32,
    attach_flags: u32,
    prog_ids: u64,
    prog_count: u32,
    padding: u32,
}

#[repr(C)]
#[derive(Default)]
struct IdAttributes {
    id: u32,
    next_id: u32,
    open_flags: u32,
}

#[repr(C)]
struct InfoAttributes {
    bpf_fd: u32,
    info_len: u32,
    info: u64,
}

/// `struct bpf_prog_info` up to the name (Linux 4.15); the kernel fills as much as there is room for.
#[repr(C)]
#[derive(Default)]
struct ProgramInfo {
    prog_type: u32,
    id: u32,
    tag: [u8; 8],
    jited_prog_len: u32,
    xlated_prog_len: u32,
    jited_prog_insns: u64,
    xlated_prog_insns: u64,
    load_time: u64,
    created_by_uid: u32,
    nr_map_ids: u32,
    map_ids: u64,
    name: [u8; 16],
}

/// Makes the call with one of the attribute structures above.
///
/// # Safety
/// Every address inside `attributes` must be valid for what `command` does with it.
unsafe fn bpf<T>(command: libc::c_int, attributes: &mut T) -> Result<libc::c_int, Errno> {
    // SAFETY: attributes is a live, exclusively borrowed repr(C) prefix of bpf_attr and its own size is passed, so
    // the kernel stays inside it; the addresses it holds are the caller's promise.
    let result =
        unsafe { libc::syscall(libc::SYS_bpf, command, std::ptr::from_mut(attributes), size_of::<T>()) };
    if result < 0 {
        return Err(last_error());
    }
    Ok(result as libc::c_int)
}

fn last_error() -> Errno {
    std::io::Error::last_os_error().raw_os_error().map_or(Errno::IO, Errno::from_raw_os_error)
}

/// Makes the result of a call that returns a descriptor into one that closes itself.
///
/// # Safety
/// `result` must be a descriptor that the kernel has just handed out and that nobody else owns.
unsafe fn owned(result: libc::c_int) -> OwnedFd {
    // SAFETY: the caller's promise is the contract of from_raw_fd.
    unsafe { OwnedFd::from_raw_fd(result) }
}

/// Loads a `BPF_PROG_TYPE_CGROUP_DEVICE` program (Linux 4.15); the descriptor is close-on-exec.
///
/// # Errors
/// `EACCES` or `EINVAL` when the verifier refuses the program, `EPERM` without CAP_BPF or CAP_SYS_ADMIN.
pub fn load_device_program(program: &[Instruction], name: &[u8]) -> Result<OwnedFd, Errno> {
    load(PROG_TYPE_CGROUP_DEVICE, program, name)
}

/// Loads a `BPF_PROG_TYPE_SCHED_CLS` program (Linux 4.1); the descriptor is close-on-exec.
///
/// # Errors
/// As [`load_device_program`].
pub fn load_classifier(program: &[Instruction], name: &[u8]) -> Result<OwnedFd, Errno> {
    load(PROG_TYPE_SCHED_CLS, program, name)
}

fn load(prog_type: u32, program: &[Instruction], name: &[u8]) -> Result<OwnedFd, Errno> {
    let mut prog_name = [0; 16];
    for (to, from) in prog_name[..15].iter_mut().zip(name) {
        *to = *from;
    }
    let mut attributes = LoadAttributes {
        prog_type,
        insn_count: u32::try_from(program.len()).map_err(|_| Errno::TOOBIG)?,
        insns: program.as_ptr() as u64,
        license: c"Apache-2.0".as_ptr() as u64,
        prog_name,
        ..LoadAttributes::default()
    };
    loop {
        // SAFETY: insns points to insn_count instructions and license to a C string; both outlive the call, and
        // the kernel only reads them. No log buffer is given.
        let result = unsafe { bpf(BPF_PROG_LOAD, &mut attributes) };
        match result {
            // The verifier was interrupted by a signal (Linux 5.0 and later return EAGAIN).
            Err(Errno::AGAIN) => {}
            // SAFETY: BPF_PROG_LOAD returns a new descriptor, close-on-exec.
            result => return result.map(|fd| unsafe { owned(fd) }),
        }
    }
}

/// Attaches a device program to a cgroup v2 directory, beside those of the groups above; in place of
/// `replaced`, if given, with no moment in between (Linux 5.6).
///
/// # Errors
/// `EPERM` when a group above forbids programs below it.
pub fn attach_device_program(
    group: BorrowedFd<'_>,
    program: BorrowedFd<'_>,
    replaced: Option<BorrowedFd<'_>>,
) -> Result<(), Errno> {
    let mut attributes = AttachAttributes {
        target_fd: number(group),
        attach_bpf_fd: number(program),
        attach_type: ATTACH_CGROUP_DEVICE,
        attach_flags: F_ALLOW_MULTI | if replaced.is_some() { F_REPLACE } else { 0 },
        replace_bpf_fd: replaced.map_or(0, number),
    };
    // SAFETY: the attributes hold descriptors and flags only, no address.
    unsafe { bpf(BPF_PROG_ATTACH, &mut attributes) }.map(drop)
}

/// Takes a device program off a cgroup v2 directory.
///
/// # Errors
/// `ENOENT` when it is not attached.
pub fn detach_device_program(group: BorrowedFd<'_>, program: BorrowedFd<'_>) -> Result<(), Errno> {
    let mut attributes = AttachAttributes {
        target_fd: number(group),
        attach_bpf_fd: number(program),
        attach_type: ATTACH_CGROUP_DEVICE,
        ..AttachAttributes::default()
    };
    // SAFETY: the attributes hold descriptors and flags only, no address.
    unsafe { bpf(BPF_PROG_DETACH, &mut attributes) }.map(drop)
}

/// The device programs attached to this very group (not those of the groups above), in the order of attachment; at most 64.
///
/// # Errors
/// `ENOSPC` when there are more, `EPERM` without CAP_NET_ADMIN (Linux 5.8: CAP_BPF).
pub fn device_programs(group: BorrowedFd<'_>) -> Result<Vec<OwnedFd>, Errno> {
    let mut ids = [0u32; 64];
    let mut attributes = QueryAttributes {
        target_fd: number(group),
        attach_type: ATTACH_CGROUP_DEVICE,
        prog_ids: ids.as_mut_ptr() as u64,
        prog_count: ids.len() as u32,
        ..QueryAttributes::default()
    };
    // SAFETY: prog_ids points to prog_count writable u32s that live until the end of this function.
    unsafe { bpf(BPF_PROG_QUERY, &mut attributes) }?;
    let count = (attributes.prog_count as usize).min(ids.len());
    let mut programs = Vec::with_capacity(count);
    for id in ids.into_iter().take(count) {
        let mut attributes = IdAttributes { id, ..IdAttributes::default() };
        // SAFETY: the attributes hold an id only, no address.
        match unsafe { bpf(BPF_PROG_GET_FD_BY_ID, &mut attributes) } {
            // SAFETY: BPF_PROG_GET_FD_BY_ID returns a new descriptor, close-on-exec.
            Ok(fd) => programs.push(unsafe { owned(fd) }),
            // Detached since the query.
            Err(Errno::NOENT) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(programs)
}

/// The name that a program was loaded with, at most 15 bytes.
///
/// # Errors
/// `EINVAL` before Linux 4.15.
pub fn program_name(program: BorrowedFd<'_>) -> Result<Vec<u8>, Errno> {
    // Zeroed, as the kernel takes the lengths in it for the room behind its addresses: none is asked for.
    let mut info = ProgramInfo::default();
    let mut attributes = InfoAttributes {
        bpf_fd: number(program),
        info_len: size_of::<ProgramInfo>() as u32,
        info: std::ptr::from_mut(&mut info) as u64,
    };
    // SAFETY: info points to info_len writable bytes of a live repr(C) structure of integers, any content of which is valid.
    unsafe { bpf(BPF_OBJ_GET_INFO_BY_FD, &mut attributes) }?;
    Ok(info.name.into_iter().take_while(|byte| *byte != 0).collect())
}

fn number(fd: BorrowedFd<'_>) -> u32 {
    // A borrowed descriptor is never negative.
    fd.as_raw_fd() as u32
}
