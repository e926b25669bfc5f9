//! What is said to be as Docker's, held against a Docker daemon: the table of `cp`, the fields of `inspect`, the events.

use std::collections::BTreeSet;

use conex_tests::{Conex, Dockerd, archive, finish, needs_root, skip};
use serde_json::Value;

const IMAGE: &str = "alpine:3.20";

macro_rules! both {
    () => {{
        needs_root!();
        let Some(image) = archive("alpine-3.20.oci.tar") else { skip!("no alpine image") };
        let conex = Conex::new();
        let Some(_) = conex.alpine() else { skip!("no alpine image") };
        let docker = match Dockerd::start(image.to_str().expect("UTF-8"), IMAGE) {
            Ok(docker) => docker,
            Err(why) => skip!("{why}"),
        };
        (conex, docker)
    }};
}

#[test]
fn the_table_of_cp() {
    let (conex, docker) = both!();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/cp-table.sh");
    docker.ok(&["run", "-d", "--name", "web", "--network", "none", IMAGE, "sleep", "1000"]);
    let place = docker.enclosure().at("table");
    std::fs::create_dir(&place).expect("a directory");
    let theirs = docker.enclosure().run(&["sh", script, &docker.client(), "web", &place]);
    conex.ok(&["run", "-d", "--name", "web", IMAGE, "sleep", "1000"]);
    let place = conex.scratch().join("table");
    std::fs::create_dir(&place).expect("a directory");
    let mut ours = conex.command(&[]);
    let program = Conex::binary().display().to_string();
    let mut shell = std::process::Command::new("sh");
    shell.env_clear().envs(ours.get_envs().filter_map(|(name, value)| Some((name, value?))));
    shell.args([script, &program, "web"]).arg(&place);
    ours = shell;
    let ours = finish(&mut ours);
    assert!(theirs.stdout.lines().count() > 150, "{theirs:?}");
    for (theirs, ours) in theirs.stdout.lines().zip(ours.stdout.lines()) {
        assert_eq!(ours, theirs, "ours, and Docker's");
    }
    assert_eq!(ours.stdout.lines().count(), theirs.stdout.lines().count());
}

/// Paths of all fields; of maps whose keys are somebody's own, one key stands for all.
fn fields(value: &Value, path: &str, found: &mut BTreeSet<String>) {
    const MAPS: [&str; 9] = [
        "Labels",
        "Networks",
        "Ports",
        "ExposedPorts",
        "PortBindings",
        "Volumes",
        "Sysctls",
        "Annotations",
        "Data",
    ];
    match value {
        Value::Object(map) => {
            let is_map = MAPS.iter().any(|name| path.ends_with(&format!(".{name}")));
            for (key, value) in map {
                let below = if is_map { format!("{path}.*") } else { format!("{path}.{key}") };
                found.insert(below.clone());
                fields(value, &below, found);
            }
        }
        Value::Array(list) => list.iter().for_each(|value| fields(value, &format!("{path}[]"), found)),
        _ => {}
    }
}

#[test]
fn the_fields_of_inspect() {
    let (conex, docker) = both!();
    let shared = conex.scratch().join("shared");
    std::fs::create_dir(&shared).expect("a directory");
    let bind = format!("{}:/shared:ro", shared.display());
    let options = [
        "-d",
        "--name",
        "web",
        "--network",
        "none",
        "-v",
        &bind,
        "--tmpfs",
        "/scratch",
        "-e",
        "A=b",
        "-l",
        "x=y",
        "--memory",
        "50m",
        "--ulimit",
        "nofile=1000:2000",
        "--device",
        "/dev/null",
        "--log-opt",
        "max-size=1m",
        "--restart",
        "on-failure:3",
        "--cap-add",
        "NET_ADMIN",
        "--add-host",
        "a:1.2.3.4",
        IMAGE,
        "sleep",
        "1000",
    ];
    let words = [&["run"][..], &options].concat();
    docker.ok(&words);
    conex.ok(&words);
    let theirs: Value = serde_json::from_str(&docker.ok(&["inspect", "-s", "web"])).expect("JSON");
    let ours: Value = serde_json::from_str(&conex.ok(&["inspect", "-s", "web"])).expect("JSON");
    let (mut wanted, mut found) = (BTreeSet::new(), BTreeSet::new());
    fields(&theirs[0], "", &mut wanted);
    fields(&ours[0], "", &mut found);
    assert!(wanted.len() > 150, "{wanted:?}");
    let missing: Vec<_> = wanted.difference(&found).collect();
    assert!(missing.is_empty(), "{missing:?}");
    // And they are of the same kind, unless one of them says nothing.
    let kind = |value: &Value| match value {
        Value::Null => 0,
        Value::Bool(_) => 1,
        Value::Number(_) => 2,
        Value::String(_) => 3,
        Value::Array(_) => 4,
        Value::Object(_) => 5,
    };
    for section in ["State", "HostConfig", "Config", "NetworkSettings"] {
        for (name, value) in theirs[0][section].as_object().expect("a section") {
            let own = &ours[0][section][name];
            assert!(
                value.is_null() || own.is_null() || kind(value) == kind(own),
                "{section}.{name}: {own} and {value}"
            );
        }
    }
    for name in ["MaskedPaths", "ReadonlyPaths"] {
        let count = ours[0]["HostConfig"][name].as_array().map(Vec::len);
        assert!(count.is_some_and(|count| count > 3), "{name}: {}", ours[0]["HostConfig"][name]);
    }
    assert_eq!(ours[0]["HostConfig"]["CapAdd"], theirs[0]["HostConfig"]["CapAdd"]);
}

/// What is done to a container, and by it, in order.
#[test]
fn the_events_of_a_life() {
    let (conex, docker) = both!();
    let life = |run: &dyn Fn(&[&str])| {
        run(&["run", "--name", "one", "--network", "none", "-l", "tier=front", IMAGE, "sh", "-c", "exit 3"]);
        run(&["run", "-d", "--name", "two", "--network", "none", IMAGE, "sleep", "1000"]);
        run(&["exec", "two", "sh", "-c", "exit 4"]);
        for words in [
            &["pause", "two"][..],
            &["unpause", "two"],
            &["rename", "two", "three"],
            &["cp", "three:/etc/hostname", "-"],
            &["stop", "-t", "0", "three"],
            &["start", "three"],
            &["restart", "-t", "0", "three"],
            &["kill", "three"],
            &["wait", "three"],
            &["tag", IMAGE, "again:1"],
            &["rmi", "again:1"],
            &["rm", "three"],
            &["rm", "one"],
        ] {
            run(words);
        }
    };
    let read = |text: &str| -> Vec<(Value, BTreeSet<String>)> {
        let events = text.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
        // Docker's pseudo network has events, and a stopped container's is not waited for.
        let events = events.filter(|event| event["Type"] != "network");
        // The images came by other ways.
        let is_ours = |event: &Value| match event["Type"].as_str() {
            Some("container") => {
                ["one", "two", "three"].iter().any(|name| event["Actor"]["Attributes"]["name"] == *name)
            }
            _ => !["load", "pull"].iter().any(|action| event["Action"] == *action),
        };
        let events = events.filter(is_ours);
        let keep = |event: Value| {
            let mut names: BTreeSet<String> =
                event["Actor"]["Attributes"].as_object().expect("attributes").keys().cloned().collect();
            // As of 23.0.
            names.remove("execDuration");
            (event, names)
        };
        events.map(keep).collect()
    };
    life(&|words| drop(docker.run(words)));
    // What Docker's client takes for now is the whole second.
    std::thread::sleep(std::time::Duration::from_millis(1100));
    life(&|words| drop(conex.run(words)));
    let theirs = read(&docker.ok(&["events", "--since", "1h", "--until", "0s", "--format", "{{json .}}"]));
    let ours = read(&conex.ok(&["events", "--since", "1h", "--until", "0s", "--format", "json"]));
    let order = |events: &[(Value, BTreeSet<String>)], kind: &str| -> Vec<String> {
        let chosen = events.iter().filter(|(event, _)| event["Type"] == kind);
        let words = chosen.map(|(event, names)| {
            format!("{} {} {names:?}", event["Action"], event["Actor"]["Attributes"]["exitCode"])
        });
        words.collect()
    };
    assert_eq!(order(&ours, "container"), order(&theirs, "container"));
    assert_eq!(order(&ours, "image"), order(&theirs, "image"));
    let keys =
        |event: &Value| -> Vec<String> { event.as_object().expect("an object").keys().cloned().collect() };
    assert_eq!(keys(&ours[0].0), keys(&theirs[0].0));
}
