//! Every field of `linux.resources` is in the kernel's file afterwards, read back; on whichever kind of host this is.
//! What this host has not is refused, naming the controller, and that is looked at instead.

#[allow(dead_code, reason = "not every test program needs all of it")]
mod support;

use std::collections::BTreeMap;

use conex_cgroup::{Error, Host, Version};
use conex_oci::runtime::{
    BlockIo, Cpu, HugepageLimit, InterfacePriority, Memory, Network, Pids, Rdma, Resources, ThrottleDevice,
    WeightDevice,
};
use support::{TestGroup, host, skip};

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

fn refused(host: &Host, name: &str, resources: &Resources) {
    match TestGroup::create(host, resources) {
        Ok(_) => panic!("{name}: taken, though nothing enforces it"),
        Err(error) => assert!(!error.to_string().contains('\n'), "{error}"),
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

/// A block device of this machine that takes a limit.
fn disk() -> Option<(i64, i64)> {
    let mut disks: Vec<_> =
        std::fs::read_dir("/sys/block").ok()?.flatten().map(|entry| entry.path()).collect();
    disks.sort();
    let real = disks.into_iter().find(|path| path.join("device").exists())?;
    let text = std::fs::read_to_string(real.join("dev")).ok()?;
    let (major, minor) = text.trim().split_once(':')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

#[test]
fn block_ceilings() {
    let Some(host) = host() else { return };
    let Some((major, minor)) = disk() else { return skip("this machine has no disk") };
    let at = |rate| vec![ThrottleDevice { major, minor, rate }];
    let resources = Resources {
        block_io: Some(BlockIo {
            throttle_read_bps_device: at(1_048_576),
            throttle_write_bps_device: at(2_097_152),
            throttle_read_iops_device: at(100),
            throttle_write_iops_device: at(200),
            ..BlockIo::default()
        }),
        ..Resources::default()
    };
    let mut group = TestGroup::create(&host, &resources).expect("create");
    if host.v1_of("blkio").is_some() {
        for (file, rate) in [
            ("blkio.throttle.read_bps_device", 1_048_576),
            ("blkio.throttle.write_bps_device", 2_097_152),
            ("blkio.throttle.read_iops_device", 100),
            ("blkio.throttle.write_iops_device", 200),
        ] {
            assert_eq!(group.read("blkio", file), format!("{major}:{minor} {rate}"));
        }
    } else {
        let expected = format!("{major}:{minor} rbps=1048576 wbps=2097152 riops=100 wiops=200");
        assert_eq!(group.read("io", "io.max"), expected);
    }
    // One is changed, the others stay; 0 takes a ceiling away.
    let change = |rate| Resources {
        block_io: Some(BlockIo { throttle_read_bps_device: at(rate), ..BlockIo::default() }),
        ..Resources::default()
    };
    for (rate, v1, v2) in [(4096, "4096", "rbps=4096"), (0, "", "rbps=max")] {
        group.update(&change(rate)).expect("update");
        if host.v1_of("blkio").is_some() {
            let line = if v1.is_empty() { String::new() } else { format!("{major}:{minor} {v1}") };
            assert_eq!(group.read("blkio", "blkio.throttle.read_bps_device"), line);
        } else {
            assert_eq!(
                group.read("io", "io.max"),
                format!("{major}:{minor} {v2} wbps=2097152 riops=100 wiops=200")
            );
        }
    }
}

#[test]
fn a_weight_of_block_devices_is_in_force_or_refused() {
    let Some(host) = host() else { return };
    let resources = Resources {
        block_io: Some(BlockIo { weight: Some(300), ..BlockIo::default() }),
        ..Resources::default()
    };
    match TestGroup::create(&host, &resources) {
        Ok(group) if host.v1_of("blkio").is_some() => {
            let file =
                if group.has("blkio", "blkio.bfq.weight") { "blkio.bfq.weight" } else { "blkio.weight" };
            assert!(group.read("blkio", file).contains("300"));
        }
        Ok(group) if group.has("io", "io.bfq.weight") => {
            assert!(group.read("io", "io.bfq.weight").contains("300"));
        }
        Ok(group) => assert!(group.read("io", "io.weight").contains("2930")),
        Err(error) => {
            let text = error.to_string();
            assert!(text.contains("blockIO.weight") && text.contains("scheduler"), "{text}");
        }
    }
    let Some((major, minor)) = disk() else { return };
    let weighted = |weight, leaf_weight| Resources {
        block_io: Some(BlockIo {
            weight_device: vec![WeightDevice { major, minor, weight, leaf_weight }],
            ..BlockIo::default()
        }),
        ..Resources::default()
    };
    // By device it takes a scheduler that weighs, which few machines have set up.
    match TestGroup::create(&host, &weighted(Some(500), None)) {
        Ok(group) => {
            let files = ["io.bfq.weight", "io.weight", "blkio.bfq.weight_device", "blkio.weight_device"];
            let controller = if host.v1_of("blkio").is_some() { "blkio" } else { "io" };
            let mut texts = files
                .iter()
                .filter(|file| group.has(controller, file))
                .map(|file| group.read(controller, file));
            assert!(texts.any(|text| text.contains(&format!("{major}:{minor} "))));
        }
        Err(error) => assert!(error.to_string().contains("blockIO.weightDevice"), "{error}"),
    }
    // Leaf weights went with the CFQ scheduler.
    if let Err(error) = TestGroup::create(&host, &weighted(None, Some(500))) {
        assert!(error.to_string().contains("leaf"), "{error}");
    }
    refused(&host, "a weight out of range", &weighted(Some(5), None));
}

#[test]
fn hugepages() {
    let Some(host) = host() else { return };
    if !host.controllers().iter().any(|name| name == "hugetlb") {
        return skip("no hugetlb controller here");
    }
    let limited = |size: &str| Resources {
        hugepage_limits: vec![HugepageLimit { page_size: size.to_owned(), limit: 4 << 20 }],
        ..Resources::default()
    };
    let group = TestGroup::create(&host, &limited("2MB")).expect("create");
    let file = if host.v1_of("hugetlb").is_some() { "limit_in_bytes" } else { "max" };
    assert_eq!(group.read("hugetlb", &format!("hugetlb.2MB.{file}")), "4194304");
    assert_eq!(group.read("hugetlb", &format!("hugetlb.2MB.rsvd.{file}")), "4194304", "reservations");
    assert!(group.stats().expect("stats").hugetlb.contains_key("2MB"));
    refused(&host, "a page size that is none", &limited("3MB"));
    refused(&host, "a path for a page size", &limited("../2MB"));
}

#[test]
fn rdma_and_networks_are_in_force_or_refused() {
    let Some(host) = host() else { return };
    let rdma = Resources {
        rdma: BTreeMap::from([(
            "no_such_device".to_owned(),
            Rdma { hca_handles: Some(3), hca_objects: Some(4) },
        )]),
        ..Resources::default()
    };
    // No machine here has such hardware: the kernel itself says that there is no such device.
    refused(&host, "rdma", &rdma);
    let network = |network| Resources { network: Some(network), ..Resources::default() };
    let class = network(Network { class_id: Some(0x10_0001), ..Network::default() });
    let priority = InterfacePriority { name: "lo".to_owned(), priority: 5 };
    let priorities = network(Network { priorities: vec![priority], ..Network::default() });
    for (controller, resources, file, expected) in [
        ("net_cls", &class, "net_cls.classid", "1048577"),
        ("net_prio", &priorities, "net_prio.ifpriomap", "lo 5"),
    ] {
        match host.v1_of(controller) {
            Some(_) => {
                let group = TestGroup::create(&host, resources).expect("create");
                assert!(group.read(controller, file).lines().any(|line| line == expected));
            }
            None => refused(&host, controller, resources),
        }
    }
}

fn unified(files: &[(&str, &str)]) -> Resources {
    Resources {
        unified: files.iter().map(|(file, value)| ((*file).to_owned(), (*value).to_owned())).collect(),
        ..Resources::default()
    }
}

#[test]
fn unified_files_of_every_controller() {
    let Some(host) = host() else { return };
    if host.version() != Version::V2 {
        return skip("the controllers of this host are not in the v2 tree");
    }
    let plain: [(&str, &str, &str); 15] = [
        ("memory.min", "4194304", "4194304"),
        ("memory.low", "8388608", "8388608"),
        ("memory.high", "67108864", "67108864"),
        ("memory.max", "134217728", "134217728"),
        ("memory.swap.max", "max", "max"),
        ("memory.oom.group", "1", "1"),
        ("cpu.weight", "300", "300"),
        ("cpu.max", "20000 100000", "20000 100000"),
        ("cpu.max.burst", "5000", "5000"),
        ("cpuset.cpus", "0-1", "0-1"),
        ("cpuset.mems", "0", "0"),
        ("pids.max", "40", "40"),
        ("hugetlb.2MB.max", "2097152", "2097152"),
        ("cgroup.max.depth", "3", "3"),
        ("cgroup.max.descendants", "7", "7"),
    ];
    let written: Vec<(&str, &str)> = plain.iter().map(|(file, value, _)| (*file, *value)).collect();
    let born = TestGroup::create(&host, &unified(&written)).expect("create");
    let mut updated = TestGroup::create(&host, &Resources::default()).expect("create");
    updated.update(&unified(&written)).expect("update");
    for group in [&born, &updated] {
        for (file, _, expected) in plain {
            assert_eq!(group.read("memory", file), expected, "{file}");
        }
    }
    if let Some((major, minor)) = disk() {
        let lines = format!("{major}:{minor} rbps=1048576\n{major}:{minor} wiops=50\n");
        let latency = format!("{major}:{minor} target=5000");
        let group = TestGroup::create(&host, &unified(&[("io.max", &lines)])).expect("a line at a time");
        assert_eq!(
            group.read("io", "io.max"),
            format!("{major}:{minor} rbps=1048576 wbps=max riops=max wiops=50")
        );
        match TestGroup::create(&host, &unified(&[("io.latency", &latency)])) {
            Ok(group) => assert_eq!(group.read("io", "io.latency"), latency),
            Err(error) => assert!(matches!(error, Error::NoFile { .. }), "{error}"),
        }
    }
    // A partition has to be one of its own, below another's: here the kernel takes the word, and says why it is none.
    let error =
        TestGroup::create(&host, &unified(&[("cpuset.cpus", "0"), ("cpuset.cpus.partition", "isolated")]))
            .map(|group| assert_eq!(group.read("cpuset", "cpuset.cpus.partition"), "isolated"));
    if let Err(error) = error {
        assert!(error.to_string().contains("partition"), "{error}");
    }
    // The typed limit first, then what the user wrote himself.
    let both = Resources { pids: Some(Pids { limit: Some(9) }), ..unified(&[("pids.max", "11")]) };
    assert_eq!(TestGroup::create(&host, &both).expect("create").read("pids", "pids.max"), "11");
    refused(&host, "misc of no hardware", &unified(&[("misc.max", "nosuch 1")]));
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
