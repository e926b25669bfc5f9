//! How the process is scheduled and where its memory lies: `config.md#linux-process`, `config-linux.md#memory-policy`,
//! `config-linux.md#personality`.

use serde::{Deserialize, Serialize};

use super::constants::constants;

constants! {
    /// sched(7)
    pub enum SchedulerPolicy {
        /// The default time-sharing policy.
        Other = "SCHED_OTHER",
        /// Real-time, first in, first out.
        Fifo = "SCHED_FIFO",
        /// Real-time, round robin.
        RoundRobin = "SCHED_RR",
        /// Time-sharing for work without interaction.
        Batch = "SCHED_BATCH",
        /// Reserved by the kernel, which has none.
        Iso = "SCHED_ISO",
        /// Only when nothing else runs.
        Idle = "SCHED_IDLE",
        /// Earliest deadline first.
        Deadline = "SCHED_DEADLINE",
    }
}

constants! {
    /// sched_setattr(2)
    pub enum SchedulerFlag {
        /// Children have the default policy.
        ResetOnFork = "SCHED_FLAG_RESET_ON_FORK",
        /// Unused bandwidth of others may be taken.
        Reclaim = "SCHED_FLAG_RECLAIM",
        /// SIGXCPU on an overrun.
        DeadlineOverrun = "SCHED_FLAG_DL_OVERRUN",
        /// The policy stays.
        KeepPolicy = "SCHED_FLAG_KEEP_POLICY",
        /// The parameters stay.
        KeepParameters = "SCHED_FLAG_KEEP_PARAMS",
        /// A least utilisation; the specification has no field for its value.
        UtilisationClampMin = "SCHED_FLAG_UTIL_CLAMP_MIN",
        /// A greatest utilisation; the specification has no field for its value.
        UtilisationClampMax = "SCHED_FLAG_UTIL_CLAMP_MAX",
    }
}

constants! {
    /// ioprio_set(2)
    pub enum IoPriorityClass {
        /// Real-time.
        RealTime = "IOPRIO_CLASS_RT",
        /// Best effort, the default.
        BestEffort = "IOPRIO_CLASS_BE",
        /// Only when nobody else wants the disk.
        Idle = "IOPRIO_CLASS_IDLE",
    }
}

constants! {
    /// set_mempolicy(2)
    pub enum MemoryPolicyMode {
        /// The kernel's own.
        Default = "MPOL_DEFAULT",
        /// From these nodes only.
        Bind = "MPOL_BIND",
        /// From these nodes in turn.
        Interleave = "MPOL_INTERLEAVE",
        /// Likewise, by weight (Linux 6.9).
        WeightedInterleave = "MPOL_WEIGHTED_INTERLEAVE",
        /// From this node when it has any left.
        Preferred = "MPOL_PREFERRED",
        /// From these nodes when they have any left (Linux 5.15).
        PreferredMany = "MPOL_PREFERRED_MANY",
        /// From the node that it runs on.
        Local = "MPOL_LOCAL",
    }
}

constants! {
    /// set_mempolicy(2)
    pub enum MemoryPolicyFlag {
        /// Pages move to where they are used (Linux 5.12).
        NumaBalancing = "MPOL_F_NUMA_BALANCING",
        /// Nodes are counted within the cpuset's.
        RelativeNodes = "MPOL_F_RELATIVE_NODES",
        /// Nodes are not mapped anew when the cpuset changes.
        StaticNodes = "MPOL_F_STATIC_NODES",
    }
}

constants! {
    /// personality(2)
    pub enum PersonalityDomain {
        /// The native one.
        Linux = "LINUX",
        /// uname shows a 32-bit machine.
        Linux32 = "LINUX32",
    }
}

/// sched_setattr(2)
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scheduler {
    /// Which scheduler.
    pub policy: SchedulerPolicy,
    /// Niceness, -20 to 19.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub nice: i32,
    /// Real-time priority, 1 to 99.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub priority: i32,
    /// `SCHED_FLAG_…`
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub flags: Vec<SchedulerFlag>,
    /// Nanoseconds, SCHED_DEADLINE.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub runtime: u64,
    /// Nanoseconds, SCHED_DEADLINE.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub deadline: u64,
    /// Nanoseconds, SCHED_DEADLINE.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub period: u64,
}

/// ioprio_set(2)
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IoPriority {
    /// `IOPRIO_CLASS_RT`, `_BE` or `_IDLE`.
    pub class: IoPriorityClass,
    /// 0 (highest) to 7.
    #[serde(default)]
    pub priority: i32,
}

/// Processors of a process put into a running container; lists as `0-3,7`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct CpuAffinity {
    /// Before it enters the container's cgroup.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub initial: Option<String>,
    /// After that.
    #[serde(rename = "final", skip_serializing_if = "Option::is_none")]
    pub finally: Option<String>,
}

/// set_mempolicy(2), runtime-spec 1.3.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemoryPolicy {
    /// Where pages come from.
    pub mode: MemoryPolicyMode,
    /// NUMA nodes as `0-3,7`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nodes: Option<String>,
    /// `MPOL_F_…`
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub flags: Vec<MemoryPolicyFlag>,
}

/// personality(2)
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Personality {
    /// The execution domain.
    pub domain: PersonalityDomain,
    /// None are defined yet.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub flags: Vec<String>,
}

fn is_zero<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}
