//! One run of a plugin: its configuration in, what it says out, within bounds.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Seek, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::MemfdFlags;
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open};
use serde::Deserialize;

use super::{Cni, Fault};

/// The most of a plugin's standard output, in bytes.
const MOST: usize = 1 << 20;
/// The most that is kept of its standard error: the end.
const LAST: usize = 4096;
/// How often a program that is just being written (ETXTBSY) is tried again, and the pause between.
const TRIES: u32 = 20;
const PAUSE: Duration = Duration::from_millis(50);

impl Cni {
    /// The plugin of this type: the first file of the name.
    ///
    /// # Errors
    /// [`Fault::Missing`]
    pub fn program(&self, kind: &str) -> Result<PathBuf, Fault> {
        let directories = &self.settings.plugins;
        let found = directories.iter().map(|directory| directory.join(kind)).find(|path| path.is_file());
        found.ok_or_else(|| Fault::Missing {
            directories: directories
                .iter()
                .map(|path| path.display().to_string())
                .collect::<Vec<_>>()
                .join(", "),
        })
    }
}

/// A file of no name, for a plugin's standard input.
pub(super) fn nameless() -> Result<File, Fault> {
    let file = rustix::fs::memfd_create(c"cni-config", MemfdFlags::CLOEXEC);
    file.map(File::from).map_err(|errno| Fault::Io(errno.into()))
}

/// Runs a plugin to its end, `input` holding its configuration as standard input; what it has written to standard output.
pub(super) fn run(
    program: &Path,
    input: &mut File,
    config: &[u8],
    environment: &[(&'static str, OsString)],
    limit: Duration,
) -> Result<Vec<u8>, Fault> {
    let mut command = std::process::Command::new(program);
    // Somebody may have called us with his own.
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.as_encoded_bytes().starts_with(b"CNI_")) {
        command.env_remove(name);
    }
    // A group of its own, so that what it runs is killed with it.
    command.envs(environment.iter().map(|(name, value)| (name, value))).process_group(0);
    let mut running = Running(spawn(program, command, input, config)?);
    let (mut output, mut errors) = (Vec::new(), Vec::new());
    let status = running.listen(Instant::now() + limit, limit, &mut output, &mut errors)?;
    let errors = String::from_utf8_lossy(&errors);
    if !errors.trim().is_empty() {
        log::debug!("CNI plugin {}: {}", program.display(), errors.trim());
    }
    if status.success() { Ok(output) } else { Err(told(&output, &errors, status)) }
}

/// Started, with its input in a file: it may read that or not.
fn spawn(
    program: &Path,
    mut command: std::process::Command,
    input: &mut File,
    config: &[u8],
) -> Result<Child, Fault> {
    input.rewind()?;
    input.set_len(0)?;
    input.write_all(config)?;
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut tries = 0;
    loop {
        input.rewind()?;
        command.stdin(input.try_clone()?);
        match command.spawn() {
            Err(error) if error.kind() == io::ErrorKind::ExecutableFileBusy && tries < TRIES => {
                tries += 1;
                std::thread::sleep(PAUSE);
            }
            spawned => return spawned.map_err(|source| Fault::Spawn { path: program.to_owned(), source }),
        }
    }
}

/// A plugin that runs; killed, with what it has started, if nobody waits for its end any more.
struct Running(Child);

impl Running {
    fn pid(&self) -> Option<Pid> {
        i32::try_from(self.0.id()).ok().and_then(Pid::from_raw)
    }

    /// Reads until it has ended. What it has started may live on, and hold the pipes: nobody waits for that.
    fn listen(
        &mut self,
        until: Instant,
        limit: Duration,
        output: &mut Vec<u8>,
        errors: &mut Vec<u8>,
    ) -> Result<ExitStatus, Fault> {
        let pid = self.pid().ok_or(Fault::Io(io::ErrorKind::InvalidData.into()))?;
        let end = pidfd_open(pid, PidfdFlags::empty()).map_err(io::Error::from)?;
        let (mut out, mut err) = (self.0.stdout.take(), self.0.stderr.take());
        for pipe in [out.as_ref().map(AsFd::as_fd), err.as_ref().map(AsFd::as_fd)].into_iter().flatten() {
            rustix::io::ioctl_fionbio(pipe, true).map_err(io::Error::from)?;
        }
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(Fault::Timeout(limit));
            }
            let pipes = [out.as_ref().map(AsFd::as_fd), err.as_ref().map(AsFd::as_fd)];
            let has_ended = wait(end.as_fd(), pipes.into_iter().flatten(), left)?;
            // What was written before the end is in the pipes by now.
            if out.as_ref().is_some_and(|pipe| !drain(pipe.as_fd(), output, MOST + 1)) {
                out = None;
            }
            if output.len() > MOST {
                return Err(Fault::TooMuch(MOST));
            }
            if err.as_ref().is_some_and(|pipe| !drain(pipe.as_fd(), errors, 16 * LAST)) {
                err = None;
            }
            errors.drain(..errors.len().saturating_sub(LAST));
            if has_ended {
                return Ok(self.0.wait()?);
            }
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // A child that was waited for has no pid that could be another's by now.
        if let (Ok(None), Some(pid)) = (self.0.try_wait(), self.pid()) {
            let _ = kill_process_group(pid, Signal::KILL);
            let _ = self.0.wait();
        }
    }
}

/// Waits until there is something to read, or the end; whether it is that.
fn wait<'a>(
    end: BorrowedFd<'a>,
    pipes: impl Iterator<Item = BorrowedFd<'a>>,
    left: Duration,
) -> io::Result<bool> {
    let mut polled: Vec<_> =
        [end].into_iter().chain(pipes).map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)).collect();
    let timeout = Timespec::try_from(left).ok();
    match poll(&mut polled, timeout.as_ref()) {
        Ok(_) | Err(Errno::INTR) => {}
        Err(errno) => return Err(errno.into()),
    }
    Ok(polled.first().is_some_and(|end| !end.revents().is_empty()))
}

/// Reads what is there, up to `most` bytes in all; false at the end.
fn drain(pipe: BorrowedFd<'_>, into: &mut Vec<u8>, most: usize) -> bool {
    let mut buffer = [0; 16 << 10];
    while into.len() < most {
        let room = buffer.len().min(most - into.len());
        match rustix::io::read(pipe, &mut buffer[..room]) {
            Ok(0) => return false,
            Ok(count) => into.extend_from_slice(&buffer[..count]),
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => return true,
            Err(errno) => {
                log::debug!("reading from descriptor {}: {errno}", pipe.as_raw_fd());
                return false;
            }
        }
    }
    true
}

/// What a plugin that has failed says of it (SPEC.md, "Error").
fn told(output: &[u8], errors: &str, status: ExitStatus) -> Fault {
    #[derive(Deserialize)]
    struct Said {
        code: u64,
        #[serde(default)]
        msg: String,
        #[serde(default)]
        details: String,
    }
    match serde_json::from_slice::<Said>(output) {
        Ok(Said { code, msg, details }) => {
            let words = [msg, details].map(|text| clip(&text)).into_iter().filter(|text| !text.is_empty());
            let message = words.collect::<Vec<_>>().join("; ");
            Fault::Said { code, message: if message.is_empty() { "it failed".to_owned() } else { message } }
        }
        Err(_) => {
            let last = errors.lines().rev().map(clip).find(|line| !line.is_empty());
            let stderr = last.map(|line| format!(": {line}")).unwrap_or_default();
            Fault::Failed { status: status.to_string(), stderr }
        }
    }
}

/// In one line, and not too long.
fn clip(text: &str) -> String {
    let line: String = text.trim().chars().map(|c| if c.is_control() { ' ' } else { c }).take(1000).collect();
    line.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str, limit: Duration) -> Result<Vec<u8>, Fault> {
        use std::os::unix::fs::PermissionsExt;
        let directory = tempfile::tempdir().unwrap();
        let program = directory.path().join("plugin");
        std::fs::write(&program, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        run(&program, &mut nameless().unwrap(), b"{\"name\": \"x\"}", &[("CNI_COMMAND", "ADD".into())], limit)
    }

    const LONG: Duration = Duration::from_secs(30);

    #[test]
    fn what_goes_in_and_comes_out() {
        assert_eq!(shell("cat; echo $CNI_COMMAND$CNI_ARGS", LONG).unwrap(), b"{\"name\": \"x\"}ADD\n");
        // One that reads nothing, and more than a pipe holds.
        assert_eq!(shell("head -c 300000 /dev/zero", LONG).unwrap().len(), 300_000);
        // What it leaves running holds the pipe, and is not waited for.
        let begun = Instant::now();
        assert_eq!(shell("sleep 20 & echo done", LONG).unwrap(), b"done\n");
        assert!(begun.elapsed() < Duration::from_secs(15));
    }

    #[test]
    fn what_fails_is_one_line() {
        for (script, words) in [
            (
                r#"printf '%s' '{"code": 11, "msg": "no\naddress", "details": "left"}'; exit 1"#,
                "no address; left (code 11)",
            ),
            (r#"echo '{"code": 7}'; exit 1"#, "it failed (code 7)"),
            ("echo one >&2; echo two >&2; exit 3", "it ended with exit status: 3: two"),
            ("echo garbage; kill -9 $$", "it ended with signal: 9 (SIGKILL)"),
        ] {
            let error = shell(script, LONG).unwrap_err().to_string();
            assert_eq!(error, words, "{script}");
        }
    }

    #[test]
    fn what_hangs_or_floods_is_killed() {
        let error = shell("sleep 1000 & sleep 1000", Duration::from_millis(300)).unwrap_err();
        assert!(matches!(error, Fault::Timeout(_)), "{error}");
        for script in ["yes", "yes >&2", "trap '' TERM; yes & wait"] {
            let begun = Instant::now();
            let error = shell(script, Duration::from_secs(2)).unwrap_err();
            assert!(matches!(error, Fault::TooMuch(_) | Fault::Timeout(_)), "{error}");
            assert!(begun.elapsed() < Duration::from_secs(20));
        }
    }
}
