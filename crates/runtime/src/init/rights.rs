//! Who the process becomes and what it may still do: limits, ids, capabilities, labels, seccomp.
//!
//! Order matters. Identity is taken first with CAP_SYS_ADMIN kept beside the wanted capabilities, since a filter without
//! no_new_privs needs it; `seal` installs the filter as late as can be and then drops to exactly what was asked.

use std::fs::{File, OpenOptions};
use std::os::fd::AsFd;

use conex_oci::runtime::Process;
use conex_sys::signal;
use rustix::fs::{Gid, Mode, Uid};
use rustix::io::Errno;
use rustix::thread::{CapabilitySet, CapabilitySets};

use super::write_all;
use crate::capability::{NAMES, SYS_ADMIN};
use crate::fault::{During, Fault};
use crate::plan::ProcessPlan;

/// The LSM labels that execve is to take, their files opened while /proc is still the host's own (CVE-2019-16884).
pub(crate) struct Labels(Vec<Label>);

struct Label {
    /// "AppArmor profile", "SELinux label"
    kind: &'static str,
    file: File,
    text: String,
}

impl Labels {
    pub(crate) fn open(process: &Process) -> Result<Self, Fault> {
        let mut labels = Vec::new();
        let apparmor = process.apparmor_profile.as_ref().filter(|profile| !profile.is_empty());
        if let Some(profile) = apparmor {
            let file = open("/proc/thread-self/attr/apparmor/exec")
                .or_else(|_| open("/proc/thread-self/attr/exec"))
                .during(|| format!("apply the AppArmor profile {profile:?} (is AppArmor on?)"))?;
            labels.push(Label { kind: "AppArmor profile", file, text: format!("exec {profile}") });
        }
        if let Some(label) = process.selinux_label.as_ref().filter(|label| !label.is_empty()) {
            let file = open("/proc/thread-self/attr/exec")
                .during(|| format!("apply the SELinux label {label:?} (is SELinux on?)"))?;
            labels.push(Label { kind: "SELinux label", file, text: label.clone() });
        }
        Ok(Self(labels))
    }

    pub(crate) fn apply(self) -> Result<(), Fault> {
        for Label { kind, file, text } in self.0 {
            let name = text.strip_prefix("exec ").unwrap_or(&text);
            write_all(file.as_fd(), text.as_bytes())
                .during(|| format!("apply the {kind} {name:?} (is it loaded?)"))?;
        }
        Ok(())
    }
}

fn open(path: &str) -> std::io::Result<File> {
    OpenOptions::new().write(true).open(path)
}

/// Resource limits and the file mode mask.
pub(super) fn limit(plan: &ProcessPlan<'_>) -> Result<(), Fault> {
    for (resource, limit) in &plan.rlimits {
        let set = rustix::process::setrlimit(*resource, *limit);
        set.during(|| format!("set the limit RLIMIT_{}", format!("{resource:?}").to_uppercase()))?;
    }
    rustix::process::umask(Mode::from_raw_mode(plan.process.user.umask.unwrap_or(0o022)));
    Ok(())
}

/// User, groups, capabilities and working directory.
pub(super) fn take_identity(plan: &ProcessPlan<'_>) -> Result<(), Fault> {
    conex_sys::process::new_session_keyring().during(|| "make a session keyring".into())?;
    let early = rustix::process::chdir(&plan.cwd);
    drop_bounding(plan.capabilities.bounding)?;
    rustix::thread::set_keep_capabilities(true).during(|| "keep capabilities".into())?;
    let user = &plan.process.user;
    let groups: Vec<_> = user.additional_gids.iter().map(|gid| Gid::from_raw(*gid)).collect();
    match rustix::thread::set_thread_groups(&groups) {
        // A user namespace may deny setgroups; there, no groups were asked for in vain.
        Err(Errno::PERM) if groups.is_empty() => {}
        other => other.during(|| "set the supplementary groups".into())?,
    }
    let (uid, gid) = (Uid::from_raw(user.uid), Gid::from_raw(user.gid));
    rustix::thread::set_thread_res_gid(gid, gid, gid).during(|| format!("become group {}", user.gid))?;
    rustix::thread::set_thread_res_uid(uid, uid, uid).during(|| format!("become user {}", user.uid))?;
    let have = rustix::thread::capabilities(None).during(|| "read capabilities".into())?.permitted.bits();
    let keep = if plan.seccomp.is_some() && !plan.process.no_new_privileges { have & SYS_ADMIN } else { 0 };
    set_capabilities(plan, keep)?;
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
    Ok(())
}

/// The last steps before execve: signals as new, no_new_privs, the filter, the final capabilities.
pub(super) fn seal(plan: &ProcessPlan<'_>) -> Result<(), Fault> {
    signal::reset();
    if plan.process.no_new_privileges {
        rustix::thread::set_no_new_privs(true).during(|| "set no_new_privs".into())?;
    }
    if let Some(program) = plan.seccomp {
        // A filter that asks for notifications is refused by the engine until listeners are served.
        let _listener = program.install().during(|| "install the seccomp filter".into())?;
    }
    if plan.seccomp.is_some() && !plan.process.no_new_privileges {
        set_capabilities(plan, 0)?;
    }
    for (number, name) in NAMES.iter().enumerate() {
        if plan.capabilities.ambient & 1 << number != 0 {
            rustix::thread::configure_capability_in_ambient_set(
                CapabilitySet::from_bits_retain(1 << number),
                true,
            )
            .during(|| format!("raise the ambient capability CAP_{name}"))?;
        }
    }
    Ok(())
}

fn drop_bounding(keep: u64) -> Result<(), Fault> {
    for (number, name) in NAMES.iter().enumerate() {
        if keep & 1 << number == 0 {
            let capability = CapabilitySet::from_bits_retain(1 << number);
            match rustix::thread::remove_capability_from_bounding_set(capability) {
                // A kernel that does not know it cannot grant it.
                Err(Errno::INVAL) => {}
                other => other.during(|| format!("drop CAP_{name}"))?,
            }
        }
    }
    Ok(())
}

fn set_capabilities(plan: &ProcessPlan<'_>, besides: u64) -> Result<(), Fault> {
    let wanted = plan.capabilities;
    let sets = CapabilitySets {
        effective: CapabilitySet::from_bits_retain(wanted.effective | besides),
        permitted: CapabilitySet::from_bits_retain(wanted.permitted | besides),
        inheritable: CapabilitySet::from_bits_retain(wanted.inheritable),
    };
    rustix::thread::set_capabilities(None, sets)
        .during(|| "set the capabilities (does this host have all that were asked for?)".into())
}
