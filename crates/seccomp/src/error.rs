//! What can go wrong between a profile and a program.

/// Why a profile could not be read or compiled.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The text of a profile is not JSON, or not Docker's profile format; the source says line and column.
    #[error("seccomp profile is malformed: {0}")]
    Profile(#[source] serde_json::Error),
    /// The rules in a container's spec are not what the specification has.
    #[error(transparent)]
    Rules(#[from] conex_oci::runtime::ParseError),
    /// An action that no kernel has.
    #[error("seccomp action {0:?} is unknown (expected SCMP_ACT_ALLOW, SCMP_ACT_ERRNO, …)")]
    Action(String),
    /// A comparison that is none.
    #[error("seccomp operator {0:?} is unknown (expected SCMP_CMP_EQ, SCMP_CMP_MASKED_EQ, …)")]
    Operator(String),
    /// An architecture that Linux does not run on.
    #[error("seccomp architecture {0:?} is unknown (expected SCMP_ARCH_X86_64, SCMP_ARCH_AARCH64, …)")]
    Architecture(String),
    /// A flag that seccomp(2) does not have.
    #[error("seccomp flag {0:?} is unknown (expected SECCOMP_FILTER_FLAG_LOG, …)")]
    Flag(String),
    /// System calls have six arguments.
    #[error("seccomp rule for {syscall:?} compares argument {index} (system calls have 0 to 5)")]
    Argument {
        /// The first call that the rule names.
        syscall: String,
        /// As given.
        index: u32,
    },
    /// The kernel takes 0 to 4095 as an error number.
    #[error("seccomp errnoRet {0} is out of range (0 to 4095)")]
    Errno(u32),
    /// The kernel gives a tracer 16 bits.
    #[error("seccomp errnoRet {0} is out of range for SCMP_ACT_TRACE (0 to 65535)")]
    Trace(u32),
    /// Whoever hands the notification fd over would wait for itself.
    #[error("seccomp action SCMP_ACT_NOTIFY cannot be {0}: the runtime itself would wait for the listener")]
    Notify(&'static str),
    /// No table of system calls for this machine.
    #[error("seccomp is not supported on this architecture ({0})")]
    Host(&'static str),
    /// More than the kernel takes.
    #[error("seccomp profile needs {0} BPF instructions (the kernel takes 4096)")]
    TooLong(usize),
    /// More names times conditions than any program could hold.
    #[error("seccomp profile has too many rules (65536 conditions of system calls at most)")]
    TooMany,
}

/// A name as an error quotes it: the beginning is enough to find it by.
pub(crate) fn quoted(name: &str) -> String {
    const LIMIT: usize = 80;
    let mut short: String = name.chars().take(LIMIT).collect();
    if short.len() < name.len() {
        short.push('…');
    }
    short
}
