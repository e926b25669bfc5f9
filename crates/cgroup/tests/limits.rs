//! Every field of `linux.resources` is in the kernel's file afterwards, read back; on whichever kind of host this is.
//! What this host has not is refused, naming the controller, and that is looked at instead.

#[allow(dead_code, reason = "not every test program needs all of it")]
mod support;

use conex_cgroup::Host;
use conex_oci::runtime::{Cpu, Memory, Pids, Resources};
use support::{TestGroup, host, refused};

const MIB: i64 = 1 << 20;

/// What a field does: a name for messages, its controller as v1 calls it, and the files with their expected texts.
struct Case {
    name: &'static str,
    controller: &'static str,
    resources: Resources,
    v1: &'static [(&'static str, &'static str)],
    v2: &'static [(&'static str, &'static str)],
}

fn memory(memory: Memory) -> Resources {
    Resources { memory: Some(memory), ..Resources::default() }
}

fn cpu(cpu: Cpu) -> Resources {
    Resources { cpu: Some(cpu), ..Resources::default() }
}

fn pids(limit: i64) -> Resources {
    Resources { pids: Some(Pids { limit: Some(limit) }), ..Resources::default() }
}

/// Creates a group for each case and compares; a second time by an update of a group without limits.
fn check(host: &Host, cases: Vec<Case>) {
    for Case { name, controller, resources, v1, v2 } in cases {
        let files = if host.v1_of(controller).is_some() { v1 } else { v2 };
        if files.is_empty() {
            refused(host, name, &resources);
            continue;
        }
        let born = TestGroup::create(host, &resources).unwrap_or_else(|error| panic!("{name}: {error}"));
        let mut updated = TestGroup::create(host, &Resources::default()).expect("create");
        updated.update(&resources).unwrap_or_else(|error| panic!("{name}: update: {error}"));
        for group in [&born, &updated] {
            for (file, expected) in files {
                let found = group.read(controller, file);
                assert!(
                    found.lines().any(|line| line == *expected),
                    "{name}: {file} holds {found:?}, not {expected:?}"
                );
            }
        }
    }
}

#[test]
fn memory_fields() {
    let Some(host) = host() else { return };
    let mut cases = vec![
        Case {
            name: "limit",
            controller: "memory",
            resources: memory(Memory { limit: Some(64 * MIB), ..Memory::default() }),
            v1: &[("memory.limit_in_bytes", "67108864")],
            v2: &[("memory.max", "67108864")],
        },
        Case {
            name: "reservation",
            controller: "memory",
            resources: memory(Memory { reservation: Some(32 * MIB), ..Memory::default() }),
            v1: &[("memory.soft_limit_in_bytes", "33554432")],
            v2: &[("memory.low", "33554432")],
        },
        Case {
            name: "swappiness",
            controller: "memory",
            resources: memory(Memory { swappiness: Some(7), ..Memory::default() }),
            v1: &[("memory.swappiness", "7")],
            v2: &[],
        },
        Case {
            name: "disableOOMKiller",
            controller: "memory",
            resources: memory(Memory { disable_oom_killer: Some(true), ..Memory::default() }),
            v1: &[("memory.oom_control", "oom_kill_disable 1")],
            v2: &[],
        },
        Case {
            name: "kernelTCP",
            controller: "memory",
            resources: memory(Memory { kernel_tcp: Some(16 * MIB), ..Memory::default() }),
            v1: &[("memory.kmem.tcp.limit_in_bytes", "16777216")],
            v2: &[],
        },
        Case {
            name: "useHierarchy",
            controller: "memory",
            resources: memory(Memory {
                limit: Some(64 * MIB),
                use_hierarchy: Some(true),
                ..Memory::default()
            }),
            v1: &[("memory.use_hierarchy", "1")],
            v2: &[("memory.max", "67108864")],
        },
        Case {
            name: "checkBeforeUpdate",
            controller: "memory",
            resources: memory(Memory {
                limit: Some(64 * MIB),
                check_before_update: Some(true),
                ..Memory::default()
            }),
            v1: &[("memory.limit_in_bytes", "67108864")],
            v2: &[("memory.max", "67108864")],
        },
    ];
    if host.swap_limit() {
        cases.push(Case {
            name: "swap",
            controller: "memory",
            resources: memory(Memory { limit: Some(64 * MIB), swap: Some(96 * MIB), ..Memory::default() }),
            v1: &[("memory.memsw.limit_in_bytes", "100663296")],
            v2: &[("memory.swap.max", "33554432")],
        });
        cases.push(Case {
            name: "no swap",
            controller: "memory",
            resources: memory(Memory { limit: Some(64 * MIB), swap: Some(64 * MIB), ..Memory::default() }),
            v1: &[("memory.memsw.limit_in_bytes", "67108864")],
            v2: &[("memory.swap.max", "0")],
        });
        cases.push(Case {
            name: "swap without limit",
            controller: "memory",
            resources: memory(Memory { limit: Some(64 * MIB), swap: Some(-1), ..Memory::default() }),
            v1: &[("memory.limit_in_bytes", "67108864")],
            v2: &[("memory.swap.max", "max")],
        });
    }
    check(&host, cases);
}

/// Deprecated in the specification, and gone from Linux 5.16: a limit that the kernel has not got is refused.
#[test]
fn kernel_memory_is_limited_or_refused() {
    let Some(host) = host() else { return };
    let resources = memory(Memory { kernel: Some(16 * MIB), ..Memory::default() });
    match TestGroup::create(&host, &resources) {
        Ok(group) => assert_eq!(group.read("memory", "memory.kmem.limit_in_bytes"), "16777216"),
        Err(error) => assert!(error.to_string().contains("memory.kernel"), "{error}"),
    }
    let unlimited =
        memory(Memory { kernel: Some(-1), kernel_tcp: Some(-1), limit: Some(MIB), ..Memory::default() });
    TestGroup::create(&host, &unlimited).expect("no limit is no limit everywhere");
}

#[test]
fn cpu_fields() {
    let Some(host) = host() else { return };
    check(
        &host,
        vec![
            Case {
                name: "shares",
                controller: "cpu",
                resources: cpu(Cpu { shares: Some(2048), ..Cpu::default() }),
                v1: &[("cpu.shares", "2048")],
                v2: &[("cpu.weight", "174")],
            },
            Case {
                name: "quota and period",
                controller: "cpu",
                resources: cpu(Cpu { quota: Some(50_000), period: Some(200_000), ..Cpu::default() }),
                v1: &[("cpu.cfs_quota_us", "50000"), ("cpu.cfs_period_us", "200000")],
                v2: &[("cpu.max", "50000 200000")],
            },
            Case {
                name: "quota",
                controller: "cpu",
                resources: cpu(Cpu { quota: Some(30_000), ..Cpu::default() }),
                v1: &[("cpu.cfs_quota_us", "30000"), ("cpu.cfs_period_us", "100000")],
                v2: &[("cpu.max", "30000 100000")],
            },
            Case {
                name: "period",
                controller: "cpu",
                resources: cpu(Cpu { period: Some(50_000), ..Cpu::default() }),
                v1: &[("cpu.cfs_quota_us", "-1"), ("cpu.cfs_period_us", "50000")],
                v2: &[("cpu.max", "max 50000")],
            },
            Case {
                name: "no quota",
                controller: "cpu",
                resources: cpu(Cpu { quota: Some(-1), period: Some(50_000), ..Cpu::default() }),
                v1: &[("cpu.cfs_quota_us", "-1"), ("cpu.cfs_period_us", "50000")],
                v2: &[("cpu.max", "max 50000")],
            },
            Case {
                name: "burst",
                controller: "cpu",
                resources: cpu(Cpu { quota: Some(50_000), burst: Some(20_000), ..Cpu::default() }),
                v1: &[("cpu.cfs_burst_us", "20000")],
                v2: &[("cpu.max.burst", "20000")],
            },
            Case {
                name: "idle",
                controller: "cpu",
                resources: cpu(Cpu { idle: Some(1), shares: Some(512), ..Cpu::default() }),
                v1: &[("cpu.idle", "1")],
                v2: &[("cpu.idle", "1")],
            },
            Case {
                name: "cpus and mems",
                controller: "cpuset",
                resources: cpu(Cpu {
                    cpus: Some("0".to_owned()),
                    mems: Some("0".to_owned()),
                    ..Cpu::default()
                }),
                v1: &[("cpuset.cpus", "0"), ("cpuset.mems", "0")],
                v2: &[("cpuset.cpus", "0"), ("cpuset.mems", "0")],
            },
        ],
    );
}

/// v1 alone has it, where the kernel is built with RT_GROUP_SCHED and the group above has time to give.
#[test]
fn realtime_is_limited_or_refused() {
    let Some(host) = host() else { return };
    let resources =
        cpu(Cpu { realtime_runtime: Some(1000), realtime_period: Some(1_000_000), ..Cpu::default() });
    match TestGroup::create(&host, &resources) {
        Ok(group) => assert_eq!(group.read("cpu", "cpu.rt_runtime_us"), "1000"),
        Err(error) => assert!(error.to_string().contains("cpu.realtime"), "{error}"),
    }
}

#[test]
fn pids_fields() {
    let Some(host) = host() else { return };
    let case = |name, limit, expected: &'static [(&'static str, &'static str)]| Case {
        name,
        controller: "pids",
        resources: pids(limit),
        v1: expected,
        v2: expected,
    };
    // 0 is a limit: nobody joins the first process.
    check(&host, vec![case("limit", 50, &[("pids.max", "50")]), case("zero", 0, &[("pids.max", "1")])]);
    let group = TestGroup::create(&host, &pids(5)).expect("create");
    let json: Resources = serde_json::from_str(r#"{"pids": {}}"#).expect("no limit given");
    let mut group = group;
    group.update(&json).expect("nothing to change");
    assert_eq!(group.read("pids", "pids.max"), "5");
    group.update(&pids(-1)).expect("unlimited");
    assert_eq!(group.read("pids", "pids.max"), "max");
}
