//! Resource limits that a user namespace would not let rise: only CAP_SYS_RESOURCE of the first one may (setrlimit(2)).

use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};

/// Raises the hard limits that are below what the spec asks for, of the process or, without one, of the caller. Who may not is
/// told when the process itself sets them.
pub(crate) fn raise(limits: &[(Resource, Rlimit)], pid: Option<u32>) {
    let pid = pid.and_then(|pid| Pid::from_raw(i32::try_from(pid).ok()?));
    for (resource, wanted) in limits {
        // Without a bound is above all.
        let height = |limit: Option<u64>| limit.unwrap_or(u64::MAX);
        // The child's are the caller's so far.
        let now = getrlimit(*resource);
        if height(now.maximum) < height(wanted.maximum) {
            let _ = prlimit(pid, *resource, Rlimit { current: now.current, maximum: wanted.maximum });
        }
    }
}
