//! One file a controller. Each knows its part of `linux.resources`, says whether a limit in it needs a group, and
//! writes it to the group's files in v1's or v2's form. None knows where the groups are.
//!
//! "Unlimited" (-1) is what a new group is: it needs no group, and is written only to one that exists.

mod cpu;
mod cpuset;
mod hugetlb;
mod io;
mod memory;
mod network;
mod pids;
mod rdma;
pub(crate) mod unified;

use conex_oci::runtime::Resources;

use crate::error::Result;
use crate::group::Group;

pub(crate) use cpu::{complete as complete_cpu, weight as cpu_weight};
pub(crate) use cpuset::parse as cpu_list;
pub(crate) use cpuset::seed;
pub(crate) use memory::{complete as complete_memory, swap_alone_of};

/// A controller of the kernel that a typed part of `linux.resources` is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Controller {
    Memory,
    Cpu,
    Cpuset,
    Pids,
    Io,
    Hugetlb,
    Rdma,
    NetworkClass,
    NetworkPriority,
    /// v1 only; v2's filter is a BPF program and needs no controller.
    Devices,
    /// v1 only; every v2 group can be frozen.
    Freezer,
    /// v1 only; every v2 group counts processor time.
    Accounting,
}

impl Controller {
    /// In the order in which limits are applied.
    pub(crate) const LIMITS: [Self; 9] = [
        Self::Memory,
        Self::Cpu,
        Self::Cpuset,
        Self::Pids,
        Self::Io,
        Self::Hugetlb,
        Self::Rdma,
        Self::NetworkClass,
        Self::NetworkPriority,
    ];

    /// In `/proc/self/cgroup` of a v1 host.
    pub(crate) fn v1(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Cpu => "cpu",
            Self::Cpuset => "cpuset",
            Self::Pids => "pids",
            Self::Io => "blkio",
            Self::Hugetlb => "hugetlb",
            Self::Rdma => "rdma",
            Self::NetworkClass => "net_cls",
            Self::NetworkPriority => "net_prio",
            Self::Devices => "devices",
            Self::Freezer => "freezer",
            Self::Accounting => "cpuacct",
        }
    }

    /// In `cgroup.controllers`; absent where v2 has no such controller.
    pub(crate) fn v2(self) -> Option<&'static str> {
        match self {
            Self::Io => Some("io"),
            Self::Memory | Self::Cpu | Self::Cpuset | Self::Pids | Self::Hugetlb | Self::Rdma => {
                Some(self.v1())
            }
            Self::NetworkClass | Self::NetworkPriority | Self::Devices | Self::Freezer | Self::Accounting => {
                None
            }
        }
    }

    /// What to do on a host without it.
    pub(crate) fn hint(self) -> &'static str {
        match self {
            Self::Memory => "boot with cgroup_enable=memory, or drop the limit",
            Self::NetworkClass | Self::NetworkPriority => {
                "it exists on cgroup v1 only; mount it, or drop the setting"
            }
            Self::Devices | Self::Freezer | Self::Accounting => "mount it below /sys/fs/cgroup",
            _ => "mount or enable it, with a kernel that has it, or drop the limit",
        }
    }

    /// Whether `resources` say anything of this controller.
    pub(crate) fn is_mentioned(self, resources: &Resources) -> bool {
        match self {
            Self::Memory => resources.memory.is_some(),
            Self::Cpu | Self::Cpuset => resources.cpu.is_some(),
            Self::Pids => resources.pids.is_some(),
            Self::Io => resources.block_io.is_some(),
            Self::Hugetlb => !resources.hugepage_limits.is_empty(),
            Self::Rdma => !resources.rdma.is_empty(),
            Self::NetworkClass | Self::NetworkPriority => resources.network.is_some(),
            Self::Accounting | Self::Devices | Self::Freezer => false,
        }
    }

    /// The first limit of this controller in `resources` that needs a group.
    pub(crate) fn needed(self, resources: &Resources) -> Option<&'static str> {
        match self {
            Self::Memory => memory::needed(resources.memory.as_ref()?),
            Self::Cpu => cpu::needed(resources.cpu.as_ref()?),
            Self::Cpuset => cpuset::needed(resources.cpu.as_ref()?),
            Self::Pids => pids::needed(resources.pids.as_ref()?),
            Self::Io => io::needed(resources.block_io.as_ref()?),
            Self::Hugetlb => (!resources.hugepage_limits.is_empty()).then_some("hugepageLimits"),
            Self::Rdma => (!resources.rdma.is_empty()).then_some("rdma"),
            Self::NetworkClass => resources.network.as_ref()?.class_id.map(|_| "network.classID"),
            Self::NetworkPriority => {
                (!resources.network.as_ref()?.priorities.is_empty()).then_some("network.priorities")
            }
            Self::Devices | Self::Freezer | Self::Accounting => None,
        }
    }

    /// Writes this controller's part of `resources` to its group.
    pub(crate) fn apply(self, group: &Group, resources: &Resources) -> Result<()> {
        match (self, &resources.memory, &resources.cpu) {
            (Self::Memory, Some(memory), _) => memory::apply(group, memory),
            (Self::Cpu, _, Some(cpu)) => cpu::apply(group, cpu),
            (Self::Cpuset, _, Some(cpu)) => cpuset::apply(group, cpu),
            (Self::Pids, ..) => resources.pids.as_ref().map_or(Ok(()), |pids| pids::apply(group, pids)),
            (Self::Io, ..) => resources.block_io.as_ref().map_or(Ok(()), |io| io::apply(group, io)),
            (Self::Hugetlb, ..) => hugetlb::apply(group, &resources.hugepage_limits),
            (Self::Rdma, ..) => rdma::apply(group, &resources.rdma),
            (Self::NetworkClass, ..) => {
                resources.network.as_ref().map_or(Ok(()), |part| network::apply_class(group, part))
            }
            (Self::NetworkPriority, ..) => {
                resources.network.as_ref().map_or(Ok(()), |part| network::apply_priorities(group, part))
            }
            _ => Ok(()),
        }
    }
}
