//! Numbers of a v2 group.

use std::collections::BTreeMap;

use super::{CpuStats, HugetlbStats, MemoryEntry, MemoryStats};
use crate::cgroup::field;
use crate::error::Result;
use crate::group::Group;

const MICROSECOND: u64 = 1000;

/// The time that was used is in every group's cpu.stat, the throttling in those with the controller.
pub(super) fn cpu(group: &Group, stats: &mut CpuStats) -> Result<()> {
    let text = group.read_if_there("cpu.stat")?.unwrap_or_default();
    let number = |name| field(&text, name).unwrap_or(0);
    stats.usage.total = number("usage_usec") * MICROSECOND;
    stats.usage.user = number("user_usec") * MICROSECOND;
    stats.usage.kernel = number("system_usec") * MICROSECOND;
    stats.throttling.periods = number("nr_periods");
    stats.throttling.throttled_periods = number("nr_throttled");
    stats.throttling.throttled_time = number("throttled_usec") * MICROSECOND;
    Ok(())
}

pub(super) fn memory(group: &Group, stats: &mut MemoryStats) -> Result<()> {
    let Some(usage) = entry(group, "memory")? else { return Ok(()) };
    stats.usage = usage;
    let swap = entry(group, "memory.swap")?.unwrap_or_default();
    // v1's entry holds both; how much both together were at most, nobody counts.
    stats.swap = MemoryEntry {
        limit: swap.limit.saturating_add(usage.limit),
        usage: swap.usage + usage.usage,
        ..MemoryEntry::default()
    };
    stats.raw = raw(&group.read_if_there("memory.stat")?.unwrap_or_default());
    stats.cache = stats.raw.get("file").copied().unwrap_or(0);
    Ok(())
}

fn entry(group: &Group, name: &str) -> Result<Option<MemoryEntry>> {
    let Some(usage) = group.number_if_there(&format!("{name}.current"))? else { return Ok(None) };
    Ok(Some(MemoryEntry {
        usage,
        limit: group.number_if_there(&format!("{name}.max"))?.unwrap_or(u64::MAX),
        // Since Linux 5.19, of swap since 6.5.
        max: group.number_if_there(&format!("{name}.peak"))?.unwrap_or(0),
        failcnt: 0,
    }))
}

/// `NAME NUMBER` lines.
pub(super) fn raw(text: &str) -> BTreeMap<String, u64> {
    let line = |line: &str| {
        let (name, number) = line.split_once(' ')?;
        Some((name.to_owned(), number.trim().parse().ok()?))
    };
    let mut stats = BTreeMap::new();
    stats.extend(text.lines().filter_map(line));
    stats
}

pub(super) fn hugetlb(group: &Group) -> Result<BTreeMap<String, HugetlbStats>> {
    let mut stats = BTreeMap::new();
    for size in page_sizes(group, ".current")? {
        let reserved = group.number_if_there(&format!("hugetlb.{size}.rsvd.current"))?;
        let usage = match reserved {
            Some(bytes) => bytes,
            None => group.number_if_there(&format!("hugetlb.{size}.current"))?.unwrap_or(0),
        };
        let events = group.read_if_there(&format!("hugetlb.{size}.events"))?.unwrap_or_default();
        stats.insert(size, HugetlbStats { usage, max: 0, failcnt: field(&events, "max").unwrap_or(0) });
    }
    Ok(stats)
}

/// The page sizes that a group has `hugetlb.SIZE` files for.
pub(super) fn page_sizes(group: &Group, ending: &str) -> Result<Vec<String>> {
    let size = |name: &String| {
        let size = name.strip_prefix("hugetlb.")?.strip_suffix(ending)?;
        (!size.contains('.')).then(|| size.to_owned())
    };
    Ok(group.file_names()?.iter().filter_map(size).collect())
}
