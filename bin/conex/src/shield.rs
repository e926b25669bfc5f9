//! The engine's own binary, kept out of the containers' reach.
//!
//! A process that enters a container may end up executing /proc/self/exe there: by an interpreter line, or by a path that
//! changes after it was looked at. Whoever in the container holds that file could write to it as soon as nobody executes it
//! (CVE-2019-5736). So the process that will make containers executes itself again from a clone of its mount that is
//! read-only and that nobody can reach to change (docs/adr/0012).

use std::convert::Infallible;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;

use conex_sys::mount::{Attributes, Change, set_attributes};
use conex_sys::process::{Strings, execve_fd};
use rustix::fs::{CWD, StatVfsMountFlags};
use rustix::io::Errno;
use rustix::mount::OpenTreeFlags;

use crate::errors::Error;

const SELF: &str = "/proc/self/exe";

/// Returns in a process whose binary cannot be written to through /proc.
///
/// # Errors
/// [`Error::Shield`]
pub(crate) fn raise() -> Result<(), Error> {
    let failed = |source| Error::Shield { source };
    if is_read_only(rustix::fs::statvfs(SELF)).map_err(failed)? {
        return Ok(());
    }
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    match rustix::mount::open_tree(CWD, SELF, flags) {
        // An ordinary user, or root of a user namespace: no owner of the binary, unless he has installed it himself.
        Err(Errno::PERM) => Ok(()),
        Err(errno) => Err(failed(errno.into())),
        Ok(binary) => match again(&binary) {
            Ok(never) => match never {},
            Err(source) => Err(failed(source)),
        },
    }
}

fn is_read_only(found: rustix::io::Result<rustix::fs::StatVfs>) -> io::Result<bool> {
    Ok(found?.f_flag.contains(StatVfsMountFlags::RDONLY))
}

fn again(binary: &OwnedFd) -> io::Result<Infallible> {
    set_attributes(binary.as_fd(), &Change { set: Attributes::RDONLY, ..Change::default() }, false)?;
    // Else it would go on for ever.
    if !is_read_only(rustix::fs::fstatvfs(binary))? {
        return Err(io::ErrorKind::Unsupported.into());
    }
    let arguments = Strings::new(std::env::args_os().map(|word| word.as_bytes().to_vec()));
    let environment =
        std::env::vars_os().map(|(name, value)| [name.as_bytes(), b"=", value.as_bytes()].concat());
    match (arguments, Strings::new(environment)) {
        (Some(arguments), Some(environment)) => Err(execve_fd(binary.as_fd(), &arguments, &environment)),
        _ => Err(io::ErrorKind::InvalidInput.into()),
    }
}
