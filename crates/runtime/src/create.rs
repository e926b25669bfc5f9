//! Making a container's first process, from the parent's side.

use std::fs;
use std::os::fd::OwnedFd;

use conex_cgroup::Cgroup;
use conex_oci::runtime::{NamespaceKind, Spec};
use conex_sys::launch::Blank;
use conex_sys::process::{Cloned, Forked, clone3, exit_now, fork};
use rustix::fs::{Mode, OFlags};

use crate::channel::{Channel, Order, Report};
use crate::fault::{During, Fault};
use crate::init::{self, Duties, Inheritance};
use crate::options::Recursion;
use crate::plan::{Plan, missing, parent, parent_errno};
use crate::rootless;
use crate::sources::Source;
use crate::terms::{Start, Terms};
use crate::waiting::{Waiting, hold};
use crate::{Error, Stdio, listener, network, nodes, rlimits};

/// What [`create`] needs.
pub struct Create<'a> {
    /// The spec; `root.path` is not looked at. Without a `process` it takes [`Start::BySocket`], and an order to start fails.
    pub spec: &'a Spec,
    /// The root filesystem.
    pub rootfs: Rootfs,
    /// Where the container lives, limits in force; `None` leaves it in the caller's groups.
    pub cgroup: Option<&'a Cgroup>,
    /// What becomes of descriptors 0, 1 and 2.
    pub stdio: Stdio,
    /// The compiled filter; `None` installs none.
    pub seccomp: Option<&'a conex_seccomp::Program>,
    /// An init program (a static ELF file) that runs as PID 1, called as `init -- PATH ARGV0 ARGV1…` of the spec's process.
    pub init: Option<&'a [u8]>,
    /// Between the process and its maker.
    pub terms: Terms<'a>,
}

/// Where the root filesystem comes from.
#[derive(Debug)]
pub enum Rootfs {
    /// A detached mount (fsmount, open_tree with OPEN_TREE_CLONE).
    Mount(OwnedFd),
    /// A directory; its mount is cloned, recursively.
    Path(std::path::PathBuf),
}

/// A process that is set up and waits to exec.
#[derive(Debug)]
pub struct Created {
    /// The process.
    pub process: Waiting,
    /// The pseudo-terminal's master, when `Stdio::Terminal` was asked.
    pub terminal: Option<OwnedFd>,
}

/// Makes a container's first process.
///
/// # Errors
/// Any [`Error`]; nothing is left running.
pub fn create(request: Create<'_>) -> Result<Created, Error> {
    let Create { spec, rootfs, cgroup, stdio, seccomp, init, terms } = request;
    let Terms {
        start,
        preserved,
        keep_keyring,
        no_pivot,
        sources,
        meanwhile,
        before_pivot,
        root_at,
        listener,
        inside,
        ..
    } = terms;
    let listener = listener::require(seccomp, listener)?;
    if spec.process.is_none() && !matches!(start, Start::BySocket(_)) {
        return Err(missing("process"));
    }
    let mut plan = Plan::new(spec, cgroup, seccomp, init, sources)?;
    plan.nodes = nodes::make(plan.linux, &plan.namespaces)?;
    let staged = before_pivot.is_some() || inside.before_pivot.is_some() || inside.before_program.is_some();
    let joined_user = plan.namespaces.joins(NamespaceKind::User).is_some();
    let user = joined_user || plan.namespaces.creates(NamespaceKind::User);
    let blank = user.then(Blank::new).transpose().map_err(parent("make the launch program's file"))?;
    let at_once = matches!(start, Start::AtOnce);
    let duties = Duties { start, preserved, keep_keyring, no_pivot, staged, root_at, inside, blank };
    let rootfs = match rootfs {
        Rootfs::Mount(mount) => Source::Held(mount),
        Rootfs::Path(path) => Source::of(&path, Recursion::All, &plan.namespaces)?,
    };
    let (ours, theirs) = Channel::pair().map_err(parent("make a socket pair"))?;
    let flags = plan.namespaces.at_clone(!plan.linux.time_offsets.is_empty());
    let made = if plan.namespaces.joined_before_clone().next().is_some()
        || cgroup.is_some_and(Cgroup::is_out_of_reach)
    {
        let join = || {
            rlimits::raise(&plan.process.rlimits, None);
            plan.namespaces.join_before_clone()
        };
        match by_sibling(flags, cgroup, join, ours, theirs)? {
            Sibling::Child(theirs) => {
                init::run(&plan, Inheritance { rootfs, cgroups: &[], stdio, duties }, theirs)
            }
            Sibling::Parent(made) => made,
        }
    } else {
        let clone = clone3(flags, cgroup.and_then(Cgroup::clone_into), false)
            .map_err(parent("make the container's namespaces"))?;
        match clone {
            Cloned::Child => {
                drop(ours);
                let cgroups = cgroup.map_or(&[][..], Cgroup::join_fds);
                init::run(&plan, Inheritance { rootfs, cgroups, stdio, duties }, theirs)
            }
            Cloned::Parent { pid, pidfd } => {
                // Or its end would never be heard of: a process can be killed at any time.
                drop(theirs);
                Waiting::new(pid, pidfd, ours)
            }
        }
    };
    adjust(&plan, &made)?;
    network::apply(&plan, made.pid())?;
    if let Some(act) = meanwhile {
        act(made.pid())?;
    }
    if staged {
        made.await_staged()?;
        if let Some(act) = before_pivot {
            act(made.pid())?;
        }
        made.channel().proceed(made.pid()).map_err(parent("let the container's first process go on"))?;
    }
    if let Some(listener) = listener {
        listener.introduce(&made)?;
    }
    made.created(at_once)
}

/// What only the parent may write about the child.
fn adjust(plan: &Plan<'_>, made: &Waiting) -> Result<(), Error> {
    let pid = made.pid();
    if let Some(score) = plan.process.process.oom_score_adj {
        fs::write(format!("/proc/{pid}/oom_score_adj"), score.to_string())
            .map_err(parent("set the OOM score adjustment (lowering it needs CAP_SYS_RESOURCE)"))?;
    }
    if plan.namespaces.creates(NamespaceKind::User) {
        rlimits::raise(&plan.process.rlimits, Some(pid));
        rootless::map_ids(pid, &plan.linux.uid_mappings, &plan.linux.gid_mappings)?;
        made.channel().order(Order::Mapped).map_err(parent("tell the container of its id mappings"))?;
    }
    Ok(())
}

/// Which side of [`by_sibling`] this is.
pub(crate) enum Sibling {
    /// The new process, with its end of the channel.
    Child(Channel),
    /// The old one.
    Parent(Waiting),
}

/// A namespace of user or process ids is joined before clone3, and for good; so a process in between does it (`before`) and
/// makes the real one as its sibling (CLONE_PARENT). So it is with a cgroup that the caller may not enter by himself: systemd puts
/// the process in between there.
pub(crate) fn by_sibling(
    namespaces: u64,
    cgroup: Option<&Cgroup>,
    before: impl FnOnce() -> Result<(), Fault>,
    ours: Channel,
    theirs: Channel,
) -> Result<Sibling, Error> {
    let attached = cgroup.filter(|cgroup| cgroup.is_out_of_reach());
    // Entered by the file, with the right to do so that the joined user namespace would take away.
    let entered = cgroup.filter(|_| attached.is_none());
    let unified = entered.and_then(Cgroup::clone_into).map(|directory| {
        let flags = OFlags::WRONLY | OFlags::CLOEXEC;
        rustix::fs::openat(directory, "cgroup.procs", flags, Mode::empty())
    });
    let unified = unified.transpose().map_err(parent_errno("open the container's cgroup"))?;
    // A channel of its own: the new process may be heard on the other before the one in between has told of it.
    let (hears, tells) = Channel::pair().map_err(parent("make a socket pair"))?;
    match fork().map_err(parent("fork"))? {
        Forked::Child => {
            drop((ours, hears));
            let join = || -> Result<Cloned, Fault> {
                // Who is to write the id mappings of a user namespace has to reach the process, and nobody there can reach it yet.
                if attached.is_none() || namespaces & NamespaceKind::User.clone_flag() == 0 {
                    init::become_undumpable()?;
                }
                init::enter_cgroups(unified.as_slice())?;
                init::enter_cgroups(entered.map_or(&[], Cgroup::join_fds))?;
                if attached.is_some() {
                    theirs.await_order(Order::Attached)?;
                }
                before()?;
                clone3(namespaces, None, true).during(|| "make the container's namespaces".into())
            };
            match join() {
                Ok(Cloned::Child) => Ok(Sibling::Child(theirs)),
                Ok(Cloned::Parent { pid, .. }) => {
                    exit_now(i32::from(tells.report_made(pid).is_err()));
                }
                Err(fault) => {
                    tells.report_failure(&fault);
                    exit_now(1)
                }
            }
        }
        Forked::Parent { pid } => {
            drop((theirs, tells));
            if let Some(cgroup) = attached
                && let Err(error) = cgroup.add(pid)
            {
                // Without an order it ends.
                drop(ours);
                reap(pid);
                return Err(error.into());
            }
            if attached.is_some() {
                ours.order(Order::Attached).map_err(parent("tell the process of its cgroup"))?;
            }
            let report = hears.report().map_err(parent("hear from the container's first process"));
            reap(pid);
            match report? {
                Report::Made { pid } => Ok(Sibling::Parent(Waiting::new(pid, hold(pid)?, ours))),
                Report::Failed(error) => Err(error),
                _ => Err(Error::Died { status: "before it was made".to_owned() }),
            }
        }
    }
}

pub(crate) fn reap(pid: u32) {
    let pid = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw);
    let _ = rustix::process::waitpid(pid, rustix::process::WaitOptions::empty());
}
