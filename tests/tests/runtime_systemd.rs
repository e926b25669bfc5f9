//! `conex-runtime --systemd-cgroup` where a systemd runs (`cargo xtask test --vm`): the container is a transient scope from its
//! first process to its end.

use std::path::Path;
use std::process::Command;

use conex_tests::{Runtime, eventually, needs_root, skip};
use serde_json::{Value, json};

macro_rules! runtime {
    () => {{
        needs_root!();
        if !Path::new("/run/systemd/system").is_dir() {
            skip!("systemd does not run here");
        }
        let Some(runtime) = Runtime::new() else { skip!("no busybox image") };
        runtime
    }};
}

/// A property of a unit as systemctl shows it.
fn property(unit: &str, name: &str) -> String {
    let output =
        Command::new("systemctl").args(["show", "--value", "--property", name, unit]).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

fn unique(name: &str) -> String {
    format!("{name}{}", std::process::id())
}

fn config(runtime: &Runtime, id: &str, words: &[&str]) -> Value {
    let mut config = runtime.config(words);
    config["linux"]["cgroupsPath"] = json!(format!("conextest-runtime.slice:box:{id}"));
    config["linux"]["resources"] = json!({
        "memory": {"limit": 67_108_864, "swap": 67_108_864},
        "pids": {"limit": 30},
        "cpu": {"shares": 512, "quota": 50_000, "period": 100_000},
        "devices": [{"allow": false, "access": "rwm"}],
    });
    config["annotations"] = json!({"org.systemd.property.TimeoutStopSec": "uint64 3"});
    config
}

/// With the global flag before the verb.
fn ok(runtime: &Runtime, arguments: &[&str]) -> String {
    runtime.ok(&[&["--systemd-cgroup"], arguments].concat())
}

fn create(runtime: &Runtime, id: &str, config: &Value) {
    let bundle = runtime.bundle(id, config);
    let status = runtime
        .command(&["--systemd-cgroup", "create", "--bundle", bundle.to_str().unwrap(), id])
        .stdout(std::process::Stdio::null())
        .status()
        .unwrap();
    assert!(status.success(), "{status}");
}

#[test]
fn a_container_lives_in_its_scope() {
    let runtime = runtime!();
    let id = unique("life");
    let unit = format!("box-{id}.scope");
    create(&runtime, &id, &config(&runtime, &id, &["sleep", "1000"]));
    assert_eq!(property(&unit, "ActiveState"), "active");
    let pid = runtime.state(&id)["pid"].as_u64().unwrap();
    let groups = || std::fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap();
    let expected = format!("0::/conextest.slice/conextest-runtime.slice/{unit}");
    assert_eq!(groups().trim(), expected);
    for (name, value) in [
        ("Slice", "conextest-runtime.slice"),
        ("Delegate", "yes"),
        ("MemoryMax", "67108864"),
        ("MemorySwapMax", "0"),
        ("TasksMax", "30"),
        ("CPUWeight", "59"),
        ("CPUQuotaPerSecUSec", "500ms"),
        ("DevicePolicy", "strict"),
        ("TimeoutStopUSec", "3s"),
    ] {
        assert_eq!(property(&unit, name), value, "{name}");
    }
    ok(&runtime, &["start", &id]);
    assert_eq!(groups().trim(), expected);
    // An exec is in it as well, and sees it as its root.
    assert_eq!(ok(&runtime, &["exec", &id, "cat", "/proc/self/cgroup"]).trim(), "0::/");
    ok(&runtime, &["pause", &id]);
    assert_eq!(runtime.status(&id).as_deref(), Some("paused"));
    ok(&runtime, &["resume", &id]);
    ok(
        &runtime,
        &["update", "--memory", "134217728", "--memory-swap", "134217728", "--pids-limit", "40", &id],
    );
    assert_eq!(
        (property(&unit, "MemoryMax"), property(&unit, "TasksMax")),
        ("134217728".into(), "40".into())
    );
    let stats: Value = serde_json::from_str(&ok(&runtime, &["events", "--stats", &id])).unwrap();
    assert_eq!(stats["data"]["memory"]["usage"]["limit"], 134_217_728);
    assert_eq!(stats["data"]["pids"]["limit"], 40);
    assert!(stats["data"]["cpu"]["psi"]["some"]["avg10"].is_f64(), "{stats}");
    ok(&runtime, &["kill", &id, "KILL"]);
    eventually("the container's end", || (runtime.status(&id).as_deref() == Some("stopped")).then_some(()));
    ok(&runtime, &["delete", &id]);
    assert_eq!(property(&unit, "LoadState"), "not-found");
    assert!(!Path::new("/sys/fs/cgroup/conextest.slice/conextest-runtime.slice").join(&unit).exists());
}

#[test]
fn a_run_to_the_end_leaves_no_scope() {
    let runtime = runtime!();
    let id = unique("run");
    let unit = format!("box-{id}.scope");
    let bundle = runtime.bundle(&id, &config(&runtime, &id, &["sh", "-c", "cat /proc/self/cgroup; exit 7"]));
    let output = runtime.run(&["--systemd-cgroup", "run", "--bundle", bundle.to_str().unwrap(), &id]);
    assert_eq!((output.code, output.stdout.trim()), (7, "0::/"), "{output:?}");
    assert_eq!(property(&unit, "LoadState"), "not-found");
}

#[test]
fn delete_by_force_ends_a_scope_and_what_is_in_it() {
    let runtime = runtime!();
    let id = unique("force");
    let unit = format!("box-{id}.scope");
    let mut config = config(&runtime, &id, &["sh", "-c", "sleep 1000 & sleep 1000 & wait"]);
    config["linux"]["cgroupsPath"] = json!(format!(":box:{id}"));
    create(&runtime, &id, &config);
    ok(&runtime, &["start", &id]);
    assert_eq!(property(&unit, "Slice"), "system.slice", "the default");
    ok(&runtime, &["delete", "--force", &id]);
    assert_eq!(property(&unit, "LoadState"), "not-found");
    assert!(runtime.fails(&["state", &id]).contains("does not exist"));
}

#[test]
fn what_cannot_be_is_one_clear_line() {
    let runtime = runtime!();
    for (path, words) in [
        ("/a/b", "SLICE:PREFIX:NAME"),
        ("a.slice:b", "SLICE:PREFIX:NAME"),
        ("../x.slice:b:c", "slice"),
        ("a.slice:b:../c", "unit"),
        ("a.slice:b:c.slice", "scope"),
    ] {
        let id = unique("bad");
        let mut config = config(&runtime, &id, &["true"]);
        config["linux"]["cgroupsPath"] = json!(path);
        let bundle = runtime.bundle(&id, &config);
        let text = runtime.fails(&["--systemd-cgroup", "run", "--bundle", bundle.to_str().unwrap(), &id]);
        assert!(text.contains(words), "{path}: {text}");
    }
    let id = unique("property");
    let mut config = config(&runtime, &id, &["true"]);
    config["annotations"] = json!({"org.systemd.property.NoSuchThing": "'x'"});
    let bundle = runtime.bundle(&id, &config);
    let text = runtime.fails(&["--systemd-cgroup", "run", "--bundle", bundle.to_str().unwrap(), &id]);
    assert!(text.contains("NoSuchThing"), "{text}");
    assert_eq!(property(&format!("box-{id}.scope"), "ActiveState"), "inactive");
}

/// An ordinary user's login session is outside the groups of his own systemd: he may not move a process from the one to the other, so
/// that systemd has to.
#[test]
fn a_users_container_is_in_a_scope_of_his_own_systemd() {
    let runtime = runtime!();
    let Some(user) = user() else { skip!("no user with a systemd of his own runs here") };
    let id = unique("user");
    let bundle = runtime.bundle(&id, &json!({}));
    let mut config = config(&runtime, &id, &["sleep", "1000"]);
    config["linux"]["cgroupsPath"] = json!(format!("user.slice:box:{id}"));
    config["linux"]["resources"] = json!({"memory": {"limit": 67_108_864}, "pids": {"limit": 30}});
    config["linux"]["namespaces"].as_array_mut().unwrap().push(json!({"type": "user"}));
    config["linux"]["uidMappings"] = json!([{"containerID": 0, "hostID": user, "size": 1}]);
    config["linux"]["gidMappings"] = config["linux"]["uidMappings"].clone();
    config["mounts"]
        .as_array_mut()
        .unwrap()
        .retain(|mount| mount["destination"] == "/proc" || mount["destination"] == "/dev");
    std::fs::write(bundle.join("config.json"), config.to_string()).unwrap();
    let root = format!("/run/user/{user}/conex-test");
    let command = |arguments: &[&str]| {
        let binary = Runtime::binary();
        let mut command = Command::new("setpriv");
        command
            .args(["--reuid", &user.to_string(), "--regid", &user.to_string(), "--clear-groups"])
            .arg(binary);
        command.env("XDG_RUNTIME_DIR", format!("/run/user/{user}")).args([
            "--systemd-cgroup",
            "--root",
            &root,
        ]);
        command.args(arguments).stdin(std::process::Stdio::null());
        command
    };
    let said = |arguments: &[&str]| {
        let output = command(arguments).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    };
    let opened =
        Command::new("chmod").arg("a+x").args([runtime.scratch(), bundle.parent().unwrap()]).status();
    assert!(opened.unwrap().success());
    let null = std::process::Stdio::null;
    let bundle = bundle.to_str().unwrap();
    let started = command(&["run", "--detach", "--bundle", bundle, &id]).stdout(null()).status().unwrap();
    assert!(started.success(), "{started}");
    let state: Value = serde_json::from_str(&said(&["state", &id])).unwrap();
    let place = |pid: &str| std::fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap().trim().to_owned();
    let expected = format!("0::/user.slice/user-{user}.slice/user@{user}.service/user.slice/box-{id}.scope");
    assert_eq!(place(&state["pid"].to_string()), expected);
    let group = format!("/sys/fs/cgroup{}", &expected[3..]);
    assert_eq!(std::fs::read_to_string(format!("{group}/memory.max")).unwrap().trim(), "67108864");
    assert_eq!(said(&["exec", &id, "cat", "/proc/self/cgroup"]), "0::/");
    said(&["update", "--pids-limit", "25", &id]);
    assert_eq!(std::fs::read_to_string(format!("{group}/pids.max")).unwrap().trim(), "25");
    said(&["delete", "--force", &id]);
    assert!(!Path::new(&group).exists());
}

/// A user whose own systemd runs.
fn user() -> Option<u32> {
    let buses = std::fs::read_dir("/run/user")
        .ok()?
        .flatten()
        .filter(|entry| entry.path().join("systemd/private").exists());
    buses.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).find(|uid| *uid != 0)
}

/// runtime-spec config-linux.md#cgroup-ownership
#[test]
fn a_user_owns_the_group_that_he_may_write_to() {
    use std::os::unix::fs::MetadataExt;
    let runtime = runtime!();
    for (name, options, owner) in [("rw", "rw", 100_007), ("ro", "ro", 0)] {
        let id = unique(name);
        let mut config = config(&runtime, &id, &["sleep", "1000"]);
        config["process"]["user"] = json!({"uid": 7, "gid": 7});
        let linux = &mut config["linux"];
        linux["namespaces"].as_array_mut().unwrap().push(json!({"type": "user"}));
        linux["uidMappings"] = json!([{"containerID": 0, "hostID": 100_000, "size": 1000}]);
        linux["gidMappings"] = linux["uidMappings"].clone();
        let mounts = config["mounts"].as_array_mut().unwrap();
        let cgroup = mounts.iter_mut().find(|mount| mount["destination"] == "/sys/fs/cgroup").unwrap();
        cgroup["options"] = json!(["nosuid", "noexec", "nodev", "relatime", options]);
        create(&runtime, &id, &config);
        let group = format!("/sys/fs/cgroup/conextest.slice/conextest-runtime.slice/box-{id}.scope");
        assert_eq!(std::fs::metadata(&group).unwrap().uid(), owner, "{name}");
        assert_eq!(std::fs::metadata(format!("{group}/cgroup.procs")).unwrap().uid(), owner, "{name}");
        assert_eq!(std::fs::metadata(format!("{group}/memory.max")).unwrap().uid(), 0, "{name}");
        ok(&runtime, &["delete", "--force", &id]);
    }
}
