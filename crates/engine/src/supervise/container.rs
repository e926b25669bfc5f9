//! A container's life from its supervisor's side: runs, the requests in between, the end.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::time::{Duration, Instant};

use conex_oci::ContainerId;
use conex_sys::memory;
use conex_sys::signal::{self, SignalFd};
use rustix::process::{WaitId, WaitIdOptions, WaitIdStatus, waitid};

use super::client::{Client, Role};
use super::launch::{Job, Launched, launch, listen};
use super::restart::Restarts;
use super::spawn::spawn;
use super::streams::{Happening, Streams};
use super::wire::{After, Reply, Request};
use crate::engine::Parts;
use crate::log::Sink;
use crate::network::{Names, release, tell};
use crate::rootless::Member;
use crate::store::lock::Owned;
use crate::store::write::Durability;
use crate::store::{Exit, LastRun, Live, write};
use crate::time::Time;
use crate::verbs::AttachOptions;
use crate::{Attachment, Error, Failure, Result};

/// SIGHUP, SIGINT and SIGTERM to the supervisor itself (a service manager's) stop the container.
const STOPPING: [i32; 3] = [1, 2, 15];
const SIGKILL: i32 = 9;
/// A container that has run for so long is likely to run on: then what its start needed is given back.
const SETTLED: Duration = Duration::from_millis(100);

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
pub(crate) fn supervise(parts: &Parts, job: Job, owned: Owned, first: First) -> Result<Attachment> {
    let mut keep = vec![owned.as_fd().as_raw_fd()];
    keep.extend(job.rootfs.as_ref().map(AsRawFd::as_raw_fd));
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

fn run(parts: &Parts, job: Job, owned: Owned, socket: OwnedFd, first: First) {
    let _member = Member::or_warn(&parts.paths.run);
    let mut client = first_client(socket, first);
    let streams = match open(parts, &job, &owned) {
        Ok(streams) => streams,
        Err(error) => {
            if let Err(error) = let_go(parts, &job, owned) {
                log::warn!("{error}");
            }
            return client.reply(&refusal(&error));
        }
    };
    let mut life = Life::new(parts, &job, owned, streams);
    match life.start(job) {
        Ok(launched) => {
            client.reply(&Reply::Ok);
            life.streams.clients.push(client);
            life.watch(launched);
        }
        Err(error) => {
            life.never_ran(&error, None);
            client.reply(&refusal(&error));
        }
    }
}

/// What a supervisor needs before anything runs: whoever sees it running can connect.
fn open(parts: &Parts, job: &Job, owned: &Owned) -> Result<Streams> {
    owned.supervise()?;
    let listener = listen(owned.directory())?;
    let sink = Sink::open(&job.record, &parts.store.directory(&job.record.id))?;
    let mut streams = Streams::new(Some(listener), sink);
    streams.signals = Some(SignalFd::new(&STOPPING).map_err(|source| Error::Supervisor { source })?);
    Ok(streams)
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
struct Life<'a> {
    parts: &'a Parts,
    id: ContainerId,
    owned: Owned,
    streams: Streams,
    restarts: Restarts,
    /// Removed at its end; nothing of it is meant to last.
    auto_remove: bool,
    memory_limit: bool,
    /// Whether hooks may be owed at its end.
    has_cdi: bool,
    stop_signal: i32,
    stop_timeout: Duration,
    /// When memory is given back.
    lean_at: Option<Instant>,
    /// Whether it is frozen for a client that holds it, and not by a person.
    held: bool,
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
            memory_limit: record.options.limits.memory.is_some(),
            has_cdi: record.options.storage.has_cdi(),
            stop_signal: record.stop_signal,
            stop_timeout: supervision.stop_timeout.unwrap_or(crate::options::STOP_TIMEOUT),
            lean_at: None,
            held: false,
        }
    }

    /// One start, on record before it begins.
    fn start(&mut self, job: Job) -> Result<Launched> {
        if !self.auto_remove {
            self.parts.store.set_last_run(&self.id, &LastRun::Started { at: Time::now() })?;
        }
        let name = job.record.name.clone();
        let mut launched = launch(self.parts, job, self.restarts.count)?;
        self.set_live(&Live::Running(launched.process.clone()))?;
        // A rename since the record was read found nothing live to tell; the next one does.
        if launched.names.is_some() && self.parts.store.must_record(&self.id)?.name != name {
            tell(&mut launched.names, self.parts, &self.id, launched.process.pid)?;
        }
        self.streams.begin(std::mem::replace(&mut launched.ends, super::streams::Ends::closed()));
        self.lean_at = Some(Instant::now() + SETTLED);
        Ok(launched)
    }

    fn set_live(&self, live: &Live) -> Result<()> {
        write::replace_json(self.owned.directory(), "state.json", live, Durability::Passing)
    }

    fn watch(mut self, mut launched: Launched) {
        loop {
            let process = launched.process.clone();
            let (code, then) = self.run_to_end(&mut launched);
            let exit = self.end(launched, code, then);
            let wait = match then {
                After::Stop => None,
                After::Restart => Some(Duration::ZERO),
                After::Policy => self.restarts.next(code, process.started_at.elapsed()),
            };
            let Some(wait) = wait else { return self.finish(&exit) };
            match self.again(&exit, wait) {
                Some(Ok(next)) => launched = next,
                Some(Err(error)) => return self.never_ran(&error, Some(&exit)),
                None => return self.finish(&Exit { stopped: true, ..exit }),
            }
        }
    }

    /// Serves until the process has ended; gives its status and what is to follow.
    fn run_to_end(&mut self, launched: &mut Launched) -> (i32, After) {
        let (mut paused, mut then, mut kill_at) = (false, After::Policy, None);
        loop {
            let names = launched.names.as_ref();
            let deadlines = [kill_at, self.lean_at, names.and_then(Names::deadline)];
            let deadline = deadlines.into_iter().flatten().min();
            let names = names.and_then(Names::watched);
            let happenings = self.streams.turn(Some(launched.pidfd.as_fd()), names, deadline);
            if self.lean_at.is_some_and(|at| at <= Instant::now()) {
                self.lean_at = None;
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
                    Happening::Signal(_) => {
                        then = After::Stop;
                        kill_at = Some(Instant::now() + self.stop_timeout);
                        let _ = self.signal(launched, self.stop_signal, &mut paused);
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
                        }
                        self.streams.clients[client].reply(&reply);
                    }
                }
            }
            if code.is_none() && launched.names.as_mut().is_some_and(|names| names.mend(self.parts, &self.id))
            {
                self.lean_at = Some(Instant::now() + SETTLED);
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

    fn answer(
        &mut self,
        client: usize,
        launched: &mut Launched,
        request: &Request,
        paused: &mut bool,
    ) -> Result<()> {
        let name = || self.id.short().to_owned();
        match *request {
            Request::Attach { stdin, stdout, stderr, size } => {
                if *paused {
                    return Err(Error::AttachPaused);
                }
                if let Some((rows, columns)) = size {
                    self.streams.ends.resize(rows, columns);
                }
                self.streams.clients[client].role = Role::Streams { stdin, stdout, stderr };
            }
            Request::Wait => self.streams.clients[client].role = Role::Wait,
            Request::Names => tell(&mut launched.names, self.parts, &self.id, launched.process.pid)?,
            Request::Signal { signal, .. } => {
                self.signal(launched, signal, paused)?;
                self.streams.clients[client].role = Role::Wait;
            }
            Request::Pause if *paused => return Err(Error::AlreadyPaused { name: name() }),
            Request::Hold if *paused => return Err(Error::AlreadyPaused { name: name() }),
            Request::Pause | Request::Hold if !launched.group.exists() => {
                return Err(Error::NoGroup { name: name() });
            }
            Request::Pause | Request::Hold => {
                launched.group.freeze()?;
                *paused = true;
                if *request == Request::Hold {
                    self.held = true;
                    self.streams.clients[client].role = Role::Hold;
                }
                self.set_live(&Live::Paused(launched.process.clone()))?;
            }
            Request::Release if !self.held => {}
            Request::Release => self.thaw(launched, paused)?,
            Request::Unpause if !*paused => return Err(Error::NotPaused { name: name() }),
            Request::Unpause => self.thaw(launched, paused)?,
        }
        Ok(())
    }

    fn thaw(&mut self, launched: &Launched, paused: &mut bool) -> Result<()> {
        self.held = false;
        launched.group.thaw()?;
        *paused = false;
        self.set_live(&Live::Running(launched.process.clone()))
    }

    /// A signal to the first process. One that is meant to end it has to reach it, so a paused container goes on.
    fn signal(&mut self, launched: &Launched, signal: i32, paused: &mut bool) -> Result<()> {
        match signal::send(launched.pidfd.as_fd(), signal) {
            // It has ended and will be reaped in a moment.
            Err(error) if error.raw_os_error() == Some(3) => {}
            done => done.map_err(|source| Error::Kill { signal, source })?,
        }
        if *paused && (signal == SIGKILL || signal == self.stop_signal) {
            self.thaw(launched, paused)?;
        }
        Ok(())
    }

    /// What has to be done after each run: nothing of its processes or groups is left, its output is where it belongs.
    fn end(&mut self, launched: Launched, code: i32, then: After) -> Exit {
        let Launched { process, group, private_pids, wired, names, .. } = launched;
        self.held = false;
        if !private_pids && let Err(error) = group.kill() {
            log::warn!("{error}");
        }
        self.streams.drain();
        let oom_killed = (self.memory_limit || code == 128 + SIGKILL) && group.oom_kills().unwrap_or(0) > 0;
        // The names go before their addresses can be another's.
        drop(names);
        if let Err(error) = release(&self.parts.store, &self.id) {
            // The next command tries again.
            log::warn!("{error}");
        }
        drop(wired);
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
        }
    }

    /// Waits for the next start, serving requests, and starts. `None` when somebody stopped it in between.
    fn again(&mut self, exit: &Exit, wait: Duration) -> Option<Result<Launched>> {
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
            for happening in self.streams.turn(None, None, Some(deadline)) {
                match happening {
                    Happening::Ended | Happening::Names => {}
                    Happening::Signal(_) => return None,
                    Happening::Asked(client, request) => {
                        let client = &mut self.streams.clients[client];
                        match request {
                            Request::Signal { then: After::Restart, .. } => {
                                client.reply(&Reply::Ok);
                                return Some(self.parts.job(&self.id).and_then(|job| self.start(job)));
                            }
                            Request::Signal { .. } => {
                                client.role = Role::Wait;
                                client.reply(&Reply::Ok);
                                return None;
                            }
                            Request::Wait => {
                                client.role = Role::Wait;
                                client.reply(&Reply::Ok);
                            }
                            // The next start tells them.
                            Request::Names => client.reply(&Reply::Ok),
                            Request::Attach { .. }
                            | Request::Pause
                            | Request::Unpause
                            | Request::Hold
                            | Request::Release => {
                                client
                                    .reply(&refusal(&Error::Restarting { name: self.id.short().to_owned() }));
                            }
                        }
                    }
                }
            }
            self.streams.forget_gone();
        }
        Some(self.parts.job(&self.id).and_then(|job| self.start(job)))
    }

    /// A start failed; `before` is how the last run went, if there was one.
    fn never_ran(self, error: &Error, before: Option<&Exit>) {
        let code = match error.failure() {
            Failure::NotFound => 127,
            Failure::NotExecutable => 126,
            Failure::Engine => 128,
        };
        let exit = Exit {
            code,
            oom_killed: false,
            started_at: before.and_then(|exit| exit.started_at),
            finished_at: Time::now(),
            error: error.to_string(),
            restarts: self.restarts.count,
            stopped: false,
        };
        self.finish(&exit);
    }

    /// Puts the end on record, lets go of the container, then tells. One that is removed is told of when it is gone for
    /// everybody; its files go after that.
    fn finish(mut self, exit: &Exit) {
        self.streams.close_listener();
        let (store, id) = (&self.parts.store, &self.id);
        // Without these the lock stays, as a dead owner's: the next command settles what could not be settled here.
        let settled = if self.auto_remove {
            let disowned = store.disown_ended(id);
            self.streams.tell_exit(exit.code);
            disowned.and_then(|()| store.remove_directory(id)).and_then(|()| self.owned.finish())
        } else {
            let settled = store.set_last_run(id, &LastRun::Ended(exit.clone()));
            let settled = settled.and_then(|()| self.owned.finish());
            self.streams.tell_exit(exit.code);
            settled
        };
        if let Err(error) = settled {
            log::warn!("{error}");
        }
        self.streams.linger();
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
