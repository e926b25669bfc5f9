//! `linux.resources.memory`. The specification's `swap` is memory *plus* swap, as v1 counts it; v2 limits swap alone.
//! 0 means "not given", as in Docker's API and in runc; -1 is unlimited.

use conex_oci::runtime::Memory;
use rustix::io::Errno;

use crate::error::{Error, Result};
use crate::group::{Group, Limit};

const SWAP_HINT: &str = "boot with swapaccount=1 and a kernel with swap, or set no memory+swap limit";
const V1_ONLY: &str = "it exists on cgroup v1 only; drop the setting";

fn limit(name: &str) -> Limit<'_> {
    Limit { controller: "memory", name, hint: "this kernel does not have it; drop the setting" }
}

fn swap_limit() -> Limit<'static> {
    Limit { hint: SWAP_HINT, ..limit("memory.swap") }
}

pub(crate) fn needed(memory: &Memory) -> Option<&'static str> {
    let is_set = |value: Option<i64>| value.is_some_and(|value| value != 0 && value != -1);
    let settings = [
        (is_set(memory.limit), "memory.limit"),
        (is_set(memory.swap), "memory.swap"),
        (is_set(memory.reservation), "memory.reservation"),
        (is_set(memory.kernel), "memory.kernel"),
        (is_set(memory.kernel_tcp), "memory.kernelTCP"),
        (memory.swappiness.is_some(), "memory.swappiness"),
        (memory.disable_oom_killer == Some(true), "memory.disableOOMKiller"),
    ];
    settings.into_iter().find(|(is_set, _)| *is_set).map(|(_, name)| name)
}

pub(crate) fn apply(group: &Group, memory: &Memory) -> Result<()> {
    if group.is_v2() { apply_v2(group, memory) } else { apply_v1(group, memory) }
}

/// Bytes; nothing is unlimited.
type Bytes = Option<u64>;

/// A value of the specification: not given, or a limit.
fn given(name: &str, value: Option<i64>) -> Result<Option<Bytes>> {
    match value {
        None | Some(0) => Ok(None),
        Some(-1) => Ok(Some(None)),
        Some(bytes) => match u64::try_from(bytes) {
            Ok(bytes) => Ok(Some(Some(bytes))),
            Err(_) => Err(wrong(name, bytes, "it is negative (-1 is unlimited)")),
        },
    }
}

fn wrong(name: &str, value: impl ToString, why: impl Into<String>) -> Error {
    Error::Value { limit: name.to_owned(), value: value.to_string(), why: why.into() }
}

/// `memory.swap.max` for memory+swap of `both` and memory of `memory`.
fn swap_alone(both: Bytes, memory: Bytes) -> Result<Bytes> {
    match (both, memory) {
        (None, _) => Ok(None),
        (Some(both), None) => Err(wrong("memory.swap", both, "memory+swap needs a memory limit beside it")),
        (Some(both), Some(memory)) if both < memory => {
            Err(wrong("memory.swap", both, format!("memory+swap is less than the memory limit ({memory})")))
        }
        (Some(both), Some(memory)) => Ok(Some(both - memory)),
    }
}

/// What `memory.swap.max` becomes, if anything is said of it; the present memory limit has to be filled in.
pub(crate) fn swap_alone_of(memory: &Memory) -> Result<Option<Bytes>> {
    let limit = given("memory.limit", memory.limit)?;
    match (given("memory.swap", memory.swap)?, limit) {
        // No limit of memory takes that of swap away with it; beside none, memory+swap is swap.
        (None, Some(None)) => Ok(Some(None)),
        (None, _) => Ok(None),
        (Some(both), Some(None)) => Ok(Some(both)),
        (Some(both), limit) => swap_alone(both, limit.flatten()).map(Some),
    }
}

fn apply_v2(group: &Group, memory: &Memory) -> Result<()> {
    refuse_v1_only(memory)?;
    let new_limit = given("memory.limit", memory.limit)?;
    let beside = match (new_limit, given("memory.swap", memory.swap)?) {
        // Memory+swap alone is counted from the memory limit in force.
        (None, Some(_)) => group.number("memory.max")?.and_then(|bytes| i64::try_from(bytes).ok()),
        _ => memory.limit,
    };
    refuse_below_use(group, memory, "memory.current")?;
    if let Some(bytes) = swap_alone_of(&Memory { limit: beside, ..memory.clone() })? {
        write_swap_max(group, bytes)?;
    }
    if let Some(bytes) = new_limit {
        group.set(limit("memory.limit"), "memory.max", &v2_text(bytes))?;
    }
    if let Some(bytes) = given("memory.reservation", memory.reservation)? {
        group.set(limit("memory.reservation"), "memory.low", &v2_text(bytes))?;
    }
    Ok(())
}

/// Fills in the memory limit in force beside a limit of memory+swap.
pub(crate) fn complete(group: &Group, memory: &mut Memory) -> Result<()> {
    if given("memory.limit", memory.limit)?.is_none() && given("memory.swap", memory.swap)?.is_some() {
        let now = if group.is_v2() {
            group.number("memory.max")?
        } else {
            v1_number(group, "memory.limit_in_bytes")?
        };
        memory.limit = now.and_then(|bytes| i64::try_from(bytes).ok());
    }
    Ok(())
}

fn v2_text(bytes: Bytes) -> String {
    bytes.map_or_else(|| "max".to_owned(), |bytes| bytes.to_string())
}

fn write_swap_max(group: &Group, bytes: Bytes) -> Result<()> {
    let text = v2_text(bytes);
    match group.write_raw("memory.swap.max", &text) {
        // Without accounting, "no limit" is in force; without swap in the kernel, "no swap" is.
        Err(Errno::NOENT)
            if bytes.is_none() || bytes == Some(0) && !std::path::Path::new("/proc/swaps").exists() =>
        {
            Ok(())
        }
        result => result.map_err(|source| group.refused(swap_limit(), "memory.swap.max", &text, source)),
    }
}

fn refuse_v1_only(memory: &Memory) -> Result<()> {
    let kernel = |value: Option<i64>| value.is_some_and(|value| value > 0);
    let settings = [
        (kernel(memory.kernel), "memory.kernel"),
        (kernel(memory.kernel_tcp), "memory.kernelTCP"),
        (memory.swappiness.is_some(), "memory.swappiness"),
        (memory.disable_oom_killer == Some(true), "memory.disableOOMKiller"),
    ];
    match settings.into_iter().find(|(is_set, _)| *is_set) {
        Some((_, name)) => {
            Err(Error::Unsupported { controller: "memory".to_owned(), limit: name.to_owned(), hint: V1_ONLY })
        }
        None => Ok(()),
    }
}

/// `checkBeforeUpdate`: v2 would kill rather than refuse.
fn refuse_below_use(group: &Group, memory: &Memory, file: &str) -> Result<()> {
    let positive =
        |value: Option<i64>| value.and_then(|value| u64::try_from(value).ok()).filter(|value| *value > 0);
    let limits = [("memory.limit", positive(memory.limit)), ("memory.swap", positive(memory.swap))];
    if memory.check_before_update != Some(true) || limits.iter().all(|(_, limit)| limit.is_none()) {
        return Ok(());
    }
    let used = group.number(file)?.unwrap_or(0);
    match limits.into_iter().find_map(|(name, limit)| Some((name, limit.filter(|limit| *limit <= used)?))) {
        Some((name, limit)) => Err(wrong(name, limit, format!("{used} bytes are in use"))),
        None => Ok(()),
    }
}

fn apply_v1(group: &Group, memory: &Memory) -> Result<()> {
    if memory.use_hierarchy.is_some() {
        // Always on since Linux 5.11, where 1 is taken and 0 is refused.
        let value = if memory.use_hierarchy == Some(true) { "1" } else { "0" };
        if group.read_if_there("memory.use_hierarchy")?.is_some_and(|now| now.trim() != value) {
            group.set(limit("memory.useHierarchy"), "memory.use_hierarchy", value)?;
        }
    }
    let new_limit = given("memory.limit", memory.limit)?;
    refuse_below_use(group, memory, "memory.usage_in_bytes")?;
    write_v1_limits(group, new_limit, given("memory.swap", memory.swap)?)?;
    let others = [
        ("memory.reservation", memory.reservation, "memory.soft_limit_in_bytes"),
        ("memory.kernel", memory.kernel, "memory.kmem.limit_in_bytes"),
        ("memory.kernelTCP", memory.kernel_tcp, "memory.kmem.tcp.limit_in_bytes"),
    ];
    for (name, value, file) in others {
        if let Some(bytes) = given(name, value)? {
            group.set(limit(name), file, &v1_text(bytes))?;
            if name == "memory.kernel" && bytes.is_some() && v1_number(group, file)?.is_none() {
                let controller = "memory".to_owned();
                let hint =
                    "Linux 5.16 took it away, and later ones take the number and do nothing; drop the limit";
                return Err(Error::Unsupported { controller, limit: name.to_owned(), hint });
            }
        }
    }
    if let Some(swappiness) = memory.swappiness {
        if swappiness > 100 {
            return Err(wrong("memory.swappiness", swappiness, "it is above 100"));
        }
        group.set(limit("memory.swappiness"), "memory.swappiness", &swappiness.to_string())?;
    }
    if let Some(disable) = memory.disable_oom_killer {
        let value = if disable { "1" } else { "0" };
        group.set(limit("memory.disableOOMKiller"), "memory.oom_control", value)?;
    }
    Ok(())
}

fn v1_text(bytes: Bytes) -> String {
    bytes.map_or_else(|| "-1".to_owned(), |bytes| bytes.to_string())
}

/// The kernel keeps memory <= memory+swap at every moment: the order of the two writes depends on the direction.
fn write_v1_limits(group: &Group, new_limit: Option<Bytes>, new_both: Option<Bytes>) -> Result<()> {
    const MEMORY: &str = "memory.limit_in_bytes";
    const BOTH: &str = "memory.memsw.limit_in_bytes";
    let write_both = |bytes: Bytes| {
        group
            .write_raw(BOTH, &v1_text(bytes))
            .map_err(|source| v1_refused(group, swap_limit(), BOTH, bytes, source))
    };
    let write_limit = |bytes: Bytes| {
        group
            .write_raw(MEMORY, &v1_text(bytes))
            .map_err(|source| v1_refused(group, limit("memory.limit"), MEMORY, bytes, source))
    };
    match (new_limit, new_both) {
        (None, None) => Ok(()),
        (Some(bytes), None) => {
            let both = if group.has(BOTH) { v1_number(group, BOTH)? } else { None };
            match (bytes, both) {
                // An unlimited memory takes the limit of memory+swap away with it.
                (None, Some(_)) => write_both(None)?,
                (Some(bytes), Some(both)) if bytes > both => {
                    let why = format!("it is above the memory+swap limit in force ({both}): set both");
                    return Err(wrong("memory.limit", bytes, why));
                }
                _ => {}
            }
            write_limit(bytes)
        }
        (new_limit, Some(both)) => {
            let beside = match new_limit {
                Some(bytes) => bytes,
                None => v1_number(group, MEMORY)?,
            };
            swap_alone(both, beside)?;
            // Without accounting, "no limit" is in force already.
            if both.is_none() && !group.has(BOTH) {
                return new_limit.map_or(Ok(()), write_limit);
            }
            if !group.has(BOTH) {
                return Err(group.refused(swap_limit(), BOTH, &v1_text(both), Errno::NOENT));
            }
            let is_raised = match (both, v1_number(group, BOTH)?) {
                (None, _) => true,
                (Some(_), None) => false,
                (Some(new), Some(now)) => new > now,
            };
            if is_raised {
                write_both(both)?;
            }
            if let Some(bytes) = new_limit {
                write_limit(bytes)?;
            }
            if is_raised { Ok(()) } else { write_both(both) }
        }
    }
}

fn v1_refused(group: &Group, limit: Limit<'_>, file: &str, bytes: Bytes, source: Errno) -> Error {
    match (source, bytes) {
        // The kernel could not reclaim enough.
        (Errno::BUSY, Some(bytes)) => wrong(limit.name, bytes, "more is in use and cannot be reclaimed"),
        _ => group.refused(limit, file, &v1_text(bytes), source),
    }
}

/// v1 writes "no limit" as the largest number of whole pages.
pub(crate) fn v1_number(group: &Group, file: &str) -> Result<Bytes> {
    Ok(group.number(file)?.filter(|bytes| *bytes < (i64::MAX as u64) - (1 << 20)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn swap_is_what_remains() {
        assert_eq!(swap_alone(Some(100), Some(60)).expect("valid"), Some(40));
        assert_eq!(swap_alone(Some(60), Some(60)).expect("valid"), Some(0));
        assert_eq!(swap_alone(None, Some(60)).expect("valid"), None);
        assert_eq!(swap_alone(None, None).expect("valid"), None);
        assert!(swap_alone(Some(50), Some(60)).is_err());
        assert!(swap_alone(Some(50), None).is_err());
    }

    #[test]
    fn unlimited_needs_no_group() {
        assert_eq!(needed(&Memory { limit: Some(-1), swap: Some(0), ..Memory::default() }), None);
        assert_eq!(needed(&Memory { limit: Some(1), ..Memory::default() }), Some("memory.limit"));
        assert_eq!(needed(&Memory { disable_oom_killer: Some(false), ..Memory::default() }), None);
        assert_eq!(needed(&Memory { swappiness: Some(0), ..Memory::default() }), Some("memory.swappiness"));
    }

    #[test]
    fn negative_is_an_error() {
        assert!(given("memory.limit", Some(-2)).is_err());
        assert_eq!(given("memory.limit", Some(-1)).expect("valid"), Some(None));
        assert_eq!(given("memory.limit", Some(0)).expect("valid"), None);
    }
}
