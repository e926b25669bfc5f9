//! `exec`: what a further process has of its container, of the flags, and of its caller.

use std::os::fd::AsRawFd;
use std::process::Stdio;

use conex_tests::{Runtime, eventually, needs_root, skip};
use serde_json::json;

/// A container `a` that sleeps.
fn running() -> Option<Runtime> {
    let runtime = Runtime::new()?;
    runtime.start_config("a", &runtime.config(&["sleep", "1000"]));
    Some(runtime)
}

#[test]
fn it_joins_the_container_and_gives_its_status() {
    needs_root!();
    let Some(runtime) = running() else { skip!("no busybox image") };
    assert_eq!(runtime.ok(&["exec", "a", "hostname"]), "box\n");
    for kind in ["pid", "net", "ipc", "uts", "mnt", "cgroup"] {
        let link = format!("/proc/1/ns/{kind}");
        let own = format!("/proc/self/ns/{kind}");
        let output = runtime.ok(&["exec", "a", "sh", "-c", &format!("readlink {link}; readlink {own}")]);
        let lines: Vec<_> = output.lines().collect();
        assert_eq!(lines[0], lines[1], "{kind}");
    }
    assert_eq!(runtime.code(&["exec", "a", "sh", "-c", "exit 42"]), 42);
    assert_eq!(runtime.code(&["exec", "a", "sh", "-c", "kill -9 $$"]), 128 + 9);
    // Limits of the container count for it.
    let groups = runtime.groups();
    let inside = runtime.ok(&["exec", "a", "cat", "/proc/self/cgroup"]);
    assert!(!groups.is_empty() && inside.lines().any(|line| line.ends_with(":/")), "{inside}");
}

#[test]
fn flags_change_the_process() {
    needs_root!();
    let Some(runtime) = running() else { skip!("no busybox image") };
    let shell = |flags: &[&str], script: &str| {
        let words = [&["exec"], flags, &["a", "sh", "-c", script]].concat();
        runtime.ok(&words)
    };
    assert_eq!(shell(&["--cwd", "/tmp"], "pwd"), "/tmp\n");
    assert_eq!(shell(&["-e", "A=1", "--env", "B=x,y"], "echo $A $B"), "1 x,y\n");
    assert_eq!(
        shell(&["--user", "1000:1001", "-g", "5", "-g", "6"], "id -u; id -g; id -G"),
        "1000\n1001\n1001 5 6\n"
    );
    assert_eq!(shell(&["-u", "7"], "id -u; id -g"), "7\n0\n");
    let status = |flags: &[&str], field: &str| {
        let text = shell(flags, "cat /proc/self/status");
        let line = text.lines().find(|line| line.starts_with(field)).unwrap_or_default().to_owned();
        line.split_whitespace().nth(1).unwrap_or_default().to_owned()
    };
    let before = u64::from_str_radix(&status(&[], "CapEff:"), 16).unwrap();
    let after = u64::from_str_radix(&status(&["--cap", "CAP_NET_RAW"], "CapEff:"), 16).unwrap();
    assert_eq!(before & 1 << 13, 0);
    assert_eq!(after, before | 1 << 13);
    let inheritable = status(&["-c", "CAP_NET_RAW"], "CapInh:");
    assert_eq!(u64::from_str_radix(&inheritable, 16), Ok(0), "CVE-2022-29162");
    assert_eq!(status(&["--no-new-privs"], "NoNewPrivs:"), "1");
    // What follows the container's name is the program's.
    assert_eq!(runtime.ok(&["exec", "a", "echo", "-t", "--help", "--user"]), "-t --help --user\n");
}

#[test]
fn a_process_document_takes_the_flags_place() {
    needs_root!();
    let Some(runtime) = running() else { skip!("no busybox image") };
    let path = runtime.scratch().join("process.json");
    let document = json!({
        "terminal": false, "cwd": "/tmp", "args": ["sh", "-c", "pwd; id -u; echo $X; grep CapEff /proc/self/status"],
        "env": ["PATH=/bin", "X=from the document"], "user": {"uid": 3, "gid": 4},
        "capabilities": {}
    });
    std::fs::write(&path, document.to_string()).unwrap();
    let output = runtime.ok(&["exec", "--process", path.to_str().unwrap(), "a"]);
    assert_eq!(output, "/tmp\n3\nfrom the document\nCapEff:\t0000000000000000\n");
    // What it does not say of rights is the container's.
    let mut document = document;
    document.as_object_mut().unwrap().remove("capabilities");
    document["user"] = json!({"uid": 0, "gid": 0});
    document["args"] = json!(["grep", "CapBnd", "/proc/self/status"]);
    std::fs::write(&path, document.to_string()).unwrap();
    let bounding = runtime.ok(&["exec", "-p", path.to_str().unwrap(), "a"]);
    assert_eq!(bounding, runtime.ok(&["exec", "a", "grep", "CapBnd", "/proc/self/status"]));
    std::fs::write(&path, r#"{"args": [], "cwd": "/"}"#).unwrap();
    assert!(
        runtime
            .fails_with(255, &["exec", "-p", path.to_str().unwrap(), "a"])
            .contains("args must not be empty")
    );
    std::fs::write(&path, r#"{"args": ["x"], "cwd": 7}"#).unwrap();
    assert!(
        runtime.fails_with(255, &["exec", "-p", path.to_str().unwrap(), "a"]).contains("cwd: invalid type")
    );
}

#[test]
fn errors_have_the_words_that_callers_look_for() {
    needs_root!();
    let Some(runtime) = running() else { skip!("no busybox image") };
    for (words, expected) in [
        (&["a", "nothing-here"][..], "exec: \\\"nothing-here\\\": executable file not found in $PATH"),
        (&["a", "/nothing/here"], "exec: \\\"/nothing/here\\\": no such file or directory"),
        (&["a", "/etc"], "exec: \\\"/etc\\\":"),
        (&["a", "/etc/passwd"], "exec: \\\"/etc/passwd\\\": permission denied"),
        (&["a"], "exec args cannot be empty"),
        (&["--cwd", "relative", "a", "true"], "Cwd must be an absolute path"),
        (&["--user", "root", "a", "true"], "bad uid"),
        (&["--user", "1:x", "a", "true"], "bad gid"),
        (&["-g", "-1", "a", "true"], "additional-gids must be a positive number -1"),
        (&["--tty", "--detach", "a", "true"], "cannot allocate tty"),
        (&["--preserve-fds", "3", "a", "true"], "unable to stat preserved-fd"),
        (&["--process", "/none", "a"], "no such file or directory"),
    ] {
        let refused = runtime.fails_with(255, &[&["exec"], words].concat());
        assert!(refused.contains("exec failed: ") && refused.contains(expected), "{words:?}: {refused}");
    }
    assert!(runtime.fails(&["exec"]).contains("requires a minimum of 1 argument(s)"));
}

#[test]
fn detached_it_is_known_by_its_pid_file() {
    needs_root!();
    let Some(runtime) = running() else { skip!("no busybox image") };
    let pid_file = runtime.scratch().join("pid");
    let mut command = runtime.command(&["exec", "--detach", "--pid-file"]);
    command.arg(&pid_file).args(["a", "sleep", "4712"]);
    // It keeps what it inherits open.
    command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
    assert!(command.status().unwrap().success());
    let pid = std::fs::read_to_string(&pid_file).unwrap();
    let program = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap();
    assert_eq!(program, b"sleep\x004712\0");
    let pids: Vec<u32> = serde_json::from_str(&runtime.ok(&["ps", "--format", "json", "a"])).unwrap();
    assert!(pids.contains(&pid.parse().unwrap()), "{pids:?}");
    assert!(runtime.ok(&["ps", "a"]).contains("sleep 4712"));
    assert!(runtime.ok(&["ps", "a", "-o", "pid,args"]).contains("sleep 4712"));
    assert!(runtime.fails(&["ps", "-f", "xml", "a"]).contains("invalid format option"));
    // With the first process all go.
    runtime.ok(&["kill", "a", "KILL"]);
    eventually("the end", || (!std::path::Path::new("/proc").join(&pid).exists()).then_some(()));
}

#[test]
fn descriptors_are_passed_on_only_when_asked() {
    needs_root!();
    let Some(runtime) = running() else { skip!("no busybox image") };
    let path = runtime.scratch().join("secret");
    std::fs::write(&path, "content\n").unwrap();
    let file = std::fs::File::open(&path).unwrap();
    assert!(file.as_raw_fd() > 2);
    let count = |flags: &str| {
        // sh opens the file as 3 and 4; whatever else this test holds is close-on-exec.
        let script = format!(
            "exec 3<{path} 4<{path}; \"$0\" --root {root} exec {flags} a sh -c 'ls /proc/self/fd | wc -l; cat <&4 || true'",
            path = path.display(),
            root = runtime.root().display()
        );
        let output =
            std::process::Command::new("sh").args(["-c", &script]).arg(Runtime::binary()).output().unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    // 0, 1, 2, and the directory that ls looks at.
    assert_eq!(count(""), "4\n");
    assert_eq!(count("--preserve-fds 2"), "6\ncontent\n");
}

#[test]
fn a_paused_container_takes_one_only_when_told_to() {
    needs_root!();
    let Some(runtime) = running() else { skip!("no busybox image") };
    runtime.ok(&["pause", "a"]);
    let refused = runtime.fails_with(255, &["exec", "a", "true"]);
    assert!(
        refused.contains("cannot exec in a paused container (use --ignore-paused to override)"),
        "{refused}"
    );
    let mut waiting = runtime.background(&["exec", "--ignore-paused", "a", "echo", "thawed"]);
    // It is frozen with the rest, and goes on with them.
    runtime.ok(&["resume", "a"]);
    let _ = waiting.stdin();
    assert_eq!(waiting.finish().stdout, "thawed\n");
}

#[test]
fn into_a_group_below_the_containers_own() {
    needs_root!();
    let Some(runtime) = running() else { skip!("no busybox image") };
    let unified = runtime.groups().into_iter().find(|group| group.join("cgroup.freeze").exists());
    let Some(own) = unified else { skip!("no cgroup v2") };
    std::fs::create_dir(own.join("sub")).unwrap();
    let group = runtime.ok(&["exec", "--cgroup", "sub", "a", "cat", "/proc/self/cgroup"]);
    assert!(group.lines().any(|line| line == "0::/sub"), "{group}");
    let refused = runtime.fails_with(255, &["exec", "--cgroup", "none", "a", "true"]);
    assert!(refused.contains("no such file or directory"), "{refused}");
    let refused = runtime.fails_with(255, &["exec", "--cgroup", "../..", "a", "true"]);
    assert!(refused.contains("cannot open"), "{refused}");
    for (words, expected) in [
        (&["--cgroup", "a", "--cgroup", "b"][..], "missing <controller>: prefix"),
        (&["--cgroup", ":x"], "empty <controller> prefix"),
        (&["--cgroup", "nope:x"], "nope"),
    ] {
        let refused = runtime.fails_with(255, &[&["exec"], words, &["a", "true"]].concat());
        assert!(refused.contains(expected), "{words:?}: {refused}");
    }
}

/// Before the pivot a container's mount namespace shows the host's root.
#[test]
fn nobody_enters_before_the_pivot() {
    needs_root!();
    let Some(runtime) = Runtime::new() else { skip!("no busybox image") };
    let mark = |name: &str| runtime.scratch().join(name).display().to_string();
    let script = format!("touch {}; while [ ! -e {} ]; do sleep 0.01; done", mark("here"), mark("go"));
    let hook = json!([{ "path": "/bin/sh", "args": ["sh", "-c", script] }]);
    // Without a file for its number the process goes on by itself.
    for (kind, plain) in [("createRuntime", false), ("createContainer", false), ("createContainer", true)] {
        let mut config = runtime.config(&["sleep", "1000"]);
        config["hooks"] = json!({ kind: hook });
        let bundle = runtime.bundle(kind, &config);
        let pid_file = mark("pid");
        let file: &[&str] = if plain { &[] } else { &["--pid-file", &pid_file] };
        let rest = ["--bundle", bundle.to_str().expect("UTF-8"), kind];
        let mut command = runtime.command(&[&["run", "--detach"], file, &rest].concat());
        // Its container keeps the outputs.
        let mut making = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("conex-runtime");
        eventually("the hook", || std::path::Path::new(&mark("here")).exists().then_some(()));
        assert_eq!(runtime.status(kind).as_deref(), Some("creating"), "{kind}");
        let error = runtime.fails_with(255, &["exec", kind, "true"]);
        assert!(error.contains("being created"), "{kind}: {error}");
        std::fs::write(mark("go"), "").expect("a file");
        assert!(making.wait().expect("wait").success(), "{kind}");
        assert_eq!(runtime.status(kind).as_deref(), Some("running"), "{kind}");
        runtime.ok(&["exec", kind, "true"]);
        runtime.ok(&["delete", "--force", kind]);
        for name in ["here", "go"] {
            std::fs::remove_file(mark(name)).expect("a file");
        }
    }
}
