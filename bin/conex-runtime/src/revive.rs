//! The way of `restore`: from a bundle and a checkpoint to a container with a record, as [`crate::launch`] is that of `run`.
//!
//! criu makes the processes, as siblings of its own, so that they are ours; it runs in the new container's cgroup and in a mount
//! namespace of its own, in which the root filesystem is a mount as it wants it, and which goes with it.

use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use conex_cgroup::Cgroup;
use conex_oci::runtime::{NamespaceKind, Spec, Status};
use conex_runtime::Running;
use conex_runtime::bundle::Bundle;
use conex_runtime::hooks::{self, HookKind};
use conex_runtime::program;
use conex_runtime::state::{Container, Init, Record};
use conex_sys::process::{Forked, Strings, execve, exit_now, fork};
use rustix::fs::{Mode, OFlags};
use rustix::mount::MountPropagationFlags;
use rustix::process::{Pid, PidfdFlags, WaitId, WaitIdOptions};

use crate::context::Context;
use crate::criu::{self, Call, Notes};
use crate::destroy;
use crate::ends::Ends;
use crate::error::Error;
use crate::groups::Groups;
use crate::launch::{Live, Manner, Wishes, document, record, stand_by};

const ROOT: &str = "criu-root";
const PID: &str = "criu-pid";

/// Where a checkpoint is, and what criu is told of it.
pub(crate) struct Images {
    pub(crate) path: PathBuf,
    pub(crate) work: Option<PathBuf>,
    pub(crate) flags: Vec<String>,
    pub(crate) empty_network: bool,
}

/// Makes the container and gives the command's exit status.
pub(crate) fn revive(
    wishes: &Wishes,
    images: &Images,
    manner: Manner,
    context: &Context,
) -> Result<i32, Error> {
    let ends = Ends::find(wishes)?;
    let bundle = Bundle::enter(wishes.bundle.as_deref())?;
    if bundle.spec.process.as_ref().is_some_and(|process| process.terminal) {
        return Err(Error::refused("a container with a terminal cannot be restored"));
    }
    let ends = ends.take(false, manner)?;
    let mut container = context.root.create(&wishes.id, &bundle.config)?;
    match make(&mut container, &bundle, images, ends, manner, context) {
        Ok(live) => stand_by(live, container, manner, &bundle.spec),
        Err(error) => {
            destroy::give_up(container, &bundle.spec);
            Err(error)
        }
    }
}

fn make(
    container: &mut Container,
    bundle: &Bundle,
    images: &Images,
    ends: Ends,
    manner: Manner,
    context: &Context,
) -> Result<Live, Error> {
    if let Manner::Foreground { subreaper: true, .. } = manner {
        rustix::process::set_child_subreaper(Some(rustix::process::getpid()))
            .map_err(|errno| Error::io("become the reaper of", "orphans", errno))?;
    }
    let groups = Groups::find(context, &bundle.spec, container.id())?;
    let mut record = record(container, bundle);
    record.cgroup = groups.path().cloned();
    container.save(record.clone())?;
    let cgroup = groups.make()?;
    groups.enforce(cgroup.as_ref())?;
    record.cgroup = cgroup.as_ref().map(|cgroup| cgroup.path().clone());
    let hooks = bundle.spec.hooks.clone().unwrap_or_default();
    let has_hooks = !hooks.prestart.is_empty() || !hooks.create_runtime.is_empty();
    let restore = Restore { container, bundle, images, stopped: has_hooks };
    let running = restore.perform(context, cgroup.as_ref())?;
    record.init = Init::of(running.pid);
    container.save(record.clone())?;
    if let Some(cgroup) = &cgroup {
        cgroup.settled();
    }
    if has_hooks {
        prepare(&record, &hooks, running.pid)?;
        go_on(cgroup.as_ref(), running.pid)?;
    }
    let held = ends.hand_over(running.pid, None)?;
    Ok(Live { running, cgroup, held, notify: None })
}

/// What gives the container its network, as before a first start.
fn prepare(record: &Record, hooks: &conex_oci::runtime::Hooks, pid: u32) -> Result<(), Error> {
    let state = document(record, Status::Creating, pid);
    hooks::run(HookKind::Prestart, &hooks.prestart, &state)?;
    Ok(hooks::run(HookKind::CreateRuntime, &hooks.create_runtime, &state)?)
}

/// Restored processes were stopped for the hooks.
fn go_on(cgroup: Option<&Cgroup>, pid: u32) -> Result<(), Error> {
    let pids = cgroup.map_or_else(|| Ok(vec![pid]), Cgroup::procs)?;
    for pid in pids {
        let held =
            Pid::from_raw(pid.cast_signed()).map(|pid| rustix::process::pidfd_open(pid, PidfdFlags::empty()));
        if let Some(Ok(held)) = held {
            // One that has ended meanwhile needs none.
            let _ = rustix::process::pidfd_send_signal(&held, rustix::process::Signal::CONT);
        }
    }
    Ok(())
}

struct Restore<'a> {
    container: &'a Container,
    bundle: &'a Bundle,
    images: &'a Images,
    /// Leaves the processes stopped.
    stopped: bool,
}

impl Restore<'_> {
    fn perform(&self, context: &Context, cgroup: Option<&Cgroup>) -> Result<Running, Error> {
        conex_runtime::make_mount_points(&self.bundle.rootfs(), &self.bundle.spec)?;
        let root = self.container.path().join(ROOT);
        std::fs::create_dir(&root).map_err(|source| Error::io("make", &root, source))?;
        let pid_file = self.container.path().join(PID);
        let (call, namespaces) = self.call(context, &root, &pid_file)?;
        let arguments = Strings::new([&["criu".to_owned()], call.arguments.as_slice()].concat());
        let environment = program::environment();
        let path = std::ffi::CString::new(call.program.as_os_str().as_encoded_bytes()).ok();
        let (Some(path), Some(arguments), Some(environment)) = (path, arguments, environment) else {
            return Err(Error::refused("a NUL byte in the command line of criu"));
        };
        match fork().map_err(|source| Error::io("start", &call.program, source))? {
            Forked::Child => {
                let entered = enter(&self.bundle.rootfs(), &root, cgroup, &namespaces);
                if let Err(error) = entered {
                    let _ = rustix::io::write(rustix::stdio::stderr(), format!("{error}\n").as_bytes());
                    exit_now(126);
                }
                let error = execve(&path, &arguments, &environment);
                let _ = rustix::io::write(rustix::stdio::stderr(), format!("criu: {error}\n").as_bytes());
                exit_now(127)
            }
            Forked::Parent { pid } => {
                let failed = |source: std::io::Error| Error::io("wait for", &call.program, source);
                let child = Pid::from_raw(pid.cast_signed())
                    .ok_or_else(|| failed(std::io::ErrorKind::NotFound.into()))?;
                let status = rustix::process::waitid(WaitId::Pid(child), WaitIdOptions::EXITED)
                    .map_err(|errno| failed(errno.into()))?;
                match status.and_then(|status| status.exit_status()) {
                    Some(0) => hold(&pid_file),
                    Some(status) => Err(call.failure(&format!("exit status {status}"))),
                    None => Err(call.failure("killed")),
                }
            }
        }
    }

    fn call(&self, context: &Context, root: &Path, pid_file: &Path) -> Result<(Call, Vec<OwnedFd>), Error> {
        let (images, spec) = (self.images, &self.bundle.spec);
        let notes = Notes::read(&images.path)?;
        let mut call = Call::new(&context.criu, "restore", &images.path, images.work.as_deref())?;
        call.flag("--restore-detached", true);
        call.flag("--restore-sibling", true);
        call.flag("--leave-stopped", self.stopped);
        call.option("--pidfile", criu::shown(pid_file)?);
        call.option("--root", criu::shown(root)?);
        call.arguments.extend(images.flags.iter().cloned());
        for mount in criu::binds(spec) {
            let source = mount.source.as_deref().unwrap_or(Path::new(""));
            let source = self.bundle.path.join(source);
            call.option(
                "--external",
                format!("mnt[{}]:{}", criu::shown(&mount.destination)?, criu::shown(&source)?),
            );
        }
        let mut seen: Vec<&str> = Vec::new();
        for (number, name) in notes.descriptors.iter().enumerate() {
            // One file may be several of them.
            if !name.is_empty() && !seen.contains(&name.as_str()) {
                call.option("--inherit-fd", format!("fd[{number}]:{name}"));
                seen.push(name);
            }
        }
        if criu::joined(spec, NamespaceKind::Network).is_none()
            && (notes.empty_network || images.empty_network)
        {
            call.option("--empty-ns", "net");
        }
        let namespaces = join(&mut call, spec)?;
        Ok((call, namespaces))
    }
}

/// Namespaces that the spec joins: two kinds by descriptor, the others by path.
fn join(call: &mut Call, spec: &Spec) -> Result<Vec<OwnedFd>, Error> {
    let mut held = Vec::new();
    for kind in NamespaceKind::ALL {
        let Some(path) = criu::joined(spec, kind) else { continue };
        match kind {
            NamespaceKind::Network | NamespaceKind::Pid => {
                let fd = rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
                    .map_err(|errno| Error::io("open the namespace", path, errno))?;
                call.option("--inherit-fd", format!("fd[{}]:{}", fd.as_raw_fd(), criu::key(kind)));
                held.push(fd);
            }
            NamespaceKind::Cgroup | NamespaceKind::Mount => {
                let why = format!("criu cannot restore into an existing {} namespace", kind.name());
                return Err(Error::Refused(why));
            }
            kind => call.option("--join-ns", format!("{}:{}", kind.proc_name(), criu::shown(path)?)),
        }
    }
    Ok(held)
}

/// In the process that becomes criu.
fn enter(rootfs: &Path, root: &Path, cgroup: Option<&Cgroup>, namespaces: &[OwnedFd]) -> Result<(), Error> {
    let mount = |errno: rustix::io::Errno| Error::io("mount, for criu, the root filesystem", rootfs, errno);
    conex_sys::namespace::unshare(conex_sys::namespace::MOUNT)
        .map_err(|source| Error::io("make", "a mount namespace for criu", source))?;
    rustix::mount::mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)
        .map_err(mount)?;
    rustix::mount::mount_bind_recursive(rootfs, root).map_err(mount)?;
    if let Some(cgroup) = cgroup {
        cgroup.add(std::process::id())?;
    }
    for namespace in namespaces {
        rustix::io::fcntl_setfd(namespace, rustix::io::FdFlags::empty())
            .map_err(|errno| Error::io("pass on", "a namespace", errno))?;
    }
    conex_sys::signal::reset();
    Ok(())
}

/// The first process, by the number that criu has left.
fn hold(pid_file: &Path) -> Result<Running, Error> {
    let failed = |source: std::io::Error| Error::io("find the restored process by", pid_file, source);
    let text = std::fs::read_to_string(pid_file).map_err(failed)?;
    let raw: i32 = text.trim().parse().map_err(|_| failed(std::io::ErrorKind::InvalidData.into()))?;
    let pid = Pid::from_raw(raw).ok_or_else(|| failed(std::io::ErrorKind::InvalidData.into()))?;
    let pidfd =
        rustix::process::pidfd_open(pid, PidfdFlags::empty()).map_err(|errno| failed(errno.into()))?;
    Ok(Running { pid: raw.cast_unsigned(), pidfd })
}
