//! Small writes in a new container: host and domain name, loopback, sysctls, clock offsets.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use conex_oci::runtime::{NamespaceKind, TimeOffset};
use rustix::fs::{self, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;
use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags};

use super::mounts::Root;
use super::write_all;
use crate::fault::{During, Fault};
use crate::plan::Plan;
use crate::sysctl;

/// Offsets are given before the first process lives in the namespace: time_namespaces(7). `file` is this process's
/// `timens_offsets`, opened while it was still its own.
pub(crate) fn write_time_offsets(
    file: &OwnedFd,
    offsets: &BTreeMap<String, TimeOffset>,
) -> Result<(), Fault> {
    let mut text = String::new();
    for (clock, offset) in offsets {
        let _ = writeln!(text, "{clock} {} {}", offset.secs, offset.nanosecs);
    }
    write_all(file.as_fd(), text.as_bytes()).during(|| "set the time namespace's offsets".into())
}

/// The file for them. Once a process is undumpable and somebody else in its user namespace, the file is no longer its own.
pub(crate) fn open_time_offsets() -> Result<OwnedFd, Fault> {
    let flags = OFlags::WRONLY | OFlags::CLOEXEC;
    fs::open("/proc/self/timens_offsets", flags, Mode::empty())
        .during(|| "open the time namespace's offsets".into())
}

/// Names of the UTS namespace and the loopback device, when those namespaces are the container's own.
pub(crate) fn set_names(plan: &Plan<'_>) -> Result<(), Fault> {
    for (what, name) in [("hostname", &plan.spec.hostname), ("domain name", &plan.spec.domainname)] {
        let Some(name) = name.as_ref().filter(|name| !name.is_empty()) else { continue };
        let during = || format!("set the {what} {name:?}");
        match what {
            "hostname" => rustix::system::sethostname(name.as_bytes()).during(during)?,
            _ => rustix::system::setdomainname(name.as_bytes()).during(during)?,
        }
    }
    if plan.namespaces.creates(NamespaceKind::Network) {
        conex_sys::network::loopback_up().during(|| "set the loopback device up".into())?;
    }
    Ok(())
}

/// Written through a procfs of the container's own as it was when it was made, so that nothing an image or a volume put over
/// /proc/sys can catch the write (CVE-2025-52881).
pub(crate) fn set_sysctls(plan: &Plan<'_>, root: &Root<'_>) -> Result<(), Fault> {
    if plan.linux.sysctl.is_empty() {
        return Ok(());
    }
    let private;
    let proc = match root.proc() {
        Some(proc) => proc,
        None => {
            private = private_procfs().during(|| "mount a procfs to set sysctls in".into())?;
            private.as_fd()
        }
    };
    for (name, value) in &plan.linux.sysctl {
        let path = format!("sys/{}", sysctl::path(name));
        fs::openat2(
            proc,
            Path::new(&path),
            OFlags::WRONLY | OFlags::CLOEXEC,
            Mode::empty(),
            ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_XDEV,
        )
        .and_then(|file| write_all(file.as_fd(), value.as_bytes()))
        .during(|| format!("set the sysctl {name}={value}"))?;
    }
    Ok(())
}

/// Seen by nobody else.
pub(super) fn private_procfs() -> Result<OwnedFd, Errno> {
    let context = rustix::mount::fsopen("proc", FsOpenFlags::FSOPEN_CLOEXEC)?;
    rustix::mount::fsconfig_create(context.as_fd())?;
    rustix::mount::fsmount(context.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::empty())
}
