//! `linux.seccomp` by what programs in containers come to feel of it: actions, operators, architectures, flags, and an agent
//! that answers notifications.

use std::path::{Path, PathBuf};
use std::process::Command;

use conex_tests::{Background, Output, Runtime, eventually, fixture, installed, needs_root, skip};
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

/// Runs words under a filter.
#[track_caller]
fn under(runtime: &Runtime, seccomp: Value, words: &[&str]) -> Output {
    let mut config = runtime.config(words);
    config["linux"]["seccomp"] = seccomp;
    runtime.run_config("one", &config)
}

/// All is allowed but for this rule.
fn but(rule: Value) -> Value {
    json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [rule]})
}

const SIGSYS: i32 = 31;

#[test]
fn each_action_does_what_it_says() {
    let runtime = bed!();
    let mkdir = |action: &str, errno: Option<u32>| {
        let rule =
            json!({"names": ["mkdir", "mkdirat", "no_such_call"], "action": action, "errnoRet": errno});
        under(&runtime, but(rule), &["/bin/mkdir", "/tmp/x"])
    };
    let rootfs = runtime.scratch().join("bundles/one/rootfs/tmp/x");
    for action in ["SCMP_ACT_LOG", "SCMP_ACT_ALLOW"] {
        assert_eq!(mkdir(action, None).code, 0, "{action}");
        std::fs::remove_dir(&rootfs).expect("it was made");
    }
    for action in ["SCMP_ACT_KILL", "SCMP_ACT_KILL_PROCESS", "SCMP_ACT_KILL_THREAD", "SCMP_ACT_TRAP"] {
        let output = mkdir(action, None);
        assert_eq!(output.code, 128 + SIGSYS, "{action}: {output:?}");
    }
    let output = mkdir("SCMP_ACT_ERRNO", None);
    assert!(output.code == 1 && output.stderr.contains("not permitted"), "{output:?}");
    let output = mkdir("SCMP_ACT_ERRNO", Some(71));
    assert!(output.code == 1 && output.stderr.contains("Protocol error"), "{output:?}");
    // Without a tracer it is as if the call did not exist.
    let output = mkdir("SCMP_ACT_TRACE", Some(7));
    assert!(output.code == 1 && output.stderr.contains("not implemented"), "{output:?}");
    assert!(!rootfs.exists());
    // What no rule names. The program needs next to nothing to end.
    let needed = [
        "execve",
        "execveat",
        "brk",
        "mmap",
        "munmap",
        "mprotect",
        "exit_group",
        "arch_prctl",
        "set_tid_address",
        "write",
        "writev",
        "getuid",
        "setuid",
        "rt_sigaction",
        "rt_sigprocmask",
        "ioctl",
        "readlink",
        "prctl",
        "openat",
        "open",
        "close",
        "read",
        "umask",
    ];
    let list = json!({"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 71, "syscalls": [{"names": needed, "action": "SCMP_ACT_ALLOW"}]});
    let output = under(&runtime, list, &["/bin/mkdir", "/tmp/x"]);
    assert!(output.code == 1 && output.stderr.contains("Protocol error"), "{output:?}");
}

#[test]
fn operators_compare() {
    let runtime = bed!();
    // Signal 0 and 18 to itself; which of them is refused.
    let script = "kill -0 $$ 2>/dev/null; zero=$?; kill -CONT $$ 2>/dev/null; echo $zero $?";
    let refused = |args: Value| {
        let rule = json!({"names": ["kill"], "action": "SCMP_ACT_ERRNO", "args": args});
        let output = under(&runtime, but(rule), &["/bin/sh", "-c", script]);
        assert_eq!(output.code, 0, "{output:?}");
        output.stdout
    };
    let (neither, zero, cont, both) = ("0 0\n", "1 0\n", "0 1\n", "1 1\n");
    let one = |op: &str, value: u64, two: u64| {
        refused(json!([{"index": 1, "value": value, "valueTwo": two, "op": op}]))
    };
    assert_eq!(one("SCMP_CMP_EQ", 18, 0), cont);
    assert_eq!(one("SCMP_CMP_NE", 18, 0), zero);
    assert_eq!(one("SCMP_CMP_GT", 17, 0), cont);
    assert_eq!(one("SCMP_CMP_GT", 18, 0), neither);
    assert_eq!(one("SCMP_CMP_GE", 18, 0), cont);
    assert_eq!(one("SCMP_CMP_GE", 0, 0), both);
    assert_eq!(one("SCMP_CMP_LT", 18, 0), zero);
    assert_eq!(one("SCMP_CMP_LE", 18, 0), both);
    assert_eq!(one("SCMP_CMP_MASKED_EQ", 0x10, 0x10), cont);
    assert_eq!(one("SCMP_CMP_MASKED_EQ", 0x10, 0), zero);
    assert_eq!(one("SCMP_CMP_EQ", (1 << 32) | 18, 0), neither, "the high word counts");
    // Conditions of two arguments hold together, of one argument each alone.
    let both_arguments = |pid: u64| {
        refused(
            json!([{"index": 0, "value": pid, "op": "SCMP_CMP_EQ"}, {"index": 1, "value": 18, "op": "SCMP_CMP_EQ"}]),
        )
    };
    assert_eq!(both_arguments(1), cont);
    assert_eq!(both_arguments(2), neither);
    assert_eq!(
        refused(
            json!([{"index": 1, "value": 18, "op": "SCMP_CMP_EQ"}, {"index": 1, "value": 0, "op": "SCMP_CMP_EQ"}])
        ),
        both
    );
}

#[test]
fn each_architecture_has_its_numbers() {
    let runtime = bed!();
    if std::env::consts::ARCH != "x86_64" {
        skip!("the numberings of x86-64");
    }
    let Some(calls) = fixture("calls", runtime.scratch()) else { skip!("no C compiler") };
    let filter = |architectures: &[&str]| {
        let mut seccomp = but(json!({"names": ["mkdir"], "action": "SCMP_ACT_ERRNO", "errnoRet": 71}));
        seccomp["architectures"] = json!(architectures);
        seccomp
    };
    let try_by = |architectures: &[&str], which: &str| {
        let mut config = runtime.config(&["/calls", which]);
        config["linux"]["seccomp"] = filter(architectures);
        let bundle = runtime.bundle("one", &config);
        std::fs::copy(&calls, bundle.join("rootfs/calls")).expect("a copy");
        runtime.run_config("one", &config)
    };
    let native: &[&str] = &["SCMP_ARCH_X86_64"];
    let all: &[&str] = &["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32", "SCMP_ARCH_S390X"];
    for architectures in [&[], native, all, &["SCMP_ARCH_AARCH64"]] {
        assert_eq!(try_by(architectures, "64").stdout, "64 -71\n", "{architectures:?}");
    }
    assert_eq!(try_by(all, "32").stdout, "32 -71\n");
    assert_eq!(try_by(all, "x32").stdout, "x32 -71\n");
    // Those that are not named: nobody gets by them what is forbidden.
    let output = try_by(native, "32");
    assert_eq!((output.code, output.stdout.as_str()), (128 + SIGSYS, ""), "{output:?}");
    assert_eq!(try_by(native, "x32").stdout, "x32 -38\n");
}

#[test]
fn flags_and_rights() {
    let runtime = bed!();
    for flag in ["TSYNC", "LOG", "SPEC_ALLOW", "WAIT_KILLABLE_RECV"] {
        let mut seccomp = but(json!({"names": ["mkdir"], "action": "SCMP_ACT_ERRNO"}));
        seccomp["flags"] = json!([format!("SECCOMP_FILTER_FLAG_{flag}")]);
        let output = under(&runtime, seccomp, &["/bin/mkdir", "/tmp/x"]);
        assert!(output.code == 1 && output.stderr.contains("not permitted"), "{flag}: {output:?}");
    }
    // Without no_new_privs, and without CAP_SYS_ADMIN once the program runs; and for an ordinary user.
    for uid in [0, 1000] {
        let mut config = runtime.config(&[
            "/bin/sh",
            "-c",
            "grep -E 'CapEff|Seccomp:|NoNewPrivs' /proc/self/status; mkdir /tmp/y",
        ]);
        config["process"]["noNewPrivileges"] = json!(false);
        config["process"]["user"] = json!({"uid": uid, "gid": uid});
        for set in ["bounding", "effective", "permitted"] {
            config["process"]["capabilities"][set] = json!(["CAP_KILL"]);
        }
        config["linux"]["seccomp"] =
            but(json!({"names": ["mkdir"], "action": "SCMP_ACT_ERRNO", "errnoRet": 71}));
        let output = runtime.run_config("two", &config);
        let caps = if uid == 0 { "0000000000000020" } else { "0000000000000000" };
        let expected = format!("CapEff:\t{caps}\nNoNewPrivs:\t0\nSeccomp:\t2\n");
        assert_eq!(output.stdout, expected, "{output:?}");
        assert!(output.stderr.contains("Protocol error"), "{output:?}");
    }
}

/// An agent, listening.
struct Agent {
    process: Background,
    socket: PathBuf,
    state: PathBuf,
}

fn agent(runtime: &Runtime, program: &Path, name: &str, refused: u32) -> Agent {
    let (socket, state) =
        (runtime.scratch().join(format!("{name}.sock")), runtime.scratch().join(format!("{name}.json")));
    let process = Background::spawn(Command::new(program).arg(&socket).arg(&state).arg(refused.to_string()));
    eventually("the agent's socket", || socket.exists().then_some(()));
    Agent { process, socket, state }
}

/// `SYS_symlink` of x86-64 and `SYS_symlinkat` of the others.
const SYMLINK: u32 = if cfg!(target_arch = "x86_64") { 88 } else { 36 };

#[test]
fn an_agent_answers() {
    let runtime = bed!();
    let Some(program) = fixture("agent", runtime.scratch()) else { skip!("no C compiler") };
    let script = "ln -s a /tmp/link; cat /tmp/none; exec /bin/sleep 1000";
    for (round, (no_new_privileges, user)) in
        [(true, false), (false, false), (true, true)].into_iter().enumerate()
    {
        let id = format!("box{round}");
        let agent = agent(&runtime, &program, &id, SYMLINK);
        let mut config = runtime.config(&["/bin/sh", "-c", script]);
        config["annotations"] = json!({"org.example": "yes"});
        config["process"]["noNewPrivileges"] = json!(no_new_privileges);
        if user {
            let map = json!([{"containerID": 0, "hostID": 0, "size": 1}]);
            config["linux"]["uidMappings"] = map.clone();
            config["linux"]["gidMappings"] = map;
            config["linux"]["namespaces"].as_array_mut().expect("a list").push(json!({"type": "user"}));
            config["mounts"]
                .as_array_mut()
                .expect("mounts")
                .retain(|mount| mount["destination"] != "/dev/pts");
        }
        // What the rest of the set-up does is notified as well, sending the descriptor included.
        let notified = [
            "symlink",
            "symlinkat",
            "sendmsg",
            "sendto",
            "recvmsg",
            "recvfrom",
            "execve",
            "execveat",
            "prctl",
            "capset",
            "accept4",
        ];
        config["linux"]["seccomp"] = but(json!({"names": notified, "action": "SCMP_ACT_NOTIFY"}));
        config["linux"]["seccomp"]["flags"] = json!(["SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"]);
        config["linux"]["seccomp"]["listenerPath"] = json!(agent.socket);
        config["linux"]["seccomp"]["listenerMetadata"] = json!("who is it");
        let bundle = runtime.bundle(&id, &config);
        let log = runtime.scratch().join(format!("{id}.log"));
        let stderr = std::fs::File::create(&log).expect("a file");
        let mut create = runtime.command(&["create", "--bundle", text(&bundle), &id]);
        let status =
            create.stdout(std::process::Stdio::null()).stderr(stderr).status().expect("conex-runtime");
        assert!(status.success(), "{id}: {}", std::fs::read_to_string(&log).expect("the log"));
        let state: Value =
            eventually("the state", || serde_json::from_slice(&std::fs::read(&agent.state).ok()?).ok());
        let pid = runtime.state(&id)["pid"].clone();
        assert_eq!(state["fds"], json!(["seccompFd"]), "{state}");
        assert_eq!((&state["pid"], &state["state"]["pid"]), (&pid, &pid), "{state}");
        assert_eq!((&state["metadata"], &state["state"]["id"]), (&json!("who is it"), &json!(id)), "{state}");
        assert_eq!(state["state"]["status"], "creating", "{state}");
        assert_eq!(
            (&state["state"]["bundle"], &state["state"]["annotations"]),
            (&json!(bundle), &json!({"org.example": "yes"})),
            "{state}"
        );
        assert!(state["ociVersion"].is_string() && state["state"]["ociVersion"].is_string(), "{state}");
        runtime.ok(&["start", &id]);
        let complaints = eventually("the refused call", || {
            let log = std::fs::read_to_string(&log).expect("the log");
            log.contains("/tmp/none").then_some(log)
        });
        assert!(complaints.contains("Protocol error"), "{complaints}");
        // Each exec comes with a descriptor of its own, so it has an agent of its own here.
        std::fs::remove_file(&agent.socket).expect("it was there");
        std::fs::remove_file(&agent.state).expect("it was there");
        let second = self::agent(&runtime, &program, &id, SYMLINK);
        let output = runtime.run(&["exec", &id, "/bin/ln", "-s", "a", "/tmp/other"]);
        assert!(output.code == 1 && output.stderr.contains("Protocol error"), "{output:?}");
        let state: Value =
            eventually("the state", || serde_json::from_slice(&std::fs::read(&second.state).ok()?).ok());
        assert!(state["state"]["pid"] == pid && state["pid"] != pid, "{state}");
        assert_eq!(state["state"]["status"], "running", "{state}");
        assert_eq!(second.process.finish().code, 0);
        std::fs::remove_file(&second.socket).expect("it was there");
        // Nobody listens: then nothing runs.
        let output = runtime.run(&["exec", &id, "/bin/true"]);
        assert!(output.code != 0 && output.stderr.contains("listener"), "{output:?}");
        runtime.ok(&["delete", "--force", &id]);
        let answered = agent.process.finish().stdout;
        assert!(answered.lines().any(|line| line == SYMLINK.to_string()), "{answered}");
    }
}

/// Without CAP_SYS_PTRACE where the runtime's memory comes from, which fetching the descriptor takes.
#[test]
fn an_agent_answers_an_ordinary_user() {
    let runtime = bed!();
    let Some(program) = fixture("agent", runtime.scratch()) else { skip!("no C compiler") };
    if !installed("setpriv") {
        skip!("no setpriv");
    }
    let agent = agent(&runtime, &program, "agent", SYMLINK);
    let mut config = runtime.config(&["/bin/ln", "-s", "a", "/tmp/link"]);
    config["mounts"].as_array_mut().expect("mounts").retain(|mount| {
        !["/dev/pts", "/sys", "/sys/fs/cgroup"].iter().any(|place| mount["destination"] == *place)
    });
    let map = json!([{"containerID": 0, "hostID": 1000, "size": 1}]);
    config["linux"]["uidMappings"] = map.clone();
    config["linux"]["gidMappings"] = map;
    config["linux"]["namespaces"].as_array_mut().expect("a list").push(json!({"type": "user"}));
    config["linux"]["cgroupsPath"] = json!("");
    config["linux"]["maskedPaths"] = json!([]);
    config["linux"]["readonlyPaths"] = json!([]);
    config["linux"]["seccomp"] =
        but(json!({"names": ["symlink", "symlinkat", "sendmsg"], "action": "SCMP_ACT_NOTIFY"}));
    config["linux"]["seccomp"]["listenerPath"] = json!(agent.socket);
    let bundle = runtime.bundle("one", &config);
    // A place of the user's own, the binary in it since he may not reach the one that was built.
    let binary = runtime.scratch().join("conex-runtime");
    std::fs::copy(Runtime::binary(), &binary).expect("a copy");
    let owned =
        Command::new("chown").args(["-R", "1000:1000"]).arg(runtime.scratch()).status().expect("chown");
    assert!(owned.success());
    let mut command = Command::new("setpriv");
    command.args(["--reuid", "1000", "--regid", "1000", "--clear-groups"]).arg(&binary);
    command.arg("--root").arg(runtime.root()).args(["run", "--bundle", text(&bundle), "one"]);
    command.env("XDG_RUNTIME_DIR", runtime.scratch()).stdin(std::process::Stdio::null());
    let output = Background::spawn(&mut command).finish();
    assert!(output.code == 1 && output.stderr.contains("Protocol error"), "{output:?}");
    assert!(agent.process.finish().stdout.lines().any(|line| line == SYMLINK.to_string()));
}
