//! Who the process becomes and what it may still do: limits, ids, capabilities, labels, seccomp.
//!
//! What can fail by the spec's fault is tried before the process reports that it is ready. The rights themselves are given up
//! by the launch program ([`conex_sys::launch`]), after the order to start and in this order: labels, bounding set, user,
//! capabilities, no_new_privs, filter, execve.

use std::ffi::CStr;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use conex_oci::runtime::Process;
use conex_sys::launch::{Script, Then};
use rustix::fs::{Gid, Mode, OFlags, Uid};
use rustix::io::{Errno, FdFlags};
use rustix::process::{DumpableBehavior, Signal};
use rustix::thread::{CapabilitySet, CapabilitySets};

use crate::beneath::is_procfs;
use crate::capability::{NAMES, SYS_ADMIN};
use crate::channel::{Channel, Order};
use crate::fault::{During, Fault};
use crate::plan::ProcessPlan;

/// The LSM labels that execve is to take, with the procfs through which they are set: a private one, or the host's, held
/// since before anything of the container's was mounted (CVE-2019-16884, CVE-2025-52881).
pub(crate) struct Labels(Option<(OwnedFd, Vec<Label>)>);

struct Label {
    /// `AppArmor profile "x"`
    name: String,
    file: &'static CStr,
    text: String,
}

const APPARMOR: &CStr = c"thread-self/attr/apparmor/exec";
const CURRENT: &CStr = c"thread-self/attr/exec";

impl Labels {
    pub(crate) fn open(process: &Process) -> Result<Self, Fault> {
        let profile = process.apparmor_profile.as_ref().filter(|profile| !profile.is_empty());
        let selinux = process.selinux_label.as_ref().filter(|label| !label.is_empty());
        if profile.is_none() && selinux.is_none() {
            return Ok(Self(None));
        }
        // One of its own that nothing was ever mounted over, and that shows no more than the container's processes. A user
        // namespace may be denied one (procfs asks for a whole one in sight); the host's is not yet out of sight then.
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let proc = super::filesystem::private_procfs()
            .or_else(|_| rustix::fs::open("/proc", flags, Mode::empty()))
            .during(|| "open /proc".into())?;
        if !is_procfs(proc.as_fd()).during(|| "look at /proc".into())? {
            return Err(Fault::new("find a procfs on /proc", Errno::NODEV));
        }
        let there =
            |file: &CStr| rustix::fs::openat(&proc, file, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty());
        let mut labels = Vec::new();
        if let Some(profile) = profile {
            let name = format!("AppArmor profile {profile:?}");
            let file = if there(APPARMOR).is_ok() { APPARMOR } else { CURRENT };
            there(file).during(|| format!("apply the {name} (is AppArmor on?)"))?;
            labels.push(Label { name, file, text: format!("exec {profile}") });
        }
        if let Some(label) = selinux {
            let name = format!("SELinux label {label:?}");
            there(CURRENT).during(|| format!("apply the {name} (is SELinux on?)"))?;
            labels.push(Label { name, file: CURRENT, text: label.clone() });
        }
        Ok(Self(Some((proc, labels))))
    }

    /// Written by the process itself, right before the program.
    fn apply(&self, script: &mut Script) {
        let Some((proc, labels)) = &self.0 else { return };
        for Label { name, file, text } in labels {
            let fault = Fault::new(format!("apply the {name} (is it loaded?)"), Errno::INVAL).packet();
            script.write_file(proc.as_fd(), file, text.as_bytes(), Then::Fail(&fault));
        }
    }

    /// Lets the descriptor through to the launch program.
    pub(super) fn keep(&self) -> Result<(), Errno> {
        match &self.0 {
            Some((proc, _)) => rustix::io::fcntl_setfd(proc, FdFlags::empty()),
            None => Ok(()),
        }
    }
}

/// Resource limits and the file mode mask.
pub(super) fn limit(plan: &ProcessPlan<'_>) -> Result<(), Fault> {
    for (resource, limit) in &plan.rlimits {
        let set = rustix::process::setrlimit(*resource, *limit);
        set.during(|| format!("set the limit RLIMIT_{}", format!("{resource:?}").to_ascii_uppercase()))?;
    }
    rustix::process::umask(Mode::from_raw_mode(plan.process.user.umask.unwrap_or(0o022)));
    Ok(())
}

/// Takes the groups for good and, for as long as `look` looks for the program, the user and his effective capabilities: what
/// he may not do is told now, while the rights that the rest of the set-up needs are still there.
pub(super) fn as_the_user<T>(
    plan: &ProcessPlan<'_>,
    look: impl FnOnce() -> Result<T, Fault>,
) -> Result<T, Fault> {
    let early = rustix::process::chdir(&plan.cwd);
    let user = &plan.process.user;
    let groups: Vec<_> = user.additional_gids.iter().map(|gid| Gid::from_raw(*gid)).collect();
    match rustix::thread::set_thread_groups(&groups) {
        // A user namespace may deny setgroups; there, no groups were asked for in vain.
        Err(Errno::PERM) if groups.is_empty() => {}
        other => other.during(|| "set the supplementary groups".into())?,
    }
    let gid = Gid::from_raw(user.gid);
    rustix::thread::set_thread_res_gid(gid, gid, gid).during(|| format!("become group {}", user.gid))?;
    let all = rustix::thread::capabilities(None).during(|| "read capabilities".into())?;
    let uid = Uid::from_raw(user.uid);
    let (saved, become_user) =
        (Uid::ROOT, |uid, saved| rustix::thread::set_thread_res_uid(saved, uid, saved));
    become_user(uid, saved).during(|| format!("become user {}", user.uid))?;
    let effective = CapabilitySet::from_bits_retain(plan.capabilities.effective) & all.permitted;
    let set = |sets| rustix::thread::set_capabilities(None, sets).during(|| "set the capabilities".into());
    set(CapabilitySets { effective, ..all })?;
    // A directory that root could not enter the user may (a root-squashing network file system), and the reverse is
    // what runc allows, too.
    if early.is_err() {
        rustix::process::chdir(&plan.cwd)
            .during(|| format!("enter the working directory {}", plan.cwd.display()))?;
    }
    // "(unreachable)" would mean a way out through a descriptor (CVE-2024-21626).
    let here = rustix::process::getcwd(Vec::new()).during(|| "find the working directory".into())?;
    if here.to_bytes().first() != Some(&b'/') {
        return Err(Fault::new("stay inside the container's root with the working directory", Errno::NOENT));
    }
    let found = look()?;
    become_user(saved, saved).during(|| "become root again".into())?;
    set(all)?;
    // Changing the user makes a process traceable again.
    super::become_undumpable()?;
    Ok(found)
}

/// The last steps, written down: labels, capabilities, user, no_new_privs.
pub(super) fn give_up(plan: &ProcessPlan<'_>, labels: &Labels, tied: bool) -> Script {
    let mut script = Script::new();
    labels.apply(&mut script);
    let wanted = &plan.capabilities;
    let available = rustix::thread::capabilities(None).map_or(u64::MAX, |sets| sets.permitted.bits());
    for (number, name) in (0_u32..).zip(NAMES) {
        // What is not there to be had, the kernel does not know.
        if wanted.bounding & 1 << number == 0 {
            let fault = Fault::new(format!("drop CAP_{name}"), Errno::PERM).packet();
            let then = if available & 1 << number == 0 { Then::GoOn } else { Then::Fail(&fault) };
            script.drop_bounding(number, then);
        }
    }
    let fault = Fault::new("keep capabilities", Errno::PERM).packet();
    script.keep_capabilities(Then::Fail(&fault));
    let uid = plan.process.user.uid;
    let fault = Fault::new(format!("become user {uid}"), Errno::PERM).packet();
    script.become_user(uid, Then::Fail(&fault));
    // A filter without no_new_privs takes CAP_SYS_ADMIN. It does not outlive execve, which gives by the inheritable and
    // bounding sets alone (capabilities(7)); so nothing but execve has to pass the filter.
    let filtering = plan.seccomp.is_some() && !plan.process.no_new_privileges;
    let besides = if filtering { available & SYS_ADMIN } else { 0 };
    let fault = Fault::new("set the capabilities", Errno::PERM).packet();
    script.set_capabilities(
        wanted.effective & available | besides,
        wanted.permitted & available | besides,
        wanted.inheritable & available,
        Then::Fail(&fault),
    );
    // The kernel has no ambient capability that is not inheritable; specs of old generators name such.
    let ambient = wanted.ambient & wanted.permitted & wanted.inheritable & available;
    for (number, name) in (0_u32..).zip(NAMES) {
        if ambient & 1 << number != 0 {
            let fault = Fault::new(format!("raise the ambient capability CAP_{name}"), Errno::PERM).packet();
            script.raise_ambient(number, Then::Fail(&fault));
        }
    }
    if tied {
        // Forgotten by the kernel with the change of user.
        let fault = Fault::new("tie the container's life to its supervisor's", Errno::PERM).packet();
        script.die_with_parent(Signal::KILL.as_raw(), Then::Fail(&fault));
    }
    if plan.process.no_new_privileges {
        script.no_new_privs(Then::Fail(&Fault::new("set no_new_privs", Errno::INVAL).packet()));
    }
    script
}

/// A filter that notifies is installed here: what comes of it has to reach its listener before any call may wait for an
/// answer, and the launch program tells nobody anything. The rest of the set-up comes under it, as with runc.
pub(super) fn filter_and_notify(plan: &ProcessPlan<'_>, channel: &Channel) -> Result<(), Fault> {
    let Some(program) = plan.seccomp.filter(|program| program.notifies()) else { return Ok(()) };
    if plan.process.no_new_privileges {
        rustix::thread::set_no_new_privs(true).during(|| "set no_new_privs".into())?;
    }
    let here = rustix::fs::open("/", OFlags::PATH | OFlags::CLOEXEC, Mode::empty());
    // The lowest that is free: the next to be made has the same.
    let number = here.during(|| "open /".into())?.as_raw_fd();
    channel.report_filtering(number)?;
    let listener = program.install().during(|| "install the seccomp filter".into())?;
    if channel.await_one_of(&[Order::Listened, Order::Show])? == Order::Show {
        rustix::process::set_dumpable_behavior(DumpableBehavior::Dumpable)
            .during(|| "become dumpable".into())?;
        channel.await_order(Order::Listened)?;
        super::become_undumpable()?;
    }
    drop(listener);
    Ok(())
}

/// Any other filter; after it comes only execve.
pub(super) fn filter(script: &mut Script, plan: &ProcessPlan<'_>) {
    if let Some(program) = plan.seccomp.filter(|program| !program.notifies()) {
        let fault = Fault::new("install the seccomp filter", Errno::PERM).packet();
        script.filter(program.as_bytes(), program.flags(), Then::Fail(&fault));
    }
}
