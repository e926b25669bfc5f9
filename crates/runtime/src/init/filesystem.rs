//! Small writes in a new container: host and domain name, loopback, sysctls, clock offsets.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::os::fd::AsFd;
use std::path::Path;

use conex_oci::runtime::{NamespaceKind, TimeOffset};
use rustix::fs::{self, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use super::mounts::Root;
use super::write_all;
use crate::fault::{During, Fault};
use crate::plan::Plan;

/// Offsets are given before the first process lives in the namespace: time_namespaces(7).
pub(crate) fn write_time_offsets(offsets: &BTreeMap<String, TimeOffset>) -> Result<(), Fault> {
    let mut text = String::new();
    for (clock, offset) in offsets {
        let _ = writeln!(text, "{clock} {} {}", offset.secs, offset.nanosecs);
    }
    std::fs::write("/proc/self/timens_offsets", text).during(|| "set the time namespace's offsets".into())
}

/// Names of the UTS namespace and the loopback device, when those namespaces are the container's own.
pub(crate) fn set_names(plan: &Plan<'_>) -> Result<(), Fault> {
    let own_uts = plan.namespaces.creates(NamespaceKind::Uts);
    for (what, name) in [("hostname", &plan.spec.hostname), ("domain name", &plan.spec.domainname)] {
        let Some(name) = name else { continue };
        let during = || format!("set the {what} {name:?}");
        if !own_uts {
            return Err(Fault::new(format!("{} without a uts namespace of its own", during()), Errno::INVAL));
        }
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

/// Written through the container's own procfs as it was when it was mounted, so that nothing an image or a volume put over
/// /proc/sys can catch the write (CVE-2025-52881).
pub(crate) fn set_sysctls(plan: &Plan<'_>, root: &Root<'_>) -> Result<(), Fault> {
    for (name, value) in &plan.linux.sysctl {
        let during = || format!("set the sysctl {name}={value}");
        let proc = root.proc.as_ref().ok_or_else(|| Fault::new(during(), Errno::NOENT))?;
        let path = format!("sys/{}", sysctl_path(name));
        fs::openat2(
            proc,
            Path::new(&path),
            OFlags::WRONLY | OFlags::CLOEXEC,
            Mode::empty(),
            ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_XDEV,
        )
        .and_then(|file| write_all(file.as_fd(), value.as_bytes()))
        .during(during)?;
    }
    Ok(())
}

/// sysctl(8)'s two spellings, `net.ipv4.conf.eth0/1.forwarding` and `net/ipv4/conf/eth0.1/forwarding`: the separator that
/// comes first separates.
fn sysctl_path(name: &str) -> String {
    match (name.find('.'), name.find('/')) {
        (Some(dot), Some(slash)) if slash < dot => name.to_owned(),
        (None, _) => name.to_owned(),
        _ => name
            .chars()
            .map(|c| match c {
                '.' => '/',
                '/' => '.',
                c => c,
            })
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn both_spellings_of_a_sysctl() {
        assert_eq!(super::sysctl_path("net.ipv4.ip_forward"), "net/ipv4/ip_forward");
        assert_eq!(super::sysctl_path("net/ipv4/conf/eth0.1/forwarding"), "net/ipv4/conf/eth0.1/forwarding");
        assert_eq!(super::sysctl_path("net.ipv4.conf.eth0/1.forwarding"), "net/ipv4/conf/eth0.1/forwarding");
    }
}
