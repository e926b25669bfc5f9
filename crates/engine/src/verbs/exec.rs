//! `exec`: one more process in a running container.

use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use conex_oci::ContainerId;
use conex_oci::runtime::ConsoleSize;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags};
use rustix::io::retry_on_intr;
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use serde::{Deserialize, Serialize};

use crate::engine::Parts;
use crate::events::{Event, Subject};
use crate::spec::{ExecProcess, LiveHost, RootfsFiles};
use crate::store::{ContainerState, Process, Record, write};
use crate::supervise::{ExecJob, start_ticks, supervise_exec};
use crate::{Attachment, Engine, Error, Failure, Result};

/// What `exec` takes.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ExecOptions {
    /// Program and arguments.
    pub command: Vec<String>,
    /// `-e`, `--env-file`: `NAME=value`, after the container's own.
    pub env: Vec<String>,
    /// `-u`; the container's when absent.
    pub user: Option<String>,
    /// `-w`; the container's when absent.
    pub workdir: Option<String>,
    /// `-t`
    pub tty: bool,
    /// `-i`
    pub interactive: bool,
    /// `--privileged`: all capabilities, no seccomp filter.
    pub privileged: bool,
    /// `-d`: no attachment is returned.
    pub detach: bool,
    /// With `tty`: rows and columns at the start.
    pub size: Option<(u16, u16)>,
}

impl Engine {
    /// Runs a command in a running container. `None` with [`ExecOptions::detach`]. Forks: the caller must have one thread.
    ///
    /// # Errors
    /// [`Error::NotRunning`], [`Error::Paused`], or what the program's execve said, with its [`Failure`](crate::Failure).
    pub fn exec(&self, id: &ContainerId, options: &ExecOptions) -> Result<Option<Attachment>> {
        let record = self.parts.store.must_record(id)?;
        let name = || record.name.to_string();
        let process = match self.parts.store.state(id)? {
            Some(ContainerState::Running(process)) => process,
            Some(ContainerState::Paused(_)) => return Err(Error::Paused { name: name() }),
            state => return Err(Error::at_rest(state.as_ref(), name())),
        };
        let pidfd = hold(&process)?.ok_or_else(|| Error::NotRunning { name: name() })?;
        let held = pidfd.try_clone().map_err(|source| Error::Process { pid: process.pid, source })?;
        let note =
            Note { subject: Subject::from(&record), id: exec_id()?, command: options.command.join(" ") };
        let name = name();
        let job = self.parts.exec_job(record, &process, pidfd, options, Some(note.clone()));
        let run = job.and_then(|job| {
            self.parts.event(&note.event("exec_create"));
            supervise_exec(&self.parts, job)
        });
        match run {
            Ok(attachment) => Ok((!options.detach).then_some(attachment)),
            // It is looked into while it ends: what is gone already is no matter.
            Err(error) if error.failure() == Failure::Engine && ends(&held) => {
                Err(Error::NotRunning { name })
            }
            Err(error) => Err(error),
        }
    }
}

/// Whether a process has ended, or does so in a moment: its namespaces take nobody up before it is over.
fn ends(process: &OwnedFd) -> bool {
    const MOMENT: Timespec = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };
    let mut fds = [PollFd::new(process, PollFlags::IN)];
    retry_on_intr(|| poll(&mut fds, Some(&MOMENT))).is_ok_and(|ended| ended > 0)
}

impl Parts {
    /// What a process in the container that runs as `target` needs; it is looked at as it is now.
    pub(crate) fn exec_job(
        &self,
        record: Record,
        target: &Process,
        pidfd: OwnedFd,
        options: &ExecOptions,
        note: Option<Note>,
    ) -> Result<ExecJob> {
        let spec = self.spec_that_runs(&record)?;
        // The container's own root, held: its links lead nowhere else.
        let root = format!("/proc/{}/root", target.pid);
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = rustix::fs::open(root, flags, Mode::empty())
            .map_err(|errno| Error::Process { pid: target.pid, source: errno.into() })?;
        let asked = ExecProcess {
            args: &options.command,
            env: &options.env,
            workdir: options.workdir.as_deref(),
            user: options.user.as_deref(),
            groups: &record.options.process.groups,
            privileged: options.privileged,
            tty: options.tty,
        };
        let mut process = crate::spec::exec(&spec, &asked, &LiveHost, &RootfsFiles(root.as_fd()))?;
        process.terminal = options.tty;
        process.console_size =
            options.size.map(|(height, width)| ConsoleSize { height: height.into(), width: width.into() });
        let seccomp = match options.privileged {
            true => None,
            false => spec.linux.and_then(|linux| linux.seccomp),
        };
        Ok(ExecJob {
            record,
            target: target.pid,
            pidfd,
            process,
            seccomp,
            interactive: options.interactive,
            detach: options.detach,
            size: options.size,
            note,
        })
    }
}

/// What an exec's events say of it.
#[derive(Debug, Clone)]
pub(crate) struct Note {
    pub(crate) subject: Subject,
    pub(crate) id: String,
    command: String,
}

impl Note {
    /// `exec_create: sh -c …`
    pub(crate) fn event(&self, action: &str) -> Event {
        let action = match action {
            "exec_die" => action.to_owned(),
            action => format!("{action}: {}", self.command),
        };
        self.subject.event(&action).with("execID", &self.id)
    }
}

/// 64 random hexadecimal digits, as a container has.
fn exec_id() -> Result<String> {
    Ok(ContainerId::from_random(super::create::random()?).to_string())
}

/// `RUN/execs/CONTAINER-EXEC`: while an exec's process runs, its pid and when it began. What a killed supervisor left is told by
/// that: the process is not, or is another.
#[derive(Debug)]
pub(crate) struct Running(PathBuf);

impl Running {
    /// Writes it down; where that cannot be, `inspect` does not list it.
    pub(crate) fn note(run: &Path, note: &Note, pid: u32) -> Option<Self> {
        let directory = run.join("execs");
        let path = directory.join(format!("{}-{}", note.subject.id(), note.id));
        let ticks = start_ticks(pid).ok()?;
        let write = || write::new_file(&path, format!("{pid} {ticks}").as_bytes());
        write().or_else(|_| write::make_directory(&directory).and_then(|()| write())).ok()?;
        Some(Self(path))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Err(error) = write::unlink(&self.0) {
            log::debug!("{error}");
        }
    }
}

impl Engine {
    /// The ids of the execs that run in a container; what dead ones left is removed.
    pub(super) fn exec_ids(&self, id: &ContainerId) -> Vec<String> {
        let Ok(entries) = std::fs::read_dir(self.parts.paths.run.join("execs")) else { return Vec::new() };
        let mut ids = Vec::new();
        for entry in entries.flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let Some(exec) = name.strip_prefix(id.as_str()).and_then(|rest| rest.strip_prefix('-')) else {
                continue;
            };
            let text = std::fs::read_to_string(entry.path()).unwrap_or_default();
            let mut numbers = text.split(' ').map(str::parse::<u64>);
            let (Some(Ok(pid)), Some(Ok(ticks))) = (numbers.next(), numbers.next()) else { continue };
            match u32::try_from(pid).ok().and_then(|pid| start_ticks(pid).ok()) {
                Some(now) if now == ticks => ids.push(exec.to_owned()),
                _ => drop(std::fs::remove_file(entry.path())),
            }
        }
        ids.sort_unstable();
        ids
    }
}

/// The container's first process, held; `None` when its pid is another process's by now.
pub(crate) fn hold(process: &Process) -> Result<Option<OwnedFd>> {
    let Some(pid) = i32::try_from(process.pid).ok().and_then(Pid::from_raw) else { return Ok(None) };
    let pidfd = match pidfd_open(pid, PidfdFlags::empty()) {
        Ok(pidfd) => pidfd,
        Err(rustix::io::Errno::SRCH) => return Ok(None),
        Err(errno) => return Err(Error::Process { pid: process.pid, source: errno.into() }),
    };
    // Asked while it is held: a process that began at the same tick is the same.
    Ok(start_ticks(process.pid).is_ok_and(|ticks| ticks == process.start_ticks).then_some(pidfd))
}
