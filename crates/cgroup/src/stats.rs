//! What a group has used.

use std::collections::BTreeMap;

use crate::cgroup::{Cgroup, field};
use crate::controllers::{Controller, v1_number};
use crate::error::Result;
use crate::group::Group;

/// Numbers of one moment; a part is absent where its controller has no group.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stats {
    /// Memory.
    pub memory: Option<MemoryStats>,
    /// Processor time.
    pub cpu: Option<CpuStats>,
    /// Processes.
    pub pids: Option<PidsStats>,
    /// Block devices.
    pub io: Vec<IoStats>,
}

/// Bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MemoryStats {
    /// In use, page cache included.
    pub usage: u64,
    /// The most that ever was in use; absent before Linux 5.19 on v2.
    pub peak: Option<u64>,
    /// Absent when unlimited.
    pub limit: Option<u64>,
    /// Page cache that can be dropped first; Docker's `MEM USAGE` is `usage - inactive_file`.
    pub inactive_file: u64,
    /// Swap in use; absent without swap accounting.
    pub swap: Option<u64>,
}

/// Microseconds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CpuStats {
    /// User and system.
    pub usage: u64,
    /// User.
    pub user: u64,
    /// System.
    pub system: u64,
    /// Enforcement periods that have passed.
    pub periods: u64,
    /// Periods in which the quota ran out.
    pub throttled_periods: u64,
    /// Time spent throttled.
    pub throttled: u64,
}

/// Counts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PidsStats {
    /// Processes and threads.
    pub current: u64,
    /// Absent when unlimited.
    pub limit: Option<u64>,
}

/// One block device.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct IoStats {
    /// Major number.
    pub major: u32,
    /// Minor number.
    pub minor: u32,
    /// Bytes read.
    pub read_bytes: u64,
    /// Bytes written.
    pub write_bytes: u64,
    /// Read operations.
    pub reads: u64,
    /// Write operations.
    pub writes: u64,
}

const MICROSECOND: u64 = 1000;

impl Cgroup {
    /// What the group has used.
    ///
    /// # Errors
    /// [`crate::Error::Read`].
    pub fn stats(&self) -> Result<Stats> {
        Ok(Stats {
            memory: self.group_of(Controller::Memory).map_or(Ok(None), memory)?,
            cpu: self.cpu()?,
            pids: self.group_of(Controller::Pids).map_or(Ok(None), pids)?,
            io: self.group_of(Controller::Io).map_or_else(|| Ok(Vec::new()), io)?,
        })
    }

    /// v2 counts processor time in every group, v1 in those of cpuacct; throttling is with the quota.
    fn cpu(&self) -> Result<Option<CpuStats>> {
        let mut stats = None;
        if let Some(group) = &self.unified {
            let text = group.read_if_there("cpu.stat")?.unwrap_or_default();
            let number = |name| field(&text, name).unwrap_or(0);
            stats = Some(CpuStats {
                usage: number("usage_usec"),
                user: number("user_usec"),
                system: number("system_usec"),
                periods: number("nr_periods"),
                throttled_periods: number("nr_throttled"),
                throttled: number("throttled_usec"),
            });
        } else if let Some(group) = self.v1.iter().find(|group| group.carries("cpuacct")) {
            let number = |file| group.number(file).map(Option::unwrap_or_default);
            stats = Some(CpuStats {
                usage: number("cpuacct.usage")? / MICROSECOND,
                user: number("cpuacct.usage_user")? / MICROSECOND,
                system: number("cpuacct.usage_sys")? / MICROSECOND,
                ..CpuStats::default()
            });
        }
        if let Some(group) = self.v1_of(Controller::Cpu) {
            let text = group.read_if_there("cpu.stat")?.unwrap_or_default();
            let stats = stats.get_or_insert_default();
            stats.periods = field(&text, "nr_periods").unwrap_or(0);
            stats.throttled_periods = field(&text, "nr_throttled").unwrap_or(0);
            stats.throttled = field(&text, "throttled_time").unwrap_or(0) / MICROSECOND;
        }
        Ok(stats)
    }
}

/// A number, or nothing when the file is not there.
fn number_if_there(group: &Group, file: &str) -> Result<Option<u64>> {
    if group.has(file) { group.number(file) } else { Ok(None) }
}

fn memory(group: &Group) -> Result<Option<MemoryStats>> {
    if group.is_v2() {
        if !group.has("memory.current") {
            return Ok(None);
        }
        let stat = group.read("memory.stat")?;
        return Ok(Some(MemoryStats {
            usage: group.number("memory.current")?.unwrap_or(0),
            peak: number_if_there(group, "memory.peak")?,
            limit: group.number("memory.max")?,
            inactive_file: field(&stat, "inactive_file").unwrap_or(0),
            swap: number_if_there(group, "memory.swap.current")?,
        }));
    }
    let usage = group.number("memory.usage_in_bytes")?.unwrap_or(0);
    let stat = group.read("memory.stat")?;
    Ok(Some(MemoryStats {
        usage,
        peak: number_if_there(group, "memory.max_usage_in_bytes")?,
        limit: v1_number(group, "memory.limit_in_bytes")?,
        inactive_file: field(&stat, "total_inactive_file").unwrap_or(0),
        swap: number_if_there(group, "memory.memsw.usage_in_bytes")?.map(|both| both.saturating_sub(usage)),
    }))
}

fn pids(group: &Group) -> Result<Option<PidsStats>> {
    if !group.has("pids.current") {
        return Ok(None);
    }
    Ok(Some(PidsStats {
        current: group.number("pids.current")?.unwrap_or(0),
        limit: group.number("pids.max")?,
    }))
}

fn io(group: &Group) -> Result<Vec<IoStats>> {
    if group.is_v2() {
        return Ok(io_v2(&group.read_if_there("io.stat")?.unwrap_or_default()));
    }
    let bytes = group.read_if_there("blkio.throttle.io_service_bytes_recursive")?.unwrap_or_default();
    let operations = group.read_if_there("blkio.throttle.io_serviced_recursive")?.unwrap_or_default();
    Ok(io_v1(&bytes, &operations))
}

fn device(text: &str) -> Option<(u32, u32)> {
    let (major, minor) = text.split_once(':')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

/// `8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=0 dios=0`
fn io_v2(text: &str) -> Vec<IoStats> {
    let line = |line: &str| {
        let mut words = line.split_ascii_whitespace();
        let (major, minor) = device(words.next()?)?;
        let mut stats = IoStats { major, minor, ..IoStats::default() };
        for (key, value) in words.filter_map(|word| word.split_once('=')) {
            let value = value.parse().unwrap_or(0);
            match key {
                "rbytes" => stats.read_bytes = value,
                "wbytes" => stats.write_bytes = value,
                "rios" => stats.reads = value,
                "wios" => stats.writes = value,
                _ => {}
            }
        }
        Some(stats)
    };
    text.lines().filter_map(line).collect()
}

/// `8:0 Read 1` and `8:0 Write 2`, in a file each for bytes and operations.
fn io_v1(bytes: &str, operations: &str) -> Vec<IoStats> {
    let mut devices: BTreeMap<(u32, u32), IoStats> = BTreeMap::new();
    for (text, is_bytes) in [(bytes, true), (operations, false)] {
        for line in text.lines() {
            let mut words = line.split_ascii_whitespace();
            let (Some(id), Some(what), Some(value)) =
                (words.next().and_then(device), words.next(), words.next())
            else {
                continue;
            };
            let stats = devices.entry(id).or_insert_with(|| IoStats {
                major: id.0,
                minor: id.1,
                ..IoStats::default()
            });
            let value = value.parse().unwrap_or(0);
            match (what, is_bytes) {
                ("Read", true) => stats.read_bytes = value,
                ("Write", true) => stats.write_bytes = value,
                ("Read", false) => stats.reads = value,
                ("Write", false) => stats.writes = value,
                _ => {}
            }
        }
    }
    devices.into_values().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_of_both_generations_read_alike() {
        let expected =
            vec![IoStats { major: 8, minor: 16, read_bytes: 1, write_bytes: 2, reads: 3, writes: 4 }];
        assert_eq!(io_v2("8:16 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=9\njunk\n"), expected);
        let (bytes, operations) =
            ("8:16 Read 1\n8:16 Write 2\n8:16 Discard 9\nTotal 12\n", "8:16 Read 3\n8:16 Write 4\nTotal 7\n");
        assert_eq!(io_v1(bytes, operations), expected);
    }
}
