//! The command line itself: flags, errors and their places, and what the verbs print.

use std::process::Command;

use conex_tests::{Runtime, finish, needs_root, skip};
use serde_json::Value;

fn text(path: &std::path::Path) -> String {
    std::fs::read_to_string(path).unwrap()
}

#[test]
fn help_and_version() {
    let Some(runtime) = Runtime::new() else { skip!("no busybox image") };
    let version = runtime.ok(&["--version"]);
    let lines: Vec<_> = version.lines().collect();
    assert!(lines[0].starts_with("conex-runtime version "), "{version}");
    assert!(lines[1].starts_with("spec: 1."), "{version}");
    assert_eq!(runtime.ok(&["-v"]), version);
    let help = runtime.ok(&["--help"]);
    assert_eq!(runtime.ok(&["help"]), help);
    assert_eq!(runtime.ok(&[]), help);
    for verb in [
        "checkpoint",
        "create",
        "delete",
        "events",
        "exec",
        "features",
        "kill",
        "list",
        "pause",
        "ps",
        "restore",
        "resume",
        "run",
        "spec",
        "start",
        "state",
        "update",
    ] {
        assert!(help.contains(&format!("\n  {verb} ")), "{verb}");
        let own = runtime.ok(&[verb, "--help"]);
        assert!(own.contains(&format!("Usage: conex-runtime {verb}")), "{own}");
        assert_eq!(runtime.ok(&["help", verb]), own);
    }
}

#[test]
fn wrong_command_lines_are_one_clear_line() {
    let Some(runtime) = Runtime::new() else { skip!("no busybox image") };
    for (words, expected) in [
        (&["walk"][..], "No help topic for 'walk'"),
        (&["run"], "\\\"run\\\" requires exactly 1 argument(s)"),
        (&["run", "a", "b"], "\\\"run\\\" requires exactly 1 argument(s)"),
        (&["list", "a"], "\\\"list\\\" requires exactly 0 argument(s)"),
        (&["run", "--nope", "a"], "flag provided but not defined: -nope"),
        (&["--nope", "list"], "flag provided but not defined: -nope"),
        (&["run", "--detach=perhaps", "a"], "invalid boolean value"),
        (&["--rootless", "perhaps", "list"], "--rootless"),
        (&["--log-format", "xml", "list"], "invalid log-format: xml"),
        (&["--log", "/none/log", "list"], "cannot open the log /none/log: no such file or directory"),
        (&["--root", "/", "list"], "Option --root argument should not be set to /"),
        (&["--root", "/tmp/../", "list"], "Option --root argument should not be set to /"),
        (&["--root", "/none/there", "list"], "no such file or directory"),
        (&["state", ""], "container id cannot be empty"),
        (&["kill", "a"], "container does not exist"),
        (&["run", "--preserve-fds", "x", "a"], "preserve-fds"),
    ] {
        let refused = runtime.fails(words);
        assert!(refused.contains(expected), "{words:?}: {refused}");
    }
    let long = "x".repeat(256);
    for id in ["../a", "a/b", ".", "..", "a b", "ä", &long] {
        for verb in ["state", "create", "delete"] {
            let refused = runtime.fails(&[verb, id]);
            // Without a bundle that is what is missed first.
            assert!(
                refused.contains("invalid container ID format") || verb == "create",
                "{verb} {id}: {refused}"
            );
        }
    }
}

#[test]
fn flags_are_written_as_go_lets_one() {
    needs_root!();
    let Some(runtime) = Runtime::new() else { skip!("no busybox image") };
    let bundle = runtime.bundle("a", &runtime.config(&["true"]));
    let bundle = bundle.to_str().unwrap();
    for words in [
        &["run", "-bundle", bundle, "a"][..],
        &["run", "--bundle", bundle, "--detach=false", "a"],
        &["run", "-b", bundle, "-no-new-keyring=true", "a"],
        &["run", "a", "--bundle", bundle],
        &["run", "--no-pivot=0", "-b", bundle, "a"],
    ] {
        assert_eq!(runtime.ok(words), "", "{words:?}");
    }
    // The bundle is the working directory unless it is named.
    let mut command = runtime.command(&["run", "a"]);
    assert_eq!(finish(command.current_dir(bundle)).code, 0);
}

#[test]
fn the_log_is_what_callers_parse() {
    let Some(runtime) = Runtime::new() else { skip!("no busybox image") };
    let log = runtime.scratch().join("log");
    let path = log.to_str().unwrap();
    let shown = runtime.fails(&["--log", path, "--log-format", "json", "state", "nope"]);
    // On standard error bare, in the log with everything.
    assert_eq!(shown, "container does not exist: nope\n");
    let line: Value = serde_json::from_str(text(&log).trim_end()).unwrap();
    assert_eq!(line["level"], "error");
    assert_eq!(line["msg"], "container does not exist: nope");
    let time = line["time"].as_str().unwrap();
    assert!(time.len() == 20 && time.ends_with('Z') && time.as_bytes()[10] == b'T', "{time}");
    // It is added to.
    runtime.fails(&["--log", path, "state", "nope"]);
    let all = text(&log);
    let last = all.lines().nth(1).unwrap();
    assert!(
        last.starts_with("time=\"20") && last.ends_with("level=error msg=\"container does not exist: nope\""),
        "{last}"
    );
    let plain = runtime.fails(&["state", "nope"]);
    assert!(plain.starts_with("time=\"20") && plain.contains(" level=error msg="), "{plain}");
}

#[test]
fn bundles_that_are_none() {
    let Some(runtime) = Runtime::new() else { skip!("no busybox image") };
    let bundle = runtime.bundle("a", &runtime.config(&["true"]));
    let path = bundle.to_str().unwrap();
    let config = bundle.join("config.json");
    let run = || runtime.fails(&["run", "-b", path, "a"]);
    std::fs::write(&config, "{").unwrap();
    assert!(run().contains("run failed: invalid "), "{}", run());
    std::fs::write(&config, "null").unwrap();
    assert!(run().contains("config.json"), "{}", run());
    std::fs::remove_file(&config).unwrap();
    assert!(run().contains("JSON specification file config.json not found"), "{}", run());
    std::fs::File::create(&config).unwrap().set_len(17 << 20).unwrap();
    assert!(run().contains("is longer than"), "{}", run());
    assert!(runtime.fails(&["run", "-b", "/none", "a"]).contains("no such file or directory"));
    for (field, value, expected) in [
        ("args", serde_json::json!([]), "args must not be empty"),
        ("cwd", "tmp".into(), "Cwd must be an absolute path"),
    ] {
        let mut changed = runtime.config(&["true"]);
        changed["process"][field] = value;
        runtime.bundle("a", &changed);
        assert!(run().contains(expected), "{}", run());
    }
    let mut changed = runtime.config(&["true"]);
    changed.as_object_mut().unwrap().remove("process");
    runtime.bundle("a", &changed);
    assert!(run().contains("process property must not be empty"), "{}", run());
    assert_eq!(runtime.run(&["list", "-q"]).stdout, "");
}

#[test]
fn spec_writes_what_run_takes() {
    needs_root!();
    let Some(runtime) = Runtime::new() else { skip!("no busybox image") };
    let bundle = runtime.bundle("a", &runtime.config(&["true"]));
    let path = bundle.to_str().unwrap();
    assert!(runtime.fails(&["spec", "-b", path]).contains("exists. Remove it first"));
    std::fs::remove_file(bundle.join("config.json")).unwrap();
    runtime.ok(&["spec", "--bundle", path]);
    let mut config: Value = serde_json::from_str(&text(&bundle.join("config.json"))).unwrap();
    assert_eq!(config["process"]["terminal"], true);
    config["process"]["terminal"] = false.into();
    config["process"]["args"] = serde_json::json!(["id", "-u"]);
    config["linux"]["cgroupsPath"] = format!("{}/a", runtime.cgroup()).into();
    std::fs::write(bundle.join("config.json"), config.to_string()).unwrap();
    assert_eq!(runtime.ok(&["run", "-b", path, "a"]), "0\n");
    std::fs::remove_file(bundle.join("config.json")).unwrap();
    runtime.ok(&["spec", "--rootless", "-b", path]);
    let config: Value = serde_json::from_str(&text(&bundle.join("config.json"))).unwrap();
    let kinds: Vec<_> =
        config["linux"]["namespaces"].as_array().unwrap().iter().map(|n| &n["type"]).collect();
    assert!(kinds.contains(&&"user".into()) && !kinds.contains(&&"network".into()), "{kinds:?}");
    assert_eq!(config["linux"]["resources"], Value::Null);
    assert_eq!(config["linux"]["uidMappings"][0]["size"], 1);
}

#[test]
fn list_in_both_formats() {
    needs_root!();
    let Some(runtime) = Runtime::new() else { skip!("no busybox image") };
    assert_eq!(runtime.ok(&["list"]), "ID          PID         STATUS      BUNDLE      CREATED     OWNER\n");
    assert_eq!(runtime.ok(&["list", "--format", "json"]), "null\n");
    assert_eq!(runtime.ok(&["list", "--quiet"]), "");
    runtime.create_config("one", &runtime.config(&["true"]));
    runtime.start_config("two", &runtime.config(&["sleep", "1000"]));
    assert_eq!(runtime.ok(&["list", "-q"]), "one\ntwo\n");
    let list: Value = serde_json::from_str(&runtime.ok(&["list", "-f", "json"])).unwrap();
    let two = &list[1];
    assert_eq!((&list[0]["status"], &two["status"]), (&"created".into(), &"running".into()));
    assert_eq!(
        (&two["id"], &two["owner"], &two["pid"]),
        (&"two".into(), &"root".into(), &runtime.state("two")["pid"])
    );
    let table = runtime.ok(&["list"]);
    let lines: Vec<Vec<&str>> = table.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines[0], ["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"]);
    assert_eq!((lines[2][0], lines[2][2], lines[2][5]), ("two", "running", "root"));
    assert!(runtime.fails(&["list", "-f", "xml"]).contains("invalid format option"));
    // Half a container does not hide the others.
    std::fs::create_dir(runtime.root().join("broken")).unwrap();
    std::fs::write(runtime.root().join("broken/state.json"), "{}").unwrap();
    let output = runtime.run(&["list", "-q"]);
    assert_eq!(output.stdout, "one\ntwo\n");
    assert!(output.stderr.contains("broken"), "{}", output.stderr);
}

#[test]
fn features_is_the_specifications_document() {
    let Some(runtime) = Runtime::new() else { skip!("no busybox image") };
    let features: Value = serde_json::from_str(&runtime.ok(&["features"])).unwrap();
    assert_eq!(features["ociVersionMin"], "1.0.0");
    assert!(features["ociVersionMax"].as_str().unwrap().starts_with("1."));
    assert_eq!(features["hooks"].as_array().unwrap().len(), 6);
    let linux = &features["linux"];
    assert_eq!(linux["namespaces"].as_array().unwrap().len(), 8);
    assert_eq!(linux["cgroup"]["systemd"], true);
    for (list, name) in [
        (&features["mountOptions"], "rro"),
        (&linux["capabilities"], "CAP_SYS_ADMIN"),
        (&linux["seccomp"]["actions"], "SCMP_ACT_NOTIFY"),
        (&linux["seccomp"]["operators"], "SCMP_CMP_MASKED_EQ"),
        (&linux["seccomp"]["archs"], "SCMP_ARCH_X86_64"),
        (&linux["seccomp"]["knownFlags"], "SECCOMP_FILTER_FLAG_LOG"),
        (&linux["seccomp"]["supportedFlags"], "SECCOMP_FILTER_FLAG_LOG"),
    ] {
        assert!(list.as_array().unwrap().contains(&name.into()), "{name}");
    }
}

#[test]
fn the_pid_file_and_preserved_descriptors() {
    needs_root!();
    let Some(runtime) = Runtime::new() else { skip!("no busybox image") };
    let secret = runtime.scratch().join("secret");
    std::fs::write(&secret, "content\n").unwrap();
    let config = runtime.config(&[
        "sh",
        "-c",
        "echo $LISTEN_FDS $LISTEN_PID; ls /proc/self/fd | wc -l; cat <&3; cat <&4",
    ]);
    let bundle = runtime.bundle("a", &config);
    let run = |flags: &str, listen: &str| {
        let script = format!(
            "exec 3<{secret} 4<{secret}; {listen} exec \"$0\" --root {root} run {flags} -b {bundle} a",
            secret = secret.display(),
            root = runtime.root().display(),
            bundle = bundle.display(),
        );
        let output = finish(Command::new("sh").args(["-c", &script]).arg(Runtime::binary()));
        (output.stdout, output.stderr)
    };
    // ls has one more for the directory.
    assert_eq!(run("--preserve-fds 2", "").0, "\n6\ncontent\ncontent\n");
    assert_eq!(run("", "LISTEN_FDS=2 LISTEN_PID=$$").0, "2 1\n6\ncontent\ncontent\n");
    assert_eq!(run("--preserve-fds 1", "LISTEN_FDS=1 LISTEN_PID=$$").0, "1 1\n6\ncontent\ncontent\n");
    // Meant for somebody else.
    assert_eq!(run("", "LISTEN_FDS=2 LISTEN_PID=1").0, "\n4\n");
    let (_, refused) = run("--preserve-fds 9", "");
    assert!(refused.contains("unable to stat preserved-fd 2 (of 9): no such file or directory"), "{refused}");
    // Relative to where the command was called.
    let mut command = runtime.command(&["run", "--pid-file", "pid", "-b", bundle.to_str().unwrap(), "a"]);
    finish(command.current_dir(runtime.scratch()));
    assert!(text(&runtime.scratch().join("pid")).parse::<u32>().is_ok());
    let refused = runtime.run(&["run", "--pid-file", "/none/pid", "-b", bundle.to_str().unwrap(), "a"]);
    assert!(
        refused.stderr.contains("cannot write the pid file /none/pid: no such file or directory"),
        "{}",
        refused.stderr
    );
    assert_eq!(refused.stdout, "", "the program must not have run");
    assert_eq!(runtime.ok(&["list", "-q"]), "");
}

#[test]
fn signals_have_names_and_numbers() {
    needs_root!();
    let Some(runtime) = Runtime::new() else { skip!("no busybox image") };
    let script = "for s in USR1 USR2 TERM; do trap \"echo $s >> /log\" $s; done; touch /ready; while :; do sleep 0.01; done";
    runtime.start_config("a", &runtime.config(&["sh", "-c", script]));
    let rootfs = runtime.bundle("a", &runtime.config(&["true"])).join("rootfs");
    conex_tests::eventually("the traps", || rootfs.join("ready").exists().then_some(()));
    let mut expected = String::new();
    for (words, name) in [
        (&["kill", "a"][..], "TERM"),
        (&["kill", "a", "USR1"], "USR1"),
        (&["kill", "a", "SIGUSR2"], "USR2"),
        (&["kill", "a", "10"], "USR1"),
        (&["kill", "a", "sigterm"], "TERM"),
        (&["kill", "--all", "a", "USR2"], "USR2"),
    ] {
        runtime.ok(words);
        expected.push_str(name);
        expected.push('\n');
        let seen = || std::fs::read_to_string(rootfs.join("log")).unwrap_or_default();
        conex_tests::eventually(&format!("{words:?}"), || (seen() == expected).then_some(()));
    }
    runtime.ok(&["kill", "a", "0"]);
    for wrong in ["FOO", "65", "-1x"] {
        assert!(
            runtime.fails(&["kill", "a", wrong]).contains("unknown signal") || wrong.starts_with('-'),
            "{wrong}"
        );
    }
}
