//! What the new process does between clone3 and execve, in order: namespaces, root filesystem, identity, exec.
//!
//! It runs in a copy of the caller's memory, may allocate, must not return: it ends in execve or `exit_now`. Nothing it
//! inherits but descriptors 0 to 2 may reach the container, and every descriptor it opens is close-on-exec.

mod devices;
mod environment;
mod filesystem;
mod masks;
mod mounts;
pub(crate) mod program;
pub(crate) mod rights;
mod scheduling;
mod terminal;

pub(crate) use devices::Node;
pub(crate) use mounts::attach;
use std::convert::Infallible;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use conex_oci::runtime::NamespaceKind;
use conex_sys::launch::{Blank, Then};
use conex_sys::{namespace, process as sys, signal};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::process::{DumpableBehavior, Signal};

use crate::channel::{Channel, Order};
use crate::fault::{During, Fault};
use crate::plan::{Plan, ProcessPlan};
use crate::sources::Source;
use crate::{Inside, Start, Stdio};
use terminal::Terminal;

/// What the parent hands over besides the plan.
pub(crate) struct Inheritance<'a> {
    /// The root filesystem.
    pub(crate) rootfs: Source,
    /// `cgroup.procs` files to enter.
    pub(crate) cgroups: &'a [OwnedFd],
    /// Descriptors 0 to 2 to be.
    pub(crate) stdio: Stdio,
    /// What it owes its maker.
    pub(crate) duties: Duties<'a>,
}

/// What holds between the process and its maker: [`crate::Terms`], the new process's side.
pub(crate) struct Duties<'a> {
    pub(crate) start: Start,
    pub(crate) preserved: u32,
    pub(crate) keep_keyring: bool,
    pub(crate) no_pivot: bool,
    /// Whether the parent has something to do before the pivot.
    pub(crate) staged: bool,
    /// Where the root filesystem stands before the pivot.
    pub(crate) root_at: Option<&'a std::path::Path>,
    pub(crate) inside: Inside<'a>,
    /// For the launch program; with a user namespace, made outside of it.
    pub(crate) blank: Option<Blank>,
}

/// The first process of a container.
pub(crate) fn run(plan: &Plan<'_>, inheritance: Inheritance<'_>, mut channel: Channel) -> ! {
    let Err(fault) = set_up(plan, inheritance, &mut channel);
    channel.report_failure(&fault);
    sys::exit_now(1)
}

fn set_up(plan: &Plan<'_>, inheritance: Inheritance<'_>, channel: &mut Channel) -> Result<Infallible, Fault> {
    let Inheritance { rootfs, cgroups, stdio, duties } = inheritance;
    let offsets = !plan.linux.time_offsets.is_empty();
    let offsets_file = offsets.then(filesystem::open_time_offsets).transpose()?;
    let mapped = plan.namespaces.creates(NamespaceKind::User);
    // An ordinary user may write mappings for a dumpable process alone. It has joined nothing yet.
    if !(mapped && plan.ordinary_user) {
        become_undumpable()?;
    }
    let labels = rights::Labels::open(plan.process.process)?;
    if mapped {
        channel.await_order(Order::Mapped)?;
        become_undumpable()?;
    }
    if plan.namespaces.creates(NamespaceKind::User) || plan.namespaces.joins(NamespaceKind::User).is_some() {
        become_root()?;
    }
    enter_cgroups(cgroups)?;
    for joined in plan.namespaces.joined_after_clone() {
        namespace::join(joined.fd.as_fd(), joined.kind.clone_flag())
            .during(|| format!("join the {} namespace", joined.kind.name()))?;
    }
    let late = plan.namespaces.after_clone(offsets);
    if late != 0 {
        namespace::unshare(late).during(|| "make the cgroup namespace".into())?;
    }
    if let Some(file) = offsets_file {
        filesystem::write_time_offsets(&file, &plan.linux.time_offsets)?;
    }
    rustix::process::setsid().during(|| "start a session".into())?;
    let rootfs = rootfs.take()?;
    // What is made has the mode that it is made with, whatever the caller's mask: mount points are for all users of the container.
    rustix::process::umask(Mode::empty());
    let root = mounts::build(plan, &rootfs, duties.root_at)?;
    mounts::make_working_directory(plan, &root);
    rustix::process::umask(Mode::from_raw_mode(0o022));
    let terminal = match &stdio {
        Stdio::Terminal => {
            let terminal = Terminal::open(root.tree, plan.process.process)?;
            terminal.bind_console(root.tree)?;
            Some(terminal)
        }
        Stdio::Pipes { .. } | Stdio::Inherited => None,
    };
    filesystem::set_names(plan)?;
    filesystem::set_sysctls(plan, &root)?;
    masks::apply(plan, &root)?;
    let pid = if duties.staged { channel.stage()? } else { 0 };
    if let Some(act) = duties.inside.before_pivot {
        act(pid).map_err(Fault::inside)?;
    }
    mounts::enter(plan, root, duties.no_pivot)?;
    finish(&plan.process, stdio, terminal, labels, &duties, pid, channel)
}

/// A process put into a running container, already in its namespaces and cgroup.
pub(crate) fn run_exec(
    plan: &ProcessPlan<'_>,
    labels: rights::Labels,
    stdio: Stdio,
    duties: &Duties<'_>,
    channel: &mut Channel,
) -> Result<Infallible, Fault> {
    rustix::process::setsid().during(|| "start a session".into())?;
    let terminal = match &stdio {
        Stdio::Terminal => {
            let root = rustix::fs::open("/", OFlags::PATH | OFlags::CLOEXEC, Mode::empty())
                .during(|| "open the container's root".into())?;
            Some(Terminal::open(root.as_fd(), plan.process)?)
        }
        Stdio::Pipes { .. } | Stdio::Inherited => None,
    };
    finish(plan, stdio, terminal, labels, duties, 0, channel)
}

/// From a finished root filesystem to execve. `channel` becomes the connection of whoever starts the process.
fn finish(
    plan: &ProcessPlan<'_>,
    stdio: Stdio,
    terminal: Option<Terminal>,
    labels: rights::Labels,
    duties: &Duties<'_>,
    pid: u32,
    channel: &mut Channel,
) -> Result<Infallible, Fault> {
    let master = terminal::install(stdio, terminal, &plan.process.user)?;
    rights::limit(plan)?;
    scheduling::apply(plan)?;
    if !duties.keep_keyring {
        sys::new_session_keyring().during(|| "make a session keyring".into())?;
    }
    let program = rights::as_the_user(plan, || program::find(plan.process))?;
    let tied = matches!(duties.start, Start::ByParent { tied: true });
    if tied {
        rustix::process::set_parent_process_death_signal(Some(Signal::KILL))
            .during(|| "tie the container's life to its supervisor's".into())?;
    }
    signal::reset();
    sys::cloexec_from(3 + duties.preserved).during(|| "close inherited descriptors".into())?;
    rights::filter_and_notify(plan, channel)?;
    if !matches!(duties.start, Start::AtOnce) {
        channel.report_ready(master.as_ref().map(AsFd::as_fd))?;
    }
    drop(master);
    match &duties.start {
        Start::AtOnce | Start::ByParent { .. } => channel.await_order(Order::Start)?,
        Start::BySocket(listener) => {
            channel.await_order(Order::Leave)?;
            *channel = Channel::accept_start(listener.as_fd())?;
        }
    }
    let Some(program) = program else {
        return Err(Fault::new("start a container that has no process", Errno::INVAL));
    };
    if let Some(act) = duties.inside.before_program {
        act(pid).map_err(Fault::inside)?;
    }
    let mut script = rights::give_up(plan, &labels, tied);
    let first = i32::try_from(3 + duties.preserved).unwrap_or(i32::MAX);
    script.cloexec_from(first, Then::Fail(&Fault::new("close inherited descriptors", Errno::IO).packet()));
    rights::filter(&mut script, plan);
    Err(program::exec(script, plan, &program, labels, duties.blank.as_ref(), channel))
}

/// Nobody in a namespace that is joined may trace this process or follow its links in /proc (CVE-2016-9962).
pub(crate) fn become_undumpable() -> Result<(), Fault> {
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)
        .during(|| "become undumpable".into())
}

/// Root in the user namespace just made or joined.
pub(crate) fn become_root() -> Result<(), Fault> {
    use rustix::thread::{Gid, Uid};
    // Where the namespace denies setgroups the list is unmapped anyway.
    let _ = rustix::thread::set_thread_groups(&[]);
    rustix::thread::set_thread_res_gid(Gid::ROOT, Gid::ROOT, Gid::ROOT)
        .and_then(|()| rustix::thread::set_thread_res_uid(Uid::ROOT, Uid::ROOT, Uid::ROOT))
        .during(|| "become root in the user namespace".into())
}

/// Writes itself into groups that clone3 could not put it in; the files were opened by the parent, whose right counts.
pub(crate) fn enter_cgroups(procs: &[OwnedFd]) -> Result<(), Fault> {
    for file in procs {
        write_all(file.as_fd(), b"0").during(|| "enter the container's cgroup".into())?;
    }
    Ok(())
}

pub(crate) fn write_all(fd: BorrowedFd<'_>, bytes: &[u8]) -> Result<(), Errno> {
    match rustix::io::retry_on_intr(|| rustix::io::write(fd, bytes))? {
        written if written == bytes.len() => Ok(()),
        _ => Err(Errno::IO),
    }
}
