//! A container's life as runtime.md has it, and every wrong step in it.

use conex_tests::{Runtime, eventually, needs_root, skip};
use serde_json::{Value, json};

fn ended(runtime: &Runtime, id: &str) {
    eventually("the container's end", || (runtime.status(id).as_deref() == Some("stopped")).then_some(()));
}

#[test]
fn from_create_to_delete() {
    needs_root!();
    let Some(runtime) = Runtime::new() else { skip!("no busybox image") };
    let bundle = runtime.bundle("a", &runtime.config(&["sleep", "1000"]));
    runtime.create_config("a", &runtime.config(&["sleep", "1000"]));
    let state = runtime.state("a");
    let pid = state["pid"].as_u64().unwrap();
    assert_eq!(state["status"], "created");
    assert_eq!(state["id"], "a");
    assert_eq!(state["ociVersion"], "1.2.0");
    assert_eq!(state["bundle"], bundle.to_str().unwrap());
    assert_eq!(state["rootfs"], bundle.join("rootfs").to_str().unwrap());
    // The program has not run.
    let program = || std::fs::read(format!("/proc/{pid}/cmdline")).unwrap();
    assert!(!program().starts_with(b"sleep"), "{:?}", program());
    runtime.ok(&["start", "a"]);
    assert_eq!(runtime.status("a").as_deref(), Some("running"));
    assert!(program().starts_with(b"sleep"), "{:?}", program());
    runtime.ok(&["pause", "a"]);
    assert_eq!(runtime.status("a").as_deref(), Some("paused"));
    runtime.ok(&["resume", "a"]);
    assert_eq!(runtime.status("a").as_deref(), Some("running"));
    runtime.ok(&["kill", "a", "KILL"]);
    ended(&runtime, "a");
    assert_eq!(runtime.state("a")["pid"], 0, "a stopped container has no process");
    runtime.ok(&["delete", "a"]);
    assert!(runtime.fails(&["state", "a"]).contains("container does not exist"));
    assert!(!runtime.root().join("a").exists());
    assert_eq!(runtime.groups(), Vec::<std::path::PathBuf>::new());
}

#[test]
fn wrong_steps_are_refused_and_change_nothing() {
    needs_root!();
    let Some(runtime) = Runtime::new() else { skip!("no busybox image") };
    for verb in ["state", "start", "kill", "delete", "pause", "resume", "ps"] {
        assert!(runtime.fails(&[verb, "a"]).contains("container does not exist"), "{verb}");
    }
    assert!(runtime.fails_with(255, &["exec", "a", "true"]).contains("container does not exist"));
    runtime.ok(&["delete", "--force", "a"]);
    let config = runtime.config(&["sleep", "1000"]);
    runtime.create_config("a", &config);
    let bundle = runtime.bundle("a", &config);
    let again = |verb| runtime.fails(&[verb, "-b", bundle.to_str().unwrap(), "a"]);
    assert!(again("create").contains("already exists"));
    assert!(again("run").contains("already exists"));
    assert!(runtime.fails(&["resume", "a"]).contains("container not paused"));
    assert_eq!(runtime.status("a").as_deref(), Some("created"));
    runtime.ok(&["start", "a"]);
    assert!(runtime.fails(&["start", "a"]).contains("cannot start an already running container"));
    let refused = runtime.fails(&["delete", "a"]);
    assert!(refused.contains("cannot delete container a that is not stopped: running"), "{refused}");
    runtime.ok(&["pause", "a"]);
    assert!(runtime.fails(&["start", "a"]).contains("cannot start a container in the paused state"));
    assert!(runtime.fails(&["delete", "a"]).contains("not stopped: paused"));
    assert!(runtime.fails_with(255, &["exec", "a", "true"]).contains("cannot exec in a paused container"));
    // A paused container can be killed.
    runtime.ok(&["kill", "a", "9"]);
    ended(&runtime, "a");
    assert!(runtime.fails(&["kill", "a"]).contains("container not running"));
    runtime.ok(&["kill", "--all", "a", "9"]);
    assert!(runtime.fails(&["start", "a"]).contains("cannot start a container that has stopped"));
    assert!(runtime.fails(&["pause", "a"]).contains("container not running"));
    assert!(runtime.fails_with(255, &["exec", "a", "true"]).contains("cannot exec in a stopped container"));
    assert!(again("create").contains("already exists"), "a stopped container keeps its name");
    runtime.ok(&["delete", "a"]);
    assert!(runtime.fails(&["delete", "a"]).contains("container does not exist"));
}

/// "REQUIRED when start is called", config.md#process: until then it is a set of namespaces that others enter.
#[test]
fn a_container_without_a_process_is_made_and_never_started() {
    needs_root!();
    let Some(runtime) = Runtime::new() else { skip!("no busybox image") };
    let mut config = runtime.config(&[]);
    config.as_object_mut().unwrap().remove("process");
    runtime.create_config("a", &config);
    assert_eq!(runtime.status("a").as_deref(), Some("created"));
    for _ in 0..2 {
        assert!(runtime.fails(&["start", "a"]).contains("cannot start a container without a process"));
        assert_eq!(runtime.status("a").as_deref(), Some("created"), "an error leaves all as it was");
    }
    assert_eq!(runtime.ok(&["exec", "a", "sh", "-c", "hostname; pwd"]), "box\n/\n");
    // A right that nobody gave is not there.
    assert_eq!(
        runtime.ok(&["exec", "a", "grep", "CapEff", "/proc/self/status"]),
        "CapEff:\t0000000000000000\n"
    );
    runtime.ok(&["kill", "a", "KILL"]);
    ended(&runtime, "a");
    runtime.ok(&["delete", "a"]);
    let bundle = runtime.bundle("a", &config);
    let refused = runtime.fails(&["run", "-b", bundle.to_str().unwrap(), "a"]);
    assert!(refused.contains("process property must not be empty"), "{refused}");
    assert_eq!(runtime.groups(), Vec::<std::path::PathBuf>::new());
}

#[test]
fn a_created_container_is_deleted_without_force_and_a_running_one_with() {
    needs_root!();
    let Some(runtime) = Runtime::new() else { skip!("no busybox image") };
    runtime.create_config("a", &runtime.config(&["sleep", "1000"]));
    let pid = runtime.state("a")["pid"].as_u64().unwrap();
    runtime.ok(&["delete", "a"]);
    runtime.start_config("b", &runtime.config(&["sleep", "1000"]));
    let other = runtime.state("b")["pid"].as_u64().unwrap();
    runtime.ok(&["delete", "--force", "b"]);
    for pid in [pid, other] {
        // Nobody may have reaped it yet.
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        assert!(stat.is_empty() || stat.contains(") Z "), "{stat}");
    }
    assert_eq!(runtime.ok(&["list", "-q"]), "");
    assert_eq!(runtime.groups(), Vec::<std::path::PathBuf>::new());
}

#[test]
fn run_gives_the_status_and_leaves_nothing() {
    needs_root!();
    let Some(runtime) = Runtime::new() else { skip!("no busybox image") };
    let output = runtime.run_config("a", &runtime.config(&["sh", "-c", "echo out; echo err >&2; exit 7"]));
    assert_eq!((output.code, output.stdout.as_str(), output.stderr.as_str()), (7, "out\n", "err\n"));
    // PID 1 takes no signal that it has no handler for: so no pid namespace.
    let mut config = runtime.config(&["sh", "-c", "kill -TERM $$"]);
    config["linux"]["namespaces"].as_array_mut().unwrap().retain(|kind| kind["type"] != "pid");
    let output = runtime.run_config("b", &config);
    assert_eq!(output.code, 128 + 15, "{}", output.stderr);
    assert_eq!(runtime.ok(&["list", "-q"]), "");
    assert_eq!(runtime.groups(), Vec::<std::path::PathBuf>::new());
    let bundle = runtime.bundle("kept", &runtime.config(&["true"]));
    runtime.ok(&["run", "--keep", "-b", bundle.to_str().unwrap(), "kept"]);
    assert_eq!(runtime.status("kept").as_deref(), Some("stopped"));
    runtime.ok(&["delete", "kept"]);
}

#[test]
fn processes_in_a_shared_pid_namespace_do_not_outlive_the_container() {
    needs_root!();
    let Some(runtime) = Runtime::new() else { skip!("no busybox image") };
    let mut config = runtime.config(&["sh", "-c", "sleep 4711 </dev/null >/dev/null 2>&1 & echo $!"]);
    config["linux"]["namespaces"].as_array_mut().unwrap().retain(|kind| kind["type"] != "pid");
    let output = runtime.run_config("a", &config);
    let pid = output.stdout.trim();
    assert_eq!(output.code, 0, "{}", output.stderr);
    let gone = || !std::path::Path::new("/proc").join(pid).exists();
    eventually("the end of what the container left behind", || gone().then_some(()));
    assert_eq!(runtime.groups(), Vec::<std::path::PathBuf>::new());
}

#[test]
fn a_changed_config_does_not_reach_the_container() {
    needs_root!();
    let Some(runtime) = Runtime::new() else { skip!("no busybox image") };
    let mut config = runtime.config(&["sleep", "1000"]);
    config["process"]["env"] = json!(["PATH=/bin", "A=1"]);
    runtime.create_config("a", &config);
    let bundle = runtime.bundle("a", &config);
    std::fs::remove_file(bundle.join("config.json")).unwrap();
    runtime.ok(&["start", "a"]);
    assert_eq!(runtime.ok(&["exec", "a", "sh", "-c", "echo $A"]), "1\n");
}

#[test]
fn what_a_crash_left_is_cleared_by_force() {
    needs_root!();
    let Some(runtime) = Runtime::new() else { skip!("no busybox image") };
    let bundle = runtime.bundle("a", &runtime.config(&["sleep", "1000"]));
    // Before the record: a directory, with or without something in it.
    for content in [None, Some("config.json"), Some("state.json.new")] {
        let directory = runtime.root().join("a");
        std::fs::create_dir_all(&directory).unwrap();
        if let Some(name) = content {
            std::fs::write(directory.join(name), "{").unwrap();
        }
        let refused = runtime.fails(&["create", "-b", bundle.to_str().unwrap(), "a"]);
        assert!(refused.contains("already exists"));
        assert!(runtime.fails(&["state", "a"]).contains("container does not exist"));
        runtime.ok(&["delete", "--force", "a"]);
        assert!(!directory.exists());
    }
    // A record of a process that is gone, and whose number another process has now.
    runtime.start_config("b", &runtime.config(&["sleep", "1000"]));
    runtime.ok(&["kill", "b", "9"]);
    ended(&runtime, "b");
    let path = runtime.root().join("b/state.json");
    let mut record: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    record["init"]["pid"] = std::process::id().into();
    std::fs::write(&path, record.to_string()).unwrap();
    assert_eq!(runtime.status("b").as_deref(), Some("stopped"));
    assert!(runtime.fails(&["kill", "b", "9"]).contains("container not running"));
    runtime.ok(&["delete", "--force", "b"]);
}

#[test]
fn a_record_before_the_process_is_enough_to_clear() {
    needs_root!();
    let Some(runtime) = Runtime::new() else { skip!("no busybox image") };
    runtime.start_config("a", &runtime.config(&["sleep", "1000"]));
    // As if the maker had died between the cgroup and the second record.
    let path = runtime.root().join("a/state.json");
    let mut record: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    let pid = record["init"]["pid"].as_u64().unwrap();
    record.as_object_mut().unwrap().remove("init");
    std::fs::write(&path, record.to_string()).unwrap();
    assert_eq!(runtime.status("a").as_deref(), Some("stopped"));
    runtime.ok(&["delete", "--force", "a"]);
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    assert!(stat.is_empty() || stat.contains(") Z "), "{stat}");
    assert_eq!(runtime.groups(), Vec::<std::path::PathBuf>::new());
}

#[test]
fn of_many_at_once_one_wins() {
    needs_root!();
    let Some(runtime) = Runtime::new() else { skip!("no busybox image") };
    let config = runtime.config(&["sleep", "1000"]);
    let bundle = runtime.bundle("a", &config);
    let all = |words: &[&str]| {
        let spawn = |_| {
            let mut command = runtime.command(words);
            command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null()).spawn().unwrap()
        };
        let children: Vec<_> = (0..6).map(spawn).collect();
        children.into_iter().filter_map(|mut child| child.wait().unwrap().success().then_some(())).count()
    };
    assert_eq!(all(&["create", "-b", bundle.to_str().unwrap(), "a"]), 1);
    assert_eq!(runtime.status("a").as_deref(), Some("created"));
    assert_eq!(all(&["start", "a"]), 1);
    assert_eq!(runtime.status("a").as_deref(), Some("running"));
    runtime.ok(&["kill", "a", "KILL"]);
    ended(&runtime, "a");
    assert_eq!(all(&["delete", "a"]), 1);
    assert_eq!(runtime.status("a"), None);
    assert_eq!(runtime.groups(), Vec::<std::path::PathBuf>::new());
}

#[test]
fn removed_by_force_a_container_in_the_foreground_gives_its_status() {
    needs_root!();
    let Some(runtime) = Runtime::new() else { skip!("no busybox image") };
    let bundle = runtime.bundle("a", &runtime.config(&["sleep", "1000"]));
    let run = runtime.background(&["run", "-b", bundle.to_str().unwrap(), "a"]);
    eventually("the start", || (runtime.status("a").as_deref() == Some("running")).then_some(()));
    let pid = runtime.state("a")["pid"].as_u64().unwrap();
    // Killed before, it would be a container that has never run.
    let program =
        || std::fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|words| words.starts_with(b"sleep"));
    eventually("the program", || program().then_some(()));
    runtime.ok(&["delete", "--force", "a"]);
    let output = run.finish();
    assert_eq!((output.code, output.stderr.as_str()), (128 + 9, ""));
    assert_eq!(runtime.groups(), Vec::<std::path::PathBuf>::new());
}

#[test]
fn a_hook_that_hangs_does_not_keep_a_container_from_being_removed() {
    needs_root!();
    let Some(runtime) = Runtime::new() else { skip!("no busybox image") };
    let mut config = runtime.config(&["true"]);
    let pid = runtime.scratch().join("hook");
    let script = format!("echo $$ > {}; exec sleep 4715", pid.display());
    config["hooks"] =
        json!({"createRuntime": [{"path": "/bin/sh", "args": ["sh", "-c", script], "timeout": 50}]});
    let bundle = runtime.bundle("a", &config);
    let mut create = runtime.background(&["create", "-b", bundle.to_str().unwrap(), "a"]);
    eventually("the hook", || std::fs::read_to_string(&pid).ok().filter(|text| !text.is_empty()));
    assert_eq!(runtime.status("a").as_deref(), Some("creating"));
    assert!(runtime.fails(&["start", "a"]).contains("cannot start a container in the creating state"));
    assert!(
        runtime
            .fails_with(255, &["exec", "a", "true"])
            .contains("cannot exec in a container that is being created")
    );
    create.kill();
    eventually("the end of the maker", || (runtime.status("a").as_deref() == Some("stopped")).then_some(()));
    runtime.ok(&["delete", "--force", "a"]);
    assert_eq!(runtime.groups(), Vec::<std::path::PathBuf>::new());
    // The hook goes with who ran it.
    let hook = std::path::Path::new("/proc").join(std::fs::read_to_string(&pid).unwrap().trim());
    eventually("the end of the hook", || (!hook.exists()).then_some(()));
    // Likewise when the maker is killed right before.
    std::fs::remove_file(&pid).unwrap();
    let create = runtime.background(&["create", "-b", bundle.to_str().unwrap(), "b"]);
    eventually("the hook", || std::fs::read_to_string(&pid).ok().filter(|text| !text.is_empty()));
    let hook: u32 = std::fs::read_to_string(&pid).unwrap().trim().parse().unwrap();
    assert!(std::path::Path::new("/proc").join(hook.to_string()).exists());
    drop(create);
    runtime.ok(&["delete", "--force", "b"]);
    assert_eq!(runtime.status("b"), None);
    assert_eq!(runtime.groups(), Vec::<std::path::PathBuf>::new());
}
