//! `update` and `events`: limits that change while the container runs, and what it uses.

use std::io::Write;
use std::process::Stdio;

use conex_tests::{Background, Runtime, needs_root, skip};
use serde_json::Value;

/// The content of a file of one of the container's groups, wherever the host has it.
fn limit(runtime: &Runtime, names: &[&str]) -> Option<String> {
    let mut files =
        runtime.groups().into_iter().flat_map(|group| names.iter().map(move |name| group.join(name)));
    files.find_map(|file| std::fs::read_to_string(file).ok()).map(|text| text.trim().to_owned())
}

#[test]
fn flags_change_limits() {
    needs_root!();
    let Some(runtime) = Runtime::new() else { skip!("no busybox image") };
    runtime.start_config("a", &runtime.config(&["sleep", "1000"]));
    let memory = ["memory.limit_in_bytes", "memory.max"];
    runtime.ok(&["update", "--memory", "64m", "a"]);
    assert_eq!(limit(&runtime, &memory).as_deref(), Some("67108864"));
    runtime.ok(&["update", "--memory=33554432", "--memory-reservation", "16M", "a"]);
    assert_eq!(limit(&runtime, &memory).as_deref(), Some("33554432"));
    assert_eq!(limit(&runtime, &["memory.soft_limit_in_bytes", "memory.low"]).as_deref(), Some("16777216"));
    runtime.ok(&["update", "--pids-limit", "77", "a"]);
    assert_eq!(limit(&runtime, &["pids.max"]).as_deref(), Some("77"));
    runtime.ok(&["update", "--pids-limit", "-1", "a"]);
    assert_eq!(limit(&runtime, &["pids.max"]).as_deref(), Some("max"));
    runtime.ok(&["update", "--cpu-period", "50000", "--cpu-quota", "25000", "--cpu-share", "512", "a"]);
    assert!(
        ["25000", "25000 50000"]
            .contains(&limit(&runtime, &["cpu.cfs_quota_us", "cpu.max"]).unwrap().as_str())
    );
    runtime.ok(&["update", "--cpu-quota", "-1", "a"]);
    assert!(
        ["-1", "max 50000"].contains(&limit(&runtime, &["cpu.cfs_quota_us", "cpu.max"]).unwrap().as_str())
    );
    runtime.ok(&["update", "--cpuset-cpus", "0", "--cpuset-mems", "0", "a"]);
    assert_eq!(limit(&runtime, &["cpuset.cpus"]).as_deref(), Some("0"));
    // The rest is as it was.
    assert_eq!(limit(&runtime, &memory).as_deref(), Some("33554432"));
    // A container whose limits came later is removed with all its groups.
    runtime.ok(&["delete", "-f", "a"]);
    assert_eq!(runtime.groups(), Vec::<std::path::PathBuf>::new());
}

#[test]
fn a_document_from_a_file_or_standard_input() {
    needs_root!();
    let Some(runtime) = Runtime::new() else { skip!("no busybox image") };
    runtime.start_config("a", &runtime.config(&["sleep", "1000"]));
    let path = runtime.scratch().join("resources.json");
    std::fs::write(&path, r#"{"pids": {"limit": 55}, "memory": {"limit": 50331648}}"#).unwrap();
    // The other flags do not count then.
    runtime.ok(&["update", "--resources", path.to_str().unwrap(), "--pids-limit", "3", "a"]);
    assert_eq!(limit(&runtime, &["pids.max"]).as_deref(), Some("55"));
    let mut update = Background::spawn(runtime.command(&["update", "-r", "-", "a"]).stdin(Stdio::piped()));
    update.stdin().unwrap().write_all(br#"{"pids": {"limit": 56}}"#).unwrap();
    assert_eq!(update.finish().code, 0);
    assert_eq!(limit(&runtime, &["pids.max"]).as_deref(), Some("56"));
    assert_eq!(limit(&runtime, &["memory.limit_in_bytes", "memory.max"]).as_deref(), Some("50331648"));
    for (document, expected) in [
        ("{", "invalid resources"),
        (r#"{"pids": {"limit": "x"}}"#, "pids.limit: invalid type"),
        (r#"{"unified": {"no.such": "1"}}"#, "no.such"),
    ] {
        std::fs::write(&path, document).unwrap();
        let refused = runtime.fails(&["update", "-r", path.to_str().unwrap(), "a"]);
        assert!(refused.contains(expected), "{refused}");
    }
}

#[test]
fn wrong_values_are_refused_and_nothing_changes() {
    needs_root!();
    let Some(runtime) = Runtime::new() else { skip!("no busybox image") };
    runtime.start_config("a", &runtime.config(&["sleep", "1000"]));
    for (flag, value) in [
        ("--memory", "much"),
        ("--memory", "1x"),
        ("--cpu-quota", "fast"),
        ("--cpu-period", "-1"),
        ("--cpu-share", "1.5"),
        ("--cpu-idle", "yes"),
        ("--cpuset-cpus", "9999"),
        ("--l3-cache-schema", "L3:0=f"),
        ("--mem-bw-schema", "MB:0=50"),
    ] {
        // It is told by the flag, or by the limit's name in the specification.
        runtime.fails(&["update", flag, value, "a"]);
    }
    assert!(runtime.fails(&["update", "--memory", "much", "a"]).contains("invalid value for memory"));
    assert!(
        runtime.fails(&["update", "--l3-cache-schema", "L3:0=f", "a"]).contains("non-existent Intel RDT")
    );
    runtime.ok(&["kill", "a", "KILL"]);
    conex_tests::eventually("the end", || (runtime.status("a").as_deref() == Some("stopped")).then_some(()));
    assert!(runtime.fails(&["update", "--pids-limit", "5", "a"]).contains("container not running"));
    assert!(runtime.fails(&["events", "--stats", "a"]).contains("container with id a is not running"));
}

#[test]
fn events_tell_what_is_used() {
    needs_root!();
    let Some(runtime) = Runtime::new() else { skip!("no busybox image") };
    let mut config = runtime.config(&["sleep", "1000"]);
    config["linux"]["resources"] =
        serde_json::json!({"pids": {"limit": 33}, "memory": {"limit": 67_108_864}});
    runtime.start_config("a", &config);
    let stats: Value = serde_json::from_str(&runtime.ok(&["events", "--stats", "a"])).unwrap();
    assert_eq!((&stats["type"], &stats["id"]), (&"stats".into(), &"a".into()));
    assert_eq!(stats["data"]["pids"]["limit"], 33);
    assert_eq!(stats["data"]["pids"]["current"], 1);
    assert_eq!(stats["data"]["memory"]["usage"]["limit"], 67_108_864);
    assert!(stats["data"]["memory"]["usage"]["usage"].as_u64().unwrap() > 0);
    assert!(
        runtime
            .fails(&["events", "--interval", "0", "a"])
            .contains("duration interval must be greater than 0")
    );
    assert!(runtime.fails(&["events", "--interval", "soon", "a"]).contains("parse error"));
    // A line every so often, until the end.
    let events = runtime.background(&["events", "--interval", "10ms", "a"]);
    let script = "i=0; while [ $i -lt 20 ]; do sleep 0.01; i=$((i+1)); done";
    runtime.ok(&["exec", "a", "sh", "-c", script]);
    runtime.ok(&["kill", "a", "KILL"]);
    let output = events.finish();
    assert_eq!(output.code, 0, "{}", output.stderr);
    let lines: Vec<Value> = output.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(lines.len() > 2 && lines.iter().all(|line| line["type"] == "stats"), "{}", output.stdout);
}

#[test]
fn events_tell_of_memory_that_ran_out() {
    needs_root!();
    let Some(runtime) = Runtime::new() else { skip!("no busybox image") };
    let mut config = runtime.config(&["sleep", "1000"]);
    config["linux"]["resources"] = serde_json::json!({"memory": {"limit": 16_777_216, "swap": 16_777_216}});
    runtime.start_config("a", &config);
    let events = runtime.background(&["events", "--interval", "1h", "a"]);
    // It must be watching before it happens: it has its cgroup's files open then.
    let watching = || {
        let links = std::fs::read_dir(format!("/proc/{}/fd", events.id())).ok()?;
        links.flatten().find(|link| {
            std::fs::read_link(link.path()).is_ok_and(|to| to.to_string_lossy().contains("eventpoll"))
        })
    };
    conex_tests::eventually("the watch", watching);
    let output = runtime.run(&["exec", "a", "sh", "-c", "x=x; while :; do x=$x$x; done"]);
    assert_eq!(output.code, 128 + 9, "{}", output.stderr);
    runtime.ok(&["kill", "a", "KILL"]);
    let output = events.finish();
    assert!(output.stdout.contains(r#"{"type":"oom","id":"a"}"#), "{} {}", output.stdout, output.stderr);
}
