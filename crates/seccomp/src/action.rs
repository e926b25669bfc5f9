//! Verdicts: the specification's names for them and the kernel's numbers.

use serde::Deserialize;

use crate::error::quoted;
use crate::{Error, Result};

/// The specification's names (config-linux.md#seccomp, `action`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(try_from = "String")]
pub(crate) enum ActionName {
    KillProcess,
    KillThread,
    Trap,
    Errno,
    Notify,
    Trace,
    Log,
    Allow,
}

/// The first of two names of one action is the one we write.
pub(crate) const NAMES: [(ActionName, &str); 9] = [
    (ActionName::KillProcess, "SCMP_ACT_KILL_PROCESS"),
    (ActionName::KillThread, "SCMP_ACT_KILL"),
    (ActionName::KillThread, "SCMP_ACT_KILL_THREAD"),
    (ActionName::Trap, "SCMP_ACT_TRAP"),
    (ActionName::Errno, "SCMP_ACT_ERRNO"),
    (ActionName::Notify, "SCMP_ACT_NOTIFY"),
    (ActionName::Trace, "SCMP_ACT_TRACE"),
    (ActionName::Log, "SCMP_ACT_LOG"),
    (ActionName::Allow, "SCMP_ACT_ALLOW"),
];

impl ActionName {
    /// From the specification's name.
    pub(crate) fn parse(name: &str) -> Result<Self> {
        let found = NAMES.iter().find(|(_, known)| *known == name);
        found.map(|(action, _)| *action).ok_or_else(|| Error::Action(quoted(name)))
    }

    /// As a specification writes it.
    pub(crate) fn spec_name(self) -> &'static str {
        NAMES.iter().find(|(action, _)| *action == self).map_or("", |(_, name)| name)
    }
}

impl TryFrom<String> for ActionName {
    type Error = Error;

    fn try_from(name: String) -> Result<Self> {
        Self::parse(&name)
    }
}

/// What a filter says of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Action {
    KillProcess,
    KillThread,
    Trap,
    Errno(u16),
    Notify,
    Trace(u16),
    Log,
    Allow,
}

const EPERM: u32 = 1;
pub(crate) const ENOSYS: u16 = 38;

/// `MAX_ERRNO`: the kernel would clip a larger one.
const MAX_ERRNO: u32 = 4095;

impl Action {
    /// From a specification's name and `errnoRet`, which is EPERM when absent.
    pub(crate) fn parse(name: &str, errno: Option<u32>) -> Result<Self> {
        Self::new(ActionName::parse(name)?, errno)
    }

    /// The number goes with ERRNO and TRACE only; others ignore it, as the specification's examples do.
    pub(crate) fn new(name: ActionName, errno: Option<u32>) -> Result<Self> {
        let number = errno.unwrap_or(EPERM);
        Ok(match name {
            ActionName::KillProcess => Self::KillProcess,
            ActionName::KillThread => Self::KillThread,
            ActionName::Trap => Self::Trap,
            ActionName::Errno if number > MAX_ERRNO => return Err(Error::Errno(number)),
            ActionName::Errno => Self::Errno(number as u16),
            ActionName::Notify => Self::Notify,
            ActionName::Trace => Self::Trace(u16::try_from(number).map_err(|_| Error::Trace(number))?),
            ActionName::Log => Self::Log,
            ActionName::Allow => Self::Allow,
        })
    }

    /// `SECCOMP_RET_…` with its data.
    pub(crate) fn verdict(self) -> u32 {
        match self {
            Self::KillProcess => 0x8000_0000,
            Self::KillThread => 0,
            Self::Trap => 0x0003_0000,
            Self::Errno(number) => 0x0005_0000 | u32::from(number),
            Self::Notify => 0x7fc0_0000,
            Self::Trace(number) => 0x7ff0_0000 | u32::from(number),
            Self::Log => 0x7ffc_0000,
            Self::Allow => 0x7fff_0000,
        }
    }

    /// The kernel's precedence among several filters: the least is the strictest. Two error numbers are equally strict.
    pub(crate) fn leniency(self) -> u8 {
        match self {
            Self::KillProcess => 0,
            Self::KillThread => 1,
            Self::Trap => 2,
            Self::Errno(_) => 3,
            Self::Notify => 4,
            Self::Trace(_) => 5,
            Self::Log => 6,
            Self::Allow => 7,
        }
    }
}
