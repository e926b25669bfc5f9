//! `exec`: one more process in a running container.

use std::os::fd::{AsFd, OwnedFd};

use conex_oci::ContainerId;
use conex_oci::runtime::ConsoleSize;
use rustix::fs::{Mode, OFlags};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use serde::{Deserialize, Serialize};

use crate::spec::{ExecProcess, LiveHost, RootfsFiles};
use crate::store::{ContainerState, Process, Record};
use crate::supervise::{ExecJob, start_ticks, supervise_exec};
use crate::{Attachment, Engine, Error, Result};

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
            Some(ContainerState::Restarting(_)) => return Err(Error::Restarting { name: name() }),
            _ => return Err(Error::NotRunning { name: name() }),
        };
        let pidfd = hold(&process)?.ok_or_else(|| Error::NotRunning { name: name() })?;
        let job = self.exec_job(record, &process, pidfd, options)?;
        let attachment = supervise_exec(&self.parts, job)?;
        Ok((!options.detach).then_some(attachment))
    }

    fn exec_job(
        &self,
        record: Record,
        target: &Process,
        pidfd: OwnedFd,
        options: &ExecOptions,
    ) -> Result<ExecJob> {
        let spec = self.parts.spec_that_runs(&record)?;
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
        })
    }
}

/// The container's first process, held; `None` when its pid is another process's by now.
pub(super) fn hold(process: &Process) -> Result<Option<OwnedFd>> {
    let Some(pid) = i32::try_from(process.pid).ok().and_then(Pid::from_raw) else { return Ok(None) };
    let pidfd = match pidfd_open(pid, PidfdFlags::empty()) {
        Ok(pidfd) => pidfd,
        Err(rustix::io::Errno::SRCH) => return Ok(None),
        Err(errno) => return Err(Error::Process { pid: process.pid, source: errno.into() }),
    };
    // Asked while it is held: a process that began at the same tick is the same.
    Ok(start_ticks(process.pid).is_ok_and(|ticks| ticks == process.start_ticks).then_some(pidfd))
}
