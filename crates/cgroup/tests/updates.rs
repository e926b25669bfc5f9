//! Changes to limits in force: all of them, or none.

#[allow(dead_code, reason = "not every test program needs all of it")]
mod support;

use conex_oci::runtime::{Cpu, Memory, Pids, Resources};
use support::{TestGroup, host};

const MIB: i64 = 1 << 20;

fn memory(memory: Memory) -> Resources {
    Resources { memory: Some(memory), ..Resources::default() }
}

fn pids(limit: i64) -> Resources {
    Resources { pids: Some(Pids { limit: Some(limit) }), ..Resources::default() }
}

/// Of several changes one is refused: none is left in force.
#[test]
fn an_update_is_whole_or_nothing() {
    let Some(host) = host() else { return };
    let before = Resources {
        memory: Some(Memory { limit: Some(64 * MIB), reservation: Some(32 * MIB), ..Memory::default() }),
        cpu: Some(Cpu { shares: Some(512), quota: Some(50_000), period: Some(100_000), ..Cpu::default() }),
        ..pids(20)
    };
    let mut group = TestGroup::create(&host, &before).expect("create");
    let see = |group: &TestGroup| {
        let v1 = |controller| host.v1_of(controller).is_some();
        let memory: &[&str] = if v1("memory") {
            &["memory.limit_in_bytes", "memory.soft_limit_in_bytes"]
        } else {
            &["memory.max", "memory.low"]
        };
        let cpu: &[&str] = if v1("cpu") {
            &["cpu.shares", "cpu.cfs_quota_us", "cpu.cfs_period_us"]
        } else {
            &["cpu.weight", "cpu.max"]
        };
        let memory = memory.iter().map(|file| group.read("memory", file));
        let cpu = cpu.iter().map(|file| group.read("cpu", file));
        memory.chain(cpu).chain([group.read("pids", "pids.max")]).collect::<Vec<_>>()
    };
    let as_created = see(&group);
    let bad = Resources {
        memory: Some(Memory { limit: Some(128 * MIB), reservation: Some(MIB), ..Memory::default() }),
        cpu: Some(Cpu {
            shares: Some(4096),
            quota: Some(70_000),
            period: Some(200_000),
            cpus: Some("4000".to_owned()),
            ..Cpu::default()
        }),
        ..pids(5)
    };
    assert!(group.update(&bad).is_err());
    assert_eq!(see(&group), as_created);
    // The same without what was wrong is taken.
    let mut good = bad;
    good.cpu.as_mut().expect("cpu").cpus = None;
    group.update(&good).expect("update");
    assert_ne!(see(&group), as_created);
    assert_eq!(group.read("pids", "pids.max"), "5");
}

/// The user may make groups below, and not raise what limits him.
#[test]
fn a_delegated_group_keeps_its_limits() {
    use std::os::unix::fs::MetadataExt;
    let Some(host) = host() else { return };
    let Some(unified) = host.unified() else { return support::skip("this wants a v2 tree") };
    let group = TestGroup::create(&host, &pids(20)).expect("create");
    group.delegate(54321).expect("delegate");
    let directory = group.paths().into_iter().find(|path| path.starts_with(&unified.mount)).expect("v2");
    let owner = |path: &std::path::Path| std::fs::metadata(path).expect("there").uid();
    assert_eq!(owner(&directory), 54321);
    for file in ["cgroup.procs", "cgroup.threads", "cgroup.subtree_control"] {
        assert_eq!(owner(&directory.join(file)), 54321, "{file}");
    }
    for file in ["cgroup.freeze", "cgroup.max.depth", "pids.max", "memory.max"] {
        let path = directory.join(file);
        assert!(!path.exists() || owner(&path) == 0, "{file}");
    }
}

#[test]
fn a_limit_below_the_present_use_is_refused_when_asked() {
    let Some(host) = host() else { return };
    let limited = |limit, check| {
        memory(Memory { limit: Some(limit), check_before_update: Some(check), ..Memory::default() })
    };
    let mut group = TestGroup::create(&host, &limited(64 * MIB, false)).expect("create");
    let shell = support::Shell::in_group(
        &group,
        "x=$(head -c 8000000 /dev/zero | tr '\\0' x); echo ready; read more",
    )
    .go();
    shell.await_line("ready");
    let error = group.update(&limited(MIB, true)).expect_err("8 MB are in use");
    assert!(error.to_string().contains("bytes are in use"), "{error}");
    let file = if host.v1_of("memory").is_some() { "memory.limit_in_bytes" } else { "memory.max" };
    assert_eq!(group.read("memory", file), "67108864");
    assert_eq!(group.oom_kills().expect("count"), 0);
    group.kill().expect("kill");
    shell.wait();
}
