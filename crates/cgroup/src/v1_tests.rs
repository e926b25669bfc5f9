//! A hybrid host looked at as if it had no v2 tree: what a pure v1 host, which no test machine is, goes through.

use std::process::{Child, Command, Stdio};

use conex_oci::runtime::{DeviceRule, Memory, Pids, Resources};

use crate::{Cgroup, CgroupPath, Host, Version};

/// A group that goes away with its test.
struct TestGroup {
    cgroup: Cgroup,
    children: Vec<Child>,
}

/// The v1 side of this machine, if it has one with everything used here.
fn host() -> Option<Host> {
    let mut host = Host::detect().ok()?;
    host.unified = None;
    let has_all = ["freezer", "pids", "memory", "devices"].iter().all(|name| host.v1_of(name).is_some());
    if !rustix::process::geteuid().is_root() || !has_all {
        println!("skipped: this needs root and the v1 controllers");
        return None;
    }
    assert_eq!(host.version(), Version::V1);
    Some(host)
}

fn create(host: &Host, name: &str, resources: &Resources) -> TestGroup {
    let path: CgroupPath =
        host.container_path(Some("/conex-test-v1"), &format!("{name}-{}", std::process::id())).expect("path");
    TestGroup { cgroup: Cgroup::create(host, &path, resources).expect("create"), children: Vec::new() }
}

impl TestGroup {
    /// Starts a shell in the group.
    fn shell(&mut self, script: &str) -> &mut Child {
        let mut command = Command::new("sh");
        command.arg("-c").arg(format!("read go; {script}")).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("sh");
        self.cgroup.add(child.id()).expect("add");
        // Closing its input lets it go on.
        drop(child.stdin.take());
        self.children.push(child);
        self.children.last_mut().expect("the one just pushed")
    }
}

impl Drop for TestGroup {
    fn drop(&mut self) {
        let _killed = self.cgroup.kill();
        for child in &mut self.children {
            let _reaped = child.wait();
        }
        let _deleted = self.cgroup.delete();
        for path in self.cgroup.paths() {
            let _in_use = path.parent().map(std::fs::remove_dir);
        }
    }
}

#[test]
fn the_freezer_freezes_and_kill_goes_one_by_one() {
    let Some(host) = host() else { return };
    let mut group = create(&host, "kill", &Resources::default());
    assert!(group.cgroup.clone_into().is_none());
    assert_eq!(group.cgroup.join_fds().len(), 1, "the freezer's, to know the processes by");
    for _ in 0..3 {
        group.shell("while :; do sleep 1000; done");
    }
    group.cgroup.freeze().expect("freeze");
    assert!(group.cgroup.is_frozen().expect("state"));
    group.cgroup.kill().expect("kill");
    assert_eq!(group.cgroup.procs().expect("procs"), Vec::<u32>::new());
    assert!(!group.cgroup.is_frozen().expect("state"));
    group.cgroup.delete().expect("delete");
    assert!(group.cgroup.paths().iter().all(|path| !path.exists()));
}

#[test]
fn limits_and_stats_are_v1s() {
    let Some(host) = host() else { return };
    let resources = Resources {
        memory: Some(Memory { limit: Some(32 << 20), ..Memory::default() }),
        pids: Some(Pids { limit: Some(7) }),
        ..Resources::default()
    };
    let mut group = create(&host, "limits", &resources);
    group.shell("sleep 1000");
    let stats = group.cgroup.stats().expect("stats");
    assert_eq!(stats.memory.usage.limit, 32 << 20);
    assert_eq!(stats.pids.limit, 7);
    assert_eq!(group.cgroup.oom_kills().expect("count"), 0);
    let unified =
        Resources { unified: [("memory.high".to_owned(), "1".to_owned())].into(), ..Resources::default() };
    assert!(group.cgroup.update(&unified).expect_err("refused").to_string().contains("memory"));
}

#[test]
fn the_devices_controller_filters() {
    let Some(host) = host() else { return };
    let rule = |allow, major: Option<i64>, minor, access: &str| DeviceRule {
        allow,
        kind: Some(if major.is_some() { "c" } else { "a" }.to_owned()),
        major,
        minor,
        access: Some(access.to_owned()),
    };
    let devices = vec![
        rule(false, None, None, "rwm"),
        rule(true, Some(1), Some(3), "rwm"),
        rule(true, Some(1), Some(5), "r"),
    ];
    let mut group = create(&host, "devices", &Resources { devices, ..Resources::default() });
    let script = "for d in null zero full; do (: </dev/$d) 2>&- && echo $d-read; (: >/dev/$d) 2>&- && echo $d-write; done";
    let mut output = group.shell(script).stdout.take().expect("a pipe");
    let mut text = String::new();
    std::io::Read::read_to_string(&mut output, &mut text).expect("output");
    assert_eq!(text.split_whitespace().collect::<Vec<_>>(), ["null-read", "null-write", "zero-read"]);
}

#[test]
fn one_by_one_works_on_v2_as_well() {
    // Linux before 5.14 has no cgroup.kill.
    let Ok(host) = Host::detect() else { return };
    if !rustix::process::geteuid().is_root() || host.unified.is_none() {
        println!("skipped: this needs root and a v2 tree");
        return;
    }
    let mut group = create(&host, "v2", &Resources::default());
    for _ in 0..3 {
        group.shell("while :; do sleep 1000; done");
    }
    let tracking = group.cgroup.tracking().expect("the v2 group");
    group.cgroup.kill_one_by_one(tracking).expect("kill");
    assert_eq!(group.cgroup.procs().expect("procs"), Vec::<u32>::new());
}
