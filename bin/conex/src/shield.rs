//! The engine's own binary, kept out of the containers' reach.
//!
//! A process that enters a container may end up executing /proc/self/exe there: by an interpreter line, or by a path that
//! changes after it was looked at. Whoever in the container holds that file could write to it as soon as nobody executes it
//! (CVE-2019-5736). So the process that will make containers executes itself again from a clone of its mount that is
//! read-only and that nobody can reach to change: a twentieth of what copying into a memory file costs.

use std::convert::Infallible;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;

use conex_sys::mount::{Attributes, Change, set_attributes};
use conex_sys::process::{Strings, execve_fd};
use rustix::fs::{CWD, StatVfsMountFlags};
use rustix::mount::OpenTreeFlags;

use crate::errors::Error;

const SELF: &str = "/proc/self/exe";

/// Returns in a process whose binary cannot be written to through /proc.
///
/// # Errors
/// [`Error::Shield`]
pub(crate) fn raise() -> Result<(), Error> {
    // Others may not clone mounts; their containers are not the owner of the binary either, unless they installed it.
    if !rustix::process::geteuid().is_root() || is_read_only(rustix::fs::statvfs(SELF))? {
        return Ok(());
    }
    match again() {
        Ok(never) => match never {},
        Err(source) => Err(Error::Shield { source }),
    }
}

fn is_read_only(found: rustix::io::Result<rustix::fs::StatVfs>) -> Result<bool, Error> {
    let found = found.map_err(|errno| Error::Shield { source: errno.into() })?;
    Ok(found.f_flag.contains(StatVfsMountFlags::RDONLY))
}

fn again() -> io::Result<Infallible> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    let binary = rustix::mount::open_tree(CWD, SELF, flags)?;
    set_attributes(binary.as_fd(), &Change { set: Attributes::RDONLY, ..Change::default() }, false)?;
    // Else it would go on for ever.
    if !rustix::fs::fstatvfs(&binary)?.f_flag.contains(StatVfsMountFlags::RDONLY) {
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
