//! The supervisor of one `exec`: the same streams, no log, no socket, no record. It ends with its process.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::time::Instant;

use conex_cgroup::Cgroup;
use conex_oci::runtime::{Process, SeccompText};
use conex_runtime::{Exec, Terms, exec};

use super::container::{First, SETTLED, first_client, reap, refusal, started};
use super::ends::Ends;
use super::launch::{outside, stdio};
use super::spawn::spawn;
use super::streams::{Happening, Streams, Watched};
use super::wire::Reply;
use crate::engine::Parts;
use crate::log::Sink;
use crate::rootless::Member;
use crate::store::Record;
use crate::verbs::{AttachOptions, Note, Running};
use crate::{Attachment, Result};

/// What an exec needs, found out beforehand.
pub(crate) struct ExecJob {
    /// The container.
    pub(crate) record: Record,
    /// Its first process.
    pub(crate) target: u32,
    /// The same, held.
    pub(crate) pidfd: OwnedFd,
    /// What runs.
    pub(crate) process: Process,
    /// Its filter.
    pub(crate) seccomp: Option<SeccompText>,
    /// Whether it has input.
    pub(crate) interactive: bool,
    /// Whether nobody will attach.
    pub(crate) detach: bool,
    /// With a terminal: rows and columns.
    pub(crate) size: Option<(u16, u16)>,
    /// What its events say.
    pub(crate) note: Option<Note>,
}

/// Forks a supervisor that runs the process, and waits until it runs.
///
/// # Errors
/// Why it does not run.
pub(crate) fn supervise_exec(parts: &Parts, job: ExecJob) -> Result<Attachment> {
    let keep = [Some(job.pidfd.as_raw_fd()), parts.store.journal().raw_fd()];
    let keep: Vec<_> = keep.into_iter().flatten().collect();
    let socket = spawn(&keep, |socket| {
        run(parts, job, socket);
        0
    })?;
    started(Attachment::new(socket))
}

fn run(parts: &Parts, job: ExecJob, socket: OwnedFd) {
    let first = match job.detach {
        true => First::Started,
        false => First::Streams(AttachOptions {
            stdin: job.interactive,
            stdout: true,
            stderr: true,
            size: job.size,
        }),
    };
    let _member = Member::or_warn(&parts.paths.run);
    let mut client = first_client(socket, first);
    let mut streams = Streams::new(None, Sink::none());
    let note = job.note.clone();
    let started = group(parts, &job).and_then(|group| start(parts, job, Some(&group)));
    let (pidfd, running) = match started {
        Ok((pidfd, ends, running)) => {
            streams.begin(ends);
            (pidfd, running)
        }
        Err(error) => return client.reply(&refusal(&error)),
    };
    note.iter().for_each(|note| parts.event(&note.event("exec_start")));
    client.reply(&Reply::Ok);
    streams.clients.push(client);
    let mut settles_at = Some(Instant::now() + SETTLED);
    loop {
        let watched = Watched { process: Some(pidfd.as_fd()), ..Watched::default() };
        let happenings = streams.turn(watched, settles_at);
        if settles_at.is_some_and(|at| at <= Instant::now()) {
            settles_at = None;
            parts.store.journal().rest();
        }
        streams.forget_gone();
        if happenings.contains(&Happening::Ended)
            && let Some(code) = reap(&pidfd)
        {
            streams.drain();
            drop(running);
            note.iter().for_each(|note| parts.event(&note.event("exec_die").with("exitCode", code)));
            streams.tell_exit(code);
            return streams.linger();
        }
    }
}

/// The container's group.
pub(super) fn group(parts: &Parts, job: &ExecJob) -> Result<Cgroup> {
    Ok(Cgroup::open(parts.host()?, &job.record.cgroup)?)
}

/// Runs the process in that group.
pub(super) fn start(
    parts: &Parts,
    job: ExecJob,
    group: Option<&Cgroup>,
) -> Result<(OwnedFd, Ends, Option<Running>)> {
    let program = match &job.seccomp {
        Some(seccomp) => Some(parts.seccomp().program(seccomp)?),
        None => None,
    };
    let owner = outside(&job.record, job.process.user.uid);
    let (stdio, ours) = stdio(job.process.terminal, job.interactive, owner)?;
    let created = exec(Exec {
        process: &job.process,
        target: job.target,
        target_pidfd: job.pidfd.as_fd(),
        cgroup: group.filter(|group| group.exists()),
        stdio,
        seccomp: program.as_ref(),
        terms: Terms::default(),
    })?;
    let ends = Ends::of(ours, created.terminal, job.size)?;
    let noted =
        job.note.as_ref().and_then(|note| Running::note(&parts.paths.run, note, created.process.pid()));
    let running = created.process.start()?;
    Ok((running.pidfd, ends, noted))
}
