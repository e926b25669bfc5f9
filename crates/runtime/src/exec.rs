//! Another process in a running container.
//!
//! The namespaces are joined through the container's pidfd, all in one setns, so that they are those of one process and not
//! of whoever has its number a moment later. The pid namespace is joined by the caller, since it counts for children only.

use std::fs;
use std::os::fd::BorrowedFd;
use std::os::unix::fs::MetadataExt;

use conex_cgroup::Cgroup;
use conex_oci::runtime::{NamespaceKind, Process};
use conex_sys::launch::Blank;
use conex_sys::namespace;
use conex_sys::process::{Cloned, clone3, exit_now};

use crate::channel::Channel;
use crate::create::{Sibling, by_sibling};
use crate::fault::{During, Fault};
use crate::init::{self, Duties, rights::Labels};
use crate::plan::{ProcessPlan, parent, parent_errno};
use crate::rootless;
use crate::terms::{Inside, Start, Terms};
use crate::waiting::Waiting;
use crate::{Created, Error, Stdio, listener, rlimits};

/// What [`exec`] needs.
pub struct Exec<'a> {
    /// What runs.
    pub process: &'a Process,
    /// The container's first process, in the caller's pid namespace.
    pub target: u32,
    /// The same, held: the process joins all its namespaces.
    pub target_pidfd: BorrowedFd<'a>,
    /// The container's cgroup.
    pub cgroup: Option<&'a Cgroup>,
    /// What becomes of descriptors 0, 1 and 2.
    pub stdio: Stdio,
    /// The compiled filter; `None` installs none.
    pub seccomp: Option<&'a conex_seccomp::Program>,
    /// Between the process and its maker; of hooks and the pivot there are none here.
    pub terms: Terms<'a>,
}

/// Puts another process into a running container. The calling process's pid namespace for children changes for good: call
/// it in a process made for this one exec.
///
/// # Errors
/// Any [`Error`]; nothing is left running.
pub fn exec(request: Exec<'_>) -> Result<Created, Error> {
    let Exec { process, target, target_pidfd, cgroup, stdio, seccomp, terms } = request;
    let Terms { start, preserved, keep_keyring, listener, linux, .. } = terms;
    let listener = listener::require(seccomp, listener)?;
    let mut plan = ProcessPlan::new(process, seccomp, None)?;
    if let Some(linux) = linux {
        plan.scheduling.take_over(linux)?;
    }
    if let Some(affinity) = &process.exec_cpu_affinity {
        plan.scheduling.take_affinity(affinity)?;
    }
    let foreign = foreign_namespaces(target).map_err(parent("look at the container's namespaces"))?;
    let (user, pid_flag) = (NamespaceKind::User.clone_flag(), NamespaceKind::Pid.clone_flag());
    let into_user = foreign & user != 0;
    let blank = into_user.then(Blank::new).transpose().map_err(parent("make the launch program's file"))?;
    let inside = Inside::default();
    let at_once = matches!(start, Start::AtOnce);
    let duties = Duties {
        start,
        preserved,
        keep_keyring,
        no_pivot: false,
        staged: false,
        root_at: None,
        inside,
        blank,
    };
    let (ours, theirs) = Channel::pair().map_err(parent("make a socket pair"))?;
    // "before the transition to container's cgroup", which clone3 makes.
    if let Some(cpus) = &plan.scheduling.affinity.0 {
        rustix::thread::sched_setaffinity(None, cpus)
            .map_err(parent_errno("set the processors of process.execCPUAffinity.initial"))?;
    }
    // What may be joined is decided by the user namespace one is in; root's is above all.
    let apart = into_user && rootless::is_ordinary_user();
    let joined = if apart { foreign & (user | pid_flag) } else { foreign & pid_flag };
    let enter = || -> Result<Labels, Fault> {
        init::become_undumpable()?;
        let labels = Labels::open(process)?;
        if !apart {
            init::enter_cgroups(cgroup.map_or(&[], Cgroup::join_fds))?;
        }
        if into_user {
            rlimits::raise(&plan.rlimits, None);
        }
        let others = foreign & !joined;
        if others != 0 {
            namespace::join(target_pidfd, others).during(|| "join the container's namespaces".into())?;
        }
        if into_user {
            init::become_root()?;
        }
        Ok(labels)
    };
    let child = |mut theirs: Channel, stdio| -> ! {
        let fault = match enter() {
            Ok(labels) => {
                let Err(fault) = init::run_exec(&plan, labels, stdio, &duties, &mut theirs);
                fault
            }
            Err(fault) => fault,
        };
        theirs.report_failure(&fault);
        exit_now(1)
    };
    let made = if apart || cgroup.is_some_and(Cgroup::is_out_of_reach) {
        let join = || {
            if joined == 0 {
                return Ok(());
            }
            namespace::join(target_pidfd, joined)
                .during(|| "join the container's user and pid namespaces".into())
        };
        match by_sibling(0, cgroup, join, ours, theirs)? {
            Sibling::Child(theirs) => child(theirs, stdio),
            Sibling::Parent(made) => made,
        }
    } else {
        if joined != 0 {
            namespace::join(target_pidfd, joined).map_err(parent("join the container's pid namespace"))?;
        }
        let made = clone3(0, cgroup.and_then(Cgroup::clone_into), false).map_err(parent("make a process"))?;
        match made {
            Cloned::Child => {
                drop(ours);
                child(theirs, stdio)
            }
            Cloned::Parent { pid, pidfd } => {
                drop(theirs);
                Waiting::new(pid, pidfd, ours)
            }
        }
    };
    if let Some(score) = process.oom_score_adj {
        fs::write(format!("/proc/{}/oom_score_adj", made.pid()), score.to_string())
            .map_err(parent("set the OOM score adjustment"))?;
    }
    if let Some(listener) = listener {
        listener.introduce(&made)?;
    }
    made.created(at_once)
}

/// The kinds to join. Joining a namespace one is in already is refused for the user namespace and for who has no right to it;
/// the machine's root, to whom it does no harm, does not look at those that containers nearly always have of their own.
fn foreign_namespaces(target: u32) -> std::io::Result<u64> {
    let of = |process: &dyn std::fmt::Display, kind: NamespaceKind| {
        let stat = fs::metadata(format!("/proc/{process}/ns/{}", kind.proc_name()))?;
        Ok::<_, std::io::Error>((stat.dev(), stat.ino()))
    };
    let (theirs, ours) = (of(&target, NamespaceKind::User)?, of(&"self", NamespaceKind::User)?);
    let above_all =
        theirs == ours && ours.1 == conex_sys::namespace::FIRST_USER && rustix::process::geteuid().is_root();
    let mut foreign = if theirs == ours { 0 } else { NamespaceKind::User.clone_flag() };
    for kind in NamespaceKind::ALL {
        let is_usual = kind != NamespaceKind::Time;
        if kind == NamespaceKind::User {
            continue;
        }
        if above_all && is_usual {
            foreign |= kind.clone_flag();
            continue;
        }
        match (of(&target, kind), of(&"self", kind)) {
            (Ok(theirs), Ok(ours)) => foreign |= if theirs == ours { 0 } else { kind.clone_flag() },
            // A kernel without this kind.
            (Err(error), _)
                if error.kind() == std::io::ErrorKind::NotFound && kind == NamespaceKind::Time => {}
            (Err(error), _) | (_, Err(error)) => return Err(error),
        }
    }
    Ok(foreign)
}
