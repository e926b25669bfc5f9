//! A container's life from its supervisor's side: its beginning, its starts, and what follows each run. The runs themselves are in
//! `running`, the waits in `between`, the end in `ending`.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::time::{Duration, Instant};

use conex_oci::ContainerId;
use conex_sys::signal::SignalFd;
use rustix::process::{WaitId, WaitIdOptions, WaitIdStatus, waitid};

use super::between::Next;
use super::client::{Client, Role};
use super::ending::{failure_code, status};
use super::health::Monitor;
use super::launch::{Job, Launched, launch, listen};
use super::notify::{Notices, passed_descriptors};
use super::restart::Restarts;
use super::spawn::spawn;
use super::streams::Streams;
use super::wire::{After, Reply};
use crate::engine::Parts;
use crate::events::Subject;
use crate::log::Sink;
use crate::network::tell;
use crate::options::PodPart;
use crate::rootless::Member;
use crate::store::lock::Owned;
use crate::store::write::Durability;
use crate::store::{Exit, Live, write};
use crate::time::Time;
use crate::verbs::AttachOptions;
use crate::{Attachment, Error, Result};

/// SIGHUP, SIGINT and SIGTERM to the supervisor itself (a service manager's) stop the container.
const STOPPING: [i32; 3] = [1, 2, 15];
pub(super) const SIGKILL: i32 = 9;
/// A container that has run for so long is likely to run on: then what its start needed is given back.
pub(super) const SETTLED: Duration = Duration::from_millis(100);

/// What the command that starts a container wants of it.
#[derive(Debug, Clone, Copy)]
pub(crate) enum First {
    /// To know that it runs.
    Started,
    /// Its streams.
    Streams(AttachOptions),
}

/// Forks a supervisor that starts the container, and waits until it runs.
///
/// # Errors
/// Why it does not run.
pub(crate) fn supervise(parts: &Parts, mut job: Job, owned: Owned, first: First) -> Result<Attachment> {
    let mut keep = vec![owned.as_fd().as_raw_fd()];
    keep.extend(job.rootfs.as_ref().map(AsRawFd::as_raw_fd));
    job.descriptors = passed_descriptors();
    keep.extend((3..).take(job.descriptors as usize));
    keep.extend(parts.store.journal().raw_fd());
    let socket = spawn(&keep, |socket| run(parts, job, owned, socket, first))?;
    started(Attachment::new(socket))
}

/// Waits for a new supervisor's word.
pub(super) fn started(mut supervisor: Attachment) -> Result<Attachment> {
    match supervisor.reply()? {
        Some(Reply::Ok) => Ok(supervisor),
        Some(Reply::Error { failure, message }) => Err(Error::Start { failure, message }),
        None => Err(Error::SupervisorDied),
    }
}

/// The role and rank of the client that a process is started for.
pub(super) fn first_client(socket: OwnedFd, first: First) -> Client {
    match first {
        First::Started => Client::new(socket, Role::Silent, false),
        First::Streams(AttachOptions { stdin, stdout, stderr, .. }) => {
            Client::new(socket, Role::Streams { stdin, stdout, stderr }, true)
        }
    }
}

/// Gives the status for a service manager, to which this process is the service: the container's, or 0 when it was asked to end.
fn run(parts: &Parts, job: Job, owned: Owned, socket: OwnedFd, first: First) -> u8 {
    let _member = Member::or_warn(&parts.paths.run);
    let mut client = first_client(socket, first);
    let (streams, notices) = match open(parts, &job, &owned) {
        Ok(opened) => opened,
        Err(error) => {
            if let Err(error) = let_go(parts, &job, owned) {
                log::warn!("{error}");
            }
            client.reply(&refusal(&error));
            return status(failure_code(&error));
        }
    };
    let mut life = Life::new(parts, &job, owned, streams);
    life.notices = notices;
    match life.start(job) {
        Ok(launched) => {
            client.reply(&Reply::Ok);
            life.streams.clients.push(client);
            life.watch(launched)
        }
        Err(error) => {
            let status = life.never_ran(&error, None);
            client.reply(&refusal(&error));
            status
        }
    }
}

/// What a supervisor needs before anything runs: whoever sees it running can connect.
fn open(parts: &Parts, job: &Job, owned: &Owned) -> Result<(Streams, Option<Notices>)> {
    owned.supervise()?;
    let listener = listen(owned.directory())?;
    let env = job.spec.process.as_ref().map(|process| &process.env[..]).unwrap_or_default();
    let sink = Sink::open(&job.record, env, &parts.store.directory(&job.record.id))?;
    let mut streams = Streams::new(Some(listener), sink);
    streams.signals = Some(SignalFd::new(&STOPPING).map_err(|source| Error::Supervisor { source })?);
    // Last: what it leaves is taken away at the end only.
    let notices = Notices::of(&job.record, parts.notify, owned.directory())?;
    Ok((streams, notices))
}

/// Leaves a container that could not even be begun with as it was; one for a single run goes.
fn let_go(parts: &Parts, job: &Job, owned: Owned) -> Result<()> {
    if job.record.options.auto_remove {
        parts.store.erase_ended(&job.record.id)?;
    }
    owned.finish()
}

/// An error on its way to another process.
pub(super) fn refusal(error: &Error) -> Reply {
    Reply::Error { failure: error.failure(), message: error.to_string() }
}

/// What a supervisor keeps in mind.
pub(super) struct Life<'a> {
    pub(super) parts: &'a Parts,
    pub(super) id: ContainerId,
    pub(super) owned: Owned,
    pub(super) streams: Streams,
    pub(super) restarts: Restarts,
    /// Removed at its end; nothing of it is meant to last.
    pub(super) auto_remove: bool,
    /// Its volumes; they may go with it.
    pub(super) volumes: Vec<crate::volumes::VolumeUse>,
    /// Those that are in memory alone.
    pub(super) volatile: Vec<conex_volume::VolumeName>,
    pub(super) memory_limit: bool,
    pub(super) stop_signal: i32,
    pub(super) stop_timeout: Duration,
    /// Whether hooks may be owed at its end.
    pub(super) has_cdi: bool,
    /// When memory is given back.
    pub(super) lean_at: Option<Instant>,
    /// Whether it is frozen for a client that holds it, and not by a person.
    pub(super) held: bool,
    /// The pod that it is in.
    pub(super) pod: Option<ContainerId>,
    /// Of one whose health is checked.
    pub(super) health: Option<Monitor>,
    /// Of one that a service manager has started.
    pub(super) notices: Option<Notices>,
    /// Descriptors that it has passed.
    pub(super) descriptors: u32,
    /// It was stopped because its health is bad.
    pub(super) failed: bool,
    /// What its events call it.
    pub(super) subject: Subject,
}

impl<'a> Life<'a> {
    fn new(parts: &'a Parts, job: &Job, owned: Owned, streams: Streams) -> Self {
        let Job { record, .. } = job;
        let supervision = &record.options.supervision;
        Self {
            parts,
            id: record.id.clone(),
            owned,
            streams,
            restarts: Restarts::new(supervision.restart),
            auto_remove: record.options.auto_remove,
            volumes: record.volumes.clone(),
            volatile: crate::volumes::volatile(record),
            memory_limit: record.options.limits.memory.is_some(),
            has_cdi: record.options.storage.has_cdi(),
            stop_signal: record.stop_signal,
            stop_timeout: supervision.stop_timeout.unwrap_or(crate::options::STOP_TIMEOUT),
            lean_at: None,
            held: false,
            pod: match &record.options.pod {
                Some(PodPart::Member { pod }) => Some(pod.clone()),
                _ => None,
            },
            health: Monitor::of(record),
            notices: None,
            descriptors: job.descriptors,
            failed: false,
            subject: Subject::from(record),
        }
    }

    /// One start, on record before it begins.
    pub(super) fn start(&mut self, mut job: Job) -> Result<Launched> {
        job.descriptors = self.descriptors;
        if let Some(notices) = &self.notices {
            notices.give(&mut job.spec);
        }
        if !self.auto_remove {
            self.parts.store.begin_run(&self.id)?;
        }
        let name = job.record.name.clone();
        let mut launched = launch(self.parts, job, self.restarts.count)?;
        self.volume_events("mount");
        self.network_events(launched.networks(), "connect");
        self.event("start");
        self.set_live(&Live::Running(launched.process.clone()))?;
        // A rename since the record was read found nothing live to tell; the next one does.
        if launched.names.is_some() && self.parts.store.must_record(&self.id)?.name != name {
            tell(&mut launched.names, self.parts, &self.id, launched.process.pid)?;
        }
        self.streams.begin(std::mem::replace(&mut launched.ends, super::ends::Ends::closed()));
        self.lean_at = Some(Instant::now() + SETTLED);
        if let Some(monitor) = &mut self.health {
            monitor.begin(self.owned.directory());
        }
        self.notices.iter_mut().for_each(Notices::begin);
        Ok(launched)
    }

    pub(super) fn set_live(&self, live: &Live) -> Result<()> {
        write::replace_json(self.owned.directory(), "state.json", live, Durability::Passing)
    }

    fn watch(mut self, mut launched: Launched) -> u8 {
        loop {
            let process = launched.process.clone();
            let (code, then) = self.run_to_end(&mut launched);
            let mut exit = self.end(launched, code, then);
            if then == After::Restart {
                self.event("stop");
            }
            let mut wait = match then {
                After::Stop | After::Rest => None,
                After::Restart => Some(Duration::ZERO),
                After::Unhealthy => self.restarts.unhealthy(process.started_at.elapsed()),
                After::Policy => self.restarts.next(code, process.started_at.elapsed()),
            };
            launched = loop {
                let Some(pause) = wait else { return self.finish(&exit, then) };
                match self.again(&exit, pause) {
                    Next::Runs(next) => break *next,
                    // To the policy a start that fails is a run that does. A person who asked for this one is told.
                    Next::Failed(error) => match self.restarts.next(failure_code(&error), Duration::ZERO) {
                        Some(pause) if then != After::Restart => {
                            log::warn!("{error}");
                            let (code, error) = (failure_code(&error), error.to_string());
                            exit = Exit { code, error, finished_at: Time::now(), ..exit };
                            wait = Some(pause);
                        }
                        _ => return self.never_ran(&error, Some(&exit)),
                    },
                    Next::Stopped { by_hand } => {
                        let then = if by_hand { After::Stop } else { After::Rest };
                        // The restart that was decided on counts, as it has been told of.
                        let restarts = self.restarts.count;
                        return self.finish(&Exit { stopped: by_hand, restarts, ..exit }, then);
                    }
                }
            };
        }
    }
}

/// The status of a child that has ended.
pub(super) fn reap(pidfd: &OwnedFd) -> Option<i32> {
    loop {
        match waitid(WaitId::PidFd(pidfd.as_fd()), WaitIdOptions::EXITED | WaitIdOptions::NOHANG) {
            Ok(status) => return status.as_ref().and_then(code),
            Err(rustix::io::Errno::INTR) => {}
            // Not ours to reap: cannot be, but a supervisor that waits for ever would be worse.
            Err(_) => return Some(255),
        }
    }
}

/// 128+n for signal n.
pub(crate) fn code(status: &WaitIdStatus) -> Option<i32> {
    status.exit_status().or_else(|| status.terminating_signal().map(|signal| 128 + signal))
}
