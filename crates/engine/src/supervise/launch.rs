//! One start of a container, done by the process that will be its parent: cgroup, root filesystem, filter, process.

use std::os::fd::{AsFd, OwnedFd};

use conex_cgroup::{Cgroup, Properties};
use conex_oci::runtime::{NamespaceKind, Spec};
use conex_runtime::{Create, Inside, Rootfs, Stdio, Terms, create};
use rustix::fs::{Mode, OFlags, Uid};
use rustix::pipe::{PipeFlags, pipe_with};

use super::ends::Ends;
use super::hooks::Run;
use crate::engine::Parts;
use crate::network::{NamedNetwork, Names, Wired, link, release};
use crate::store::{Process, Record};
use crate::time::Time;
use crate::{Error, Result};

/// What a start needs, read or made beforehand.
pub(crate) struct Job {
    /// The container.
    pub(crate) record: Record,
    /// What runs, namespaces of other containers resolved.
    pub(crate) spec: Spec,
    /// Its root filesystem, when `create` has just mounted it.
    pub(crate) rootfs: Option<OwnedFd>,
    /// With a terminal: rows and columns.
    pub(crate) size: Option<(u16, u16)>,
    /// How many descriptors from 3 on a service manager has passed for it (sd_listen_fds(3)).
    pub(crate) descriptors: u32,
}

/// A process that runs.
pub(super) struct Launched {
    pub(super) process: Process,
    pub(super) pidfd: OwnedFd,
    pub(super) group: Cgroup,
    pub(super) ends: Ends,
    /// Whether its end is the end of all its processes (a pid namespace of its own).
    pub(super) private_pids: bool,
    /// Its networks: ports are held for as long as it runs.
    pub(super) wired: Option<Wired>,
    /// Its names there resolve for as long.
    pub(super) names: Option<Names>,
}

impl Launched {
    /// Its networks.
    pub(super) fn networks(&self) -> Vec<NamedNetwork> {
        self.wired.as_ref().map(Wired::networks).unwrap_or_default()
    }
}

/// Starts the container; after an error nothing of the attempt is left.
pub(super) fn launch(parts: &Parts, job: Job, restarts: u32) -> Result<Launched> {
    let resources = job.spec.linux.as_ref().and_then(|linux| linux.resources.clone()).unwrap_or_default();
    let (host, path) = (parts.host()?, &job.record.cgroup);
    let is_explicit = job.record.options.limits.cgroup_parent.is_some();
    let made = Cgroup::create_if_allowed(host, path, is_explicit, &resources, &Properties::default())?;
    // An ordinary user to whom none were delegated goes without: a group that is not there.
    let group = made.map_or_else(|| Cgroup::open(host, path), Ok)?;
    let (id, has_cdi) = (job.record.id.clone(), job.record.options.storage.has_cdi());
    match within(parts, job, &group, restarts) {
        Ok(Running { process, pidfd, ends, private_pids, wired, names }) => {
            Ok(Launched { process, pidfd, group, ends, private_pids, wired, names })
        }
        Err(error) => {
            if let Err(error) = release(&parts.store, &id) {
                log::warn!("{error}");
            }
            if let Err(error) = group.kill().and_then(|()| group.delete()) {
                log::warn!("{error}");
            }
            if has_cdi {
                crate::devices::take_back(&parts.store, &id);
            }
            Err(error)
        }
    }
}

/// A process in its group.
struct Running {
    process: Process,
    pidfd: OwnedFd,
    ends: Ends,
    private_pids: bool,
    wired: Option<Wired>,
    names: Option<Names>,
}

fn within(parts: &Parts, job: Job, group: &Cgroup, restarts: u32) -> Result<Running> {
    let Job { record, mut spec, rootfs, size, descriptors } = job;
    let rootfs = match rootfs {
        Some(rootfs) => rootfs,
        None => parts.mount(&record)?,
    };
    let program = match spec.linux.as_ref().and_then(|linux| linux.seccomp.as_ref()) {
        Some(seccomp) => Some(parts.seccomp().program(seccomp)?),
        None => None,
    };
    // Elsewhere than at PID 1 it would reap nothing; create has warned.
    let alone = record.options.namespaces.pid == crate::options::NamespaceMode::Private;
    let init = match record.options.process.init && alone {
        true => Some(parts.init.ok_or(Error::NoInit)?),
        false => None,
    };
    let private_pids = spec.linux.as_ref().is_some_and(|linux| {
        linux.namespaces.iter().any(|space| space.kind == NamespaceKind::Pid && space.path.is_none())
    });
    // They are for process 1, which elsewhere is somebody else.
    let preserved = if private_pids && init.is_none() { descriptors } else { 0 };
    super::notify::tell_of_descriptors(&mut spec, preserved);
    let owner = spec.process.as_ref().and_then(|process| outside(&record, process.user.uid));
    let sources = crate::volumes::sources(parts, &record, &spec, rootfs.as_fd())?;
    let (stdio, ours) = stdio(record.options.tty, record.options.interactive, owner)?;
    let mut wired = Wired::prepare(parts, &record)?;
    // Made while the process is at work on its mounts. The runtime knows no errors of ours: what went wrong is told by this one.
    let (mut unwired, mut names) = (None, None);
    let mut wire = |pid| {
        let connected = wired.as_mut().map_or(Ok(None), |wired| wired.connect(parts, &record, pid));
        let connected = connected.and_then(|connected| link(&parts.store, &record, pid).map(|()| connected));
        connected.map(|connected| names = connected).map_err(|error| {
            let message = error.to_string();
            unwired = Some(error);
            conex_runtime::Error::Inside { message }
        })
    };
    let hooks = Run::of(parts, &record, &spec);
    let hooks = hooks.as_ref();
    let mut outside = |pid| hooks.map_or(Ok(()), |hooks| hooks.outside(pid));
    let before_pivot = |_| hooks.map_or(Ok(()), Run::before_pivot);
    let before_program = |_| hooks.map_or(Ok(()), Run::before_program);
    let terms = Terms {
        sources,
        preserved,
        meanwhile: Some(&mut wire),
        before_pivot: if hooks.is_some_and(Run::is_outside) { Some(&mut outside) } else { None },
        root_at: hooks
            .filter(|hooks| hooks.is_before_pivot())
            .and(spec.root.as_ref())
            .map(|root| &*root.path),
        inside: Inside {
            before_pivot: if hooks.is_some_and(Run::is_before_pivot) { Some(&before_pivot) } else { None },
            before_program: if hooks.is_some_and(Run::is_before_program) {
                Some(&before_program)
            } else {
                None
            },
        },
        ..Terms::default()
    };
    let created = create(Create {
        spec: &spec,
        rootfs: Rootfs::Mount(rootfs),
        cgroup: Some(group).filter(|group| group.exists()),
        stdio,
        seccomp: program.as_ref(),
        init,
        terms,
    });
    let created = match (created, unwired) {
        (Err(_), Some(error)) => return Err(error),
        (created, _) => created?,
    };
    let ends = Ends::of(ours, created.terminal, size)?;
    let pid = created.process.pid();
    let start_ticks = start_ticks(pid).map_err(|source| Error::Process { pid, source })?;
    let started_at = Time::now();
    let running = created.process.start()?;
    if let Some(hooks) = hooks {
        hooks.poststart(pid)?;
    }
    let supervisor = rustix::process::getpid().as_raw_nonzero().get().unsigned_abs();
    let process = Process { pid, start_ticks, supervisor, started_at, restarts };
    Ok(Running { process, pidfd: running.pidfd, ends, private_pids, wired, names })
}

/// The process's ends and ours; ours are `None` for a terminal, which is made inside.
/// `owner`, a host's id, may open them again as /dev/stdout; nobody in a user namespace could make himself their owner.
pub(super) fn stdio(tty: bool, interactive: bool, owner: Option<u32>) -> Result<(Stdio, Option<Ends>)> {
    if tty {
        return Ok((Stdio::Terminal, None));
    }
    let pipe = || {
        let (read, write) = pipe_with(PipeFlags::CLOEXEC).map_err(pipes)?;
        if let Some(owner) = owner {
            rustix::fs::fchown(&write, Some(Uid::from_raw(owner)), None).map_err(pipes)?;
        }
        Ok::<_, Error>((read, write))
    };
    let (stdin, input) = match interactive {
        true => pipe().map(|(read, write)| (read, Some(write)))?,
        false => {
            let null = rustix::fs::open("/dev/null", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty());
            (null.map_err(pipes)?, None)
        }
    };
    let ((out, stdout), (err, stderr)) = (pipe()?, pipe()?);
    let ends = Ends::Pipes { stdin: input, stdout: Some(out), stderr: Some(err) };
    Ok((Stdio::Pipes { stdin, stdout, stderr }, Some(ends)))
}

/// What the host calls a user of a container that has a user namespace of its own.
pub(super) fn outside(record: &Record, user: u32) -> Option<u32> {
    Some(record.id_range?.base + user)
}

fn pipes(errno: rustix::io::Errno) -> Error {
    Error::Pipes { source: errno.into() }
}

/// Field 22 of `/proc/PID/stat`: when the process began, in clock ticks since boot.
pub(crate) fn start_ticks(pid: u32) -> std::io::Result<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The second field is the command in parentheses, which may hold anything.
    let fields = stat.rsplit_once(')').map(|(_, fields)| fields);
    fields
        .and_then(|fields| fields.split_ascii_whitespace().nth(19)?.parse().ok())
        .ok_or_else(|| std::io::ErrorKind::InvalidData.into())
}

/// The listening socket in the run directory.
pub(super) fn listen(directory: &std::path::Path) -> Result<OwnedFd> {
    use rustix::net::{AddressFamily, SocketFlags, SocketType};
    let fail = |errno: rustix::io::Errno| Error::Supervisor { source: errno.into() };
    let socket = rustix::net::socket_with(
        AddressFamily::UNIX,
        SocketType::STREAM,
        SocketFlags::CLOEXEC | SocketFlags::NONBLOCK,
        None,
    )
    .map_err(fail)?;
    let Some((_held, address)) = crate::attach::address(directory).map_err(fail)? else {
        return Err(fail(rustix::io::Errno::NOENT));
    };
    rustix::net::bind(socket.as_fd(), &address).map_err(fail)?;
    rustix::net::listen(&socket, 64).map_err(fail)?;
    Ok(socket)
}
