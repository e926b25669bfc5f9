//! Finding the program the way a shell would, as the user who is to run it, and execve.

use std::ffi::{CString, OsStr};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;

use conex_oci::runtime::Process;
use conex_sys::process::{Strings, execve, execve_fd};
use rustix::fs::{Access, AtFlags, CWD, FileType, MemfdFlags, Mode, OFlags, ResolveFlags, SealFlags};
use rustix::io::Errno;

use crate::fault::{Fault, Kind};
use crate::plan::ProcessPlan;

const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The path to execute: absolute, or relative to the working directory when the user wrote a slash.
pub(super) fn find(process: &Process) -> Result<CString, Fault> {
    let name = &process.args[0];
    if name.contains('/') {
        return match check(name.as_bytes()) {
            Ok(path) => Ok(path),
            Err(Errno::NOENT | Errno::NOTDIR) => Err(fault(Kind::NotFound, name, Errno::NOENT)),
            Err(errno) => Err(fault(Kind::NotExecutable, name, errno)),
        };
    }
    let path = process.env.iter().rev().find_map(|entry| entry.strip_prefix("PATH="));
    let mut denied = None;
    for directory in path.unwrap_or(DEFAULT_PATH).split(':') {
        let directory = if directory.is_empty() { "." } else { directory };
        match check(format!("{directory}/{name}").as_bytes()) {
            Ok(path) => return Ok(path),
            Err(errno @ Errno::ACCESS) => denied = Some(errno),
            Err(_) => {}
        }
    }
    match denied {
        Some(errno) if !name.is_empty() => Err(fault(Kind::NotExecutable, name, errno)),
        _ => Err(fault(Kind::NotFoundInPath, name, Errno::NOENT)),
    }
}

fn fault(kind: Kind, name: &str, errno: Errno) -> Fault {
    Fault { kind, what: name.to_owned(), errno }
}

fn check(path: &[u8]) -> Result<CString, Errno> {
    let path = OsStr::from_bytes(path);
    // A link of the kernel's would lead to the engine's own binary or through its open descriptors to the host's files
    // (CVE-2019-5736, CVE-2024-21626): ELOOP.
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    let file = rustix::fs::openat2(CWD, path, flags, Mode::empty(), ResolveFlags::NO_MAGICLINKS)?;
    let stat = rustix::fs::fstat(&file)?;
    if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
        return Err(Errno::ISDIR);
    }
    rustix::fs::accessat(CWD, path, Access::EXEC_OK, AtFlags::EACCESS)?;
    CString::new(path.as_bytes()).map_err(|_| Errno::INVAL)
}

/// Replaces this process; returns only with the reason why not.
pub(super) fn exec(plan: &ProcessPlan<'_>, program: &CString) -> Fault {
    let process = plan.process;
    let strings = (Strings::new(&process.args), Strings::new(&process.env));
    let (Some(arguments), Some(environment)) = strings else {
        return fault(Kind::NotExecutable, &process.args[0], Errno::INVAL);
    };
    let error = match plan.init {
        None => execve(program, &arguments, &environment),
        Some(init) => match exec_init(plan, init, program, &environment) {
            Ok(never) => match never {},
            Err(errno) => return Fault::new("start the init program", errno),
        },
    };
    match Errno::from_io_error(&error).unwrap_or(Errno::IO) {
        // The file is there, so it is its interpreter that is not.
        Errno::NOENT => fault(Kind::NotFound, &process.args[0], Errno::NOENT),
        errno => fault(Kind::NotExecutable, &process.args[0], errno),
    }
}

/// The init comes from a sealed memory file: there is nothing in the image to trust and nothing on the host to overwrite.
fn exec_init(
    plan: &ProcessPlan<'_>,
    init: &[u8],
    program: &CString,
    environment: &Strings,
) -> Result<std::convert::Infallible, Errno> {
    let file: OwnedFd =
        rustix::fs::memfd_create("conex-init", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
    let mut rest = init;
    while !rest.is_empty() {
        rest = &rest[rustix::io::retry_on_intr(|| rustix::io::write(&file, rest))?..];
    }
    rustix::fs::fcntl_add_seals(
        &file,
        SealFlags::WRITE | SealFlags::GROW | SealFlags::SHRINK | SealFlags::SEAL,
    )?;
    // init -- /resolved/program argv[0] argv[1] …
    let words = [b"init".as_slice(), b"--", program.as_bytes()];
    let arguments = words.into_iter().chain(plan.process.args.iter().map(String::as_bytes));
    let arguments = Strings::new(arguments).ok_or(Errno::INVAL)?;
    let error = execve_fd(file.as_fd(), &arguments, environment);
    Err(Errno::from_io_error(&error).unwrap_or(Errno::IO))
}
