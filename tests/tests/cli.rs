//! The command line itself: help, faults in flags and arguments, exit codes, completion, man pages. No container runs.

use conex_tests::Conex;

/// One line, no backtrace, from us.
#[track_caller]
fn one_line(error: &str) {
    assert_eq!(error.lines().count(), 1, "{error}");
    assert!(error.starts_with("conex: "), "{error}");
}

#[test]
fn no_words_and_help_print_the_commands() {
    let conex = Conex::new();
    for words in [&[][..], &["--help"], &["-h"], &["help"]] {
        let text = conex.ok(words);
        for part in
            ["Usage:  conex [OPTIONS] COMMAND", "Management Commands:", "  run ", "--run-root", "Examples:"]
        {
            assert!(text.contains(part), "{words:?}: {text}");
        }
    }
}

#[test]
fn every_verb_has_help_in_all_its_forms() {
    let conex = Conex::new();
    let verbs = [
        "run",
        "create",
        "start",
        "stop",
        "restart",
        "kill",
        "wait",
        "rm",
        "rename",
        "attach",
        "exec",
        "logs",
        "ps",
        "inspect",
        "top",
        "pause",
        "unpause",
        "images",
        "load",
        "save",
        "tag",
        "rmi",
        "history",
        "pull",
        "version",
        "info",
        "completion",
        "man",
    ];
    for verb in verbs {
        let text = conex.ok(&[verb, "--help"]);
        assert!(text.contains(&format!("Usage:  conex {verb} [OPTIONS]")), "{text}");
        assert!(text.contains("Examples:"), "{verb} has no example: {text}");
        assert_eq!(conex.ok(&["help", verb]), text);
    }
    for words in [
        &["container", "ls"][..],
        &["container", "list"],
        &["image", "rm"],
        &["image", "remove"],
        &["system", "info"],
    ] {
        let text = conex.ok(&[words, &["--help"]].concat());
        assert!(text.contains(&format!("Usage:  conex {}", words.join(" "))), "{text}");
    }
    assert!(conex.ok(&["image"]).contains("history"));
    assert!(conex.ok(&["help", "container"]).contains("  ls "));
}

#[test]
fn help_does_not_need_what_the_verb_needs() {
    // A required argument is missing in each of them.
    let conex = Conex::new();
    assert!(conex.ok(&["run", "--rm", "--help"]).contains("Storage:"));
    assert!(conex.ok(&["tag", "-h"]).contains("SOURCE_IMAGE"));
}

#[test]
fn versions() {
    let conex = Conex::new();
    let line = conex.ok(&["--version"]);
    assert!(line.starts_with("Conex version "), "{line}");
    assert_eq!(conex.ok(&["-v"]), line);
}

#[test]
fn unknown_commands_suggest_and_exit_with_1() {
    let conex = Conex::new();
    for (words, near) in [
        (&["rnu"][..], "\"run\""),
        (&["imagse"], "\"images\""),
        (&["conatiner", "ls"], "\"container\""),
        (&["container", "sl"], "\"ls\""),
        (&["help", "pul"], "\"pull\""),
    ] {
        let error = conex.fails(1, words);
        one_line(&error);
        assert!(
            error.contains("unknown command") && error.contains(&format!("did you mean {near}")),
            "{error}"
        );
    }
    let error = conex.fails(1, &["frobnicate"]);
    one_line(&error);
    assert!(!error.contains("did you mean"), "{error}");
    // Docker's, still to come: no typing error.
    let error = conex.fails(1, &["swarm"]);
    assert_eq!(error, "conex: 'conex swarm' is not supported yet; see 'conex --help'\n");
}

#[test]
fn unknown_flags_suggest_and_exit_with_125() {
    let conex = Conex::new();
    for (words, near) in [
        (&["run", "--memroy", "1g", "x"][..], "--memory?"),
        (&["run", "--interactve", "x"], "--interactive?"),
        (&["ps", "--al"], "--all?"),
        (&["image", "ls", "--digest"], "--digests?"),
        (&["--rooot", "/x", "ps"], "--root?"),
    ] {
        let error = conex.fails(125, words);
        one_line(&error);
        assert!(
            error.contains("unknown flag: ") && error.contains(&format!("did you mean {near}")),
            "{error}"
        );
    }
    for words in [&["run", "-Z", "x"][..], &["ps", "-aqZ"], &["-Z"]] {
        let error = conex.fails(125, words);
        one_line(&error);
        assert!(error.contains("unknown shorthand flag: -Z"), "{error}");
    }
}

#[test]
fn flags_of_dockers_that_are_not_there_yet_are_named() {
    let conex = Conex::new();
    for flag in ["--link", "--runtime", "--link-local-ip"] {
        for verb in ["run", "create"] {
            let error = conex.fails(125, &[verb, flag, "1", "alpine"]);
            one_line(&error);
            assert!(error.contains(&format!("{flag} is not supported yet")), "{error}");
        }
    }
    for (words, named) in [
        (&["rm", "-l", "x"][..], "-l"),
        (&["rm", "--link", "x"], "--link"),
        (&["pull", "--disable-content-trust", "alpine"], "--disable-content-trust"),
        (&["run", "--mount", "type=cluster,target=/x", "x"], "type"),
        (&["run", "--log-driver", "syslog", "x"], "syslog"),
        (&["-H", "tcp://x", "ps"], "-H"),
    ] {
        let error = conex.fails(125, words);
        one_line(&error);
        assert!(error.contains(named) && error.contains("not supported"), "{words:?}: {error}");
    }
}

/// What Docker's daemon looks at, or its verbs after the flags, is told by 1: of flags alone, and of `run` and `create`, by 125.
#[test]
fn values_that_are_no_matter_of_flags() {
    let conex = Conex::new();
    for (words, told) in [
        (
            &["container", "prune", "-f", "--filter", "foo=1"][..],
            "unknown key; there are label, label!, until",
        ),
        (
            &["image", "prune", "-f", "--filter", "foo=1"],
            "unknown key; there are dangling, label, label!, until",
        ),
        (&["system", "prune", "-f", "--filter", "foo=1"], "unknown key; there are label, label!, until"),
        (&["volume", "prune", "-f", "--filter", "foo=1"], "unknown key; there are all, label, label!"),
        (&["network", "prune", "-f", "--filter", "foo=1"], "unknown key; there are label, label!, until"),
        (&["volume", "prune", "-f", "--filter", "all=perhaps"], "expected true or false"),
        (&["network", "prune", "-f", "--filter", "until=soon"], "expected a time"),
        (
            &["images", "--filter", "foo=1"],
            "unknown key; there are before, dangling, label, reference, since",
        ),
        (&["network", "ls", "--filter", "foo=1"], "unknown key; there are dangling"),
        (&["volume", "ls", "--filter", "foo=1"], "unknown key; there are dangling"),
        (&["ps", "--filter", "foo=1"], "unknown key; there are ancestor"),
        (&["cp", "src", "dst"], "at least one container"),
        (&["cp", "-", "-"], "at least one container"),
        (&["inspect", "--type", "foo", "x"], "--type"),
        (&["inspect", "--type", "node", "x"], "--type node is not supported"),
        (&["update", "x"], "one or more flags"),
        (&["update", "--restart", "foo", "x"], "foo"),
        (&["wait", "--condition", "foo", "x"], "unknown condition"),
        (&["events", "--since", "foo"], "expected a time"),
    ] {
        let error = conex.fails(1, words);
        one_line(&error);
        assert!(error.contains(told), "{words:?}: {error}");
    }
}

#[test]
fn bad_values_name_the_flag() {
    let conex = Conex::new();
    for (flag, value) in [
        ("--memory", "12zz"),
        ("-p", "80:x"),
        ("--expose", "x"),
        ("--ip", "x"),
        ("--mac-address", "x"),
        ("--memory-swap", "-2"),
        ("--memory-reservation", "x"),
        ("--cpus", "many"),
        ("--cpu-shares", "x"),
        ("--cpu-period", "-1"),
        ("--cpu-quota", "x"),
        ("--cpuset-cpus", "0-"),
        ("--cpuset-mems", "x"),
        ("--pids-limit", "x"),
        ("--blkio-weight", "5"),
        ("--oom-score-adj", "2000"),
        ("--shm-size", "x"),
        ("--ulimit", "nofile"),
        ("--sysctl", "novalue"),
        ("--cap-add", "CAP_FLY"),
        ("--cap-drop", "FLY"),
        ("--security-opt", "nonsense=1"),
        ("--security-opt", "seccomp=/nonexistent/profile.json"),
        ("--device", "relative"),
        ("--tmpfs", "relative"),
        ("--mount", "type=bind"),
        ("--volume", "a:b:c:d"),
        ("--volume", "vol/ume:/x"),
        ("--volumes-from", ":ro"),
        ("--storage-opt", "colour=red"),
        ("--pid", "x"),
        ("--ipc", "x"),
        ("--uts", "x"),
        ("--cgroupns", "x"),
        ("--userns", "x"),
        ("--timens", "x"),
        ("--network", "container:"),
        ("--hostname", "-bad-"),
        ("--add-host", "nocolon"),
        ("--dns", "not-an-address"),
        ("--restart", "sometimes"),
        ("--restart", "always:3"),
        ("--stop-signal", "FOO"),
        ("--stop-timeout", "-7"),
        ("--log-driver", "nothing"),
        ("--log-opt", "max-size"),
        ("--detach-keys", "ctrl-1"),
        ("--pull", "perhaps"),
        ("--platform", "linux"),
        ("--env", "=x"),
        ("--env-file", "/nonexistent/env"),
        ("--label", ""),
        ("--label-file", "/nonexistent/labels"),
        ("--name", "a b"),
        ("--attach", "stdfoo"),
    ] {
        let error = conex.fails(125, &["run", flag, value, "alpine"]);
        one_line(&error);
        if !value.is_empty() {
            let shown = value.split(['=', ':']).next().unwrap_or(value);
            assert!(error.contains(shown) || error.contains(flag), "{flag} {value}: {error}");
        }
    }
    for flag in ["--rm", "--init", "--read-only", "--privileged", "-i", "-t"] {
        let error = conex.fails(125, &["run", &format!("{flag}=maybe"), "alpine"]);
        one_line(&error);
        assert!(error.contains("\"maybe\"") && error.contains("true or false"), "{error}");
    }
}

#[test]
fn flags_that_exclude_each_other() {
    let conex = Conex::new();
    for words in [
        &["run", "--rm", "--restart", "always", "x"][..],
        &["run", "-d", "-a", "stdout", "x"],
        &["run", "--network", "host", "--network", "none", "x"],
    ] {
        one_line(&conex.fails(125, words));
    }
}

#[test]
fn a_missing_value_and_missing_arguments() {
    let conex = Conex::new();
    let error = conex.fails(125, &["run", "--name"]);
    one_line(&error);
    assert!(error.contains("flag needs an argument: --name"), "{error}");
    for (code, words, expected) in [
        (125, &["run"][..], "\"conex run\" requires at least 1 argument"),
        (125, &["create"], "\"conex create\" requires at least 1 argument"),
        (1, &["stop"], "\"conex stop\" requires at least 1 argument"),
        (1, &["exec", "x"], "\"conex exec\" requires at least 2 arguments"),
        (1, &["tag", "a"], "\"conex tag\" requires exactly 2 arguments"),
        (1, &["rename", "a", "b", "c"], "\"conex rename\" requires exactly 2 arguments"),
        (1, &["logs"], "\"conex logs\" requires at least 1 argument"),
        (1, &["ps", "x"], "\"conex ps\" accepts no arguments"),
        (1, &["images", "a", "b"], "\"conex images\" accepts at most 1 argument"),
        (1, &["container", "rm"], "\"conex container rm\" requires at least 1 argument"),
    ] {
        let error = conex.fails(code, words);
        one_line(&error);
        assert!(error.contains(expected) && error.contains("usage: conex"), "{error}");
    }
}

#[test]
fn a_container_that_is_not_there() {
    let conex = Conex::new();
    for words in [
        &["start", "nosuch"][..],
        &["start", "-a", "nosuch"],
        &["stop", "nosuch"],
        &["restart", "nosuch"],
        &["kill", "nosuch"],
        &["wait", "nosuch"],
        &["rm", "nosuch"],
        &["rename", "nosuch", "x"],
        &["attach", "nosuch"],
        &["exec", "nosuch", "ls"],
        &["logs", "nosuch"],
        &["container", "inspect", "nosuch"],
        &["top", "nosuch"],
        &["pause", "nosuch"],
        &["unpause", "nosuch"],
    ] {
        let error = conex.fails(1, words);
        one_line(&error);
        assert!(error.contains("No such container: nosuch"), "{words:?}: {error}");
    }
    let error = conex.fails(1, &["inspect", "nosuch"]);
    assert!(error.contains("no such object: nosuch"), "{error}");
}

#[test]
fn several_things_are_tried_though_one_fails() {
    let conex = Conex::new();
    let error = conex.fails(1, &["rm", "one", "two"]);
    assert!(error.contains("one") && error.contains("two") && error.lines().count() == 2, "{error}");
}

#[test]
fn a_closed_pipe_is_no_crash() {
    let conex = Conex::new();
    let mut command = conex.command(&["run", "--help"]);
    let (reader, writer) = std::io::pipe().expect("pipe");
    drop(reader);
    let output = command.stdout(writer).output().expect("conex");
    assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(141), &b""[..]));
}

#[test]
fn an_argument_that_is_not_text() {
    use std::os::unix::ffi::OsStrExt;
    let conex = Conex::new();
    let mut command = conex.command(&["run", "alpine"]);
    let output = conex_tests::finish(command.arg(std::ffi::OsStr::from_bytes(b"\xff")));
    assert_eq!(output.code, 125, "{}", output.stderr);
    one_line(&output.stderr);
}

#[test]
fn debug_says_more_and_a_bad_level_is_refused() {
    let conex = Conex::new();
    for words in [&["-D", "images"][..], &["--debug=true", "images"], &["-l", "debug", "images"]] {
        let output = conex.run(words);
        assert!(output.code == 0 && output.stderr.contains("DEBUG"), "{words:?}: {}", output.stderr);
    }
    let output = conex_tests::finish(conex.command(&["images"]).env("CONEX_LOG", "debug"));
    assert!(output.code == 0 && output.stderr.contains("DEBUG"), "{}", output.stderr);
    assert_eq!(conex.run(&["images"]).stderr, "");
    one_line(&conex.fails(125, &["-l", "loud", "images"]));
}

#[test]
fn completion_knows_verbs_and_flags() {
    let conex = Conex::new();
    for shell in ["bash", "zsh", "fish"] {
        let script = conex.ok(&["completion", shell]);
        for word in ["memory-reservation", "container", "unpause", "no-trunc"] {
            assert!(script.contains(word), "{shell} does not know {word}");
        }
    }
    one_line(&conex.fails(1, &["completion", "tcsh"]));
    // bash takes its script.
    let script = conex.ok(&["completion", "bash"]);
    let path = conex.scratch().join("conex.bash");
    std::fs::write(&path, script).expect("a file");
    let mut bash = std::process::Command::new("bash");
    let output = conex_tests::finish(bash.arg("-c").arg(format!(
        "set -e; source {}; COMP_WORDS=(conex im); COMP_CWORD=1; _conex conex im conex; printf '%s\\n' \"${{COMPREPLY[@]}}\"",
        path.display()
    )));
    assert!(
        output.stdout.contains("images") && output.stdout.contains("image"),
        "{} {}",
        output.stdout,
        output.stderr
    );
}

#[test]
fn completion_knows_the_names_that_there_are() {
    conex_tests::needs_root!();
    let conex = Conex::new();
    let Some(alpine) = conex.alpine() else { conex_tests::skip!("no alpine image") };
    conex.ok(&["create", "--name", "grandmother", alpine, "true"]);
    let path = conex.scratch().join("conex.bash");
    std::fs::write(&path, conex.ok(&["completion", "bash"])).expect("a file");
    for (verb, word, expected) in [("stop", "gran", "grandmother"), ("run", "alp", "alpine:3.20")] {
        let script = format!(
            "conex() {{ {} \"$@\"; }}; source {}; COMP_WORDS=(conex {verb} {word}); COMP_CWORD=2; \
             _conex_and_names conex {word} {verb}; printf '%s\\n' \"${{COMPREPLY[@]}}\"",
            Conex::binary().display(),
            path.display(),
        );
        let mut bash = std::process::Command::new("bash");
        bash.env("CONEX_ROOT", conex.root()).env("CONEX_RUN_ROOT", conex.run_root());
        let output = conex_tests::finish(bash.args(["-c", &script]));
        assert!(output.stdout.lines().any(|line| line == expected), "{} {}", output.stdout, output.stderr);
    }
}

#[test]
fn man_pages() {
    let conex = Conex::new();
    let page = conex.ok(&["man"]);
    assert!(page.contains(".TH") && page.contains("conex"), "{page}");
    let directory = conex.scratch().join("man/man1");
    conex.ok(&["man", directory.to_str().expect("text")]);
    for name in ["conex.1", "conex-run.1", "conex-container-ls.1", "conex-image-rm.1"] {
        let page =
            std::fs::read_to_string(directory.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(page.contains(".SH NAME"), "{name}");
    }
    let run = std::fs::read_to_string(directory.join("conex-run.1")).expect("conex-run.1");
    assert!(run.contains("memory\\-reservation") && run.contains("Examples"), "{run}");
    let error = conex.fails(1, &["man", "/dev/null/directory"]);
    one_line(&error);
    assert!(error.contains("/dev/null/directory"), "{error}");
}

#[test]
fn roots_come_from_flags_before_the_environment() {
    let conex = Conex::new();
    let other = conex.scratch().join("other");
    let output = conex.run(&["--root", other.to_str().expect("text"), "images"]);
    assert_eq!(output.code, 0, "{}", output.stderr);
    assert!(
        other.join("oci-layout").exists() || other.join("blobs").exists(),
        "nothing was made in {other:?}"
    );
    let file = conex.scratch().join("file");
    std::fs::write(&file, "").expect("a file");
    let error = conex.fails(1, &["--root", file.join("x").to_str().expect("text"), "images"]);
    one_line(&error);
    assert!(error.contains("file/x"), "{error}");
}
