//! Numbers of v1 groups.

use std::collections::BTreeMap;

use super::v2::{page_sizes, raw};
use super::{CpuUsage, CpusetStats, HugetlbStats, MemoryEntry, MemoryStats, Throttling};
use crate::cgroup::field;
use crate::controllers::cpu_list;
use crate::error::Result;
use crate::group::Group;

pub(super) fn cpu_usage(group: &Group, usage: &mut CpuUsage) -> Result<()> {
    let number = |file| Ok(group.number_if_there(file)?.unwrap_or(0));
    usage.total = number("cpuacct.usage")?;
    usage.user = number("cpuacct.usage_user")?;
    usage.kernel = number("cpuacct.usage_sys")?;
    let row =
        |text: &str| text.split_ascii_whitespace().filter_map(|word| word.parse().ok()).collect::<Vec<u64>>();
    usage.percpu = row(&group.read_if_there("cpuacct.usage_percpu")?.unwrap_or_default());
    // cpu user system — a line a processor below a heading.
    let all = group.read_if_there("cpuacct.usage_all")?.unwrap_or_default();
    for line in all.lines().skip(1) {
        if let [_, user, kernel] = row(line)[..] {
            usage.percpu_user.push(user);
            usage.percpu_kernel.push(kernel);
        }
    }
    Ok(())
}

pub(super) fn throttling(group: &Group, throttling: &mut Throttling) -> Result<()> {
    let text = group.read_if_there("cpu.stat")?.unwrap_or_default();
    let number = |name| field(&text, name).unwrap_or(0);
    throttling.periods = number("nr_periods");
    throttling.throttled_periods = number("nr_throttled");
    throttling.throttled_time = number("throttled_time");
    Ok(())
}

pub(super) fn cpuset(group: &Group, stats: &mut CpusetStats) -> Result<()> {
    let list = |file| -> Result<Vec<u32>> {
        let text = group.read_if_there(file)?.unwrap_or_default();
        Ok(cpu_list(&text).unwrap_or_default().into_iter().flat_map(|(first, last)| first..=last).collect())
    };
    let number = |file| Ok(group.number_if_there(file)?.unwrap_or(0));
    stats.cpus = list("cpuset.cpus")?;
    stats.mems = list("cpuset.mems")?;
    stats.cpu_exclusive = number("cpuset.cpu_exclusive")?;
    stats.mem_hardwall = number("cpuset.mem_hardwall")?;
    stats.mem_exclusive = number("cpuset.mem_exclusive")?;
    stats.memory_migrate = number("cpuset.memory_migrate")?;
    stats.memory_spread_page = number("cpuset.memory_spread_page")?;
    stats.memory_spread_slab = number("cpuset.memory_spread_slab")?;
    stats.memory_pressure = number("cpuset.memory_pressure")?;
    stats.sched_load_balance = number("cpuset.sched_load_balance")?;
    let level = group.read_if_there("cpuset.sched_relax_domain_level")?;
    stats.sched_relax_domain_level = level.and_then(|text| text.trim().parse().ok()).unwrap_or(0);
    Ok(())
}

pub(super) fn memory(group: &Group, stats: &mut MemoryStats) -> Result<()> {
    stats.raw = raw(&group.read_if_there("memory.stat")?.unwrap_or_default());
    stats.cache = stats.raw.get("cache").copied().unwrap_or(0);
    stats.usage = entry(group, "memory")?;
    stats.swap = entry(group, "memory.memsw")?;
    stats.kernel = entry(group, "memory.kmem")?;
    stats.kernel_tcp = entry(group, "memory.kmem.tcp")?;
    Ok(())
}

fn entry(group: &Group, name: &str) -> Result<MemoryEntry> {
    let number = |file: &str| Ok(group.number_if_there(&format!("{name}.{file}"))?.unwrap_or(0));
    Ok(MemoryEntry {
        limit: number("limit_in_bytes")?,
        usage: number("usage_in_bytes")?,
        max: number("max_usage_in_bytes")?,
        failcnt: number("failcnt")?,
    })
}

pub(super) fn hugetlb(group: &Group) -> Result<BTreeMap<String, HugetlbStats>> {
    let mut stats = BTreeMap::new();
    for size in page_sizes(group, ".usage_in_bytes")? {
        let number = |file: &str| match group.number_if_there(&format!("hugetlb.{size}.rsvd.{file}"))? {
            Some(number) => Ok(number),
            None => group.number_if_there(&format!("hugetlb.{size}.{file}")).map(Option::unwrap_or_default),
        };
        let numbers = HugetlbStats {
            usage: number("usage_in_bytes")?,
            max: number("max_usage_in_bytes")?,
            failcnt: number("failcnt")?,
        };
        stats.insert(size, numbers);
    }
    Ok(stats)
}
