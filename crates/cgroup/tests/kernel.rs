//! Control groups against the kernel this runs on, as root: the same tests on hybrid, v1 and v2 hosts.
//! Each makes groups below `/conex-test-PID` and removes them. Processes are shells that wait for a line before they
//! do anything, so that they are in their groups by then.

#[allow(dead_code, reason = "not every test program needs all of it")]
mod support;

use std::collections::BTreeMap;
use std::os::unix::process::ExitStatusExt;

use conex_cgroup::{Cgroup, CgroupPath, Driver, Error, Host, Notice, Version};
use conex_oci::runtime::{BlockIo, Cpu, DeviceRule, Memory, Network, Pids, Resources};
use support::{Shell, TestGroup, host, skip, unless_root};

const MIB: i64 = 1 << 20;

fn memory(limit: i64, swap: Option<i64>) -> Resources {
    Resources {
        memory: Some(Memory { limit: Some(limit), swap, ..Memory::default() }),
        ..Resources::default()
    }
}

fn pids(limit: i64) -> Resources {
    Resources { pids: Some(Pids { limit: Some(limit) }), ..Resources::default() }
}

#[test]
fn only_the_groups_that_are_needed_are_made() {
    let Some(host) = host() else { return };
    let unlimited = Resources {
        memory: Some(Memory { limit: Some(-1), swap: Some(-1), ..Memory::default() }),
        cpu: Some(Cpu { quota: Some(-1), ..Cpu::default() }),
        pids: Some(Pids { limit: Some(-1) }),
        ..Resources::default()
    };
    let bare = TestGroup::create(&host, &unlimited).expect("create");
    assert_eq!(bare.paths().len(), 1, "{:?}", bare.paths());
    assert_eq!(bare.clone_into().is_some(), host.version() != Version::V1);
    let limited = TestGroup::create(&host, &pids(5)).expect("create");
    assert_eq!(limited.paths().len(), if host.v1_of("pids").is_some() { 2 } else { 1 });
    assert_eq!(limited.join_fds().len(), limited.paths().len() - usize::from(host.version() != Version::V1));
}

#[test]
fn out_of_memory_kills_and_is_counted() {
    let Some(host) = host() else { return };
    let swap = host.swap_limit().then_some(16 * MIB);
    let group = TestGroup::create(&host, &memory(16 * MIB, swap)).expect("create");
    assert_eq!(group.oom_kills().expect("count"), 0);
    // tail keeps the last line, and this one never ends.
    let shell = Shell::in_group(&group, "exec tail /dev/zero");
    let mut watch = group.watch_oom().expect("watch");
    assert_eq!(watch.notice().expect("look"), None);
    let shell = shell.go();
    assert_eq!(support::notice(&mut watch), Notice::Oom);
    let status = shell.wait();
    if host.version() != Version::V1 {
        assert_eq!(support::notice(&mut watch), Notice::Ended);
    }
    assert_eq!(status.signal(), Some(9), "{status:?}");
    assert!(group.oom_kills().expect("count") >= 1);
}

#[test]
fn a_plain_kill_is_no_oom() {
    let Some(host) = host() else { return };
    let group = TestGroup::create(&host, &memory(64 * MIB, None)).expect("create");
    let shell = Shell::in_group(&group, "sleep 1000").go();
    group.kill().expect("kill");
    assert_eq!(shell.wait().signal(), Some(9));
    assert_eq!(group.oom_kills().expect("count"), 0);
}

#[test]
fn a_fork_beyond_the_limit_is_refused() {
    let Some(host) = host() else { return };
    let group = TestGroup::create(&host, &pids(3)).expect("create");
    let shell = Shell::in_group(&group, "sleep 1000 & sleep 1000 & sleep 1000 & echo went on");
    let (text, errors) = shell.go().output();
    assert!(!text.contains("went on") && errors.to_lowercase().contains("fork"), "{text:?} {errors:?}");
    assert_eq!(group.procs().expect("procs").len(), 2, "the two that were allowed are left");
    assert_ne!(group.read("pids", "pids.events"), "max 0");
    group.kill().expect("kill");
}

#[test]
fn frozen_processes_stand_still() {
    let Some(host) = host() else { return };
    let group = TestGroup::create(&host, &Resources::default()).expect("create");
    let shell = Shell::in_group(&group, "while :; do :; done").go();
    shell.await_progress();
    assert!(!group.is_frozen().expect("state"));
    group.freeze().expect("freeze");
    assert!(group.is_frozen().expect("state"));
    let before = shell.cpu_time();
    std::thread::sleep(std::time::Duration::from_millis(100));
    assert_eq!(shell.cpu_time(), before);
    group.freeze().expect("freezing twice is no error");
    group.thaw().expect("thaw");
    assert!(!group.is_frozen().expect("state"));
    shell.await_progress();
    group.kill().expect("kill");
    assert_eq!(shell.wait().signal(), Some(9));
}

#[test]
fn kill_empties_a_frozen_group_and_those_below() {
    let Some(host) = host() else { return };
    let group = TestGroup::create(&host, &pids(100)).expect("create");
    let shells: Vec<_> = (0..3).map(|_| Shell::in_group(&group, "sleep 1000").go()).collect();
    let below = Shell::in_group(&group, "sleep 1000");
    for path in group.paths() {
        let child = path.join("below/deeper");
        std::fs::create_dir_all(&child).expect("a group below");
        std::fs::write(child.join("cgroup.procs"), below.pid().to_string()).expect("move");
    }
    let below = below.go();
    assert!(group.procs().expect("procs").contains(&below.pid()));
    group.freeze().expect("freeze");
    group.kill().expect("kill");
    assert_eq!(group.procs().expect("procs"), Vec::<u32>::new());
    assert!(!group.is_frozen().expect("state"), "the next process would not run");
    for shell in shells.into_iter().chain([below]) {
        assert_eq!(shell.wait().signal(), Some(9));
    }
    group.delete().expect("delete");
    assert!(group.paths().iter().all(|path| !path.exists()));
    group.delete().expect("twice");
    group.kill().expect("nothing left to kill");
}

fn rule(allow: bool, kind: &str, major: Option<i64>, minor: Option<i64>, access: &str) -> DeviceRule {
    DeviceRule { allow, kind: Some(kind.to_owned()), major, minor, access: Some(access.to_owned()) }
}

/// What a process of the group may do with some devices.
const PROBE: &str = r#"
try() { name=$1; shift; if ("$@") 2>&-; then echo "$name yes"; else echo "$name no"; fi; }
rd() { : <"$1"; }
wr() { : >"$1"; }
try null-read rd /dev/null; try null-write wr /dev/null
try zero-read rd /dev/zero; try zero-write wr /dev/zero
try full-read rd /dev/full
try mknod-null mknod "$DIR/null" c 1 3; try mknod-full mknod "$DIR/full" c 1 7
"#;

fn probe(group: &Cgroup) -> BTreeMap<String, bool> {
    let directory = support::scratch();
    let script = format!("DIR={}\n{PROBE}", directory.path().display());
    let (text, _) = Shell::in_group(group, &script).go().output();
    text.lines()
        .filter_map(|line| line.split_once(' '))
        .map(|(name, answer)| (name.to_owned(), answer == "yes"))
        .collect()
}

fn allowed(names: &[&str]) -> BTreeMap<String, bool> {
    ["null-read", "null-write", "zero-read", "zero-write", "full-read", "mknod-null", "mknod-full"]
        .iter()
        .map(|name| ((*name).to_owned(), names.contains(name)))
        .collect()
}

#[test]
fn the_device_filter_denies_what_is_not_allowed() {
    let Some(host) = host() else { return };
    let devices = vec![
        rule(false, "a", None, None, "rwm"),
        rule(true, "c", Some(1), Some(3), "rwm"),
        rule(true, "c", Some(1), Some(5), "r"),
        // Shells look for a terminal.
        rule(true, "c", Some(5), Some(0), "rw"),
    ];
    let mut group = TestGroup::create(&host, &Resources { devices: devices.clone(), ..Resources::default() })
        .expect("create");
    assert_eq!(probe(&group), allowed(&["null-read", "null-write", "zero-read", "mknod-null"]));

    // The last matching rule wins, and an update replaces the filter.
    let narrower = [
        devices.clone(),
        vec![rule(false, "c", Some(1), None, "wm"), rule(true, "c", Some(1), Some(7), "r")],
    ]
    .concat();
    group.update(&Resources { devices: narrower, ..Resources::default() }).expect("update");
    assert_eq!(probe(&group), allowed(&["null-read", "zero-read", "full-read"]));

    group
        .update(&Resources { devices: vec![rule(true, "a", None, None, "rwm")], ..Resources::default() })
        .expect("update");
    let all = ["null-read", "null-write", "zero-read", "zero-write", "full-read", "mknod-null", "mknod-full"];
    assert_eq!(probe(&group), allowed(&all));
    assert_eq!(support::devices_open_here(), all.len() - 2, "the filter is the group's, not this process's");
}

#[test]
fn limits_change_under_running_processes() {
    let Some(host) = host() else { return };
    let mut group = TestGroup::create(&host, &Resources::default()).expect("create");
    let shell = Shell::in_group(&group, "sleep 1000 & sleep 1000 & echo ready; read more; sleep 1000 & sleep 1000 & sleep 1000 & echo went on").go();
    shell.await_line("ready");

    group.update(&pids(4)).expect("a first limit, in a group of its own on v1");
    assert_eq!(group.read("pids", "pids.max"), "4");
    assert_eq!(group.read("pids", "pids.current"), "3");
    let (text, _) = shell.go().output();
    assert!(!text.contains("went on"));
    group.update(&pids(-1)).expect("unlimited again");
    assert_eq!(group.read("pids", "pids.max"), "max");

    let swap = |bytes| host.swap_limit().then_some(bytes);
    let (v1, file) = (
        host.v1_of("memory").is_some(),
        if host.v1_of("memory").is_some() { "memory.limit_in_bytes" } else { "memory.max" },
    );
    for mib in [64, 256, 32, 128] {
        group.update(&memory(mib * MIB, swap(2 * mib * MIB))).expect("both, up and down");
        assert_eq!(group.read("memory", file), (mib * MIB).to_string());
    }
    if host.swap_limit() {
        let (file, expected) =
            if v1 { ("memory.memsw.limit_in_bytes", 200 * MIB) } else { ("memory.swap.max", 72 * MIB) };
        let alone = Resources {
            memory: Some(Memory { swap: Some(200 * MIB), ..Memory::default() }),
            ..Resources::default()
        };
        group.update(&alone).expect("memory+swap alone, from the memory limit in force");
        assert_eq!(group.read("memory", file), expected.to_string());
        let below = Resources {
            memory: Some(Memory { swap: Some(100 * MIB), ..Memory::default() }),
            ..Resources::default()
        };
        assert!(matches!(group.update(&below), Err(Error::Value { .. })));
    }
    group.update(&memory(-1, None)).expect("unlimited");
    assert!(group.stats().expect("stats").memory.usage.limit > 1 << 62);
    group.kill().expect("kill");
}

#[test]
fn groups_that_another_process_made_later_are_found() {
    let Some(host) = host() else { return };
    let group = TestGroup::create(&host, &Resources::default()).expect("create");
    let shell = Shell::in_group(&group, "exec tail /dev/zero");
    // As `conex update` would, beside the supervisor that holds the groups.
    let text = CgroupPath::to_string(group.path());
    let mut other = Cgroup::open(&host, &text.parse().expect("path")).expect("open");
    other.update(&memory(16 * MIB, host.swap_limit().then_some(16 * MIB))).expect("update");
    assert_eq!(shell.go().wait().signal(), Some(9));
    assert!(group.oom_kills().expect("count") >= 1);
    group.delete().expect("delete");
    assert!(other.paths().iter().all(|path| !path.exists()), "{:?}", other.paths());
}

#[test]
fn a_beginning_that_is_gone_is_no_obstacle() {
    let Some(host) = host() else { return };
    let Some(pids_host) = host.v1_of("pids") else { return skip("no v1 group here") };
    let text = format!("/conex-test-{}/{};pids=/gone-session", std::process::id(), support::unique());
    let path: CgroupPath = text.parse().expect("path");
    let group =
        TestGroup::adopt(&host, path.clone(), Cgroup::create(&host, &path, &pids(5)).expect("create"));
    assert_eq!(group.read("pids", "pids.max"), "5");
    assert!(!pids_host.mount.join("gone-session").exists());
    group.delete().expect("delete");
    assert!(!Cgroup::open(&host, &path).expect("open").exists());
}

/// The error's text, after a look that nothing was left behind.
fn refused(host: &Host, resources: &Resources) -> String {
    let path = support::path(host);
    let error = Cgroup::create(host, &path, resources).expect_err("refused");
    let left = Cgroup::open(host, &path).expect("open");
    assert!(!left.exists(), "{:?}", left.paths());
    support::remove_parents(host, &path);
    let text = error.to_string();
    assert!(!text.contains('\n'), "{text}");
    text
}

#[test]
fn what_cannot_be_enforced_is_an_error_that_names_the_controller() {
    let Some(host) = host() else { return };
    let unified = |file: &str, value: &str| Resources {
        unified: BTreeMap::from([(file.to_owned(), value.to_owned())]),
        ..pids(5)
    };
    assert!(refused(&host, &unified("nosuch.max", "1")).contains("nosuch"));
    assert!(refused(&host, &unified("cgroup.procs", "0")).contains("cgroup.procs"));
    if host.version() != Version::V2 {
        assert!(refused(&host, &unified("memory.high", "1")).contains("no memory cgroup controller"));
    }
    if host.v1_of("net_cls").is_none() {
        let network = Network { class_id: Some(1), ..Network::default() };
        assert!(refused(&host, &Resources { network: Some(network), ..pids(5) }).contains("net_cls"));
    }
    if !host.controllers().iter().any(|name| name == "rdma") {
        let rdma = BTreeMap::from([(
            "mlx5_0".to_owned(),
            conex_oci::runtime::Rdma { hca_handles: Some(1), hca_objects: None },
        )]);
        assert!(
            refused(&host, &Resources { rdma, ..Resources::default() }).contains("no rdma cgroup controller")
        );
    }
    let cpu = |cpu| Resources { cpu: Some(cpu), ..pids(5) };
    let text = refused(&host, &cpu(Cpu { cpus: Some("4095".to_owned()), ..Cpu::default() }));
    assert!(text.contains("cpu.cpus") && text.contains("4095") && text.contains("cpuset"), "{text}");
    let text = refused(&host, &cpu(Cpu { quota: Some(10), period: Some(100_000), ..Cpu::default() }));
    assert!(
        text.contains("the cpu cgroup controller refused") && text.contains("Invalid argument"),
        "{text}"
    );
    assert!(refused(&host, &memory(MIB, Some(MIB / 2))).contains("memory.swap"));
    if host.v1_of("memory").is_none() {
        let memory = Memory { limit: Some(64 * MIB), swappiness: Some(10), ..Memory::default() };
        assert!(
            refused(&host, &Resources { memory: Some(memory), ..Resources::default() })
                .contains("memory.swappiness")
        );
    }
    let io = BlockIo { leaf_weight: Some(100), ..BlockIo::default() };
    let text = refused(&host, &Resources { block_io: Some(io), ..Resources::default() });
    assert!(text.contains("leaf") && (text.contains("blkio") || text.contains("io cgroup")), "{text}");
    let devices = vec![rule(true, "c", Some(-7), None, "rwm")];
    assert!(refused(&host, &Resources { devices, ..Resources::default() }).contains("device rule"));
}

#[test]
fn a_crashs_leftover_is_cleared_but_a_live_group_is_not_touched() {
    let Some(host) = host() else { return };
    let path = support::path(&host);
    // As if the process had died right after: nothing of it runs on drop.
    let _crashed = Cgroup::create(&host, &path, &pids(5)).expect("create");
    let group = TestGroup::adopt(
        &host,
        path.clone(),
        Cgroup::create(&host, &path, &memory(64 * MIB, None)).expect("again"),
    );
    let shell = Shell::in_group(&group, "sleep 1000").go();
    let error = Cgroup::create(&host, &path, &pids(5)).expect_err("in use");
    assert!(matches!(error, Error::InUse { .. }), "{error}");
    assert!(group.procs().expect("procs").contains(&shell.pid()), "still there");
    assert!(matches!(group.delete(), Err(Error::Delete { .. })));
    let text: String = path.clone().into();
    let opened = Cgroup::open(&host, &text.parse::<CgroupPath>().expect("path")).expect("open");
    opened.kill().expect("kill");
    shell.wait();
    opened.delete().expect("delete");
    assert!(!Cgroup::open(&host, &path).expect("open").exists());
}

/// runtime-spec config-linux.md#cgroups-path: they are made if they do not exist.
#[test]
fn a_group_that_a_bundle_names_is_taken_as_it_is_unless_it_is_used_or_frozen() {
    let Some(host) = host() else { return };
    let own = host.v1_of("memory").map_or("", |memory| memory.own.trim_end_matches('/'));
    let text = format!("{own}/conex-test-{}/{}", std::process::id(), support::unique());
    let path = host.bundle_path(Driver::Cgroupfs, Some(&text), "id").expect("path");
    let device = rule(false, "c", Some(1), Some(7), "rwm");
    let with = |devices: &[DeviceRule]| Resources { devices: devices.to_vec(), ..pids(30) };
    let all = rule(true, "a", None, None, "rwm");
    let _left = Cgroup::create(&host, &path, &with(&[all.clone(), device])).expect("create");
    let group = TestGroup::adopt(
        &host,
        path.clone(),
        Cgroup::create(&host, &path, &with(&[all, rule(false, "c", Some(1), Some(5), "w")])).expect("again"),
    );
    let first = group.paths().remove(0);
    // What its maker set is still there, and of our filters only the last.
    assert_eq!(group.read("pids", "pids.max"), "30");
    assert!(probe(&group)["full-read"] && !probe(&group)["zero-write"]);
    std::fs::create_dir(first.join("below")).expect("a group below");
    let shell = Shell::in_group(&group, "sleep 1000").go();
    let again = || Cgroup::create(&host, &path, &pids(9)).expect_err("used or frozen");
    assert!(matches!(again(), Error::InUse { .. }));
    assert!(first.join("below").exists() && group.read("pids", "pids.max") == "30", "it is untouched");
    group.kill().expect("kill");
    shell.wait();
    group.freeze().expect("freeze");
    assert!(matches!(again(), Error::Frozen { .. }));
    group.thaw().expect("thaw");
}

#[test]
fn what_was_used_is_counted() {
    let Some(host) = host() else { return };
    let resources = Resources {
        pids: Some(Pids { limit: Some(9) }),
        cpu: Some(Cpu { quota: Some(20_000), ..Cpu::default() }),
        ..memory(64 * MIB, None)
    };
    let group = TestGroup::create(&host, &resources).expect("create");
    let shell = Shell::in_group(
        &group,
        "x=$(head -c 4000000 /dev/zero | tr '\\0' x); echo ready; while :; do :; done",
    )
    .go();
    shell.await_line("ready");
    shell.await_progress();
    let stats = group.stats().expect("stats");
    let memory = stats.memory.usage;
    assert!(memory.usage >= 4_000_000 && memory.usage < 64 << 20 && memory.limit == 64 << 20, "{memory:?}");
    assert_eq!(stats.pids, conex_cgroup::PidsStats { current: 1, limit: 9 });
    let cpu = &stats.cpu.usage;
    assert!(cpu.total > 0 && cpu.total >= cpu.user, "{cpu:?}");
    // What reads runc's events finds its names.
    let event = conex_cgroup::Event { kind: "stats", id: "some", data: Some(stats) };
    let json = serde_json::to_value(&event).expect("json");
    assert_eq!((&json["type"], &json["id"]), (&"stats".into(), &"some".into()));
    let data = &json["data"];
    assert_eq!(data["memory"]["usage"]["limit"], 64 << 20);
    assert!(data["memory"]["raw"].as_object().is_some_and(|raw| raw.len() > 10), "{data}");
    assert!(
        data["memory"]["kernelTCP"]["failcnt"].is_u64() && data["cpu"]["usage"]["kernel"].is_u64(),
        "{data}"
    );
    assert!(data["cpuset"]["sched_relax_domain_level"].is_i64() && data["hugetlb"].is_object(), "{data}");
    assert!(data["intel_rdt"].is_object() && data["network_interfaces"].is_null(), "{data}");
    if let Some(unified) = host.unified().filter(|unified| unified.mount.join("cgroup.controllers").exists())
        && std::path::Path::new("/proc/pressure/cpu").exists()
    {
        assert!(
            data["cpu"]["psi"]["some"]["total"].as_u64().is_some(),
            "{}: {data}",
            unified.mount.display()
        );
        assert!(data["memory"]["psi"]["full"]["avg300"].as_f64().is_some(), "{data}");
        assert!(data["blkio"]["psi"].is_object(), "{data}");
    }
    group.kill().expect("kill");
}

#[test]
fn many_at_once_share_a_parent_that_comes_and_goes() {
    let Some(host) = host() else { return };
    std::thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| {
                for _ in 0..10 {
                    let path = host.container_path(None, &support::unique()).expect("path");
                    let group = Cgroup::create(&host, &path, &pids(5)).expect("create");
                    group.delete().expect("delete");
                }
            });
        }
    });
}

#[test]
fn a_join_descriptor_takes_the_writer_in() {
    let Some(host) = host() else { return };
    let group = TestGroup::create(&host, &pids(20)).expect("create");
    let Some(join) = group.join_fds().first() else { return skip("no v1 group here") };
    let output = std::fs::File::from(join.try_clone().expect("dup"));
    let shell = Shell::spawn("echo 0; exec sleep 1000", output.into()).go();
    let pid = shell.pid().to_string();
    support::until("the shell has joined", || {
        group.read("pids", "cgroup.procs").lines().any(|line| line == pid)
    });
    shell.kill();
}

#[test]
fn an_ordinary_user_gets_a_clear_error() {
    // Not as root: what mkdir says is passed on.
    let Some(host) = unless_root() else { return };
    let error = Cgroup::create(&host, &support::path(&host), &Resources::default()).expect_err("refused");
    assert!(error.to_string().contains("cgroup"), "{error}");
}
