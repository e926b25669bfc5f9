//! `ps`: columns, filters, forms; and `inspect`, `top`, `rename` of containers.

use conex_tests::{Conex, alpine};

/// One running, one ended with 3, one never started.
fn three(conex: &Conex, image: &str) {
    conex.ok(&["run", "-d", "--name", "runs", "-l", "tier=front", image, "sleep", "1000"]);
    assert_eq!(
        conex.run(&["run", "--name", "ended", "-l", "tier=back", image, "sh", "-c", "exit 3"]).code,
        3
    );
    conex.ok(&["create", "--name", "made", image, "a-very-long-command", "with", "many", "words"]);
}

fn names(conex: &Conex, words: &[&str]) -> Vec<String> {
    conex.ok(&[&["ps", "--format", "{{.Names}}"][..], words].concat()).lines().map(str::to_owned).collect()
}

#[test]
fn the_table() {
    let (conex, alpine) = alpine!();
    assert_eq!(conex.ok(&["ps"]), "CONTAINER ID   IMAGE     COMMAND   CREATED   STATUS    PORTS     NAMES\n");
    three(&conex, alpine);
    let table = conex.ok(&["ps"]);
    assert_eq!(table.lines().count(), 2, "{table}");
    let row = table.lines().nth(1).expect("a row");
    for part in ["alpine:3.20", "\"sleep 1000\"", " ago", "Up ", "runs"] {
        assert!(row.contains(part), "{part}: {table}");
    }
    // The cells stand under their headings.
    let heading = table.lines().next().expect("headings");
    assert_eq!(heading.find("NAMES"), row.find("runs"));
    assert_eq!(heading.find("COMMAND"), row.find("\"sleep"));
    let all = conex.ok(&["ps", "-a"]);
    assert_eq!(all.lines().count(), 4, "{all}");
    assert!(all.contains("Exited (3) ") && all.contains("Created"), "{all}");
    assert!(all.contains("\"a-very-long-command…\"") || all.contains("\"a-very-long-comman…\""), "{all}");
    let long = conex.ok(&["ps", "-a", "--no-trunc"]);
    assert!(long.contains("\"a-very-long-command with many words\""), "{long}");
    assert!(long.lines().skip(1).all(|line| line.find(' ') == Some(64)), "{long}");
    assert_eq!(conex.ok(&["container", "ls", "-a"]).lines().count(), 4);
    let sized = conex.ok(&["ps", "-s"]);
    assert!(sized.contains("SIZE") && sized.contains("(virtual "), "{sized}");
}

#[test]
fn choosing_rows() {
    let (conex, alpine) = alpine!();
    three(&conex, alpine);
    assert_eq!(names(&conex, &[]), ["runs"]);
    assert_eq!(names(&conex, &["-a"]), ["made", "ended", "runs"], "newest first");
    assert_eq!(names(&conex, &["-l"]), ["made"]);
    assert_eq!(names(&conex, &["-n", "2"]), ["made", "ended"]);
    assert_eq!(names(&conex, &["-n", "-1"]), ["runs"]);
    for (filter, expected) in [
        ("status=exited", &["ended"][..]),
        ("status=created", &["made"]),
        ("status=running", &["runs"]),
        ("name=end", &["ended"]),
        ("label=tier", &["ended", "runs"]),
        ("label=tier=front", &["runs"]),
        ("exited=3", &["ended"]),
        ("ancestor=alpine:3.20", &["made", "ended", "runs"]),
        ("ancestor=busybox", &[]),
        ("before=ended", &["runs"]),
        ("since=ended", &["made"]),
    ] {
        assert_eq!(names(&conex, &["-a", "--filter", filter]), expected, "{filter}");
    }
    assert_eq!(names(&conex, &["-a", "-f", "status=exited", "-f", "status=created"]), ["made", "ended"]);
    assert_eq!(names(&conex, &["-a", "-f", "status=exited", "-f", "label=tier=front"]), [""; 0]);
    for bad in ["status=asleep", "colour=red"] {
        let error = conex.fails(1, &["ps", "--filter", bad]);
        assert_eq!(error.lines().count(), 1, "{error}");
    }
    conex.fails(125, &["ps", "-n", "many"]);
}

#[test]
fn forms() {
    let (conex, alpine) = alpine!();
    three(&conex, alpine);
    let ids = conex.ok(&["ps", "-aq"]);
    assert!(ids.lines().count() == 3 && ids.lines().all(|id| id.len() == 12), "{ids}");
    assert!(conex.ok(&["ps", "-aq", "--no-trunc"]).lines().all(|id| id.len() == 64));
    let json = conex.ok(&["ps", "--format", "json"]);
    let row: serde_json::Value = serde_json::from_str(json.trim()).expect("a JSON object");
    for (key, value) in [
        ("Names", "runs"),
        ("State", "running"),
        ("Image", "alpine:3.20"),
        ("Labels", "tier=front"),
        ("Networks", "none"),
    ] {
        assert_eq!(row[key], value, "{key}");
    }
    assert_eq!(
        conex.ok(&["ps", "--format", "{{.Label \"tier\"}}{{.Label \"none\"}}|{{.State}}"]),
        "front|running\n"
    );
    let table = conex.ok(&["ps", "-a", "--format", "table {{.Names}}\\t{{.State}}\\t{{.Label \"tier\"}}"]);
    let lines: Vec<Vec<&str>> = table.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(
        lines,
        [
            vec!["NAMES", "STATE", "tier"],
            vec!["made", "created"],
            vec!["ended", "exited", "back"],
            vec!["runs", "running", "front"]
        ]
    );
    assert_eq!(conex.ok(&["ps", "--format", "{{if eq .State \"running\"}}up{{end}}"]), "up\n");
}

#[test]
fn states_as_inspect_tells_them() {
    let (conex, alpine) = alpine!();
    three(&conex, alpine);
    let state = |name: &str| {
        conex.ok(&["inspect", "-f", "{{.State.Status}} {{.State.Running}} {{.State.ExitCode}}", name])
    };
    assert_eq!(state("runs"), "running true 0\n");
    assert_eq!(state("ended"), "exited false 3\n");
    assert_eq!(state("made"), "created false 0\n");
    conex.ok(&["pause", "runs"]);
    assert_eq!(conex.ok(&["inspect", "-f", "{{.State.Status}} {{.State.Paused}}", "runs"]), "paused true\n");
    assert!(conex.ok(&["ps"]).contains("(Paused)"));
    let error = conex.fails(1, &["attach", "runs"]);
    assert!(error.contains("paused"), "{error}");
    conex.ok(&["unpause", "runs"]);
    conex.ok(&["rename", "runs", "renamed"]);
    assert_eq!(conex.ok(&["inspect", "-f", "{{.Name}}", "renamed"]), "/renamed\n");
    conex.fails(1, &["inspect", "runs"]);
    let error = conex.fails(1, &["rename", "renamed", "made"]);
    assert!(error.contains("already in use"), "{error}");
    conex.fails(1, &["rename", "renamed", "bad name"]);
    let sized = conex.ok(&["inspect", "-s", "-f", "{{.SizeRootFs}}", "renamed"]);
    assert!(sized.trim().parse::<u64>().is_ok_and(|size| size > 1_000_000), "{sized}");
    let error = conex.fails(1, &["attach", "ended"]);
    assert!(error.contains("start it first"), "{error}");
}

#[test]
fn top_lists_processes() {
    let (conex, alpine) = alpine!();
    three(&conex, alpine);
    let table = conex.ok(&["top", "runs"]);
    assert!(table.starts_with("UID ") && table.contains("sleep 1000"), "{table}");
    assert_eq!(table.lines().count(), 2);
    let table = conex.ok(&["top", "runs", "-o", "pid,args"]);
    assert_eq!(
        table.lines().next().map(|line| line.split_whitespace().collect::<Vec<_>>()),
        Some(vec!["PID", "COMMAND"])
    );
    let error = conex.fails(1, &["top", "ended"]);
    assert!(error.contains("not running"), "{error}");
    let error = conex.fails(1, &["top", "runs", "--no-such-option"]);
    assert_eq!(error.lines().count(), 1, "{error}");
}

#[test]
fn every_filter_and_order() {
    let (conex, alpine) = alpine!();
    three(&conex, alpine);
    conex.ok(&[
        "create",
        "--name",
        "web-2",
        "--expose",
        "8000-8010/udp",
        "--restart",
        "always",
        "-v",
        "/tmp:/data",
        alpine,
        "top",
    ]);
    for (filter, found) in [
        ("name=^/runs$", &["runs"][..]),
        ("name=^web", &["web-2"]),
        ("name=ns$", &["runs"]),
        ("expose=8005/udp", &["web-2"]),
        ("expose=8005", &[]),
        ("publish=80", &[]),
        ("health=none", &["web-2", "made", "ended", "runs"]),
        ("health=healthy", &[]),
        ("is-task=false", &["web-2", "made", "ended", "runs"]),
        ("is-task=true", &[]),
        ("restart-policy=always", &["web-2"]),
        ("command=sleep", &["runs"]),
        ("status=stopped", &["ended"]),
        ("volume=/data", &["web-2"]),
        ("until=1000000000", &[]),
    ] {
        assert_eq!(names(&conex, &["-a", "--filter", filter]), found, "{filter}");
    }
    for (order, found) in [
        ("names", &["ended", "made", "runs", "web-2"][..]),
        ("command", &["made", "ended", "runs", "web-2"]),
        ("created", &["web-2", "made", "ended", "runs"]),
        ("status", &["web-2", "made", "ended", "runs"]),
    ] {
        assert_eq!(names(&conex, &["-a", "--sort", order]), found, "{order}");
    }
    assert!(conex.fails(125, &["ps", "--sort", "colour"]).contains("--sort"));
    let row =
        conex.ok(&["ps", "--format", "{{.Platform}} {{.ExitCode}} {{.Restarts}} {{.ImageID}} {{.Pid}}"]);
    let pid = conex.ok(&["inspect", "-f", "{{.State.Pid}}", "runs"]);
    assert!(row.starts_with("linux/amd64 0 0 ") && row.ends_with(&format!(" {pid}")), "{row}");
    let row: serde_json::Value = serde_json::from_str(&conex.ok(&["ps", "--format", "json"])).expect("JSON");
    assert_eq!(row["Platform"], "linux/amd64");
}

#[test]
fn objects_by_their_kind() {
    let (conex, alpine) = alpine!();
    let id = |words: &[&str]| conex.ok(&[&["inspect", "-f", "{{.Id}}"][..], words].concat());
    conex.ok(&["create", "--name", "bridge", alpine, "true"]);
    let (container, network) = (id(&["bridge"]), id(&["--type", "network", "bridge"]));
    assert_ne!(container, network);
    assert_eq!(id(&["--type", "container", "bridge"]), container);
    conex.ok(&["rm", "bridge"]);
    assert_eq!(id(&["bridge"]), network, "what no container and no image is called");
    assert_eq!(id(&["--type", "image", alpine]), id(&[alpine]));
    assert!(conex.fails(1, &["inspect", "nosuch"]).contains("no such object: nosuch"));
}

#[test]
fn execs_that_run_are_listed() {
    let (conex, alpine) = alpine!();
    conex.ok(&["run", "-d", "--name", "web", alpine, "sleep", "1000"]);
    let ids = || conex.inspect("web")["ExecIDs"].clone();
    assert_eq!(ids(), serde_json::Value::Null);
    conex.ok(&["exec", "-d", "web", "sleep", "1000"]);
    let first = conex_tests::eventually("the exec", || ids().as_array().cloned());
    assert!(first.len() == 1 && first[0].as_str().is_some_and(|id| id.len() == 64), "{first:?}");
    let started = conex.ok(&[
        "events",
        "--no-stream",
        "-f",
        "event=exec_start",
        "--format",
        "{{.Actor.Attributes.execID}}",
    ]);
    assert_eq!(Some(started.trim()), first[0].as_str());
    conex.ok(&["exec", "web", "sh", "-c", "kill $(pidof sleep | tr ' ' '\\n' | grep -v '^1$')"]);
    conex_tests::eventually("its end", || ids().is_null().then_some(()));
    assert_eq!(std::fs::read_dir(conex.run_root().join("execs")).expect("a directory").count(), 0);
}

#[test]
fn containers_of_what_was_made_from_an_image() {
    let (conex, alpine) = alpine!();
    conex.ok(&["run", "--name", "base", alpine, "touch", "/one"]);
    conex.ok(&["commit", "base", "one:1"]);
    conex.ok(&["run", "--name", "child", "one:1", "true"]);
    // Nothing was written: the history alone says that there is a step more.
    conex.ok(&["commit", "child", "two:1"]);
    conex.ok(&["create", "--name", "grandchild", "two:1"]);
    conex.ok(&["tag", alpine, "other:1"]);
    for (image, found) in [
        (alpine, &["grandchild", "child", "base"][..]),
        ("other:1", &["grandchild", "child", "base"]),
        ("one:1", &["grandchild", "child"]),
        ("two:1", &["grandchild"]),
        ("nosuch", &[]),
    ] {
        assert_eq!(names(&conex, &["-a", "-f", &format!("ancestor={image}")]), found, "{image}");
    }
    // Nor are two of the same base each other's.
    conex.ok(&["commit", "-m", "another", "base", "sister:1"]);
    assert_eq!(names(&conex, &["-a", "-f", "ancestor=sister:1"]), [""; 0]);
}

#[test]
fn mounted_images() {
    let (conex, alpine) = alpine!();
    let image = format!("type=image,src={alpine},dst=/i");
    conex.ok(&["create", "--name", "with", "--mount", &image, alpine, "true"]);
    conex.ok(&["create", "--name", "without", alpine, "true"]);
    assert_eq!(conex.ok(&["ps", "-a", "--format", "{{.Names}} {{.Mounts}}"]), "without \nwith alpine:3.20\n");
    assert_eq!(names(&conex, &["-a", "-f", "volume=/i"]), ["with"]);
    assert_eq!(names(&conex, &["-a", "-f", &format!("volume={alpine}")]), ["with"]);
    let error = conex.fails(125, &["create", "--mount", &format!("{image},readonly=false"), alpine]);
    assert!(error.contains("always read-only") && error.lines().count() == 1, "{error}");
}
