//! Capability names and the sets as bit masks (capabilities(7), `<linux/capability.h>` of Linux 6.18).

use conex_oci::runtime::Capabilities;

use crate::Error;

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

impl Sets {
    /// # Errors
    /// A name that is no capability.
    pub(crate) fn parse(sets: &Capabilities) -> Result<Self, Error> {
        Ok(Self {
            bounding: mask(&sets.bounding)?,
            effective: mask(&sets.effective)?,
            inheritable: mask(&sets.inheritable)?,
            permitted: mask(&sets.permitted)?,
            ambient: mask(&sets.ambient)?,
        })
    }
}

fn mask(names: &[String]) -> Result<u64, Error> {
    names.iter().try_fold(0, |mask, name| {
        let short = name.strip_prefix("CAP_").unwrap_or(name);
        match NAMES.iter().position(|known| *known == short) {
            Some(number) => Ok(mask | 1 << number),
            None => {
                Err(Error::Spec { what: format!("process.capabilities: {name:?} is no capability of Linux") })
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_bits_and_unknown_ones_errors() {
        let set = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(mask(&set(&["CAP_CHOWN", "CAP_SYS_ADMIN"])).unwrap(), 1 | SYS_ADMIN);
        assert!(mask(&set(&["CAP_MAGIC"])).unwrap_err().to_string().contains("CAP_MAGIC"));
    }
}
