//! `--security-opt seccomp=…` and the default policy, by what programs in containers come to feel of it.

use conex_tests::{Conex, Output, needs_root, skip};

/// Runs `script` in a container made with `flags`, under a profile with this text if there is one.
#[track_caller]
fn under(conex: &Conex, profile: Option<&str>, flags: &[&str], script: &str) -> Output {
    let file = conex.scratch().join("profile.json");
    let option = format!("seccomp={}", file.display());
    let mut arguments = vec!["run", "--rm"];
    if let Some(text) = profile {
        std::fs::write(&file, text).expect("a file");
        arguments.extend(["--security-opt", &option]);
    }
    arguments.extend(flags);
    arguments.extend(["alpine:3.20", "sh", "-c", script]);
    conex.run(&arguments)
}

macro_rules! alpine {
    () => {{
        needs_root!();
        let conex = Conex::new();
        let Some(_) = conex.alpine() else { skip!("no alpine archive") };
        conex
    }};
}

#[test]
fn each_action_does_what_it_says() {
    let conex = alpine!();
    let with = |action: &str| {
        format!(
            r#"{{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{{"names":["mkdir","mkdirat"],{action}}}]}}"#
        )
    };
    let mkdir = |action: &str| under(&conex, Some(&with(action)), &[], "exec mkdir /x");
    assert_eq!(mkdir(r#""action":"SCMP_ACT_LOG""#).code, 0);
    assert_eq!(mkdir(r#""action":"SCMP_ACT_ALLOW""#).code, 0);
    // SIGSYS is 31.
    for action in ["SCMP_ACT_KILL", "SCMP_ACT_KILL_PROCESS", "SCMP_ACT_KILL_THREAD", "SCMP_ACT_TRAP"] {
        let output = mkdir(&format!(r#""action":"{action}""#));
        assert_eq!(output.code, 128 + 31, "{action}: {}", output.stderr);
    }
    let output = mkdir(r#""action":"SCMP_ACT_ERRNO","errnoRet":71"#);
    assert!(output.code == 1 && output.stderr.contains("Protocol error"), "{}", output.stderr);
    // Without a tracer it is as if the call did not exist.
    let output = mkdir(r#""action":"SCMP_ACT_TRACE""#);
    assert!(output.code == 1 && output.stderr.contains("not implemented"), "{}", output.stderr);
    let output = mkdir(r#""action":"SCMP_ACT_NOTIFY""#);
    assert!(output.code == 125 && output.stderr.contains("listeners are not served"), "{}", output.stderr);
}

#[test]
fn arguments_and_conditions_count() {
    let conex = alpine!();
    // The first argument of kill is the pid: one of them only, and with a capability none.
    let profile = r#"{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["kill"],"action":"SCMP_ACT_ERRNO",
        "args":[{"index":0,"value":1,"op":"SCMP_CMP_EQ"}],"excludes":{"caps":["CAP_SYS_TIME"]}}]}"#;
    let script = "kill -0 1; one=$?; kill -0 $$; echo $one $?";
    let script = format!("sleep 0 & wait; sh -c '{script}'; true");
    let output = under(&conex, Some(profile), &[], &script);
    assert_eq!(output.stdout, "1 0\n", "{}", output.stderr);
    let output = under(&conex, Some(profile), &["--cap-add", "SYS_TIME"], &script);
    assert_eq!(output.stdout, "0 0\n", "{}", output.stderr);
    // A list of what is allowed, for another machine: all the rest is refused, execve and telling so included.
    let profile = r#"{"defaultAction":"SCMP_ACT_ERRNO","syscalls":[
        {"names":["read"],"action":"SCMP_ACT_ALLOW","includes":{"arches":["s390x"]}}]}"#;
    let output = under(&conex, Some(profile), &[], "true");
    assert!(output.code != 0, "{}", output.stdout);
    let profile =
        r#"{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["execve"],"action":"SCMP_ACT_ERRNO"}]}"#;
    let output = under(&conex, Some(profile), &[], "true");
    assert!(output.code == 126 && output.stderr.contains("Operation not permitted"), "{}", output.stderr);
    assert_eq!(conex.ok(&["ps", "-aq"]), "");
}

#[test]
fn a_bad_profile_is_told_with_its_place() {
    let conex = alpine!();
    for (text, place) in [
        ("{\n\"defaultAction\": }", "line 2 column 18"),
        (
            "{\"defaultAction\": \"SCMP_ACT_ALLOW\",\n\"syscalls\": [{\"action\": \"SCMP_ACT_LOG\"}]}",
            "line 2 column",
        ),
        ("{\"defaultAction\": \"SCMP_ACT_ALLOW\", \"flags\": [\"NONE\"]}", "\"NONE\""),
        ("[]", "line 1 column"),
        ("", "line 1 column 0"),
    ] {
        let output = under(&conex, Some(text), &[], "true");
        assert_eq!(output.code, 125, "{text}");
        assert_eq!(output.stderr.lines().count(), 1, "{}", output.stderr);
        assert!(output.stderr.contains(place) && output.stderr.contains("profile"), "{}", output.stderr);
    }
    assert_eq!(conex.ok(&["ps", "-aq"]), "");
}

#[test]
fn the_default_policy_holds_and_follows_capabilities() {
    let conex = alpine!();
    for (script, capability) in [
        ("unshare -m true", "SYS_ADMIN"),
        ("unshare -i true", "SYS_ADMIN"),
        ("hostname other", "SYS_ADMIN"),
        ("mkdir -p /x && mount -t tmpfs none /x", "SYS_ADMIN"),
    ] {
        let output = under(&conex, None, &[], script);
        assert!(output.code != 0, "{script}");
        let output = under(&conex, None, &["--cap-add", capability], script);
        assert_eq!(output.code, 0, "{script}: {}", output.stderr);
    }
    // A user namespace needs no capability: only the filter stands in the way.
    assert!(under(&conex, None, &[], "unshare -U true").code != 0);
    // What a program does all day.
    let script = "set -e; cd /tmp; echo a > b; mv b c; ln -s c d; cat d | sort > e; chmod 600 e; chown 1:1 e; \
                  mkfifo f; sleep 0.01 & wait; ps > /dev/null; date > /dev/null; nice -n 1 true; df > /dev/null; \
                  tar cf t.tar c d e; rm -r /tmp/*; adduser -D me; su me -c id";
    let output = under(&conex, None, &[], script);
    assert_eq!(output.code, 0, "{}", output.stderr);
}

#[test]
fn exec_comes_under_the_same_filter() {
    let conex = alpine!();
    conex.ok(&["run", "-d", "--name", "c", "alpine:3.20", "sleep", "100"]);
    assert!(conex.run(&["exec", "c", "unshare", "-U", "true"]).code != 0);
    assert!(conex.ok(&["exec", "c", "grep", "Seccomp:", "/proc/self/status"]).ends_with("2\n"));
    conex.ok(&["rm", "-f", "c"]);
}

#[test]
fn a_spoiled_cache_changes_nothing() {
    let conex = alpine!();
    let check = || {
        let output = under(&conex, None, &[], "grep Seccomp: /proc/self/status; unshare -U true");
        assert!(output.code != 0 && output.stdout.ends_with("2\n"), "{} {}", output.stdout, output.stderr);
    };
    check();
    let folder = conex.root().join("cache/seccomp");
    let files: Vec<_> =
        std::fs::read_dir(&folder).expect("the cache").map(|entry| entry.expect("a file").path()).collect();
    assert_eq!(files.len(), 1, "one profile, one program");
    let good = std::fs::read(&files[0]).expect("the program");
    // All is allowed, says this one.
    let mut forged = good.clone();
    forged.truncate(good.len() - good.len() % 8 - 8);
    forged.extend_from_slice(&[6, 0, 0, 0, 0, 0, 0xff, 0x7f]);
    for bad in [&b""[..], &good[..100], &forged] {
        std::fs::write(&files[0], bad).expect("a file");
        check();
        assert!(std::fs::read(&files[0]).expect("the program") == good, "it is mended");
    }
    std::fs::remove_dir_all(&folder).expect("the cache");
    check();
}
