//! A container's life as runtime.md has it, and every wrong step in it.

use conex_tests::{Runtime, eventually, needs_root, skip};

/// A runtime whose bundle sleeps.
fn sleeper() -> Option<Runtime> {
    let runtime = Runtime::new()?;
    runtime.write(&runtime.config(&["sleep", "1000"]));
    Some(runtime)
}

fn ended(runtime: &Runtime, id: &str) {
    eventually("the container's end", || (runtime.status(id).as_deref() == Some("stopped")).then_some(()));
}

#[test]
fn from_create_to_delete() {
    needs_root!();
    let Some(runtime) = sleeper() else { skip!("no busybox image") };
    let group = runtime.config(&[])["linux"]["cgroupsPath"].clone();
    assert_ne!(group, "");
    runtime.ok(&["create", "--pid-file", "../pid", "a"]);
    let state = runtime.state("a");
    let pid: u32 = std::fs::read_to_string(runtime.scratch().join("pid")).unwrap().parse().unwrap();
    assert_eq!(state["status"], "created");
    assert_eq!(state["pid"], pid);
    assert_eq!(state["id"], "a");
    assert_eq!(state["ociVersion"], "1.2.0");
    assert_eq!(state["bundle"], runtime.bundle().canonicalize().unwrap().to_str().unwrap());
    // The program has not run.
    let cmdline = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap();
    assert!(!cmdline.starts_with(b"sleep"), "{cmdline:?}");
    runtime.ok(&["start", "a"]);
    assert_eq!(runtime.status("a").as_deref(), Some("running"));
    let cmdline = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap();
    assert!(cmdline.starts_with(b"sleep"), "{cmdline:?}");
    runtime.ok(&["pause", "a"]);
    assert_eq!(runtime.status("a").as_deref(), Some("paused"));
    runtime.ok(&["resume", "a"]);
    assert_eq!(runtime.status("a").as_deref(), Some("running"));
    runtime.ok(&["kill", "a", "KILL"]);
    ended(&runtime, "a");
    assert_eq!(runtime.state("a")["pid"], serde_json::Value::Null, "a stopped container has no process");
    runtime.ok(&["delete", "a"]);
    assert!(runtime.fails(1, &["state", "a"]).contains("container does not exist"));
    assert!(!runtime.root().join("a").exists());
    assert!(runtime.groups(&runtime.group()).iter().all(|group| no_groups_below(group)));
}

fn no_groups_below(group: &std::path::Path) -> bool {
    std::fs::read_dir(group).unwrap().all(|entry| !entry.unwrap().file_type().unwrap().is_dir())
}

#[test]
fn wrong_steps_are_refused_and_change_nothing() {
    needs_root!();
    let Some(runtime) = sleeper() else { skip!("no busybox image") };
    for verb in ["state", "start", "kill", "delete", "pause", "resume", "ps"] {
        assert!(runtime.fails(1, &[verb, "a"]).contains("container does not exist"), "{verb}");
    }
    assert!(runtime.fails(255, &["exec", "a", "true"]).contains("container does not exist"));
    runtime.ok(&["delete", "--force", "a"]);
    runtime.ok(&["create", "a"]);
    assert!(runtime.fails(1, &["create", "a"]).contains("already exists"));
    assert!(runtime.fails(1, &["run", "a"]).contains("already exists"));
    assert!(runtime.fails(1, &["resume", "a"]).contains("container not paused"));
    assert_eq!(runtime.status("a").as_deref(), Some("created"));
    runtime.ok(&["start", "a"]);
    assert!(runtime.fails(1, &["start", "a"]).contains("cannot start an already running container"));
    assert!(
        runtime.fails(1, &["delete", "a"]).contains("cannot delete container a that is not stopped: running")
    );
    runtime.ok(&["pause", "a"]);
    assert!(runtime.fails(1, &["start", "a"]).contains("cannot start a container in the paused state"));
    assert!(runtime.fails(1, &["delete", "a"]).contains("not stopped: paused"));
    assert!(runtime.fails(255, &["exec", "a", "true"]).contains("cannot exec in a paused container"));
    // A paused container can be killed.
    runtime.ok(&["kill", "a", "9"]);
    ended(&runtime, "a");
    assert!(runtime.fails(1, &["kill", "a"]).contains("container not running"));
    runtime.ok(&["kill", "--all", "a", "9"]);
    assert!(runtime.fails(1, &["start", "a"]).contains("cannot start a container that has stopped"));
    assert!(runtime.fails(1, &["pause", "a"]).contains("container not running"));
    assert!(runtime.fails(255, &["exec", "a", "true"]).contains("cannot exec in a stopped container"));
    assert!(
        runtime.fails(1, &["create", "a"]).contains("already exists"),
        "a stopped container keeps its name"
    );
    runtime.ok(&["delete", "a"]);
    assert!(runtime.fails(1, &["delete", "a"]).contains("container does not exist"));
}

#[test]
fn a_created_container_is_deleted_without_force_and_a_running_one_with() {
    needs_root!();
    let Some(runtime) = sleeper() else { skip!("no busybox image") };
    runtime.ok(&["create", "a"]);
    let pid = runtime.state("a")["pid"].as_u64().unwrap();
    runtime.ok(&["delete", "a"]);
    runtime.ok(&["run", "--detach", "b"]);
    let other = runtime.state("b")["pid"].as_u64().unwrap();
    runtime.ok(&["delete", "--force", "b"]);
    for pid in [pid, other] {
        // Nobody may have reaped it yet.
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        assert!(stat.is_empty() || stat.contains(") Z "), "{stat}");
    }
    assert_eq!(runtime.ok(&["list", "-q"]), "");
}

#[test]
fn run_gives_the_status_and_leaves_nothing() {
    needs_root!();
    let Some(runtime) = Runtime::new() else { skip!("no busybox image") };
    let output = runtime.run_with(&["sh", "-c", "echo out; echo err >&2; exit 7"], |_| {});
    assert_eq!((output.code, output.stdout.as_str(), output.stderr.as_str()), (7, "out\n", "err\n"));
    let output = runtime.run_with(&["sh", "-c", "kill -TERM $$"], |config| {
        // PID 1 takes no signal that it has no handler for.
        config["linux"]["namespaces"].as_array_mut().unwrap().retain(|kind| kind["type"] != "pid");
    });
    assert_eq!(output.code, 128 + 15, "{}", output.stderr);
    assert_eq!(runtime.ok(&["list", "-q"]), "");
    runtime.write(&runtime.config(&["true"]));
    runtime.ok(&["run", "--keep", "kept"]);
    assert_eq!(runtime.status("kept").as_deref(), Some("stopped"));
    runtime.ok(&["delete", "kept"]);
}

#[test]
fn a_changed_config_does_not_reach_the_container() {
    needs_root!();
    let Some(runtime) = sleeper() else { skip!("no busybox image") };
    let mut config = runtime.config(&["sleep", "1000"]);
    config["process"]["env"] = serde_json::json!(["PATH=/bin", "A=1"]);
    runtime.write(&config);
    runtime.ok(&["create", "a"]);
    std::fs::remove_file(runtime.bundle().join("config.json")).unwrap();
    runtime.ok(&["start", "a"]);
    assert_eq!(runtime.ok(&["exec", "a", "sh", "-c", "echo $A"]), "1\n");
}

#[test]
fn what_a_crash_left_is_cleared_by_force() {
    needs_root!();
    let Some(runtime) = sleeper() else { skip!("no busybox image") };
    // Before the record: a directory, with or without something in it.
    for content in [None, Some("config.json"), Some("state.json.new")] {
        let directory = runtime.root().join("a");
        std::fs::create_dir_all(&directory).unwrap();
        if let Some(name) = content {
            std::fs::write(directory.join(name), "{").unwrap();
        }
        assert!(runtime.fails(1, &["create", "a"]).contains("already exists"));
        runtime.ok(&["delete", "--force", "a"]);
        assert!(!directory.exists());
    }
    // A record of a process that never was, whose number another process has now.
    runtime.ok(&["run", "-d", "b"]);
    runtime.ok(&["kill", "b", "9"]);
    ended(&runtime, "b");
    let path = runtime.root().join("b/state.json");
    let mut record: serde_json::Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    record["init"]["pid"] = std::process::id().into();
    std::fs::write(&path, record.to_string()).unwrap();
    assert_eq!(runtime.status("b").as_deref(), Some("stopped"));
    assert!(runtime.fails(1, &["kill", "b", "9"]).contains("container not running"));
    runtime.ok(&["delete", "--force", "b"]);
}
