//! The common way of `create`, `run` and `restore`: from a bundle to a container with a record.
//!
//! What is made is given back when anything fails; a crash leaves a record that `delete --force` goes by.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use conex_cgroup::Cgroup;
use conex_oci::runtime::{
    ContainerProcessState, Hooks, NamespaceKind, Process, SECCOMP_FD_NAME, Seccomp, Spec, Status,
};
use conex_runtime::bundle::Bundle;
use conex_runtime::hooks::{self, HookKind};
use conex_runtime::state::{Container, Init, Record, StateError};
use conex_runtime::{
    Create, Created, Inside, Listener, Rootfs, Running, Start, Stdio, Terms, Waiting, intel_rdt,
};

use crate::context::Context;
use crate::ends::{Ends, Held};
use crate::error::Error;
use crate::groups::Groups;
use crate::notify::NotifySocket;
use crate::{descriptors, destroy, time};

/// What the command line says about a new container.
#[derive(Debug, Clone, Default)]
pub(crate) struct Wishes {
    pub(crate) id: String,
    pub(crate) bundle: Option<PathBuf>,
    pub(crate) console_socket: Option<PathBuf>,
    pub(crate) pidfd_socket: Option<PathBuf>,
    pub(crate) pid_file: Option<PathBuf>,
    pub(crate) no_pivot: bool,
    pub(crate) no_new_keyring: bool,
    pub(crate) preserve_fds: u32,
}

/// When the process starts, and who stands by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Manner {
    /// At `start`.
    Later,
    /// Now, and this command ends.
    Detached,
    /// Now, and this command ends with it.
    Foreground { keep: bool, subreaper: bool },
}

/// Makes the container, starts it as `manner` says, and gives the command's exit status.
pub(crate) fn launch(wishes: &Wishes, manner: Manner, context: &Context) -> Result<i32, Error> {
    if wishes.id.is_empty() {
        return Err(Error::refused("container id cannot be empty"));
    }
    // Paths on the command line count from where it was called, not from the bundle.
    let ends = Ends::find(wishes)?;
    let mut bundle = Bundle::enter(wishes.bundle.as_deref())?;
    for warning in conex_runtime::warnings(&bundle.spec) {
        log::warn!("{warning}");
    }
    let mut nothing = Process::default();
    let process = process_of(&mut bundle.spec, manner)?.unwrap_or(&mut nothing);
    let preserved = descriptors::preserved(wishes.preserve_fds, process)?;
    let ends = ends.take(process.terminal, manner)?;
    let mut container = context.root.create(&wishes.id, &bundle.config)?;
    let making = Making { wishes, manner, context, preserved };
    match making.make(&mut container, &mut bundle, ends) {
        Ok(live) => stand_by(live, container, manner, &bundle.spec),
        Err(error) => {
            destroy::give_up(container, &bundle.spec);
            Err(error)
        }
    }
}

/// What is to run. A container that starts later may have none, and then never does (config.md#process).
fn process_of(spec: &mut Spec, manner: Manner) -> Result<Option<&mut Process>, Error> {
    let Some(process) = &mut spec.process else {
        return match manner {
            Manner::Later => Ok(None),
            _ => Err(Error::refused("process property must not be empty")),
        };
    };
    if !process.cwd.is_absolute() {
        return Err(Error::refused("Cwd must be an absolute path"));
    }
    if process.args.is_empty() {
        return Err(Error::refused("args must not be empty"));
    }
    Ok(Some(process))
}

/// A container that is made, and started unless that comes later.
pub(crate) struct Live {
    pub(crate) running: Running,
    pub(crate) cgroup: Option<Cgroup>,
    pub(crate) held: Held,
    pub(crate) notify: Option<NotifySocket>,
}

/// What comes after making: for a container in the foreground its end.
pub(crate) fn stand_by(
    live: Live,
    mut container: Container,
    manner: Manner,
    spec: &Spec,
) -> Result<i32, Error> {
    let Live { running, cgroup, held, notify } = live;
    container.unlock();
    if manner != Manner::Later
        && let Some(notify) = notify
    {
        notify.wait(running.pid, &running.pidfd)?;
    }
    let (Manner::Foreground { keep, .. }, Some(signals)) = (manner, held.signals) else { return Ok(0) };
    let status = signals.stand_by(running.pid, &running.pidfd, held.relay)?;
    if keep {
        return Ok(status);
    }
    match container.lock() {
        Ok(()) => destroy::destroy(container, Some(spec), cgroup)?,
        // By somebody who was faster.
        Err(StateError::NotFound { .. }) => {}
        Err(error) => return Err(error.into()),
    }
    Ok(status)
}

/// What making needs besides the bundle.
struct Making<'a> {
    wishes: &'a Wishes,
    manner: Manner,
    context: &'a Context,
    preserved: u32,
}

impl Making<'_> {
    /// From the empty directory to the process.
    fn make(&self, container: &mut Container, bundle: &mut Bundle, ends: Ends) -> Result<Live, Error> {
        if let Manner::Foreground { subreaper: true, .. } = self.manner {
            rustix::process::set_child_subreaper(Some(rustix::process::getpid()))
                .map_err(|errno| Error::io("become the reaper of", "orphans", errno))?;
        }
        let notify = NotifySocket::prepare(container, &mut bundle.spec)?;
        if self.manner != Manner::Later
            && let Some(notify) = &notify
        {
            notify.listen()?;
        }
        let groups = Groups::find(self.context, &bundle.spec, container.id())?;
        let mut record = record(container, bundle);
        record.cgroup = groups.path().cloned();
        container.save(record.clone())?;
        let cgroup = groups.make()?;
        record.cgroup = cgroup.as_ref().map(|cgroup| cgroup.path().clone());
        let terminal = bundle.spec.process.as_ref().is_some_and(|process| process.terminal);
        let at_once = ends.are_plain() && !terminal && self.manner != Manner::Later;
        let (created, complete) =
            self.create(container, bundle, &record, &groups, cgroup.as_ref(), at_once)?;
        let Created { process, terminal } = created;
        // Only a process that is set up may be entered by others: before the pivot they would find themselves in the host's root.
        let mut complete = Some(complete);
        if !at_once {
            publish(container, &mut complete)?;
        }
        // Before the program runs: what fails here stops it from running at all.
        let held = ends.hand_over(process.pid(), terminal)?;
        let running = self.begin(process)?;
        publish(container, &mut complete)?;
        if self.manner != Manner::Later {
            poststart(&record, &bundle.spec, running.pid)?;
        }
        Ok(Live { running, cgroup, held, notify })
    }

    /// The process, on its way, and the record with it in, which nobody sees yet.
    fn create(
        &self,
        container: &mut Container,
        bundle: &Bundle,
        record: &Record,
        groups: &Groups,
        cgroup: Option<&Cgroup>,
        at_once: bool,
    ) -> Result<(Created, Record), Error> {
        let spec = &bundle.spec;
        let Filter { program, rules } = Filter::of(spec, self.context)?;
        let agent_state = |pid| agent_state(record, rules.as_ref(), pid);
        let start = match self.manner {
            Manner::Later => {
                Start::BySocket(conex_runtime::listen(container.directory(), Container::start_socket())?)
            }
            _ if at_once => Start::AtOnce,
            _ => Start::ByParent { tied: false },
        };
        let rdt = spec.linux.as_ref().and_then(|linux| linux.intel_rdt.as_ref());
        let mut complete = None;
        let mut meanwhile = |pid: u32| {
            groups.enforce(cgroup)?;
            if let Some(cgroup) = cgroup {
                cgroup.settled();
            }
            if let Some(rdt) = rdt {
                intel_rdt::apply(rdt, &record.id, pid)?;
            }
            let record = complete.insert(Record { init: Init::of(pid), ..record.clone() });
            container
                .write_record(record)
                .map_err(|error| conex_runtime::Error::Inside { message: error.to_string() })
        };
        let none = Hooks::default();
        let wanted = spec.hooks.as_ref().unwrap_or(&none);
        let mut outside = |pid: u32| {
            let state = document(record, Status::Creating, pid);
            hooks::run(HookKind::Prestart, &wanted.prestart, &state)?;
            hooks::run(HookKind::CreateRuntime, &wanted.create_runtime, &state)
        };
        // These know the process by its number in the container.
        let before_pivot = |_| {
            let state = document(record, Status::Creating, std::process::id());
            hooks::run(HookKind::CreateContainer, &wanted.create_container, &state)
        };
        let before_program = |_| {
            let state = document(record, Status::Created, std::process::id());
            // As runc: one that names no environment has the program's.
            let mut hooks = wanted.start_container.clone();
            for hook in hooks.iter_mut().filter(|hook| hook.env.is_empty()) {
                hook.env = spec.process.as_ref().map(|process| process.env.clone()).unwrap_or_default();
            }
            hooks::run(HookKind::StartContainer, &hooks, &state)
        };
        // Where hooks look for it, with its mounts.
        let place = bundle.rootfs();
        let are_outside = !wanted.prestart.is_empty() || !wanted.create_runtime.is_empty();
        let terms = Terms {
            start,
            preserved: self.preserved,
            keep_keyring: self.wishes.no_new_keyring,
            no_pivot: self.wishes.no_pivot,
            meanwhile: Some(&mut meanwhile),
            before_pivot: if are_outside { Some(&mut outside) } else { None },
            root_at: if wanted.create_container.is_empty() { None } else { Some(&place) },
            listener: listener(rules.as_ref(), &agent_state),
            inside: Inside {
                before_pivot: if wanted.create_container.is_empty() { None } else { Some(&before_pivot) },
                before_program: if wanted.start_container.is_empty() { None } else { Some(&before_program) },
            },
            ..Terms::default()
        };
        let terminal = spec.process.as_ref().is_some_and(|process| process.terminal);
        let created = conex_runtime::create(Create {
            spec,
            rootfs: Rootfs::Path(bundle.rootfs()),
            cgroup,
            stdio: if terminal { Stdio::Terminal } else { Stdio::Inherited },
            seccomp: program.as_ref(),
            init: None,
            terms,
        })?;
        // Always there: `meanwhile` is called once on the way to success.
        Ok((created, complete.unwrap_or_else(|| record.clone())))
    }

    fn begin(&self, process: Waiting) -> Result<Running, Error> {
        Ok(match self.manner {
            Manner::Later => process.leave()?,
            _ => process.start()?,
        })
    }
}

/// Lets others find the process, once.
fn publish(container: &mut Container, complete: &mut Option<Record>) -> Result<(), Error> {
    complete.take().map_or(Ok(()), |record| Ok(container.publish(record)?))
}

/// A spec's filter.
#[derive(Default)]
pub(crate) struct Filter {
    pub(crate) program: Option<conex_seccomp::Program>,
    /// Read only for a program that notifies somebody.
    pub(crate) rules: Option<Seccomp>,
}

impl Filter {
    pub(crate) fn of(spec: &Spec, context: &Context) -> Result<Self, Error> {
        let text = spec.linux.as_ref().and_then(|linux| linux.seccomp.as_ref());
        let Some(text) = text else { return Ok(Self::default()) };
        let program = context.seccomp_cache().program(text).map_err(conex_runtime::Error::from)?;
        let rules = program.notifies().then(|| text.rules()).transpose();
        let rules = rules.map_err(|error| conex_runtime::Error::from(conex_seccomp::Error::from(error)))?;
        Ok(Self { program: Some(program), rules })
    }
}

/// Who answers a filter's notifications, when the spec names somebody.
pub(crate) fn listener<'a>(
    rules: Option<&'a Seccomp>,
    state: &'a dyn Fn(u32) -> Vec<u8>,
) -> Option<Listener<'a>> {
    let path = rules?.listener_path.as_deref()?;
    Some(Listener { path: Path::new(path), state })
}

/// What the agent is told of the process (config-linux.md#containerprocessstate).
pub(crate) fn agent_state(record: &Record, rules: Option<&Seccomp>, pid: u32) -> Vec<u8> {
    let status = if record.init.is_some() { Status::Running } else { Status::Creating };
    let mut state = record.document(status);
    state.pid = record.init.map_or(pid, |init| init.pid);
    let document = ContainerProcessState {
        oci_version: record.oci_version.clone(),
        fds: vec![SECCOMP_FD_NAME.to_owned()],
        pid,
        metadata: rules.and_then(|rules| rules.listener_metadata.clone()),
        state,
    };
    serde_json::to_vec(&document).unwrap_or_default()
}

/// A new container's record, before anything is made.
pub(crate) fn record(container: &Container, bundle: &Bundle) -> Record {
    let spec = &bundle.spec;
    Record {
        oci_version: spec.oci_version.clone(),
        id: container.id().to_owned(),
        bundle: bundle.path.clone(),
        rootfs: bundle.rootfs(),
        created: time::nanoseconds(SystemTime::now()),
        cgroup: None,
        init: None,
        shares_pids: shares_pids(spec),
        annotations: spec.annotations.clone(),
    }
}

/// Whether the container's processes outlive its first one.
fn shares_pids(spec: &Spec) -> bool {
    let namespaces = spec.linux.as_ref().map_or(&[][..], |linux| &linux.namespaces);
    !namespaces.iter().any(|namespace| namespace.kind == NamespaceKind::Pid && namespace.path.is_none())
}

/// What a hook reads.
pub(crate) fn document(record: &Record, status: Status, pid: u32) -> Vec<u8> {
    let mut document = record.document(status);
    document.pid = pid;
    // Plain data: there is nothing in it that JSON could not say.
    serde_json::to_vec(&document).unwrap_or_default()
}

/// The hooks after start. The first that fails fails the command, which stops the container.
pub(crate) fn poststart(record: &Record, spec: &Spec, pid: u32) -> Result<(), Error> {
    match &spec.hooks {
        Some(wanted) if !wanted.poststart.is_empty() => {
            let state = document(record, Status::Running, pid);
            Ok(hooks::run(HookKind::Poststart, &wanted.poststart, &state)?)
        }
        _ => Ok(()),
    }
}
