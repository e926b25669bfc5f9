//! Which kernel parameters a container may set: those that belong to a namespace of its own. The others are the host's.

use conex_oci::runtime::{Linux, NamespaceKind};

use crate::Error;
use crate::namespaces::Namespaces;

/// Of the ipc namespace, ipc_namespaces(7).
const IPC: [&str; 8] = [
    "kernel.msgmax",
    "kernel.msgmnb",
    "kernel.msgmni",
    "kernel.sem",
    "kernel.shmall",
    "kernel.shmmax",
    "kernel.shmmni",
    "kernel.shm_rmid_forced",
];

/// # Errors
/// A parameter that is the host's, or in a namespace that the container shares with it.
pub(crate) fn check(linux: &Linux, namespaces: &Namespaces) -> Result<(), Error> {
    for name in linux.sysctl.keys() {
        let wrong = |why: &str| Err(Error::Spec { what: format!("linux.sysctl: {name:?} {why}") });
        let dotted = swap(&path(name));
        if dotted.split('.').any(|part| matches!(part, "" | "/" | "//")) {
            return wrong("is no name of a kernel parameter");
        }
        let kind = if IPC.contains(&dotted.as_str()) || dotted.starts_with("fs.mqueue.") {
            NamespaceKind::Ipc
        } else if dotted.starts_with("net.") {
            NamespaceKind::Network
        } else if dotted == "kernel.domainname" {
            NamespaceKind::Uts
        } else if dotted == "kernel.hostname" {
            return wrong("is set by the field \"hostname\"");
        } else if dotted.starts_with("user.") {
            NamespaceKind::User
        } else {
            return wrong("is not in a namespace, it is the host's");
        };
        if !namespaces.has(kind) {
            return wrong(&format!("needs a {} namespace in linux.namespaces", kind.name()));
        }
    }
    Ok(())
}

/// Below /proc/sys. sysctl(8) has two spellings, `net.ipv4.conf.eth0/1.forwarding` and `net/ipv4/conf/eth0.1/forwarding`: the
/// separator that comes first separates.
pub(crate) fn path(name: &str) -> String {
    match (name.find('.'), name.find('/')) {
        (Some(dot), Some(slash)) if slash < dot => name.to_owned(),
        (None, _) => name.to_owned(),
        _ => swap(name),
    }
}

fn swap(name: &str) -> String {
    let other = |c| match c {
        '.' => '/',
        '/' => '.',
        c => c,
    };
    name.chars().map(other).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use conex_oci::runtime::Namespace;

    #[test]
    fn both_spellings_of_a_sysctl() {
        assert_eq!(path("net.ipv4.ip_forward"), "net/ipv4/ip_forward");
        assert_eq!(path("net/ipv4/conf/eth0.1/forwarding"), "net/ipv4/conf/eth0.1/forwarding");
        assert_eq!(path("net.ipv4.conf.eth0/1.forwarding"), "net/ipv4/conf/eth0.1/forwarding");
    }

    #[test]
    fn the_hosts_own_are_refused() {
        let verdict = |name: &str, kinds: &[NamespaceKind]| {
            let of = |kind: &NamespaceKind| Namespace { kind: *kind, path: None };
            let mut linux = Linux { namespaces: kinds.iter().map(of).collect(), ..Linux::default() };
            linux.namespaces.push(of(&NamespaceKind::Mount));
            linux.sysctl.insert(name.to_owned(), "1".to_owned());
            check(&linux, &Namespaces::plan(&linux).unwrap()).is_ok()
        };
        use NamespaceKind::{Ipc, Network, Uts};
        for (name, kind) in [
            ("net.ipv4.ip_forward", Network),
            ("net/ipv4/conf/eth0.1/forwarding", Network),
            ("kernel.shmmax", Ipc),
            ("kernel/shmmax", Ipc),
            ("fs.mqueue.msg_max", Ipc),
            ("kernel.domainname", Uts),
        ] {
            assert!(verdict(name, &[kind]), "{name}");
            assert!(!verdict(name, &[]), "{name}");
        }
        for host in [
            "kernel.core_pattern",
            "vm.swappiness",
            "kernel.hostname",
            "fs.file-max",
            "",
            "net..x",
            "net/../vm/x",
        ] {
            assert!(!verdict(host, &[Ipc, Network, Uts]), "{host}");
        }
    }
}
