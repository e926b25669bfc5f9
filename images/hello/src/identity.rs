//! Who the process is and what it may do: numbers, user mapping, capabilities, seccomp.

use crate::root::Root;

/// From /proc/self/status and its neighbours.
#[derive(Debug, Default)]
pub(crate) struct Identity {
    pub(crate) pid: Option<u64>,
    pub(crate) program: Option<String>,
    pub(crate) uid: Option<u64>,
    pub(crate) gid: Option<u64>,
    pub(crate) groups: Vec<u64>,
    pub(crate) uid_map: Vec<Mapping>,
    pub(crate) gid_map: Vec<Mapping>,
    pub(crate) capabilities: Vec<Set>,
    pub(crate) no_new_privs: Option<bool>,
    pub(crate) seccomp: Option<Seccomp>,
    /// AppArmor's or SELinux' name for what confines the process.
    pub(crate) label: Option<String>,
}

/// `count` numbers from `inside` on are `outside` and on for the parent user namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mapping {
    pub(crate) inside: u64,
    pub(crate) outside: u64,
    pub(crate) count: u64,
}

impl Mapping {
    /// Everything to itself, as in the first user namespace.
    pub(crate) fn is_identity(&self) -> bool {
        self.inside == 0 && self.outside == 0 && self.count == u64::from(u32::MAX)
    }
}

/// One of the five capability sets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Set {
    pub(crate) name: &'static str,
    pub(crate) bits: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Seccomp {
    pub(crate) mode: &'static str,
    /// `None` before Linux 5.9.
    pub(crate) filters: Option<u64>,
}

/// In the order of their bits (linux/capability.h), without `CAP_`.
const CAPABILITIES: [&str; 41] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "IPC_OWNER",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "LEASE",
    "AUDIT_WRITE",
    "AUDIT_CONTROL",
    "SETFCAP",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "SYSLOG",
    "WAKE_ALARM",
    "BLOCK_SUSPEND",
    "AUDIT_READ",
    "PERFMON",
    "BPF",
    "CHECKPOINT_RESTORE",
];

/// The number of capabilities we know names of.
pub(crate) const ALL: u32 = CAPABILITIES.len() as u32;

impl Set {
    /// The names of the capabilities in it, without `CAP_`; the number of one without a known name.
    pub(crate) fn names(&self) -> Vec<String> {
        let name = |bit: u32| match CAPABILITIES.get(bit as usize) {
            Some(name) => (*name).to_owned(),
            None => bit.to_string(),
        };
        (0..64).filter(|bit| self.bits >> bit & 1 == 1).map(name).collect()
    }
}

impl Identity {
    pub(crate) fn gather(root: &Root) -> Self {
        let status = root.read("proc/self/status").unwrap_or_default();
        let field = |name: &str| {
            status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
        };
        let number = |name| field(name)?.split_whitespace().next()?.parse::<u64>().ok();
        let set = |(name, key)| Some(Set { name, bits: u64::from_str_radix(field(key)?, 16).ok()? });
        let sets = [
            ("effective", "CapEff"),
            ("permitted", "CapPrm"),
            ("inheritable", "CapInh"),
            ("bounding", "CapBnd"),
            ("ambient", "CapAmb"),
        ];
        let mode = match number("Seccomp") {
            Some(0) => Some("disabled"),
            Some(1) => Some("strict"),
            Some(2) => Some("filter"),
            _ => None,
        };
        Self {
            pid: number("Pid"),
            program: root.link("proc/self/exe"),
            uid: number("Uid"),
            gid: number("Gid"),
            groups: field("Groups")
                .unwrap_or_default()
                .split_whitespace()
                .filter_map(|g| g.parse().ok())
                .collect(),
            uid_map: map(root, "proc/self/uid_map"),
            gid_map: map(root, "proc/self/gid_map"),
            capabilities: sets.into_iter().filter_map(set).collect(),
            no_new_privs: number("NoNewPrivs").map(|n| n != 0),
            seccomp: mode.map(|mode| Seccomp { mode, filters: number("Seccomp_filters") }),
            label: ["proc/self/attr/apparmor/current", "proc/self/attr/current"]
                .iter()
                .find_map(|path| root.line(path)),
        }
    }
}

fn map(root: &Root, path: &str) -> Vec<Mapping> {
    let line = |line: &str| {
        let mut numbers = line.split_whitespace().map(|n| n.parse().ok());
        Some(Mapping { inside: numbers.next()??, outside: numbers.next()??, count: numbers.next()?? })
    };
    root.read(path).unwrap_or_default().lines().filter_map(line).collect()
}
