//! `logs` and the log drivers.

use conex_tests::{Conex, alpine, eventually, needs_root, skip};

fn run(conex: &Conex, flags: &[&str], image: &str, script: &str) {
    conex.ok(&[&["run", "-d", "--name", "web"][..], flags, &[image, "sh", "-c", script]].concat());
    conex.ok(&["wait", "web"]);
}

#[test]
fn both_streams_come_back_apart() {
    let (conex, alpine) = alpine!();
    run(&conex, &[], alpine, "echo out; echo err >&2; printf end");
    let output = conex.run(&["logs", "web"]);
    assert_eq!((output.stdout.as_str(), output.stderr.as_str()), ("out\nend", "err\n"));
    conex.fails(1, &["logs", "nobody"]);
}

#[test]
fn the_file_is_dockers() {
    let (conex, alpine) = alpine!();
    run(&conex, &[], alpine, r#"printf '<"tab\t">\n'; head -c 20000 /dev/zero | tr '\0' x"#);
    let path = conex.inspect("web")["LogPath"].as_str().expect("a path").to_owned();
    let text = std::fs::read_to_string(path).expect("the log");
    let lines: Vec<serde_json::Value> =
        text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(lines[0]["log"], "<\"tab\t\">\n");
    assert_eq!(lines[0]["stream"], "stdout");
    assert!(lines[0]["time"].as_str().unwrap().ends_with('Z'));
    // A long line comes in pieces of 16 KiB.
    assert_eq!(lines[1]["log"].as_str().unwrap().len(), 16 << 10);
    assert_eq!(lines[2]["log"].as_str().unwrap().len(), 20_000 - (16 << 10));
    assert_eq!(conex.ok(&["logs", "-n", "2", "web"]).len(), 20_000);
}

#[test]
fn tail_since_until_timestamps() {
    let (conex, alpine) = alpine!();
    run(&conex, &[], alpine, "for i in 1 2 3 4 5; do echo line $i; sleep 0.02; done");
    assert_eq!(conex.ok(&["logs", "--tail", "2", "web"]), "line 4\nline 5\n");
    assert_eq!(conex.ok(&["logs", "--tail", "0", "web"]), "");
    assert_eq!(conex.ok(&["logs", "--tail", "all", "web"]).lines().count(), 5);
    let stamped = conex.ok(&["logs", "-t", "web"]);
    let stamps: Vec<&str> = stamped.lines().map(|line| line.split_once(' ').unwrap().0).collect();
    assert_eq!(stamps[0].len(), "2006-01-02T15:04:05.000000000Z".len());
    assert_eq!(conex.ok(&["logs", "--since", stamps[2], "web"]), "line 3\nline 4\nline 5\n");
    assert_eq!(conex.ok(&["logs", "--until", stamps[1], "web"]), "line 1\nline 2\n");
    assert_eq!(conex.ok(&["logs", "--since", "1h", "web"]).lines().count(), 5);
    assert_eq!(conex.ok(&["logs", "--until", "1h", "web"]), "");
    conex.fails(1, &["logs", "--since", "yesterday-ish", "web"]);
}

#[test]
fn follow_goes_on_until_the_end() {
    let (conex, alpine) = alpine!();
    let script = "echo one; while [ ! -e /go ]; do sleep 0.05; done; echo two; echo three >&2";
    conex.ok(&["run", "-d", "--name", "web", alpine, "sh", "-c", script]);
    let following = conex.background(&["logs", "-f", "web"]);
    eventually("the first line", || conex.ok(&["logs", "web"]).contains("one").then_some(()));
    conex.ok(&["exec", "web", "touch", "/go"]);
    let output = following.finish();
    assert_eq!((output.code, output.stdout.as_str()), (0, "one\ntwo\n"), "{}", output.stderr);
    assert_eq!(output.stderr, "three\n");
}

#[test]
fn rotation_bounds_the_log_and_keeps_the_order() {
    let (conex, alpine) = alpine!();
    run(
        &conex,
        &["--log-opt", "max-size=10k", "--log-opt", "max-file=3"],
        alpine,
        "i=0; while [ $i -lt 1000 ]; do echo line $i; i=$((i+1)); done",
    );
    let path = conex.inspect("web")["LogPath"].as_str().expect("a path").to_owned();
    for number in ["", ".1", ".2"] {
        let length = std::fs::metadata(format!("{path}{number}")).expect("a log").len();
        assert!(length <= 10 * 1024, "{number}: {length}");
    }
    assert!(std::fs::metadata(format!("{path}.3")).is_err());
    let text = conex.ok(&["logs", "web"]);
    let numbers: Vec<u32> = text.lines().map(|line| line["line ".len()..].parse().unwrap()).collect();
    assert_eq!(numbers.last(), Some(&999));
    assert!(numbers.windows(2).all(|pair| pair[1] == pair[0] + 1), "{numbers:?}");
    // Across two files.
    let tail = conex.ok(&["logs", "-n", "200", "web"]);
    assert_eq!(tail.lines().count(), 200);
    assert_eq!(tail.lines().next(), Some("line 800"));
}

#[test]
fn follow_survives_rotation() {
    let (conex, alpine) = alpine!();
    let script = "while [ ! -e /go ]; do sleep 0.05; done; i=0; while [ $i -lt 300 ]; do echo line $i; i=$((i+1)); sleep 0.002; done";
    conex.ok(&[
        "run",
        "-d",
        "--name",
        "web",
        "--log-opt",
        "max-size=4k",
        "--log-opt",
        "max-file=4",
        alpine,
        "sh",
        "-c",
        script,
    ]);
    let following = conex.background(&["logs", "-f", "web"]);
    conex.ok(&["exec", "web", "touch", "/go"]);
    let output = following.finish();
    let lines: Vec<&str> = output.stdout.lines().collect();
    assert_eq!((lines.len(), lines.last()), (300, Some(&"line 299")), "{}", output.stderr);
}

#[test]
fn driver_none_keeps_nothing() {
    let (conex, alpine) = alpine!();
    let output = conex.run(&["run", "--name", "web", "--log-driver", "none", alpine, "echo", "hi"]);
    assert_eq!((output.code, output.stdout.as_str()), (0, "hi\n"), "{}", output.stderr);
    let error = conex.fails(1, &["logs", "web"]);
    assert!(error.contains("does not support reading"), "{error}");
}

#[test]
fn journald_needs_a_journal() {
    let (conex, alpine) = alpine!();
    if std::path::Path::new("/run/systemd/journal/socket").exists() {
        conex.ok(&["run", "--rm", "--log-driver", "journald", alpine, "echo", "hi"]);
        skip!("the half without a journal: this machine has one");
    }
    let error = conex.fails(125, &["run", "--rm", "--log-driver", "journald", alpine, "true"]);
    assert!(error.contains("journald"), "{error}");
    conex.ok(&["run", "--name", "web", "--log-driver", "journald-if-present", alpine, "echo", "hi"]);
    assert_eq!(conex.ok(&["logs", "web"]), "hi\n");
    conex.fails(125, &["run", "--rm", "--log-driver", "syslog", alpine, "true"]);
}

#[test]
fn the_journal_gets_each_line_with_its_fields() {
    const OWN_RUN: &str = "CONEX_TEST_OWN_RUN";
    needs_root!();
    if std::env::var_os(OWN_RUN).is_none() {
        // A /run of its own, so that the socket of a journal that may be there is left alone.
        let inside = std::process::Command::new("unshare")
            .args(["--mount", "sh", "-c", "mount -t tmpfs tmpfs /run && exec \"$@\"", "sh"])
            .arg(std::env::current_exe().expect("this program"))
            .args(["--exact", "the_journal_gets_each_line_with_its_fields", "--nocapture"])
            .env(OWN_RUN, "1")
            .output()
            .expect("unshare");
        assert!(inside.status.success(), "{}", String::from_utf8_lossy(&inside.stderr));
        return;
    }
    let (conex, alpine) = alpine!();
    let without = conex.fails(125, &["run", "--rm", "--log-driver", "journald", alpine, "true"]);
    assert!(without.contains("/run/systemd/journal/socket"), "{without}");
    std::fs::create_dir_all("/run/systemd/journal").expect("a directory");
    let journal = std::os::unix::net::UnixDatagram::bind("/run/systemd/journal/socket").expect("a socket");
    journal.set_read_timeout(Some(conex_tests::PATIENCE)).expect("a time limit");
    let script = "echo out; echo err >&2";
    conex.ok(&[
        "run",
        "--rm",
        "--name",
        "web",
        "--log-driver",
        "journald-if-present",
        alpine,
        "sh",
        "-c",
        script,
    ]);
    let mut messages = [(); 2].map(|()| {
        let mut buffer = [0; 4096];
        let length = journal.recv(&mut buffer).expect("a message");
        String::from_utf8(buffer[..length].to_vec()).expect("text")
    });
    messages.sort_by_key(|message| message.contains("MESSAGE=err\n"));
    for (message, fields) in
        messages.iter().zip([["PRIORITY=6", "MESSAGE=out"], ["PRIORITY=3", "MESSAGE=err"]])
    {
        for field in fields.into_iter().chain(["CONTAINER_NAME=web", &format!("IMAGE_NAME={alpine}")]) {
            assert!(message.lines().any(|line| line == field), "no {field} in:\n{message}");
        }
    }
    // A journal that hangs loses lines, and holds nobody up.
    let flood = "i=0; while [ $i -lt 3000 ]; do echo $i; i=$((i+1)); done";
    let output =
        conex.ok(&["run", "--rm", "--name", "web", "--log-driver", "journald", alpine, "sh", "-c", flood]);
    assert_eq!(output.lines().count(), 3000);
}

#[test]
fn details_are_what_the_options_name() {
    let (conex, alpine) = alpine!();
    let options = [
        "-l",
        "tier=front end",
        "-l",
        "other=x",
        "-e",
        "STAGE=a=b",
        "--log-opt",
        "labels=tier,nosuch",
        "--log-opt",
        "env=STAGE,PATH",
        "--log-opt",
        "tag={{.Name}}/{{.ImageName}}",
    ];
    run(&conex, &options, alpine, "echo line");
    let path =
        "%2Fusr%2Flocal%2Fsbin%3A%2Fusr%2Flocal%2Fbin%3A%2Fusr%2Fsbin%3A%2Fusr%2Fbin%3A%2Fsbin%3A%2Fbin";
    let expected = format!("PATH={path},STAGE=a%3Db,tag=web%2Falpine%3A3.20,tier=front+end line\n");
    assert_eq!(conex.ok(&["logs", "--details", "web"]), expected);
    assert_eq!(conex.ok(&["logs", "web"]), "line\n");
    assert_eq!(conex.inspect("web")["HostConfig"]["LogConfig"]["Config"]["labels"], "tier,nosuch");
    let file =
        std::fs::read_to_string(conex.inspect("web")["LogPath"].as_str().expect("a path")).expect("the log");
    let line: serde_json::Value = serde_json::from_str(file.trim()).expect("JSON");
    assert_eq!(line["attrs"]["tier"], "front end");
    conex.ok(&["run", "--name", "db", alpine, "echo", "other"]);
    assert_eq!(conex.ok(&["logs", "--names", "web", "db"]), "web line\ndb other\n");
    assert!(conex.fails(125, &["logs", "-f", "web", "db"]).contains("one container"));
}

#[test]
fn compressed_files_are_read_with_the_others() {
    let (conex, alpine) = alpine!();
    let options = ["--log-opt", "max-size=20k", "--log-opt", "max-file=50", "--log-opt", "compress=true"];
    conex.ok(&[&["create", "--name", "web"][..], &options, &[alpine, "sh", "-c", "seq 3000"]].concat());
    conex.ok(&["start", "web"]);
    // A reader that comes by all the rotations.
    let follower = conex.background(&["logs", "-f", "web"]);
    conex.ok(&["wait", "web"]);
    let numbers: String = (1..=3000).map(|number| format!("{number}\n")).collect();
    assert_eq!(conex.ok(&["logs", "web"]), numbers);
    assert_eq!(follower.finish().stdout, numbers);
    let tail: String = (1001..=3000).map(|number| format!("{number}\n")).collect();
    assert_eq!(conex.ok(&["logs", "-n", "2000", "web"]), tail);
    let log = conex.inspect("web")["LogPath"].as_str().expect("a path").to_owned();
    let names: Vec<String> = std::fs::read_dir(std::path::Path::new(&log).parent().expect("a directory"))
        .expect("a directory")
        .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
        .filter(|name| name.starts_with("container.log"))
        .collect();
    assert!(
        names.len() > 5 && names.iter().all(|name| name == "container.log" || name.ends_with(".gz")),
        "{names:?}"
    );
    assert!(conex.fails(125, &["run", "--log-opt", "compress=true", alpine]).contains("max-size"));
}

/// Docker's default is spelt out in compose files.
#[test]
fn the_mode_that_there_is() {
    let (conex, alpine) = alpine!();
    run(&conex, &["--log-opt", "mode=blocking"], alpine, "echo on");
    assert_eq!(conex.ok(&["logs", "web"]), "on\n");
    assert_eq!(conex.inspect("web")["HostConfig"]["LogConfig"]["Config"]["mode"], "blocking");
    for bad in ["mode=non-blocking", "max-buffer-size=4m"] {
        let error = conex.fails(125, &["run", "--rm", "--log-opt", bad, alpine, "true"]);
        assert!(error.contains("there is mode=blocking") && error.lines().count() == 1, "{error}");
    }
}
