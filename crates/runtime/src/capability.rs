//! Capability names and the sets as bit masks (capabilities(7), `<linux/capability.h>` of Linux 6.18).

use conex_oci::runtime::Capabilities;

/// By number, without `CAP_`.
pub const NAMES: [&str; 41] = [
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

/// CAP_SYS_ADMIN, which installing a seccomp filter without no_new_privs takes.
pub(crate) const SYS_ADMIN: u64 = 1 << 21;

/// The five sets, bit n for capability n.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Sets {
    pub(crate) bounding: u64,
    pub(crate) effective: u64,
    pub(crate) inheritable: u64,
    pub(crate) permitted: u64,
    pub(crate) ambient: u64,
}

impl From<&Capabilities> for Sets {
    /// Names that are no capability are left out: see [`crate::warnings`].
    fn from(sets: &Capabilities) -> Self {
        Self {
            bounding: mask(&sets.bounding),
            effective: mask(&sets.effective),
            inheritable: mask(&sets.inheritable),
            permitted: mask(&sets.permitted),
            ambient: mask(&sets.ambient),
        }
    }
}

fn mask(names: &[String]) -> u64 {
    names.iter().filter_map(|name| number(name)).fold(0, |mask, number| mask | 1 << number)
}

fn number(name: &str) -> Option<usize> {
    let short = name.strip_prefix("CAP_").unwrap_or(name);
    NAMES.iter().position(|known| *known == short)
}

/// Names in the five sets that are no capability of Linux, each once.
pub(crate) fn unknown(sets: &Capabilities) -> Vec<&str> {
    let all = [&sets.bounding, &sets.effective, &sets.inheritable, &sets.permitted, &sets.ambient];
    let mut unknown = Vec::new();
    for name in all.into_iter().flatten() {
        if number(name).is_none() && !unknown.contains(&name.as_str()) {
            unknown.push(name);
        }
    }
    unknown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_bits_and_unknown_ones_are_told() {
        let set = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(mask(&set(&["CAP_CHOWN", "CAP_MAGIC", "CAP_SYS_ADMIN"])), 1 | SYS_ADMIN);
        let magic = set(&["CAP_KILL", "CAP_MAGIC"]);
        let sets = Capabilities { bounding: magic.clone(), ambient: magic, ..Capabilities::default() };
        assert_eq!(unknown(&sets), ["CAP_MAGIC"]);
    }
}
