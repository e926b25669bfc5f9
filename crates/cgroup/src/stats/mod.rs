//! What a container has used, in the shape of `runc events --stats` (runc's package `types`): field for field, so that what reads
//! runc's output reads ours. Generations are translated as runc translates them: v2's numbers stand where v1's stood.

mod blocks;
mod pressure;
mod v1;
mod v2;

use std::collections::BTreeMap;

use serde::Serialize;

pub use pressure::{Pressure, PressureShare};

use crate::cgroup::Cgroup;
use crate::controllers::Controller;
use crate::error::Result;

/// One line of `runc events`.
#[derive(Debug, Clone, Serialize)]
pub struct Event<'a> {
    /// `stats` or `oom`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// The container.
    pub id: &'a str,
    /// Of `stats` only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<Stats>,
}

/// Numbers of one moment; a part is zero where its controller has no group.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Stats {
    /// Processor time.
    pub cpu: CpuStats,
    /// v1 only.
    pub cpuset: CpusetStats,
    /// Memory.
    pub memory: MemoryStats,
    /// Processes.
    pub pids: PidsStats,
    /// Block devices.
    pub blkio: BlkioStats,
    /// By page size (`2MB`).
    pub hugetlb: BTreeMap<String, HugetlbStats>,
    /// Empty: nothing is monitored by it.
    pub intel_rdt: IntelRdtStats,
    /// Absent, as the containers' networks are not made here.
    pub network_interfaces: Option<()>,
}

/// Which parts of [`Stats`] a controller counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counted {
    /// Memory.
    pub memory: bool,
    /// Processes and threads.
    pub pids: bool,
    /// Block devices.
    pub io: bool,
}

/// Nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct IntelRdtStats {}

/// Processor time.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct CpuStats {
    /// What was used.
    pub usage: CpuUsage,
    /// What the quota held back.
    pub throttling: Throttling,
    /// Waiting for a processor.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub psi: Option<Pressure>,
}

/// Nanoseconds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct CpuUsage {
    /// User and kernel.
    #[serde(skip_serializing_if = "is_zero")]
    pub total: u64,
    /// By processor; v1 only.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub percpu: Vec<u64>,
    /// By processor; v1 only.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub percpu_kernel: Vec<u64>,
    /// By processor; v1 only.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub percpu_user: Vec<u64>,
    /// In the kernel.
    pub kernel: u64,
    /// Outside it.
    pub user: u64,
}

/// The quota's work.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Throttling {
    /// Enforcement periods that have passed.
    #[serde(skip_serializing_if = "is_zero")]
    pub periods: u64,
    /// Those in which the quota ran out.
    #[serde(skip_serializing_if = "is_zero")]
    pub throttled_periods: u64,
    /// Nanoseconds spent throttled.
    #[serde(skip_serializing_if = "is_zero")]
    pub throttled_time: u64,
}

/// v1's cpuset.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct CpusetStats {
    /// Processors.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cpus: Vec<u32>,
    /// cpuset.cpu_exclusive
    pub cpu_exclusive: u64,
    /// Memory nodes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub mems: Vec<u32>,
    /// cpuset.mem_hardwall
    pub mem_hardwall: u64,
    /// cpuset.mem_exclusive
    pub mem_exclusive: u64,
    /// cpuset.memory_migrate
    pub memory_migrate: u64,
    /// cpuset.memory_spread_page
    pub memory_spread_page: u64,
    /// cpuset.memory_spread_slab
    pub memory_spread_slab: u64,
    /// cpuset.memory_pressure
    pub memory_pressure: u64,
    /// cpuset.sched_load_balance
    pub sched_load_balance: u64,
    /// cpuset.sched_relax_domain_level
    pub sched_relax_domain_level: i64,
}

/// Bytes.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct MemoryStats {
    /// Page cache.
    #[serde(skip_serializing_if = "is_zero")]
    pub cache: u64,
    /// Memory; Docker's `MEM USAGE` is `usage.usage` without `inactive_file` of `raw`.
    pub usage: MemoryEntry,
    /// Memory and swap, as v1 counts it.
    pub swap: MemoryEntry,
    /// The kernel's own; v1 only.
    pub kernel: MemoryEntry,
    /// Its TCP buffers; v1 only.
    #[serde(rename = "kernelTCP")]
    pub kernel_tcp: MemoryEntry,
    /// memory.stat
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub raw: BTreeMap<String, u64>,
    /// Waiting for memory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub psi: Option<Pressure>,
}

/// Bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct MemoryEntry {
    /// The largest number when unlimited.
    pub limit: u64,
    /// In use.
    #[serde(skip_serializing_if = "is_zero")]
    pub usage: u64,
    /// The most that ever was.
    #[serde(skip_serializing_if = "is_zero")]
    pub max: u64,
    /// How often the limit was hit; v1 only.
    pub failcnt: u64,
}

/// Counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct PidsStats {
    /// Processes and threads; processes only where no controller counts.
    #[serde(skip_serializing_if = "is_zero")]
    pub current: u64,
    /// 0 when unlimited.
    #[serde(skip_serializing_if = "is_zero")]
    pub limit: u64,
}

/// One number a device and operation.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BlkioStats {
    /// Bytes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub io_service_bytes_recursive: Vec<BlkioEntry>,
    /// Operations.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub io_serviced_recursive: Vec<BlkioEntry>,
    /// Operations that wait.
    #[serde(rename = "ioQueueRecursive", skip_serializing_if = "Vec::is_empty")]
    pub io_queued_recursive: Vec<BlkioEntry>,
    /// Nanoseconds.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub io_service_time_recursive: Vec<BlkioEntry>,
    /// Nanoseconds.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub io_wait_time_recursive: Vec<BlkioEntry>,
    /// Operations.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub io_merged_recursive: Vec<BlkioEntry>,
    /// Milliseconds.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub io_time_recursive: Vec<BlkioEntry>,
    /// Sectors.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub sectors_recursive: Vec<BlkioEntry>,
    /// Waiting for devices.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub psi: Option<Pressure>,
}

/// One device's number.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct BlkioEntry {
    /// Major number.
    #[serde(skip_serializing_if = "is_zero")]
    pub major: u64,
    /// Minor number.
    #[serde(skip_serializing_if = "is_zero")]
    pub minor: u64,
    /// `Read`, `Write`; in v1 also `Sync`, `Async`, `Discard`, `Total`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub op: String,
    /// The number.
    #[serde(skip_serializing_if = "is_zero")]
    pub value: u64,
}

/// Bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct HugetlbStats {
    /// Reserved or, before Linux 5.7, in use.
    #[serde(skip_serializing_if = "is_zero")]
    pub usage: u64,
    /// The most that ever was; v1 only.
    #[serde(skip_serializing_if = "is_zero")]
    pub max: u64,
    /// How often the limit was hit.
    pub failcnt: u64,
}

fn is_zero(value: &u64) -> bool {
    *value == 0
}

impl Cgroup {
    /// What the container has used.
    ///
    /// # Errors
    /// [`crate::Error::Read`].
    pub fn stats(&self) -> Result<Stats> {
        let mut stats = Stats::default();
        if let Some(group) = &self.unified {
            v2::cpu(group, &mut stats.cpu)?;
            stats.cpu.psi = pressure::read(group, "cpu.pressure")?;
            stats.memory.psi = pressure::read(group, "memory.pressure")?;
            stats.blkio.psi = pressure::read(group, "io.pressure")?;
        } else if let Some(group) = self.v1.iter().find(|group| group.carries("cpuacct")) {
            v1::cpu_usage(group, &mut stats.cpu.usage)?;
        }
        if let Some(group) = self.v1_of(Controller::Cpu) {
            v1::throttling(group, &mut stats.cpu.throttling)?;
        }
        if let Some(group) = self.v1_of(Controller::Cpuset) {
            v1::cpuset(group, &mut stats.cpuset)?;
        }
        if let Some(group) = self.group_of(Controller::Memory) {
            let read = if group.is_v2() { v2::memory } else { v1::memory };
            read(group, &mut stats.memory)?;
        }
        stats.pids = self.pids_stats()?;
        if let Some(group) = self.group_of(Controller::Io) {
            blocks::read(group, &mut stats.blkio)?;
        }
        if let Some(group) = self.group_of(Controller::Hugetlb) {
            let read = if group.is_v2() { v2::hugetlb } else { v1::hugetlb };
            stats.hugetlb = read(group)?;
        }
        Ok(stats)
    }

    /// Processor time that was used, nanoseconds; 0 where nothing counts it. What [`Cgroup::stats`] has in `cpu.usage.total`.
    ///
    /// # Errors
    /// [`crate::Error::Read`].
    pub fn cpu_time(&self) -> Result<u64> {
        let mut stats = CpuStats::default();
        if let Some(group) = &self.unified {
            v2::cpu(group, &mut stats)?;
        } else if let Some(group) = self.v1.iter().find(|group| group.carries("cpuacct")) {
            return Ok(group.number_if_there("cpuacct.usage")?.unwrap_or(0));
        }
        Ok(stats.usage.total)
    }

    /// What a controller counts for this container: where none does, [`Cgroup::stats`] says 0.
    pub fn counted(&self) -> Counted {
        let has = |controller, v1: &str, v2: &str| {
            self.group_of(controller).is_some_and(|group| group.has(if group.is_v2() { v2 } else { v1 }))
        };
        Counted {
            memory: has(Controller::Memory, "memory.usage_in_bytes", "memory.current"),
            pids: has(Controller::Pids, "pids.current", "pids.current"),
            io: has(Controller::Io, "blkio.throttle.io_service_bytes_recursive", "io.stat"),
        }
    }

    fn pids_stats(&self) -> Result<PidsStats> {
        let counted = self
            .group_of(Controller::Pids)
            .map(|group| group.number_if_there("pids.current").map(|n| (group, n)));
        match counted.transpose()? {
            Some((group, Some(current))) => {
                let limit = group.number_if_there("pids.max")?.unwrap_or(0);
                // The largest number is runc's word for "max", and 0 its limit for that.
                Ok(PidsStats { current, limit: if limit == u64::MAX { 0 } else { limit } })
            }
            _ => Ok(PidsStats { current: self.procs()?.len() as u64, limit: 0 }),
        }
    }
}
