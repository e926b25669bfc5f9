//! Programs of the host that are run to their end: newuidmap(1), ps(1), criu(8).
//!
//! As `std::process::Command`, which is 25 KB for a fork and an execve.

use std::ffi::CString;
use std::fs::File;
use std::io::{self, Read, Seek};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use conex_sys::process::{Forked, Strings, execve, exit_now, fork_to_execute};
use rustix::fs::MemfdFlags;
use rustix::io::retry_on_intr;
use rustix::pipe::PipeFlags;
use rustix::process::{Pid, WaitId, WaitIdOptions, WaitIdStatus, waitid};

const USUAL_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// How a program ended, and what it printed.
#[derive(Debug)]
pub struct Output {
    status: Option<WaitIdStatus>,
    /// All of its standard output.
    pub stdout: Vec<u8>,
    /// All of its standard error.
    pub stderr: Vec<u8>,
}

impl Output {
    /// Whether its exit status is 0.
    pub fn is_success(&self) -> bool {
        self.status.is_some_and(|status| status.exit_status() == Some(0))
    }

    /// `exit status 1` or `killed by signal 9`.
    pub fn ended(&self) -> String {
        ended(self.status)
    }
}

pub(crate) fn ended(status: Option<WaitIdStatus>) -> String {
    match status.map(|status| (status.exit_status(), status.terminating_signal())) {
        Some((Some(code), _)) => format!("exit status {code}"),
        Some((_, Some(signal))) => format!("killed by signal {signal}"),
        _ => "no status".to_owned(),
    }
}

/// By its name in `$PATH`, or its path.
pub fn find(program: &Path) -> Option<PathBuf> {
    if program.components().count() > 1 {
        return program.is_file().then(|| program.to_owned());
    }
    let path = std::env::var_os("PATH").unwrap_or_else(|| USUAL_PATH.into());
    std::env::split_paths(&path).map(|directory| directory.join(program)).find(|path| path.is_file())
}

/// Runs the file `program` with these arguments after its name, our environment and nothing to read, and waits for its end.
///
/// # Errors
/// It could not be executed.
pub fn output(program: &Path, arguments: &[String]) -> io::Result<Output> {
    let path = program.as_os_str().as_bytes();
    let words = [path].into_iter().chain(arguments.iter().map(String::as_bytes));
    let (Ok(path), Some(words), Some(environment)) = (CString::new(path), Strings::new(words), environment())
    else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    let nothing = File::open("/dev/null")?;
    let (mut stdout, mut stderr) = (memory()?, memory()?);
    // Closed by execve; else it gets the reason.
    let (reason, theirs) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC)?;
    let pid = match fork_to_execute()? {
        Forked::Child => {
            let error = become_it(&[&nothing, &stdout, &stderr], || execve(&path, &words, &environment));
            let _ = rustix::io::write(&theirs, &error.raw_os_error().unwrap_or_default().to_ne_bytes());
            exit_now(127)
        }
        Forked::Parent { pid } => Pid::from_raw(pid.cast_signed()).ok_or(io::ErrorKind::NotFound)?,
    };
    drop(theirs);
    let mut errno = [0; 4];
    let failed = retry_on_intr(|| rustix::io::read(&reason, &mut errno));
    let status = retry_on_intr(|| waitid(WaitId::Pid(pid), WaitIdOptions::EXITED))?;
    if failed? == errno.len() {
        return Err(io::Error::from_raw_os_error(i32::from_ne_bytes(errno)));
    }
    Ok(Output { status, stdout: written(&mut stdout)?, stderr: written(&mut stderr)? })
}

/// Our environment. `None` cannot be: it came without NULs.
pub fn environment() -> Option<Strings> {
    Strings::new(std::env::vars_os().map(|(name, value)| [name.as_bytes(), b"=", value.as_bytes()].concat()))
}

/// In the child: returns only with an error.
fn become_it(stdio: &[&File; 3], execute: impl FnOnce() -> io::Error) -> io::Error {
    let [stdin, stdout, stderr] = stdio;
    let placed = rustix::stdio::dup2_stdin(stdin.as_fd())
        .and_then(|()| rustix::stdio::dup2_stdout(stdout.as_fd()))
        .and_then(|()| rustix::stdio::dup2_stderr(stderr.as_fd()));
    if let Err(errno) = placed {
        return errno.into();
    }
    conex_sys::signal::reset();
    execute()
}

/// A file and no pipe: it is read when all is written.
fn memory() -> io::Result<File> {
    Ok(rustix::fs::memfd_create("output", MemfdFlags::CLOEXEC)?.into())
}

fn written(file: &mut File) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    file.rewind()?;
    file.read_to_end(&mut text)?;
    Ok(text)
}
