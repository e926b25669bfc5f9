//! Hooks: all six kinds, where and when they run, what they are given, and what becomes of the container when one fails.

use std::path::PathBuf;

use conex_tests::{Runtime, needs_root, skip};
use serde_json::{Value, json};

const KINDS: [&str; 6] =
    ["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"];

/// A runtime and a directory on the host that hooks write to, seen by the container at /hooks.
fn prepared() -> Option<(Runtime, PathBuf)> {
    let runtime = Runtime::new()?;
    let log = runtime.scratch().join("hooks");
    std::fs::create_dir(&log).unwrap();
    Some((runtime, log))
}

fn signal(pid: i32, signal: rustix::process::Signal) {
    let pid = rustix::process::Pid::from_raw(pid).unwrap();
    let held = rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty()).unwrap();
    rustix::process::pidfd_send_signal(&held, signal).unwrap();
}

/// A hook in which `$L` is that directory.
fn hook(script: &str, log: &str) -> Value {
    json!({"path": "/bin/sh", "args": ["sh", "-c", script], "env": [format!("L={log}"), "PATH=/bin:/usr/bin"]})
}

fn config(runtime: &Runtime, log: &std::path::Path, args: &[&str], script: &str) -> Value {
    let mut config = runtime.config(args);
    let mount = json!({"destination": "/hooks", "type": "bind", "source": log, "options": ["bind"]});
    config["mounts"].as_array_mut().unwrap().push(mount);
    let host = log.to_str().unwrap();
    let of = |kind: &&str| {
        let directory = if *kind == "startContainer" { "/hooks" } else { host };
        ((*kind).to_owned(), json!([hook(&script.replace("KIND", kind), directory)]))
    };
    config["hooks"] = Value::Object(KINDS.iter().map(of).collect());
    config
}

#[test]
fn all_kinds_in_order_with_the_state() {
    needs_root!();
    let Some((runtime, log)) = prepared() else { skip!("no busybox image") };
    let script = "cat > $L/KIND.json; echo KIND >> $L/order; readlink /proc/self/ns/mnt > $L/KIND.mnt; \
                  readlink /proc/self/ns/net > $L/KIND.net; ls / > $L/KIND.root; env > $L/KIND.env";
    let mut config = config(
        &runtime,
        &log,
        &["sh", "-c", "echo program >> /hooks/order; readlink /proc/self/ns/net > /hooks/program.net"],
        script,
    );
    config["annotations"] = json!({"some.key": "value"});
    // In the foreground poststart and the program run at the same time: so step by step.
    runtime.create_config("a", &config);
    let pid = runtime.state("a")["pid"].as_u64().unwrap();
    let order = || std::fs::read_to_string(log.join("order")).unwrap_or_default();
    assert_eq!(order(), "prestart\ncreateRuntime\ncreateContainer\n");
    runtime.ok(&["start", "a"]);
    conex_tests::eventually("the end", || (runtime.status("a").as_deref() == Some("stopped")).then_some(()));
    let at = |word: &str| order().lines().position(|line| line == word);
    assert!(at("startContainer") < at("program") && at("startContainer") < at("poststart"), "{}", order());
    assert_eq!(at("poststop"), None);
    runtime.ok(&["delete", "a"]);
    assert_eq!(at("poststop"), Some(6));
    let own = |kind: &str| std::fs::read_link(format!("/proc/self/ns/{kind}")).unwrap();
    let text = |name: String| std::fs::read_to_string(log.join(name)).unwrap();
    for (kind, status, inside) in [
        ("prestart", "creating", false),
        ("createRuntime", "creating", false),
        ("createContainer", "creating", true),
        ("startContainer", "created", true),
        ("poststart", "running", false),
        ("poststop", "stopped", false),
    ] {
        let state: Value = serde_json::from_str(&text(format!("{kind}.json"))).unwrap();
        assert_eq!(state["status"], status, "{kind}");
        assert_eq!(state["id"], "a", "{kind}");
        assert_eq!(state["ociVersion"], "1.2.0", "{kind}");
        assert_eq!(state["annotations"]["some.key"], "value", "{kind}");
        assert_eq!(state["bundle"], runtime.bundle("a", &config).to_str().unwrap(), "{kind}");
        // As seen from where the hook runs.
        let expected = match (kind, inside) {
            ("poststop", _) => Value::Null,
            (_, true) => json!(1),
            (_, false) => json!(pid),
        };
        assert_eq!(state["pid"], expected, "{kind}");
        let in_hosts_mounts = text(format!("{kind}.mnt")).trim() == own("mnt").to_str().unwrap();
        assert_eq!(in_hosts_mounts, !inside, "{kind}");
        assert_eq!(text(format!("{kind}.net")) == text("program.net".to_owned()), inside, "{kind}");
        // Before the pivot the root is the host's.
        let sees_hooks = text(format!("{kind}.root")).lines().any(|name| name == "hooks");
        assert_eq!(sees_hooks, kind == "startContainer", "{kind}");
        // Nothing of our environment. A shell sets these three itself.
        let environment = text(format!("{kind}.env"));
        let names: Vec<_> = environment.lines().filter_map(|line| line.split('=').next()).collect();
        assert!(
            names.iter().all(|name| ["L", "PATH", "PWD", "SHLVL", "_", "OLDPWD"].contains(name)),
            "{kind}: {names:?}"
        );
    }
}

#[test]
fn a_failing_hook_before_the_program_leaves_no_container() {
    needs_root!();
    let Some((runtime, log)) = prepared() else { skip!("no busybox image") };
    for kind in ["prestart", "createRuntime", "createContainer", "startContainer"] {
        let mut config = config(&runtime, &log, &["touch", "/hooks/program-ran"], "true");
        let place = if kind == "startContainer" { "/hooks" } else { log.to_str().unwrap() };
        config["hooks"][kind] = json!([hook("echo no >&2; exit 3", place), hook("touch $L/second", place)]);
        config["hooks"]["poststop"] = json!([hook("touch $L/poststop", log.to_str().unwrap())]);
        let output = runtime.run_config("a", &config);
        assert_eq!(output.code, 1, "{kind}");
        assert_eq!(output.stderr.lines().count(), 1, "{kind}: {}", output.stderr);
        assert!(
            output.stderr.contains(&format!("{kind} hook #0 (/bin/sh) failed: exit status 3, it said: no")),
            "{}",
            output.stderr
        );
        assert!(!log.join("program-ran").exists() && !log.join("second").exists(), "{kind}");
        assert!(log.join("poststop").exists(), "{kind}: what was created is destroyed, and poststop is told");
        std::fs::remove_file(log.join("poststop")).unwrap();
        assert_eq!(runtime.ok(&["list", "-q"]), "", "{kind}");
        assert_eq!(runtime.groups(), Vec::<PathBuf>::new(), "{kind}");
    }
}

#[test]
fn a_failing_poststart_stops_the_container_and_a_failing_poststop_is_logged() {
    needs_root!();
    let Some((runtime, log)) = prepared() else { skip!("no busybox image") };
    let place = log.to_str().unwrap();
    let mut config = runtime.config(&["sleep", "1000"]);
    config["hooks"] = json!({"poststart": [hook("exit 1", place)], "poststop": [hook("exit 4", place), hook("touch $L/second", place)]});
    runtime.create_config("a", &config);
    assert!(runtime.fails(&["start", "a"]).contains("poststart hook #0"));
    assert_eq!(runtime.status("a").as_deref(), Some("stopped"));
    let output = runtime.run(&["delete", "a"]);
    assert_eq!(output.code, 0, "{}", output.stderr);
    assert!(
        output.stderr.contains("level=warning") && output.stderr.contains("poststop hook #0"),
        "{}",
        output.stderr
    );
    assert!(log.join("second").exists(), "the others run all the same");
}

#[test]
fn a_timeout_kills_the_hook() {
    needs_root!();
    let Some((runtime, log)) = prepared() else { skip!("no busybox image") };
    let mut config = runtime.config(&["true"]);
    config["hooks"] =
        json!({"createRuntime": [{"path": "/bin/sleep", "args": ["sleep", "4713"], "timeout": 1}]});
    let output = runtime.run_config("a", &config);
    assert!(output.stderr.contains("did not end within its timeout and was killed"), "{}", output.stderr);
    for (hook, expected) in [
        (json!({"path": "/bin/true", "timeout": 0}), "timeout"),
        (json!({"path": "bin/true"}), "not absolute"),
        (json!({"path": "/none"}), "no such file or directory"),
        (json!({"path": "/etc/passwd"}), "permission denied"),
    ] {
        config["hooks"] = json!({"createRuntime": [hook]});
        let output = runtime.run_config("a", &config);
        assert_eq!(output.code, 1);
        assert!(
            output.stderr.contains(expected) && output.stderr.lines().count() == 1,
            "{expected}: {}",
            output.stderr
        );
    }
    // Who goes on in the background does not hold the runtime up, and one that never reads is no trouble.
    config["hooks"] =
        json!({"createRuntime": [hook("sleep 4714 & echo $! > $L/pid", log.to_str().unwrap())]});
    config["annotations"] = json!({"long": "x".repeat(1 << 20)});
    assert_eq!(runtime.run_config("a", &config).code, 0);
    let pid = std::fs::read_to_string(log.join("pid")).unwrap().trim().parse().unwrap();
    signal(pid, rustix::process::Signal::KILL);
}

#[test]
fn a_hook_has_none_of_our_descriptors() {
    needs_root!();
    let Some((runtime, log)) = prepared() else { skip!("no busybox image") };
    let config =
        config(&runtime, &log, &["true"], "for fd in /proc/self/fd/*; do echo ${fd##*/}; done > $L/KIND.fds");
    assert_eq!(runtime.run_config("a", &config).code, 0);
    for kind in KINDS {
        let text = std::fs::read_to_string(log.join(format!("{kind}.fds"))).unwrap();
        // The last one is the directory that the shell reads.
        let numbers: Vec<u32> = text.lines().map(|line| line.parse().unwrap()).collect();
        assert!(numbers.iter().filter(|fd| **fd > 2).count() <= 2, "{kind}: {numbers:?}");
        let _ = config["hooks"][kind].is_array();
    }
}
