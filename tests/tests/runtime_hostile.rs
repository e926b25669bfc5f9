//! Documents that make no sense, are far too large, or are no files at all, and ids and paths that lead elsewhere: one clear
//! line, exit status 1, and nothing left behind.

use std::fs;
use std::path::{Path, PathBuf};

use conex_tests::{Output, Runtime, needs_root, skip};
use serde_json::{Value, json};

macro_rules! bed {
    () => {{
        needs_root!();
        let Some(runtime) = Runtime::new() else { skip!("no busybox image") };
        runtime
    }};
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a path in UTF-8")
}

/// Mounts of the host's that have to do with the test.
fn mounts(runtime: &Runtime) -> usize {
    let info = fs::read_to_string("/proc/self/mountinfo").expect("mountinfo");
    info.lines().filter(|line| line.contains(text(runtime.scratch()))).count()
}

#[track_caller]
fn assert_nothing_left(runtime: &Runtime, what: &str) {
    let state: Vec<PathBuf> =
        fs::read_dir(runtime.root()).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    // Compiled filters are kept for all containers.
    let state: Vec<_> = state.into_iter().filter(|path| !path.ends_with("@seccomp")).collect();
    assert!(state.is_empty(), "{what}: {state:?} is left");
    assert!(runtime.groups().is_empty(), "{what}: {:?} is left", runtime.groups());
    assert_eq!(mounts(runtime), 0, "{what}");
}

/// One line with no control characters, of a length that can be read.
#[track_caller]
fn assert_refused(runtime: &Runtime, output: &Output, what: &str) {
    let shown = format!("{what}: {} {} {:.1000}", output.code, output.stdout.len(), output.stderr);
    assert_eq!((output.code, output.stdout.as_str()), (1, ""), "{shown}");
    let line = output.stderr.trim_end_matches('\n');
    assert!(!line.is_empty() && line.len() < 1500 && !line.chars().any(char::is_control), "{shown}");
    assert!(!line.contains("panicked"), "{shown}");
    assert_nothing_left(runtime, what);
}

/// `create` and `run` both refuse this file.
#[track_caller]
fn refused(runtime: &Runtime, document: &[u8], what: &str) {
    let bundle = runtime.bundle("bad", &json!({}));
    fs::write(bundle.join("config.json"), document).expect("a file");
    for verb in ["create", "run"] {
        let output = runtime.run(&[verb, "--bundle", text(&bundle), "bad"]);
        assert_refused(runtime, &output, &format!("{verb}, {what}"));
    }
}

/// A document that would run, with one place of it another.
fn with(runtime: &Runtime, pointer: &str, value: Value) -> Vec<u8> {
    let mut config = runtime.config(&["/bin/true"]);
    config["linux"]["cgroupsPath"] = json!(format!("{}/bad", runtime.cgroup()));
    let (parent, name) = pointer.rsplit_once('/').expect("a pointer");
    let parent = config.pointer_mut(parent).expect("a place in the document");
    match name.parse::<usize>() {
        Ok(index) if parent.is_array() => parent[index] = value,
        _ => parent[name] = value,
    }
    config.to_string().into_bytes()
}

#[test]
fn what_is_no_document() {
    let runtime = bed!();
    let honest = with(&runtime, "/hostname", json!("x"));
    let documents: Vec<(&str, Vec<u8>)> =
        vec![
            ("nothing", Vec::new()),
            ("white space", b" \n\t".to_vec()),
            ("no JSON", b"{".to_vec()),
            ("a list", b"[]".to_vec()),
            ("null", b"null".to_vec()),
            ("a text with an escape sequence", b"\"\\u001b[2J\"".to_vec()),
            ("truncated", honest[..honest.len() / 2].to_vec()),
            ("two", [&honest[..], &honest[..]].concat()),
            ("garbage behind it", [&honest[..], b"\x00\x00x"].concat()),
            ("a byte order mark", [&b"\xef\xbb\xbf"[..], &honest[..]].concat()),
            ("UTF-16", honest.iter().flat_map(|byte| [*byte, 0]).collect()),
            ("invalid UTF-8", b"{\"ociVersion\":\"1.2.0\",\"hostname\":\"\xff\xfe\"}".to_vec()),
            ("NUL bytes", vec![0; 4096]),
            ("deep nesting", [vec![b'['; 200_000], vec![b']'; 200_000]].concat()),
            ("deep nesting of objects", b"{\"a\":".repeat(100_000)),
            (
                "deep nesting in a field that nobody knows",
                with(&runtime, "/future", json!(null))
                    .iter()
                    .flat_map(|byte| {
                        if *byte == b'n' { [&[b'['; 500][..], &[b']'; 500]].concat() } else { vec![*byte] }
                    })
                    .collect(),
            ),
            ("a number without end", [&b"{\"ociVersion\":"[..], &vec![b'9'; 1 << 20], b"}"].concat()),
        ];
    for (what, document) in documents {
        refused(&runtime, &document, what);
    }
}

/// A wrong type or value in every place where it matters.
#[test]
fn what_makes_no_sense() {
    let runtime = bed!();
    let secs = json!({"monotonic": {"secs": i64::MAX, "nanosecs": u32::MAX}});
    let weird = "x\u{1b}[2J\ny\u{0}z";
    let places: Vec<(&str, Value)> = vec![
        ("/ociVersion", json!(2)),
        ("/ociVersion", json!("")),
        ("/ociVersion", json!("2.0.0")),
        ("/ociVersion", json!(weird)),
        ("/root", json!([])),
        ("/root", json!(null)),
        ("/root/path", json!("")),
        ("/root/path", json!("no/such/directory")),
        ("/root/path", json!("config.json")),
        ("/root/path", json!("rootfs\u{0}")),
        ("/root/path", json!("x".repeat(10_000))),
        ("/root/readonly", json!("yes")),
        ("/hostname", json!(7)),
        ("/hostname", json!("x".repeat(1000))),
        ("/process", json!("sh")),
        ("/process/args", json!("sh -c true")),
        ("/process/args", json!([])),
        ("/process/args", json!([""])),
        ("/process/args", json!([7])),
        ("/process/args", json!(["/bin/true\u{0}x"])),
        ("/process/args", json!(["/no/such/program"])),
        ("/process/args", json!([weird])),
        ("/process/args/0", json!("/bin")),
        ("/process/cwd", json!("relative")),
        ("/process/cwd", json!("/bin/true")),
        ("/process/cwd", json!("/tmp\u{0}")),
        ("/process/env", json!({"A": "b"})),
        ("/process/env", json!(["A=b\u{0}c"])),
        ("/process/user", json!("root")),
        ("/process/user/uid", json!(-1)),
        ("/process/user/uid", json!(4_294_967_296_u64)),
        ("/process/user/uid", json!(1.5)),
        ("/process/rlimits", json!([{"type": "RLIMIT_NONE", "hard": 1, "soft": 1}])),
        ("/process/rlimits", json!([{"type": "RLIMIT_NOFILE", "hard": 1, "soft": 2}])),
        ("/process/rlimits", json!([{"type": "RLIMIT_NOFILE", "hard": -1, "soft": -1}])),
        (
            "/process/rlimits",
            json!([{"type": "RLIMIT_CORE", "hard": 1, "soft": 1}, {"type": "RLIMIT_CORE", "hard": 1, "soft": 1}]),
        ),
        ("/process/oomScoreAdj", json!(100_000)),
        ("/process/oomScoreAdj", json!(1e300)),
        ("/process/scheduler", json!({"policy": "SCHED_NONE"})),
        ("/process/ioPriority", json!({"class": "IOPRIO_CLASS_NONE", "priority": 99})),
        ("/mounts", json!({})),
        ("/mounts", json!([7])),
        ("/mounts/0/destination", json!("")),
        ("/mounts/0/destination", json!("/a\u{0}b")),
        ("/mounts/0/destination", json!(format!("/{}", "x".repeat(5000)))),
        ("/mounts/0/type", json!("nosuchfs")),
        ("/mounts/0/options", json!("ro")),
        ("/mounts/0/options", json!(["no=such", weird])),
        ("/mounts/1/options", json!([format!("mode={}", "9".repeat(100_000))])),
        ("/mounts/0", json!({"destination": "/x", "type": "bind", "source": "/no/such/file"})),
        ("/mounts/0", json!({"destination": "/x", "type": "bind"})),
        (
            "/mounts/0",
            json!({"destination": "/x", "type": "bind", "source": "/tmp\u{0}", "options": ["bind"]}),
        ),
        ("/hooks", json!({"createRuntime": [{"path": "relative"}]})),
        ("/hooks", json!({"createRuntime": [{"path": "/no/such/hook"}]})),
        ("/hooks", json!({"prestart": [{"path": "/bin/true", "timeout": 0}]})),
        ("/hooks", json!({"prestart": [{"path": "/bin/true", "timeout": -7}]})),
        ("/hooks", json!({"startContainer": "x"})),
        ("/annotations", json!({"a": 1})),
        ("/linux", json!("linux")),
        ("/linux/namespaces", json!([{"type": "moon"}])),
        ("/linux/namespaces", json!([{"type": "pid"}, {"type": "pid"}, {"type": "mount"}])),
        ("/linux/namespaces", json!([{"type": "mount"}, {"type": "network", "path": "/no/such/namespace"}])),
        ("/linux/namespaces", json!([{"type": "mount"}, {"type": "network", "path": "/etc/passwd"}])),
        ("/linux/namespaces", json!([{"type": "mount"}, {"type": "network", "path": "/proc/self/ns/uts"}])),
        ("/linux/namespaces", json!([{"type": "mount"}, {"type": "network", "path": "relative"}])),
        ("/linux/namespaces", json!([{"type": "mount"}, {"type": "user"}])),
        ("/linux/uidMappings", json!([{"containerID": 0, "hostID": 0, "size": 0}])),
        ("/linux/timeOffsets", secs),
        ("/linux/devices", json!([{"path": "/dev/x", "type": "q", "major": 1, "minor": 3}])),
        ("/linux/devices", json!([{"path": "/dev/x", "type": "c", "major": -9, "minor": i64::MAX}])),
        ("/linux/devices", json!([{"path": "relative", "type": "c", "major": 1, "minor": 3}])),
        ("/linux/sysctl", json!({"net.no.such": "1"})),
        ("/linux/sysctl", json!({"kernel.panic": "1"})),
        ("/linux/sysctl", json!({"net.ipv4.ip_forward": weird})),
        ("/linux/rootfsPropagation", json!("sideways")),
        ("/linux/personality", json!({"domain": "MINIX"})),
        ("/linux/maskedPaths", json!([7])),
        ("/linux/cgroupsPath", json!(7)),
        ("/linux/cgroupsPath", json!("/a\u{0}b")),
        ("/linux/resources", json!({"memory": {"limit": "much"}})),
        ("/linux/resources", json!({"cpu": {"period": 1}})),
        ("/linux/resources", json!({"cpu": {"cpus": "9999"}})),
        ("/linux/resources", json!({"cpu": {"cpus": weird}})),
        ("/linux/resources", json!({"devices": [{"allow": true, "access": "xyz"}]})),
        ("/linux/resources", json!({"unified": {"../../x": "1"}})),
        ("/linux/resources", json!({"unified": {"no.such": "1"}})),
        ("/linux/seccomp", json!({"defaultAction": "SCMP_ACT_NONE"})),
        ("/linux/seccomp", json!({"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_PDP11"]})),
        ("/linux/seccomp", json!({"defaultAction": "SCMP_ACT_ALLOW", "flags": ["SECCOMP_FILTER_FLAG_NONE"]})),
        (
            "/linux/seccomp",
            json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["mkdir"], "action": "SCMP_ACT_NOTIFY"}]}),
        ),
        (
            "/linux/seccomp",
            json!({"defaultAction": "SCMP_ACT_ALLOW", "listenerPath": "/no/such/socket",
                                  "syscalls": [{"names": ["mkdir"], "action": "SCMP_ACT_NOTIFY"}]}),
        ),
        ("/linux/seccomp", json!({"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 100_000})),
        (
            "/linux/seccomp",
            json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls":
            [{"names": ["read"], "action": "SCMP_ACT_ERRNO", "args": [{"index": 9, "value": 1, "op": "SCMP_CMP_EQ"}]}]}),
        ),
        ("/linux/intelRdt", json!({"closID": "../../x"})),
    ];
    for (place, value) in places {
        let shown = value.to_string();
        refused(&runtime, &with(&runtime, place, value), &format!("{place}: {shown:.120}"));
    }
}

/// As much of everything as a document can hold.
#[test]
fn too_much() {
    let runtime = bed!();
    let mounts: Vec<Value> = (0..100_000)
        .map(|number| json!({"destination": format!("/tmp/{number}"), "type": "tmpfs", "source": "tmpfs"}))
        .collect();
    refused(&runtime, &with(&runtime, "/mounts", json!(mounts)), "100,000 mounts");
    let same: Vec<Value> = (0..100_000)
        .map(|_| json!({"destination": "/tmp", "type": "bind", "source": "/tmp", "options": ["rbind"]}))
        .collect();
    refused(&runtime, &with(&runtime, "/mounts", json!(same)), "100,000 binds");
    let rules = json!([{"names": vec!["read"; 50_000], "action": "SCMP_ACT_ALLOW",
                        "args": vec![json!({"index": 0, "value": 1, "op": "SCMP_CMP_EQ"}); 5000]}]);
    let seccomp = json!({"defaultAction": "SCMP_ACT_ERRNO", "syscalls": rules});
    refused(&runtime, &with(&runtime, "/linux/seccomp", seccomp), "a seccomp rule without end");
    // What the kernel finds too much is told when it is.
    let run = |document: Vec<u8>, what: &str| {
        let bundle = runtime.bundle("bad", &json!({}));
        fs::write(bundle.join("config.json"), document).expect("a file");
        assert_refused(&runtime, &runtime.run(&["run", "--bundle", text(&bundle), "bad"]), what);
    };
    let words = vec!["x".repeat(100); 100_000];
    run(with(&runtime, "/process/args", json!(words)), "10 MB of arguments");
    let long = json!([format!("A={}", "x".repeat(1 << 20))]);
    run(with(&runtime, "/process/env", long), "a variable of 1 MiB");
    let groups: Vec<u32> = (0..100_000).collect();
    refused(&runtime, &with(&runtime, "/process/user/additionalGids", json!(groups)), "100,000 groups");
    // A file of 1 TiB, all of it a hole.
    let bundle = runtime.bundle("bad", &json!({}));
    fs::File::create(bundle.join("config.json"))
        .and_then(|file| file.set_len(1 << 40))
        .expect("a sparse file");
    let output = runtime.run(&["run", "--bundle", text(&bundle), "bad"]);
    assert_refused(&runtime, &output, "a gigantic file");
    fs::remove_file(bundle.join("config.json")).expect("it is there");
}

/// What stands where config.json should.
#[test]
fn files_that_are_none() {
    let runtime = bed!();
    let bundle = runtime.bundle("bad", &json!({}));
    let config = bundle.join("config.json");
    let attempt = |what: &str| {
        for verb in ["create", "run"] {
            assert_refused(
                &runtime,
                &runtime.run(&[verb, "--bundle", text(&bundle), "bad"]),
                &format!("{verb}, {what}"),
            );
        }
    };
    fs::remove_file(&config).expect("it is there");
    attempt("no config.json");
    fs::create_dir(&config).expect("a directory");
    attempt("a directory");
    fs::remove_dir(&config).expect("it is there");
    // Nobody ever writes to it.
    let made = std::process::Command::new("mkfifo").arg(&config).status().expect("mkfifo");
    assert!(made.success());
    attempt("a fifo");
    fs::remove_file(&config).expect("it is there");
    let socket = std::os::unix::net::UnixListener::bind(&config).expect("a socket");
    attempt("a socket");
    drop(socket);
    for target in ["/dev/zero", "/dev/null", "/dev/tty", "config.json", "/no/such/file", "/proc/self/mem"] {
        fs::remove_file(&config).expect("it is there");
        std::os::unix::fs::symlink(target, &config).expect("a link");
        attempt(target);
    }
    let output = runtime.run(&["run", "--bundle", "/no/such/bundle", "bad"]);
    assert_refused(&runtime, &output, "no bundle");
    let output = runtime.run(&["run", "--bundle", text(&config), "bad"]);
    assert_refused(&runtime, &output, "a bundle that is a link to nothing");
    // An engine may keep the document elsewhere.
    fs::remove_file(&config).expect("it is there");
    let elsewhere = runtime.scratch().join("elsewhere.json");
    fs::write(&elsewhere, with(&runtime, "/hostname", json!("x"))).expect("a file");
    std::os::unix::fs::symlink(&elsewhere, &config).expect("a link");
    let output = runtime.run(&["run", "--bundle", text(&bundle), "bad"]);
    assert_eq!(output.code, 0, "a link to a good document: {output:?}");
    assert_nothing_left(&runtime, "a link to a good document");
}

/// Ids become names of directories and of cgroups.
#[test]
fn ids_that_lead_elsewhere() {
    let runtime = bed!();
    let bundle = runtime.bundle("good", &runtime.config(&["/bin/true"]));
    let victim = runtime.scratch().join("victim");
    fs::create_dir(&victim).expect("a directory");
    fs::write(victim.join("state.json"), "{}").expect("a file");
    let long = "x".repeat(5000);
    for id in ["", ".", "..", "../victim", "a/b", "/etc", "a\nb", "\u{1b}[2J", "a b", "é", "a:b", &long] {
        for words in [&["create", "--bundle", text(&bundle), id][..], &["run", "--bundle", text(&bundle), id]]
        {
            assert_refused(&runtime, &runtime.run(words), &format!("{words:?}"));
        }
        for words in [
            &["state", id][..],
            &["start", id],
            &["kill", id, "KILL"],
            &["delete", id],
            &["exec", id, "true"],
            &["pause", id],
            &["ps", id],
        ] {
            let output = runtime.run(words);
            assert!(output.code != 0 && output.stderr.lines().count() == 1, "{words:?}: {output:?}");
        }
        // Deleting what is not there is no error, when forced; leading elsewhere is.
        let _ = runtime.run(&["delete", "--force", id]);
        assert!(victim.join("state.json").exists(), "{id}");
    }
    assert_nothing_left(&runtime, "ids");
}

/// Paths in the document that lead out of the root filesystem stay inside of it.
#[test]
fn paths_that_lead_elsewhere() {
    let runtime = bed!();
    let scratch = text(runtime.scratch()).to_owned();
    let victim = runtime.scratch().join("victim");
    fs::create_dir(&victim).expect("a directory");
    fs::write(victim.join("file"), "the host's").expect("a file");
    let up = "../".repeat(20);
    let mut config = runtime.config(&["/bin/sh", "-c", "cat /proc/self/mountinfo"]);
    let mounts = config["mounts"].as_array_mut().expect("mounts");
    for path in [format!("/{up}{scratch}/victim/made"), format!("/tmp/{up}{scratch}/victim")] {
        mounts.push(json!({"destination": path, "type": "tmpfs", "source": "tmpfs"}));
    }
    config["linux"]["maskedPaths"] = json!([format!("/{up}{scratch}/victim/file")]);
    config["linux"]["readonlyPaths"] = json!([format!("/{up}{scratch}/victim")]);
    config["linux"]["devices"] =
        json!([{"path": format!("/dev/{up}{scratch}/victim/null"), "type": "c", "major": 1, "minor": 3}]);
    let output = runtime.run_config("good", &config);
    assert!(output.code == 0 || (output.code == 1 && output.stderr.lines().count() == 1), "{output:?}");
    let names: Vec<_> =
        fs::read_dir(&victim).expect("it is there").map(|e| e.expect("an entry").file_name()).collect();
    assert_eq!(names, ["file"]);
    assert_eq!(fs::read_to_string(victim.join("file")).expect("it is there"), "the host's");
    assert_nothing_left(&runtime, "paths");
    // The cgroup stays below the hierarchy's root.
    let mut config = runtime.config(&["/bin/true"]);
    config["linux"]["cgroupsPath"] =
        json!(format!("{}/../../../../../../..{scratch}/victim/group", runtime.cgroup()));
    let output = runtime.run_config("good", &config);
    assert!(output.code <= 1, "{output:?}");
    assert!(!victim.join("group").exists());
}
