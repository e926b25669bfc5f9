//! `process.scheduler`, `ioPriority`, `execCPUAffinity`, `linux.memoryPolicy` and `personality` in the kernel's numbers.

use conex_oci::runtime::{
    CpuAffinity, IoPriorityClass, Linux, MemoryPolicy, MemoryPolicyFlag, MemoryPolicyMode, PersonalityDomain,
    Process, SchedulerFlag, SchedulerPolicy,
};
use conex_sys::scheduling::Scheduler;
use rustix::thread::CpuSet;

use crate::Error;

/// What is set before the program, each when asked for.
#[derive(Default)]
pub(crate) struct Scheduling {
    pub(crate) scheduler: Option<Scheduler>,
    /// Class and level.
    pub(crate) io_priority: Option<(u8, u8)>,
    /// Mode and nodes.
    pub(crate) memory_policy: Option<(i32, Vec<u64>)>,
    pub(crate) personality: Option<u32>,
    /// Of a process put into a running container, before and after it enters the cgroup.
    pub(crate) affinity: (Option<CpuSet>, Option<CpuSet>),
}

impl Scheduling {
    pub(crate) fn new(process: &Process) -> Result<Self, Error> {
        Ok(Self {
            scheduler: process.scheduler.as_ref().map(scheduler).transpose()?,
            io_priority: process.io_priority.as_ref().map(io_priority).transpose()?,
            ..Self::default()
        })
    }

    /// What the whole container has in common.
    pub(crate) fn take_over(&mut self, linux: &Linux) -> Result<(), Error> {
        self.memory_policy = linux.memory_policy.as_ref().map(memory_policy).transpose()?;
        if let Some(personality) = &linux.personality {
            if let Some(flag) = personality.flags.first() {
                return wrong("linux.personality.flags", format!("{flag:?} is not supported, none is"));
            }
            self.personality = Some(match personality.domain {
                PersonalityDomain::Linux => 0,
                PersonalityDomain::Linux32 => 8,
            });
        }
        Ok(())
    }

    /// Not for a container's first process (config.md#linux-process).
    pub(crate) fn take_affinity(&mut self, affinity: &CpuAffinity) -> Result<(), Error> {
        let cpus = |list: &Option<String>, name: &str| -> Result<_, Error> {
            match list.as_deref().filter(|list| !list.is_empty()) {
                None => Ok(None),
                Some(list) => {
                    let field = format!("process.execCPUAffinity.{name}");
                    let mut set = CpuSet::new();
                    for cpu in numbers(list, CpuSet::MAX_CPU, &field)? {
                        set.set(cpu);
                    }
                    Ok(Some(set))
                }
            }
        };
        self.affinity = (cpus(&affinity.initial, "initial")?, cpus(&affinity.finally, "final")?);
        Ok(())
    }
}

fn scheduler(asked: &conex_oci::runtime::Scheduler) -> Result<Scheduler, Error> {
    use SchedulerPolicy as Policy;
    let policy = match asked.policy {
        Policy::Other => 0,
        Policy::Fifo => 1,
        Policy::RoundRobin => 2,
        Policy::Batch => 3,
        Policy::Iso => 4,
        Policy::Idle => 5,
        Policy::Deadline => 6,
    };
    let real_time = matches!(asked.policy, Policy::Fifo | Policy::RoundRobin);
    if !(-20..=19).contains(&asked.nice) {
        return wrong("process.scheduler.nice", format!("{} is not within -20 and 19", asked.nice));
    }
    if asked.priority != 0 && !real_time {
        return wrong("process.scheduler.priority", "it is for SCHED_FIFO and SCHED_RR only".to_owned());
    }
    if real_time && !(1..=99).contains(&asked.priority) {
        return wrong("process.scheduler.priority", format!("{} is not within 1 and 99", asked.priority));
    }
    if asked.policy != Policy::Deadline && (asked.runtime, asked.deadline, asked.period) != (0, 0, 0) {
        let what = "runtime, deadline and period are for SCHED_DEADLINE only".to_owned();
        return wrong("process.scheduler", what);
    }
    let flags = asked.flags.iter().fold(0, |flags, flag| {
        flags
            | match flag {
                SchedulerFlag::ResetOnFork => 0x01,
                SchedulerFlag::Reclaim => 0x02,
                SchedulerFlag::DeadlineOverrun => 0x04,
                SchedulerFlag::KeepPolicy => 0x08,
                SchedulerFlag::KeepParameters => 0x10,
                SchedulerFlag::UtilisationClampMin => 0x20,
                SchedulerFlag::UtilisationClampMax => 0x40,
            }
    });
    Ok(Scheduler {
        policy,
        flags,
        nice: asked.nice,
        priority: asked.priority.cast_unsigned(),
        runtime: asked.runtime,
        deadline: asked.deadline,
        period: asked.period,
        ..Scheduler::default()
    })
}

fn io_priority(asked: &conex_oci::runtime::IoPriority) -> Result<(u8, u8), Error> {
    let class = match asked.class {
        IoPriorityClass::RealTime => 1,
        IoPriorityClass::BestEffort => 2,
        IoPriorityClass::Idle => 3,
    };
    match u8::try_from(asked.priority).ok().filter(|level| *level <= 7) {
        Some(level) => Ok((class, level)),
        None => wrong("process.ioPriority.priority", format!("{} is not within 0 and 7", asked.priority)),
    }
}

fn memory_policy(asked: &MemoryPolicy) -> Result<(i32, Vec<u64>), Error> {
    use MemoryPolicyMode as Mode;
    /// CONFIG_NODES_SHIFT is at most 10.
    const NODES: usize = 1024;
    let field = "linux.memoryPolicy.nodes";
    let mut nodes = Vec::new();
    if let Some(list) = asked.nodes.as_deref().filter(|list| !list.is_empty()) {
        for node in numbers(list, NODES, field)? {
            if nodes.len() <= node / 64 {
                nodes.resize(node / 64 + 1, 0);
            }
            nodes[node / 64] |= 1_u64 << (node % 64);
        }
    }
    let mode = match asked.mode {
        Mode::Default => 0,
        Mode::Preferred => 1,
        Mode::Bind => 2,
        Mode::Interleave => 3,
        Mode::Local => 4,
        Mode::PreferredMany => 5,
        Mode::WeightedInterleave => 6,
    };
    match asked.mode {
        Mode::Default | Mode::Local if !nodes.is_empty() => {
            return wrong(field, format!("{} takes none", asked.mode.name()));
        }
        Mode::Bind | Mode::Interleave | Mode::PreferredMany | Mode::WeightedInterleave
            if nodes.is_empty() =>
        {
            return wrong(field, format!("{} needs one at least", asked.mode.name()));
        }
        _ => {}
    }
    let flags = asked.flags.iter().fold(0, |flags, flag| {
        flags
            | match flag {
                MemoryPolicyFlag::StaticNodes => 1 << 15,
                MemoryPolicyFlag::RelativeNodes => 1 << 14,
                MemoryPolicyFlag::NumaBalancing => 1 << 13,
            }
    });
    Ok((mode | flags, nodes))
}

/// `0-3,7`, each below `limit`.
fn numbers(list: &str, limit: usize, field: &str) -> Result<Vec<usize>, Error> {
    let number = |text: &str| text.trim().parse::<usize>().ok().filter(|number| *number < limit);
    let mut found = Vec::new();
    for part in list.split(',') {
        let range = match part.split_once('-') {
            None => number(part).map(|only| only..=only),
            Some((first, last)) => match (number(first), number(last)) {
                (Some(first), Some(last)) if first <= last => Some(first..=last),
                _ => None,
            },
        };
        match range {
            Some(range) => found.extend(range),
            None => return wrong(field, format!("{part:?} in {list:?} is no number or range below {limit}")),
        }
    }
    Ok(found)
}

fn wrong<T>(field: &str, why: String) -> Result<T, Error> {
    Err(Error::Spec { what: format!("{field}: {why}") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_numbers() {
        assert_eq!(numbers("0-3,7", 8, "x").unwrap(), [0, 1, 2, 3, 7]);
        for bad in ["", "8", "3-1", "a", "1-", "-1", "1,,2", "99999999999999999999"] {
            assert!(numbers(bad, 8, "x").is_err(), "{bad}");
        }
    }

    #[test]
    fn what_cannot_be_is_told_by_field() {
        let scheduler = |text: &str| {
            let asked: Process = conex_oci::runtime::from_json(text.as_bytes()).unwrap();
            Scheduling::new(&asked).map(|_| ()).map_err(|error| error.to_string())
        };
        assert_eq!(scheduler(r#"{"scheduler": {"policy": "SCHED_FIFO", "priority": 5}}"#), Ok(()));
        for (text, field) in [
            (r#"{"scheduler": {"policy": "SCHED_FIFO"}}"#, "process.scheduler.priority"),
            (r#"{"scheduler": {"policy": "SCHED_OTHER", "nice": 20}}"#, "process.scheduler.nice"),
            (r#"{"scheduler": {"policy": "SCHED_OTHER", "runtime": 1}}"#, "process.scheduler:"),
            (r#"{"ioPriority": {"class": "IOPRIO_CLASS_BE", "priority": 8}}"#, "process.ioPriority.priority"),
        ] {
            let error = scheduler(text).unwrap_err();
            assert!(error.contains(field), "{error}");
        }
        let policy = |mode, nodes: &str| {
            memory_policy(&MemoryPolicy {
                mode,
                nodes: Some(nodes.into()),
                flags: vec![MemoryPolicyFlag::StaticNodes],
            })
        };
        assert_eq!(policy(MemoryPolicyMode::Bind, "0,65").unwrap(), (2 | 1 << 15, vec![1, 2]));
        assert!(policy(MemoryPolicyMode::Bind, "").is_err());
        assert!(policy(MemoryPolicyMode::Local, "0").is_err());
    }
}
