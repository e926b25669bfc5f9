//! `run`: what runs, and how its end shows. `--entrypoint -e --env-file -w -u --group-add -i --init --ulimit
//! --oom-score-adj --name --cidfile --label --annotation --pull --platform -a`.

use conex_tests::{Conex, alpine, eventually};

#[test]
fn exit_codes_are_dockers() {
    let (conex, alpine) = alpine!();
    for (words, code) in [
        (&["true"][..], 0),
        (&["false"], 1),
        (&["sh", "-c", "exit 42"], 42),
        (&["sh", "-c", "exit 255"], 255),
        (&["sh", "-c", "sh -c 'kill -TERM $$'; exit $?"], 143),
    ] {
        let output = conex.run(&[&["run", "--rm", alpine], words].concat());
        assert_eq!(output.code, code, "{words:?}: {}", output.stderr);
    }
    let error = conex.fails(127, &["run", "--rm", alpine, "/no/such/program"]);
    assert!(
        error.starts_with("conex: ") && error.contains("/no/such/program") && error.lines().count() == 1,
        "{error}"
    );
    let error = conex.fails(127, &["run", "--rm", alpine, "nosuchprogram"]);
    assert!(error.contains("nosuchprogram"), "{error}");
    let error = conex.fails(126, &["run", "--rm", alpine, "/etc/passwd"]);
    assert!(error.contains("/etc/passwd") && error.lines().count() == 1, "{error}");
    let error = conex.fails(126, &["run", "--rm", alpine, "/etc"]);
    assert!(error.contains("/etc"), "{error}");
    assert_eq!(conex.ok(&["ps", "-aq"]), "");
}

#[test]
fn streams_stay_apart_and_input_arrives() {
    let (conex, alpine) = alpine!();
    let output = conex.run(&["run", "--rm", alpine, "sh", "-c", "echo out; echo err >&2"]);
    assert_eq!((output.stdout.as_str(), output.stderr.as_str()), ("out\n", "err\n"));
    let big: Vec<u8> = (0..3_000_000_u32).map(|i| (i % 251) as u8).collect();
    let output = conex.run_with_input(&["run", "--rm", "-i", alpine, "wc", "-c"], &big);
    assert_eq!((output.code, output.stdout.trim()), (0, "3000000"), "{}", output.stderr);
    let output = conex.run_with_input(&["run", "--rm", "-i", alpine, "md5sum"], &big);
    let here = conex_tests::finish(std::process::Command::new("md5sum").stdin(conex_file(&conex, &big)));
    assert_eq!(output.stdout, here.stdout);
    // Without -i there is nothing to read.
    let output = conex.run_with_input(&["run", "--rm", alpine, "wc", "-c"], b"hello");
    assert_eq!(output.stdout.trim(), "0");
    // A program that does not read its input does not hang.
    let output = conex.run_with_input(&["run", "--rm", "-i", alpine, "true"], &big);
    assert_eq!(output.code, 0, "{}", output.stderr);
}

fn conex_file(conex: &Conex, bytes: &[u8]) -> std::fs::File {
    let path = conex.scratch().join("input");
    std::fs::write(&path, bytes).expect("a file");
    std::fs::File::open(path).expect("a file")
}

#[test]
fn attach_chooses_streams() {
    let (conex, alpine) = alpine!();
    let script = &["sh", "-c", "echo out; echo err >&2; exit 3"];
    let output = conex.run(&[&["run", "--rm", "-a", "stdout", alpine][..], script].concat());
    assert_eq!((output.code, output.stdout.as_str(), output.stderr.as_str()), (3, "out\n", ""));
    let output = conex.run(&[&["run", "--rm", "-a", "STDERR", alpine][..], script].concat());
    assert_eq!((output.code, output.stdout.as_str(), output.stderr.as_str()), (3, "", "err\n"));
}

#[test]
fn entrypoint_and_command() {
    let (conex, alpine) = alpine!();
    assert_eq!(conex.ok(&["run", "--rm", "--entrypoint", "echo", alpine, "a", "b"]), "a b\n");
    assert_eq!(conex.ok(&["run", "--rm", "--entrypoint", "", alpine, "echo", "c"]), "c\n");
    let error = conex.fails(125, &["run", "--rm", "--entrypoint", "", alpine]);
    assert!(error.contains("command"), "{error}");
    // What follows the image is the program's, flags and all.
    assert_eq!(conex.ok(&["run", "--rm", alpine, "echo", "--rm", "-e", "x"]), "--rm -e x\n");
}

#[test]
fn environment() {
    let (conex, alpine) = alpine!();
    let file = conex.scratch().join("env");
    std::fs::write(&file, "# comment\nFROM_FILE=1\nBOTH=file\n\nCALLER\n").expect("a file");
    let mut command = conex.command(&[
        "run",
        "--rm",
        "--env-file",
        file.to_str().expect("text"),
        "-e",
        "BOTH=flag",
        "-e",
        "CALLERS",
        "--env=E=a=b",
        "-e",
        "EMPTY=",
        alpine,
        "env",
    ]);
    let output = conex_tests::finish(command.env("CALLER", "here").env("CALLERS", "too"));
    assert_eq!(output.code, 0, "{}", output.stderr);
    let lines: Vec<&str> = output.stdout.lines().collect();
    for line in ["FROM_FILE=1", "BOTH=flag", "CALLER=here", "CALLERS=too", "E=a=b", "EMPTY=", "HOME=/root"] {
        assert!(lines.contains(&line), "{line}: {lines:?}");
    }
    assert!(lines.iter().any(|line| line.starts_with("PATH=/usr/local/sbin")), "{lines:?}");
    assert!(lines.iter().any(|line| line.starts_with("HOSTNAME=")), "{lines:?}");
    assert!(
        !lines.iter().any(|line| line.starts_with("CONEX_ROOT")),
        "the caller's environment leaks: {lines:?}"
    );
    let tty = conex.ok(&["run", "--rm", "-t", alpine, "env"]);
    assert!(tty.contains("TERM=xterm"), "{tty}");
}

#[test]
fn workdir_is_made_and_user_is_looked_up() {
    let (conex, alpine) = alpine!();
    assert_eq!(conex.ok(&["run", "--rm", "-w", "/some/new/place", alpine, "pwd"]), "/some/new/place\n");
    assert_eq!(conex.ok(&["run", "--rm", alpine, "id", "-u"]), "0\n");
    for (user, expected) in [
        ("nobody", "65534 65534"),
        ("nobody:root", "65534 0"),
        ("1000", "1000 0"),
        ("1000:2000", "1000 2000"),
        ("0:audio", "0 18"),
    ] {
        let ids = conex.ok(&["run", "--rm", "-u", user, alpine, "sh", "-c", "echo $(id -u) $(id -g)"]);
        assert_eq!(ids.trim(), expected, "{user}");
    }
    let groups = conex.ok(&[
        "run",
        "--rm",
        "-u",
        "1000",
        "--group-add",
        "audio",
        "--group-add",
        "777",
        alpine,
        "id",
        "-G",
    ]);
    assert!(groups.contains("18") && groups.contains("777"), "{groups}");
    for bad in ["nosuchuser", "0:nosuchgroup", "99999999999"] {
        let error = conex.fails(125, &["run", "--rm", "-u", bad, alpine, "true"]);
        assert!(error.lines().count() == 1, "{error}");
    }
    conex.fails(125, &["run", "--rm", "--group-add", "nosuchgroup", alpine, "true"]);
    conex.fails(125, &["run", "--rm", "-w", "relative", alpine, "true"]);
    assert_eq!(conex.ok(&["ps", "-aq"]), "", "a run that failed left a container");
}

#[test]
fn init_reaps_and_forwards() {
    let (conex, alpine) = alpine!();
    let shown =
        conex.ok(&["run", "--rm", "--init", alpine, "sh", "-c", "echo $$; sleep 0 & wait; cat /proc/1/comm"]);
    let lines: Vec<&str> = shown.lines().collect();
    assert_ne!(lines[0], "1", "the program is PID 1 in spite of --init");
    let name = "init";
    conex.ok(&["run", "-d", "--init", "--name", name, alpine, "sleep", "1000"]);
    conex.ok(&["stop", "-t", "20", name]);
    // sleep has no handler for SIGTERM: only as PID 1 would it live on.
    assert_eq!(conex.ok(&["wait", name]), "143\n");
    assert_eq!(conex.run(&["run", "--rm", "--init", alpine, "sh", "-c", "exit 5"]).code, 5);
}

#[test]
fn ulimits_and_oom_score() {
    let (conex, alpine) = alpine!();
    let shown = conex.ok(&[
        "run",
        "--rm",
        "--ulimit",
        "nofile=100:200",
        "--ulimit",
        "core=0",
        alpine,
        "cat",
        "/proc/self/limits",
    ]);
    let line = |name: &str| {
        shown
            .lines()
            .find(|line| line.starts_with(name))
            .unwrap_or("")
            .split_whitespace()
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    assert_eq!(line("Max open files")[3..5], ["100", "200"]);
    assert_eq!(line("Max core file size")[4..6], ["0", "0"]);
    assert_eq!(
        conex.ok(&["run", "--rm", "--oom-score-adj", "500", alpine, "cat", "/proc/self/oom_score_adj"]),
        "500\n"
    );
}

#[test]
fn names_labels_and_annotations() {
    let (conex, alpine) = alpine!();
    let labels = conex.scratch().join("labels");
    std::fs::write(&labels, "file=1\nboth=file\n").expect("a file");
    let id = conex.ok(&[
        "create",
        "--name",
        "web",
        "-l",
        "a=1",
        "--label",
        "both=flag",
        "--label-file",
        labels.to_str().expect("text"),
        "--annotation",
        "io.example.x=y",
        alpine,
        "true",
    ]);
    assert_eq!(id.trim().len(), 64);
    let container = conex.inspect("web");
    assert_eq!(container["Id"], id.trim());
    assert_eq!(container["Name"], "/web");
    for (key, value) in [("a", "1"), ("both", "flag"), ("file", "1")] {
        assert_eq!(container["Config"]["Labels"][key], value);
    }
    assert_eq!(container["HostConfig"]["Annotations"]["io.example.x"], "y");
    let error = conex.fails(125, &["run", "--name", "web", alpine, "true"]);
    assert!(error.contains("already in use") && error.lines().count() == 1, "{error}");
    // Found by name, id and a prefix of it.
    for name in ["web", "/web", id.trim(), &id[..6]] {
        assert_eq!(conex.inspect(name)["Id"], id.trim(), "{name}");
    }
    // A name is made up when none is given.
    let other = conex.ok(&["create", alpine, "true"]);
    let name = conex.ok(&["inspect", "-f", "{{.Name}}", other.trim()]);
    assert!(name.contains('_') && name.starts_with('/'), "{name}");
}

#[test]
fn cidfile() {
    let (conex, alpine) = alpine!();
    let path = conex.scratch().join("id");
    let text = path.to_str().expect("text");
    let id = conex.ok(&["run", "-d", "--cidfile", text, alpine, "true"]);
    assert_eq!(std::fs::read_to_string(&path).expect("the file"), id.trim());
    let error = conex.fails(125, &["run", "--cidfile", text, alpine, "true"]);
    assert!(error.contains("container ID file found"), "{error}");
    let other = conex.scratch().join("other");
    conex.fails(
        125,
        &["run", "--pull", "never", "--cidfile", other.to_str().expect("text"), "no-such-image", "true"],
    );
    assert!(!other.exists(), "an empty cidfile is left");
    conex.fails(125, &["run", "--cidfile", "/nonexistent/id", alpine, "true"]);
}

#[test]
fn images_that_are_not_there() {
    let (conex, alpine) = alpine!();
    let error = conex.fails(125, &["run", "--rm", "--pull", "never", "no-such-image", "true"]);
    assert!(error.contains("no-such-image") && error.lines().count() == 1, "{error}");
    // Nobody listens on the discard port.
    let error = conex.fails(125, &["run", "--rm", "127.0.0.1:9/x:1", "true"]);
    assert!(
        error.starts_with("Unable to find image '127.0.0.1:9/x:1' locally\n") && error.lines().count() <= 3,
        "{error}"
    );
    assert!(
        error.lines().last().is_some_and(|line| line.starts_with("conex: ") && line.contains("127.0.0.1:9")),
        "{error}"
    );
    let error = conex.fails(125, &["run", "--rm", "-q", "127.0.0.1:9/x:1", "true"]);
    assert_eq!(error.lines().count(), 1, "{error}");
    for bad in ["Upper", "a b", "-", "x@sha256:zz"] {
        let error = conex.fails(125, &["run", "--rm", "--", bad, "true"]);
        assert!(error.starts_with("conex: ") && error.lines().count() == 1, "{error}");
    }
    let error =
        conex.fails(125, &["run", "--rm", "--pull", "never", "--platform", "linux/s390x", alpine, "true"]);
    assert!(error.contains("s390x"), "{error}");
}

#[test]
fn rm_leaves_nothing_and_detach_prints_the_id() {
    let (conex, alpine) = alpine!();
    conex.ok(&["run", "--rm", alpine, "true"]);
    assert_eq!(conex.ok(&["ps", "-aq"]), "");
    let id = conex.ok(&["run", "-d", "--rm", alpine, "sleep", "1000"]);
    assert_eq!(id.len(), 65);
    conex.ok(&["kill", id.trim()]);
    eventually("its removal", || conex.ok(&["ps", "-aq"]).is_empty().then_some(()));
    // Off the list first, then its files.
    let directory = conex.root().join("containers").join(id.trim());
    eventually("its files' removal", || (!directory.exists()).then_some(()));
    // Also when the program cannot be started.
    conex.fails(127, &["run", "--rm", alpine, "/nonexistent"]);
    assert_eq!(conex.ok(&["ps", "-aq"]), "");
}

#[test]
fn signals_are_passed_on_without_a_terminal() {
    let (conex, alpine) = alpine!();
    let script =
        "trap 'echo TERM; exit 3' TERM; trap 'echo USR1' USR1; echo ready; while :; do sleep 0.05; done";
    let child = conex.background(&["run", "--rm", "--name", "box", alpine, "sh", "-c", script]);
    let pid = child.id().to_string();
    let logged = |name: &str, text: &str| {
        eventually("the container's words", || {
            conex.run(&["logs", name]).stdout.contains(text).then_some(())
        });
    };
    let signal = |name: &str| {
        let output = conex_tests::finish(std::process::Command::new("kill").args(["-s", name, &pid]));
        assert_eq!(output.code, 0);
    };
    logged("box", "ready");
    signal("USR1");
    logged("box", "USR1");
    signal("TERM");
    let output = child.finish();
    assert_eq!(output.code, 3, "{} {}", output.stdout, output.stderr);
    // Not with --sig-proxy=false: the client ends alone.
    let child =
        conex.background(&["run", "--sig-proxy=false", "--name", "other", alpine, "sh", "-c", script]);
    let pid = child.id().to_string();
    logged("other", "ready");
    let output = conex_tests::finish(std::process::Command::new("kill").args(["-s", "TERM", &pid]));
    assert_eq!(output.code, 0);
    assert_eq!(child.finish().code, 143);
    assert_eq!(conex.ok(&["inspect", "-f", "{{.State.Running}}", "other"]), "true\n");
}

#[test]
fn output_to_a_closed_pipe_ends_the_client() {
    let (conex, alpine) = alpine!();
    let mut command = conex.command(&["run", "--name", "yes", alpine, "yes"]);
    let (reader, writer) = std::io::pipe().expect("pipe");
    drop(reader);
    let output = command.stdout(writer).output().expect("conex");
    assert_eq!(output.status.code(), Some(141), "{}", String::from_utf8_lossy(&output.stderr));
    conex.ok(&["rm", "-f", "yes"]);
}

/// `Config` has what was asked for: the image's and the user's variables, not the engine's, and who was on which stream.
#[test]
fn inspect_tells_of_variables_and_streams() {
    let (conex, alpine) = alpine!();
    let path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    let template = "{{.Config.AttachStdin}} {{.Config.AttachStdout}} {{.Config.AttachStderr}} \
         {{.Config.OpenStdin}} {{.Config.StdinOnce}} {{json .Config.Env}}";
    for (verb, flags, streams, env) in [
        ("create", &["-e", "A=1"][..], "false true true false false", format!("[\"A=1\",\"{path}\"]")),
        ("create", &["-i"], "true true true true true", format!("[\"{path}\"]")),
        (
            "create",
            &["-a", "STDERR", "-e", "PATH=/bin"],
            "false false true false false",
            "[\"PATH=/bin\"]".to_owned(),
        ),
        ("run", &["-d"], "false false false false false", format!("[\"{path}\"]")),
        ("run", &["-dit"], "false false false true false", format!("[\"{path}\"]")),
        ("run", &["-i"], "true true true true true", format!("[\"{path}\"]")),
    ] {
        let mut words = vec![verb, "--name", "box", "--network", "none"];
        words.extend(flags);
        words.extend([alpine, "env"]);
        let output = conex.ok(&words);
        assert_eq!(conex.ok(&["inspect", "-f", template, "box"]), format!("{streams} {env}\n"), "{words:?}");
        // The process has the others all the same.
        if flags == ["-i"] && verb == "run" {
            assert!(output.contains("HOME=/root\n") && output.contains("HOSTNAME="), "{output}");
        }
        conex.ok(&["rm", "-f", "box"]);
    }
    conex.fails(125, &["create", "-a", "stdwhat", alpine]);
}
