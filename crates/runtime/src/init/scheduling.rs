//! How the process is scheduled, set while it has the rights to; all of it is kept across execve.

use crate::fault::{During, Fault};
use crate::plan::ProcessPlan;

/// Sets what the spec asks for.
pub(super) fn apply(plan: &ProcessPlan<'_>) -> Result<(), Fault> {
    let asked = &plan.scheduling;
    if let Some(cpus) = &asked.affinity.1 {
        rustix::thread::sched_setaffinity(None, cpus)
            .during(|| "set the processors of process.execCPUAffinity.final".into())?;
    }
    if let Some((class, level)) = asked.io_priority {
        conex_sys::scheduling::set_io_priority(class, level)
            .during(|| "set the I/O priority (real-time needs CAP_SYS_NICE)".into())?;
    }
    if let Some((mode, nodes)) = &asked.memory_policy {
        conex_sys::scheduling::set_memory_policy(*mode, nodes)
            .during(|| "set the memory policy (has this host these NUMA nodes?)".into())?;
    }
    if let Some(personality) = asked.personality {
        conex_sys::scheduling::set_personality(personality).during(|| "set the personality".into())?;
    }
    // Last, as a deadline scheduler counts from now on.
    if let Some(scheduler) = &asked.scheduler {
        conex_sys::scheduling::set_scheduler(scheduler)
            .during(|| "set the scheduler (real-time needs CAP_SYS_NICE and, in a v1 cpu cgroup, a share: cpu.rt_runtime_us)".into())?;
    }
    Ok(())
}
