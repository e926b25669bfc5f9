//! A container's life from its supervisor's side: runs, the requests in between, the end.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::time::{Duration, Instant};

use conex_oci::ContainerId;
use conex_sys::memory;
use conex_sys::signal::SignalFd;
use rustix::process::{WaitId, WaitIdOptions, WaitIdStatus, waitid};

use super::client::{Client, Role};
use super::ending::{Next, failure_code, status};
use super::health::Monitor;
use super::launch::{Job, Launched, launch, listen};
use super::notify::{Notices, passed_descriptors};
use super::restart::Restarts;
use super::spawn::spawn;
use super::streams::{Happening, Streams, Watched};
use super::wire::{After, Reply, Request};
use crate::engine::Parts;
use crate::events::{Event, Subject};
use crate::health::Health;
use crate::log::Sink;
use crate::network::{Names, Wired, release, tell};
use crate::options::{OnUnhealthy, PodPart};
use crate::rootless::Member;
use crate::store::lock::Owned;
use crate::store::write::Durability;
use crate::store::{Exit, LastRun, Live, write};
use crate::time::Time;
use crate::verbs::{AttachOptions, stop_if_left};
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
    /// Its volumes and where they are; they may go with it.
    pub(super) volumes: Vec<(conex_volume::VolumeName, std::path::PathBuf)>,
    /// Those that are in memory alone.
    volatile: Vec<conex_volume::VolumeName>,
    pub(super) memory_limit: bool,
    pub(super) stop_signal: i32,
    pub(super) stop_timeout: Duration,
    /// Whether hooks may be owed at its end.
    has_cdi: bool,
    /// When memory is given back.
    pub(super) lean_at: Option<Instant>,
    /// Whether it is frozen for a client that holds it, and not by a person.
    pub(super) held: bool,
    /// The pod that it is in.
    pod: Option<ContainerId>,
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
            volumes: record.volumes.iter().map(|one| (one.name.clone(), one.target.clone())).collect(),
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
            self.parts.store.set_last_run(&self.id, &LastRun::Started { at: Time::now() })?;
        }
        let name = job.record.name.clone();
        let mut launched = launch(self.parts, job, self.restarts.count)?;
        self.volume_events("mount");
        self.network_events(&launched, "connect");
        self.event("start");
        self.set_live(&Live::Running(launched.process.clone()))?;
        // A rename since the record was read found nothing live to tell; the next one does.
        if launched.names.is_some() && self.parts.store.must_record(&self.id)?.name != name {
            tell(&mut launched.names, self.parts, &self.id, launched.process.pid)?;
        }
        self.streams.begin(std::mem::replace(&mut launched.ends, super::streams::Ends::closed()));
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
                        return self.finish(&Exit { stopped: by_hand, ..exit }, then);
                    }
                }
            };
        }
    }

    /// Serves until the process has ended; gives its status and what is to follow.
    fn run_to_end(&mut self, launched: &mut Launched) -> (i32, After) {
        let (mut paused, mut then, mut kill_at) = (false, After::Policy, None);
        loop {
            let names = launched.names.as_ref();
            let health = self.health.as_ref();
            let due = health.and_then(Monitor::deadline);
            let quiet = self.notices.as_ref().and_then(Notices::deadline);
            let deadlines = [kill_at, self.lean_at, names.and_then(Names::deadline), due, quiet];
            let deadline = deadlines.into_iter().flatten().min();
            let watched = Watched {
                process: Some(launched.pidfd.as_fd()),
                names: names.and_then(Names::watched),
                probe: health.and_then(Monitor::watched),
                notices: self.notices.as_ref().and_then(Notices::watched),
            };
            let happenings = self.streams.turn(watched, deadline);
            if quiet.is_some_and(|at| at <= Instant::now()) {
                self.notices.iter_mut().for_each(Notices::hear);
            }
            if self.lean_at.is_some_and(|at| at <= Instant::now()) {
                self.lean_at = None;
                self.parts.store.journal().rest();
                memory::trim_heap();
                memory::drop_program_pages();
            }
            if kill_at.is_some_and(|at| at <= Instant::now()) {
                kill_at = None;
                let _ = self.signal(launched, SIGKILL, &mut paused);
            }
            let mut code = None;
            for happening in happenings {
                match happening {
                    Happening::Ended => code = reap(&launched.pidfd),
                    Happening::Names => launched.names.iter_mut().for_each(Names::look),
                    Happening::Resized(rows, columns) => {
                        let event = self.subject.event("resize").with("height", rows).with("width", columns);
                        self.parts.event(&event);
                    }
                    Happening::Probe => {}
                    Happening::Notice => self.notices.iter_mut().for_each(Notices::hear),
                    // A service manager's, or the machine goes down: no person's word.
                    Happening::Signal(_) => {
                        then = After::Rest;
                        kill_at = self.end_by(launched, &mut paused);
                    }
                    Happening::Asked(client, request) => {
                        self.lean_at = Some(Instant::now() + SETTLED);
                        let reply = match self.answer(client, launched, &request, &mut paused) {
                            Ok(()) => Reply::Ok,
                            Err(error) => refusal(&error),
                        };
                        if let (Request::Signal { then: wish, .. }, Reply::Ok) = (&request, &reply)
                            && *wish != After::Policy
                        {
                            then = *wish;
                            self.health.iter_mut().for_each(Monitor::cease);
                        }
                        self.streams.clients[client].reply(&reply);
                        if let Some(monitor) = &self.health {
                            self.streams.clients[client].health(monitor.health.status);
                        }
                    }
                }
            }
            if code.is_none() && launched.names.as_mut().is_some_and(|names| names.mend(self.parts, &self.id))
            {
                self.lean_at = Some(Instant::now() + SETTLED);
            }
            if code.is_none() {
                match self.look_after(launched) {
                    OnUnhealthy::None => {}
                    OnUnhealthy::Restart => {
                        then = After::Unhealthy;
                        kill_at = self.end_by(launched, &mut paused);
                    }
                    OnUnhealthy::Stop => {
                        self.failed = true;
                        then = After::Rest;
                        kill_at = self.end_by(launched, &mut paused);
                    }
                    OnUnhealthy::Kill => kill_at = Some(Instant::now()),
                }
            }
            self.streams.forget_gone();
            let holds = |client: &Client| client.role == Role::Hold;
            if self.held
                && !self.streams.clients.iter().any(holds)
                && let Err(error) = self.thaw(launched, &mut paused)
            {
                log::warn!("{error}");
            }
            if let Some(code) = code {
                return (code, then);
            }
        }
    }

    /// What has to be done after each run: nothing of its processes or groups is left, its output is where it belongs.
    fn end(&mut self, launched: Launched, code: i32, then: After) -> Exit {
        self.held = false;
        self.health.iter_mut().for_each(Monitor::cease);
        self.notices.iter_mut().for_each(Notices::hear);
        let networks: Vec<_> = launched.wired.iter().flat_map(Wired::networks).collect();
        let Launched { process, group, private_pids, wired, names, .. } = launched;
        if !private_pids && let Err(error) = group.kill() {
            log::warn!("{error}");
        }
        self.streams.drain();
        let oom_killed = (self.memory_limit || code == 128 + SIGKILL) && group.oom_kills().unwrap_or(0) > 0;
        if oom_killed {
            self.event("oom");
        }
        let lived = process.started_at.elapsed().as_secs();
        self.parts.event(&self.subject.event("die").with("exitCode", code).with("execDuration", lived));
        // The names go before their addresses can be another's.
        drop(names);
        if let Err(error) = release(&self.parts.store, &self.id) {
            // The next command tries again.
            log::warn!("{error}");
        }
        drop(wired);
        for (id, name) in networks {
            let event =
                Event::new("network", "disconnect", id).with("name", name).with("container", &self.id);
            self.parts.event(&event);
        }
        self.volume_events("unmount");
        // A process that joined from outside may be in it still.
        if let Err(error) = group.delete().or_else(|_| group.kill().and_then(|()| group.delete())) {
            log::warn!("{error}");
        }
        if self.has_cdi {
            crate::devices::take_back(&self.parts.store, &self.id);
        }
        Exit {
            code,
            oom_killed,
            started_at: Some(process.started_at),
            finished_at: Time::now(),
            error: String::new(),
            restarts: process.restarts,
            stopped: then == After::Stop,
            health: self.health.as_ref().map(|monitor| monitor.health.clone().ended()),
        }
    }

    /// Waits for the next start, serving requests, and starts.
    fn again(&mut self, exit: &Exit, wait: Duration) -> Next {
        if !self.auto_remove {
            let ended = LastRun::Ended(exit.clone());
            if let Err(error) = self.parts.store.set_last_run(&self.id, &ended) {
                log::warn!("{error}");
            }
        }
        let next = Exit { restarts: self.restarts.count, ..exit.clone() };
        if let Err(error) = self.set_live(&Live::Restarting(next)) {
            log::warn!("{error}");
        }
        self.streams.tell_exit(exit.code);
        // They have had what they came for; what a slow one has not read yet goes out while we wait.
        for client in &mut self.streams.clients {
            client.role = Role::Silent;
            client.first = false;
        }
        self.streams.clients.retain(Client::pending);
        let deadline = Instant::now() + wait;
        while Instant::now() < deadline {
            for happening in self.streams.turn(Watched::default(), Some(deadline)) {
                match happening {
                    Happening::Ended
                    | Happening::Names
                    | Happening::Probe
                    | Happening::Notice
                    | Happening::Resized(..) => {}
                    Happening::Signal(_) => return Next::Stopped { by_hand: false },
                    // The next start takes them from the record.
                    Happening::Asked(client, Request::Update(change)) => {
                        let reply =
                            self.update(None, &change).map_or_else(|error| refusal(&error), |()| Reply::Ok);
                        self.streams.clients[client].reply(&reply);
                    }
                    Happening::Asked(client, request) => {
                        let client = &mut self.streams.clients[client];
                        match request {
                            Request::Signal { then: After::Restart, .. } => {
                                client.reply(&Reply::Ok);
                                return self.next();
                            }
                            Request::Signal { then, .. } => {
                                client.role = Role::Wait;
                                client.reply(&Reply::Ok);
                                return Next::Stopped { by_hand: then != After::Rest };
                            }
                            Request::Health(_) if self.health.is_none() => {
                                let name = self.id.short().to_owned();
                                client.reply(&refusal(&Error::NoHealthcheck { name }));
                            }
                            Request::Health(status) => {
                                client.role = Role::Health(status);
                                client.reply(&Reply::Ok);
                            }
                            Request::Wait => {
                                client.role = Role::Wait;
                                client.reply(&Reply::Ok);
                            }
                            // The next start tells them.
                            Request::Names => client.reply(&Reply::Ok),
                            Request::Attach { .. }
                            | Request::Pause
                            | Request::Probe
                            | Request::Unpause
                            | Request::Hold
                            | Request::Release
                            | Request::Update(_) => {
                                client
                                    .reply(&refusal(&Error::Restarting { name: self.id.short().to_owned() }));
                            }
                        }
                    }
                }
            }
            self.streams.forget_gone();
        }
        self.next()
    }

    /// Puts the end on record, lets go of the container, then tells. One that is removed is told of when it is gone for
    /// everybody; its files go after that.
    pub(super) fn finish(mut self, exit: &Exit, then: After) -> u8 {
        self.streams.close_listener();
        crate::volumes::release(&self.parts.store, &self.id, &self.volatile);
        let (store, id) = (&self.parts.store, &self.id);
        if self.health.is_some()
            && let Err(error) = Health::forget(self.owned.directory())
        {
            log::warn!("{error}");
        }
        if let Some(notices) = &self.notices
            && let Err(error) = notices.forget()
        {
            log::warn!("{error}");
        }
        let status = match then {
            After::Rest if self.failed => status(exit.code).max(1),
            After::Stop | After::Rest => 0,
            _ => status(exit.code),
        };
        // Without these the lock stays, as a dead owner's: the next command settles what could not be settled here.
        let settled = if self.auto_remove {
            let disowned = store.disown_ended(id);
            let reaped = disowned.and_then(|()| match self.volumes.is_empty() {
                false => crate::volumes::reap(store, id),
                true => Ok(()),
            });
            self.event("destroy");
            self.streams.tell_exit(exit.code);
            reaped.and_then(|()| store.remove_directory(id)).and_then(|()| self.owned.finish())
        } else {
            let settled = store.set_last_run(id, &LastRun::Ended(exit.clone()));
            let settled = settled.and_then(|()| self.owned.finish());
            self.streams.tell_exit(exit.code);
            settled
        };
        if let Err(error) = settled {
            log::warn!("{error}");
        }
        if let Some(pod) = &self.pod
            && let Err(error) = stop_if_left(self.parts, pod)
        {
            log::warn!("{error}");
        }
        self.streams.linger();
        status
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
