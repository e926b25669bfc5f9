//! Finding the program the way a shell would, as the user who is to run it, and execve.

use std::ffi::{CString, OsStr};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;

use conex_oci::runtime::Process;
use conex_sys::launch::{Blank, Script, Then};
use conex_sys::process::Strings;
use rustix::fs::{Access, AtFlags, CWD, FileType, MemfdFlags, Mode, OFlags, ResolveFlags, SealFlags};
use rustix::io::Errno;

use super::environment;
use super::rights::Labels;
use crate::channel::Channel;
use crate::fault::{Fault, Kind};
use crate::plan::ProcessPlan;

const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The path to execute: absolute, or relative to the working directory when the user wrote a slash. `None` when there is nothing.
pub(super) fn find(process: &Process) -> Result<Option<CString>, Fault> {
    let Some(name) = process.args.first() else { return Ok(None) };
    if name.contains('/') {
        return match check(name.as_bytes()) {
            Ok(path) => Ok(Some(path)),
            Err(Errno::NOENT | Errno::NOTDIR) => Err(fault(Kind::NotFound, name, Errno::NOENT)),
            Err(errno) => Err(fault(Kind::NotExecutable, name, errno)),
        };
    }
    let path = process.env.iter().rev().find_map(|entry| entry.strip_prefix("PATH="));
    let mut denied = None;
    for directory in path.unwrap_or(DEFAULT_PATH).split(':') {
        let directory = if directory.is_empty() { "." } else { directory };
        match check(format!("{directory}/{name}").as_bytes()) {
            Ok(path) => return Ok(Some(path)),
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

/// Replaces this process; returns only with the reason why it could not begin. What goes wrong later the script reports.
pub(super) fn exec(
    mut script: Script,
    plan: &ProcessPlan<'_>,
    program: &CString,
    labels: Labels,
    blank: Option<&Blank>,
    channel: &Channel,
) -> Fault {
    let process = plan.process;
    let name = &process.args[0];
    let strings = (
        Strings::new(&process.args),
        Strings::new(environment::of(process).iter().map(|entry| entry.as_bytes())),
    );
    let (Some(arguments), Some(environment)) = strings else {
        return fault(Kind::NotExecutable, name, Errno::INVAL);
    };
    // The file is there, so ENOENT means its interpreter, and says so by itself.
    let failed = fault(Kind::NotExecutable, name, Errno::NOEXEC).packet();
    let _init = match plan.init {
        None => {
            script.execute(program, &arguments, &environment, Then::Fail(&failed));
            None
        }
        Some(init) => match sealed(init) {
            Ok(file) => {
                // init -- /resolved/program argv[0] argv[1] …
                let words = [b"init".as_slice(), b"--", program.as_bytes()];
                let words = words.into_iter().chain(process.args.iter().map(String::as_bytes));
                let Some(words) = Strings::new(words) else {
                    return fault(Kind::NotExecutable, name, Errno::INVAL);
                };
                script.execute_file(file.as_fd(), &words, &environment, Then::Fail(&failed));
                Some(file)
            }
            Err(errno) => return Fault::new("start the init program", errno),
        },
    };
    // The script marks everything close-on-exec again before the program.
    if let Err(errno) = labels.keep() {
        return Fault::new("keep the process's files in /proc", errno);
    }
    let error = match blank {
        Some(blank) => script.run(blank, channel.as_fd()),
        None => Blank::new().map_or_else(|error| error, |blank| script.run(&blank, channel.as_fd())),
    };
    Fault::new(
        "start the launch program (may memory files be executed here? see vm.memfd_noexec)",
        Errno::from_io_error(&error).unwrap_or(Errno::IO),
    )
}

/// The init comes from a sealed memory file: there is nothing in the image to trust and nothing on the host to overwrite.
fn sealed(init: &[u8]) -> Result<OwnedFd, Errno> {
    let file = rustix::fs::memfd_create("conex-init", MemfdFlags::ALLOW_SEALING)?;
    let mut rest = init;
    while !rest.is_empty() {
        rest = &rest[rustix::io::retry_on_intr(|| rustix::io::write(&file, rest))?..];
    }
    rustix::fs::fcntl_add_seals(
        &file,
        SealFlags::WRITE | SealFlags::GROW | SealFlags::SHRINK | SealFlags::SEAL,
    )?;
    Ok(file)
}
