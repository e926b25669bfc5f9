//! The budget.

use super::*;
use conex_oci::runtime::Resources;

fn resources(change: impl FnOnce(&mut crate::options::LimitOptions)) -> Resources {
    let plan = plan(|bed| change(&mut bed.options.limits));
    plan.linux().resources.clone().unwrap()
}

#[test]
fn nothing_asked_is_nothing_set() {
    let none = resources(|_| {});
    assert!(none.memory.is_none() && none.cpu.is_none() && none.pids.is_none() && none.block_io.is_none());
    assert_eq!(none.devices.len(), 12);
    let zeros = resources(|limits| {
        limits.memory = Some(0);
        limits.memory_swap = Some(0);
        limits.nano_cpus = Some(0);
        limits.cpu_shares = Some(0);
        limits.blkio_weight = Some(0);
        limits.cpuset_cpus = Some(String::new());
    });
    assert!(zeros.memory.is_none() && zeros.cpu.is_none() && zeros.block_io.is_none());
}

#[test]
fn memory() {
    let memory = |change: fn(&mut crate::options::LimitOptions)| {
        let memory = resources(change).memory.unwrap();
        (memory.limit, memory.swap, memory.reservation)
    };
    assert_eq!(memory(|l| l.memory = Some(50 << 20)), (Some(52_428_800), Some(104_857_600), None));
    assert_eq!(
        memory(|l| {
            l.memory = Some(50 << 20);
            l.memory_swap = Some(50 << 20);
            l.memory_reservation = Some(20 << 20);
        }),
        (Some(52_428_800), Some(52_428_800), Some(20_971_520))
    );
    assert_eq!(
        memory(|l| {
            l.memory = Some(50 << 20);
            l.memory_swap = Some(-1);
        }),
        (Some(52_428_800), Some(-1), None)
    );
    assert_eq!(memory(|l| l.memory_reservation = Some(20 << 20)), (None, None, Some(20_971_520)));
    assert_eq!(memory(|l| l.memory = Some(i64::MAX as u64)).1, Some(i64::MAX));
}

#[test]
fn swap_that_cannot_be_counted_is_left_alone_unless_asked() {
    let plan = |swap| {
        super::plan(|bed| {
            bed.machine.swap_limit = false;
            bed.options.limits.memory = Some(50 << 20);
            bed.options.limits.memory_swap = swap;
        })
    };
    let memory = |plan: &Plan| plan.linux().resources.clone().unwrap().memory.unwrap().swap;
    let left = plan(None);
    assert_eq!(memory(&left), None);
    assert_eq!(left.warnings, ["this kernel cannot limit swap: memory is limited without swap"]);
    // Asked for, it is the control group's to refuse.
    assert_eq!(memory(&plan(Some(60 << 20))), Some(60 << 20));
}

#[test]
fn processors() {
    let cpu = |change: fn(&mut crate::options::LimitOptions)| {
        let cpu = resources(change).cpu.unwrap();
        (cpu.quota, cpu.period, cpu.shares)
    };
    assert_eq!(cpu(|l| l.nano_cpus = Some(1_500_000_000)), (Some(150_000), Some(100_000), None));
    assert_eq!(cpu(|l| l.nano_cpus = Some(10_000_000)), (Some(1_000), Some(100_000), None));
    assert_eq!(
        cpu(|l| {
            l.cpu_quota = Some(20_000);
            l.cpu_period = Some(50_000);
            l.cpu_shares = Some(512);
        }),
        (Some(20_000), Some(50_000), Some(512))
    );
    let sets = resources(|l| {
        l.cpuset_cpus = Some("0-1".into());
        l.cpuset_mems = Some("0".into());
    });
    let cpu = sets.cpu.unwrap();
    assert_eq!((cpu.cpus.as_deref(), cpu.mems.as_deref()), (Some("0-1"), Some("0")));
    let text = error(|bed| bed.options.limits.nano_cpus = Some(2_500_000_000));
    assert_eq!(
        text,
        "invalid --cpus \"2.5\": range of CPUs is from 0.01 to 2.00, as there are only 2 CPUs available"
    );
    let text = error(|bed| bed.options.limits.nano_cpus = Some(1_000_000));
    assert!(text.starts_with("invalid --cpus \"0.001\": range of CPUs is from 0.01 to 2.00"), "{text}");
}

#[test]
fn the_rest() {
    assert_eq!(resources(|l| l.pids = Some(64)).pids.unwrap().limit, Some(64));
    for unlimited in [0, -1] {
        assert_eq!(resources(|l| l.pids = Some(unlimited)).pids.unwrap().limit, Some(-1));
    }
    assert_eq!(resources(|l| l.blkio_weight = Some(500)).block_io.unwrap().weight, Some(500));
}
