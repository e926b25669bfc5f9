//! The eight namespaces that the process is in.

use crate::root::Root;

/// One of them.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Namespace {
    /// As under /proc/self/ns.
    pub(crate) name: &'static str,
    /// Its inode number: the same for all processes in it. `None` when the kernel does not have it.
    pub(crate) id: Option<u64>,
    /// Whether it is the one that the kernel starts with. `None` when that cannot be told from the number.
    pub(crate) is_initial: Option<bool>,
    /// What it keeps apart.
    pub(crate) about: &'static str,
}

/// Name, the number of the kernel's first one (linux/proc_ns.h), what it keeps apart. The first mount and network
/// namespaces have a fixed number since Linux 6.18 only.
const KINDS: [(&str, u64, &str); 8] = [
    ("cgroup", 0xefff_fffb, "where the cgroup tree begins"),
    ("ipc", 0xefff_ffff, "System V IPC, message queues"),
    ("mnt", 0xefff_fff8, "mounts: the filesystem it sees"),
    ("net", 0xefff_fff9, "interfaces, addresses, ports"),
    ("pid", 0xefff_fffc, "process numbers"),
    ("time", 0xefff_fffa, "boot-time and monotonic clocks"),
    ("user", 0xefff_fffd, "user numbers and capabilities"),
    ("uts", 0xefff_fffe, "host name"),
];

pub(crate) fn gather(root: &Root) -> Vec<Namespace> {
    let of = |&(name, initial, about): &(&'static str, u64, &'static str)| {
        let id = root.link(format!("proc/self/ns/{name}")).and_then(|link| id(&link));
        let is_initial = id.and_then(|id| match name {
            "mnt" | "net" if id != initial => None,
            _ => Some(id == initial),
        });
        Namespace { name, id, is_initial, about }
    };
    KINDS.iter().map(of).collect()
}

/// `pid:[4026531836]`
fn id(link: &str) -> Option<u64> {
    link.split_once(":[")?.1.strip_suffix(']')?.parse().ok()
}
