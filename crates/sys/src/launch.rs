//! The last steps of a process before a container's program, done by a program of our own that is hardly there.
//!
//! A process that enters a container must not execute the container's program from the engine's binary: by an interpreter
//! line or a link in /proc that leads to `/proc/self/exe` the container would get hold of the file, and could write to it as
//! soon as nobody executes it (CVE-2019-5736). So the last steps are written down as a [`Script`] of system calls, and the
//! process becomes a memory file of a page of code and that script. The code performs one call after the other and ends in
//! the script's last, an execve; if a call fails it sends the fault written down beside it to the `report` socket and exits.
//!
//! The image is an ELF file made here: one segment of code and calls, one of the data they point to, both at fixed
//! addresses, so that pointers are known while the script is written. It is sealed: nobody can change it under the process.

mod code;
mod script;

pub use script::{Script, Then};

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{Gid, MemfdFlags, Mode, SealFlags, Uid};
use rustix::io::{Errno, FdFlags};

use crate::process::{Strings, execve_fd};

/// Where the code segment lies: the lowest address that linkers use too.
const BASE: u64 = 0x40_0000;
/// Where the data segment lies.
const DATA: u64 = 0x4000_0000;
/// The largest page a kernel for this machine may have: segments begin at a multiple of it.
const PAGE: usize = if cfg!(target_arch = "x86_64") { 4096 } else { 65_536 };
/// `Elf64_Ehdr` and two `Elf64_Phdr` and one for the stack.
const HEADERS: usize = 64 + 3 * 56;

/// The memory file that a script goes into.
///
/// Only its owner may read it. A process that executes what it cannot read is traced by nobody but the privileged of a user
/// namespace in which the owner has an id (`would_dump` in the kernel's fs/exec.c): made before a container's user namespace
/// is entered, it keeps the container's root away from a process that still has more rights than the container.
#[derive(Debug)]
pub struct Blank(OwnedFd);

impl Blank {
    /// Close-on-exec.
    ///
    /// # Errors
    /// EMFILE, ENOMEM; EACCES where memory files may not be executed (vm.memfd_noexec=2, Linux 6.3).
    pub fn new() -> io::Result<Self> {
        let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        // Linux 6.3 wants to be told, and refuses where the administrator has forbidden it.
        let file = match rustix::fs::memfd_create(c"conex-launch", flags | MemfdFlags::EXEC) {
            Err(Errno::INVAL) => rustix::fs::memfd_create(c"conex-launch", flags),
            made => made,
        }?;
        rustix::fs::fchmod(&file, Mode::from_raw_mode(0o711))?;
        // Nobody's, so that no user namespace has an id for its owner; one's own where that takes rights one does not have.
        let nobody = u32::MAX - 1;
        let _ = rustix::fs::fchown(&file, Some(Uid::from_raw(nobody)), Some(Gid::from_raw(nobody)));
        Ok(Self(file))
    }
}

impl Script {
    /// Becomes the script. `report` is a connected SOCK_SEQPACKET socket: it is closed by the script's execve, so that its
    /// peer reads end-of-file then, and a fault before. All other descriptors that calls of the script name must not be
    /// close-on-exec. Returns only with the reason why it could not begin.
    pub fn run(self, blank: &Blank, report: BorrowedFd<'_>) -> io::Error {
        match self.load(blank, report) {
            Ok(arguments) => execve_fd(blank.0.as_fd(), &arguments, &Strings::none()),
            Err(errno) => errno.into(),
        }
    }

    fn load(self, Blank(file): &Blank, report: BorrowedFd<'_>) -> Result<Strings, Errno> {
        let image = self.image(report);
        let mut rest = image.as_slice();
        while !rest.is_empty() {
            rest = &rest[rustix::io::retry_on_intr(|| rustix::io::write(file, rest))?..];
        }
        let seals = SealFlags::WRITE | SealFlags::GROW | SealFlags::SHRINK | SealFlags::SEAL;
        rustix::fs::fcntl_add_seals(file, seals)?;
        rustix::io::fcntl_setfd(report, FdFlags::empty())?;
        // An empty name is how the code knows that it was us who called it.
        Strings::new([""]).ok_or(Errno::INVAL)
    }

    /// The ELF file.
    fn image(&self, report: BorrowedFd<'_>) -> Vec<u8> {
        let code = code::bytes();
        let calls = self.calls(report);
        let text = HEADERS + code.len() + calls.len();
        let data_at = text.next_multiple_of(PAGE);
        let mut image = Vec::with_capacity(data_at + self.data().len());
        elf_header(&mut image);
        program_header(&mut image, 1, 5, 0, BASE, text);
        program_header(&mut image, 1, 6, data_at as u64, DATA, self.data().len());
        // PT_GNU_STACK: not executable.
        program_header(&mut image, 0x6474_e551, 6, 0, 0, 0);
        image.extend_from_slice(code);
        image.extend_from_slice(&calls);
        image.resize(data_at, 0);
        image.extend_from_slice(self.data());
        image
    }
}

/// `Elf64_Ehdr` (elf(5)) of a static program.
fn elf_header(image: &mut Vec<u8>) {
    image.extend_from_slice(b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0");
    let half = |image: &mut Vec<u8>, value: u16| image.extend_from_slice(&value.to_le_bytes());
    half(image, 2); // ET_EXEC
    half(image, code::MACHINE);
    image.extend_from_slice(&1_u32.to_le_bytes());
    for word in [BASE + HEADERS as u64, 64, 0] {
        image.extend_from_slice(&word.to_le_bytes()); // entry, program headers, section headers
    }
    image.extend_from_slice(&0_u32.to_le_bytes());
    for value in [64, 56, 3, 64, 0, 0] {
        half(image, value);
    }
}

/// `Elf64_Phdr`
fn program_header(image: &mut Vec<u8>, kind: u32, flags: u32, offset: u64, address: u64, size: usize) {
    image.extend_from_slice(&kind.to_le_bytes());
    image.extend_from_slice(&flags.to_le_bytes());
    for word in [offset, address, address, size as u64, size as u64, PAGE as u64] {
        image.extend_from_slice(&word.to_le_bytes());
    }
}
