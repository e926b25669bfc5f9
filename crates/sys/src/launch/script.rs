//! A list of system calls with the data they point to.

use std::ffi::CStr;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};

use super::DATA;
use crate::process::Strings;
use crate::seccomp::Flags;

/// What a failing call means.
#[derive(Debug, Clone, Copy)]
pub enum Then<'a> {
    /// The process ends after it has sent this packet; bytes 2 to 5 become the errno (native byte order).
    Fail(&'a [u8]),
    /// Nothing.
    GoOn,
}

/// System calls to be performed by [`Script::run`] in the order they are written down. The last must be an execve.
#[derive(Debug)]
pub struct Script {
    calls: Vec<Call>,
    data: Vec<u8>,
}

#[derive(Debug)]
struct Call {
    number: u64,
    flags: u64,
    arguments: [u64; 6],
    fault: [u64; 2],
}

const GO_ON: u64 = 1;
const LAST_RESULT: u64 = 2;

impl Script {
    /// Nothing but what a process of ours begins with: nobody may trace it or follow its links in /proc (CVE-2016-9962).
    pub fn new() -> Self {
        let mut script = Self { calls: Vec::with_capacity(64), data: Vec::with_capacity(8192) };
        // An empty segment would not be mapped.
        script.place(&[0; 8]);
        script.prctl(libc::PR_SET_DUMPABLE, 0, 0, Then::GoOn);
        script
    }

    /// prctl(2) with two arguments.
    fn prctl(&mut self, option: i32, a: u64, b: u64, then: Then<'_>) {
        self.call(libc::SYS_prctl, 0, [word(option), a, b, 0, 0, 0], then);
    }

    /// Takes a capability out of the bounding set.
    pub fn drop_bounding(&mut self, capability: u32, then: Then<'_>) {
        self.prctl(libc::PR_CAPBSET_DROP, capability.into(), 0, then);
    }

    /// Keeps the permitted capabilities when the user changes from root.
    pub fn keep_capabilities(&mut self, then: Then<'_>) {
        self.prctl(libc::PR_SET_KEEPCAPS, 1, 0, then);
    }

    /// Real, effective and saved user.
    pub fn become_user(&mut self, uid: u32, then: Then<'_>) {
        let uid = u64::from(uid);
        self.call(libc::SYS_setresuid, 0, [uid, uid, uid, 0, 0, 0], then);
    }

    /// capset(2): bit n is capability n.
    pub fn set_capabilities(&mut self, effective: u64, permitted: u64, inheritable: u64, then: Then<'_>) {
        const VERSION_3: u32 = 0x2008_0522;
        let header = [VERSION_3, 0];
        let sets = [effective, permitted, inheritable];
        let halves = sets.map(|set| set as u32).into_iter().chain(sets.map(|set| (set >> 32) as u32));
        let header = self.place(&header.map(u32::to_ne_bytes).concat());
        let data = self.place(&halves.flat_map(u32::to_ne_bytes).collect::<Vec<_>>());
        self.call(libc::SYS_capset, 0, [header, data, 0, 0, 0, 0], then);
    }

    /// Raises an ambient capability.
    pub fn raise_ambient(&mut self, capability: u32, then: Then<'_>) {
        self.prctl(libc::PR_CAP_AMBIENT, word(libc::PR_CAP_AMBIENT_RAISE), capability.into(), then);
    }

    /// Gets `signal` when the parent dies.
    pub fn die_with_parent(&mut self, signal: i32, then: Then<'_>) {
        self.prctl(libc::PR_SET_PDEATHSIG, word(signal), 0, then);
    }

    /// PR_SET_NO_NEW_PRIVS
    pub fn no_new_privs(&mut self, then: Then<'_>) {
        self.prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, then);
    }

    /// Installs a filter (seccomp(2)). Calls after it come under it.
    pub fn filter(&mut self, program: &[u8], flags: Flags, then: Then<'_>) {
        let code = self.place(program);
        let count = (program.len() / crate::seccomp::INSTRUCTION_SIZE) as u64;
        let descriptor = self.place(&[count.to_ne_bytes(), code.to_ne_bytes()].concat());
        let mode = u64::from(libc::SECCOMP_SET_MODE_FILTER);
        self.call(libc::SYS_seccomp, 0, [mode, flags.bits().into(), descriptor, 0, 0, 0], then);
    }

    /// Writes `text` to a file below `directory`.
    pub fn write_file(&mut self, directory: BorrowedFd<'_>, path: &CStr, text: &[u8], then: Then<'_>) {
        let path = self.place(path.to_bytes_with_nul());
        let directory = word(directory.as_raw_fd());
        let flags = word(libc::O_WRONLY | libc::O_CLOEXEC);
        self.call(libc::SYS_openat, 0, [directory, path, flags, 0, 0, 0], then);
        let address = self.place(text);
        self.call(libc::SYS_write, LAST_RESULT, [0, address, text.len() as u64, 0, 0, 0], then);
    }

    /// Marks all descriptors from `first` on close-on-exec.
    pub fn cloexec_from(&mut self, first: RawFd, then: Then<'_>) {
        let flags = u64::from(libc::CLOSE_RANGE_CLOEXEC);
        self.call(libc::SYS_close_range, 0, [word(first), u32::MAX.into(), flags, 0, 0, 0], then);
    }

    /// execve(2)
    pub fn execute(&mut self, path: &CStr, arguments: &Strings, environment: &Strings, then: Then<'_>) {
        let path = self.place(path.to_bytes_with_nul());
        let (arguments, environment) = (self.strings(arguments), self.strings(environment));
        self.call(libc::SYS_execve, 0, [path, arguments, environment, 0, 0, 0], then);
    }

    /// execveat(2) of an open file itself.
    pub fn execute_file(
        &mut self,
        file: BorrowedFd<'_>,
        arguments: &Strings,
        environment: &Strings,
        then: Then<'_>,
    ) {
        let empty = self.place(b"\0");
        let (arguments, environment) = (self.strings(arguments), self.strings(environment));
        let flags = word(libc::AT_EMPTY_PATH);
        let file = word(file.as_raw_fd());
        self.call(libc::SYS_execveat, 0, [file, empty, arguments, environment, flags, 0], then);
    }

    fn call(&mut self, number: libc::c_long, flags: u64, arguments: [u64; 6], then: Then<'_>) {
        let (flags, fault) = match then {
            Then::GoOn => (flags | GO_ON, [0, 0]),
            Then::Fail(packet) => (flags, [self.place(packet), packet.len() as u64]),
        };
        self.calls.push(Call { number: number.cast_unsigned(), flags, arguments, fault });
    }

    /// The address `bytes` will have.
    fn place(&mut self, bytes: &[u8]) -> u64 {
        self.data.resize(self.data.len().next_multiple_of(8), 0);
        let address = DATA + self.data.len() as u64;
        self.data.extend_from_slice(bytes);
        address
    }

    fn strings(&mut self, strings: &Strings) -> u64 {
        let mut pointers = Vec::new();
        for string in strings.iter() {
            let address = self.place(string.to_bytes_with_nul());
            pointers.extend_from_slice(&address.to_ne_bytes());
        }
        pointers.extend_from_slice(&0_u64.to_ne_bytes());
        self.place(&pointers)
    }

    pub(super) fn data(&self) -> &[u8] {
        &self.data
    }

    /// The header and the calls as the code reads them.
    pub(super) fn calls(&self, report: BorrowedFd<'_>) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(64 + self.calls.len() * 80);
        bytes.extend_from_slice(&report.as_raw_fd().to_ne_bytes());
        bytes.resize(64, 0);
        for call in &self.calls {
            for value in [call.number, call.flags].iter().chain(&call.arguments).chain(&call.fault) {
                bytes.extend_from_slice(&value.to_ne_bytes());
            }
        }
        bytes
    }
}

impl Default for Script {
    fn default() -> Self {
        Self::new()
    }
}

/// A signed argument as the kernel reads it.
fn word(value: i32) -> u64 {
    i64::from(value).cast_unsigned()
}
