//! The host's program: found and opened where the host's files are, executed where the container's are.

use std::ffi::CString;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use conex_runtime::program;
use conex_sys::process::{Strings, cloexec_from, execve, execve_fd};
use conex_sys::signal;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use crate::error::ProgramFault;
use crate::{Error, Result};

/// A program that is there.
pub(super) struct Program {
    path: PathBuf,
    file: OwnedFd,
}

impl Program {
    /// By the first word of a command: a path, or a name in `$PATH`.
    pub(super) fn find(command: &[String]) -> Result<Self> {
        let name = command.first().map(String::as_str).unwrap_or_default();
        let missing = || Error::HostProgram { program: name.to_owned(), fault: ProgramFault::Missing };
        let path = program::find(Path::new(name)).filter(|_| !name.is_empty()).ok_or_else(missing)?;
        let file = rustix::fs::open(&path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty());
        match file {
            Ok(file) => Ok(Self { path, file }),
            Err(Errno::NOENT) => Err(missing()),
            Err(errno) => Err(fault(name, ProgramFault::Refused { source: errno.into() })),
        }
    }

    /// Becomes the program; returns only with an error. By its path the kernel can run scripts, too; where paths lead elsewhere
    /// (`elsewhere`) the file itself is executed, and its interpreter is the container's.
    pub(super) fn execute(&self, command: &[String], elsewhere: bool) -> Error {
        let name = command.first().map(String::as_str).unwrap_or_default();
        let path = CString::new(self.path.as_os_str().as_bytes());
        let (Some(words), Some(environment), Ok(path)) =
            (Strings::new(command), program::environment(), path)
        else {
            return fault(name, ProgramFault::Nul);
        };
        // Ignored since Rust's own start; other dispositions are the caller's wish (nohup).
        signal::default(13);
        if let Err(source) = cloexec_from(3) {
            return Error::Enter { what: "close inherited descriptors", source };
        }
        let source = match elsewhere {
            true => execve_fd(self.file.as_fd(), &words, &environment),
            false => execve(&path, &words, &environment),
        };
        match Errno::from_io_error(&source) {
            // The file is open: what is missing is what it asks for.
            Some(Errno::NOENT) => fault(name, ProgramFault::NoInterpreter),
            _ => fault(name, ProgramFault::Refused { source }),
        }
    }
}

fn fault(program: &str, fault: ProgramFault) -> Error {
    Error::HostProgram { program: program.to_owned(), fault }
}
