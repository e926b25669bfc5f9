//! What a boot starts and a shutdown stops: `--all`, `--filter`, and who is said to have stopped a container.

use conex_tests::{Conex, alpine, eventually};
use serde_json::Value;

/// Starts a container that ends by SIGKILL alone.
fn run(conex: &Conex, name: &str, flags: &[&str], image: &str) {
    conex
        .ok(&[&["run", "-d", "--name", name, "--stop-signal", "KILL"], flags, &[image, "sleep", "1000"]]
            .concat());
}

fn names(conex: &Conex, filter: &str) -> Vec<String> {
    let list = conex.ok(&["ps", "-a", "--filter", filter, "--format", "{{.Names}}"]);
    let mut names: Vec<_> = list.lines().map(str::to_owned).collect();
    names.sort();
    names
}

fn supervisor(conex: &Conex, name: &str) -> String {
    let state: Value = serde_json::from_slice(&std::fs::read(conex.state_file(name)).unwrap()).unwrap();
    state["supervisor"].to_string()
}

fn signal(name: &str, pid: &str) {
    assert!(std::process::Command::new("kill").args([name, pid]).status().unwrap().success());
}

/// Ids by the order in which the containers of these names are told.
fn order(conex: &Conex, ids: &str) -> Vec<String> {
    let name = |id: &str| conex.inspect(id)["Name"].as_str().unwrap().trim_start_matches('/').to_owned();
    ids.lines().map(name).collect()
}

#[test]
fn a_boot_starts_what_ran_and_what_always_does() {
    let (conex, alpine) = alpine!();
    for (name, policy) in [
        ("plain", "no"),
        ("failing", "on-failure"),
        ("always", "always"),
        ("unless", "unless-stopped"),
        ("stopped", "unless-stopped"),
    ] {
        run(&conex, name, &["--restart", policy], alpine);
    }
    conex.ok(&["create", "--name", "fresh", "--restart", "always", alpine, "sleep", "1000"]);
    let boots = "should-start-on-boot=true";
    conex.ok(&["stop", "stopped", "always"]);
    assert_eq!(names(&conex, boots), ["always", "unless"]);
    assert_eq!(names(&conex, "restart-policy=unless-stopped"), ["stopped", "unless"]);
    assert_eq!(names(&conex, "restart-policy=on-failure"), ["failing"]);
    conex.ok(&["start", "always"]);
    // A shutdown is nobody's word.
    let stopped = conex.ok(&["stop", "--all", "--shutdown", "--filter", boots]);
    let mut stopped = order(&conex, &stopped);
    stopped.sort();
    assert_eq!(stopped, ["always", "unless"]);
    assert_eq!(names(&conex, boots), ["always", "unless"]);
    assert_eq!(names(&conex, "status=running"), ["failing", "plain"]);
    let started = conex.ok(&["start", "--all", "--filter", boots]);
    assert_eq!(order(&conex, &started), ["always", "unless"]);
    assert_eq!(names(&conex, "status=running"), ["always", "failing", "plain", "unless"]);
    // Once more starts nothing.
    assert_eq!(conex.ok(&["start", "--all", "--filter", boots]), "");
    for bad in ["should-start-on-boot=maybe", "restart-policy=never"] {
        conex.fails(1, &["start", "--all", "--filter", bad]);
    }
}

#[test]
fn a_service_managers_signal_is_no_persons_stop() {
    let (conex, alpine) = alpine!();
    run(&conex, "web", &["--restart", "unless-stopped"], alpine);
    signal("-TERM", &supervisor(&conex, "web"));
    eventually("the end", || (conex.inspect("web")["State"]["Status"] == "exited").then_some(()));
    assert_eq!(names(&conex, "should-start-on-boot=true"), ["web"]);
    // Nor is a machine that goes down while it runs: nobody has settled it, and the run directory is gone.
    conex.ok(&["start", "web"]);
    signal("-KILL", &supervisor(&conex, "web"));
    assert_eq!(names(&conex, "should-start-on-boot=true"), ["web"]);
    conex.ok(&["start", "web"]);
    conex.ok(&["stop", "web"]);
    assert_eq!(names(&conex, "should-start-on-boot=true"), Vec::<String>::new());
}

#[test]
fn who_is_joined_comes_first_and_goes_last() {
    let (conex, alpine) = alpine!();
    // Made in the wrong order: the neighbour's name is free again, and taken by a younger container.
    run(&conex, "base", &["--ipc", "shareable"], alpine);
    run(&conex, "guest", &["--ipc", "container:base"], alpine);
    run(&conex, "other", &[], alpine);
    let stopped = conex.ok(&["stop", "--all"]);
    let stopped = order(&conex, &stopped);
    let place = |list: &[String], name: &str| list.iter().position(|one| one == name).unwrap();
    assert!(place(&stopped, "guest") < place(&stopped, "base"), "{stopped:?}");
    let started = order(&conex, &conex.ok(&["start", "--all"]));
    assert!(place(&started, "base") < place(&started, "guest"), "{started:?}");
    assert_eq!(started.len(), 3);
    let restarted = conex.ok(&["restart", "--running", "--filter", "name=other"]);
    assert_eq!(order(&conex, &restarted), ["other"]);
    assert_eq!(conex.ok(&["kill", "--all"]).lines().count(), 3);
    eventually("the end", || (names(&conex, "status=running").is_empty()).then_some(()));
    assert_eq!(conex.ok(&["rm", "--all"]).lines().count(), 3);
    assert_eq!(conex.ok(&["ps", "-aq"]), "");
    assert_eq!(conex.ok(&["rm", "--all"]), "");
}

#[test]
fn names_files_and_flags() {
    let (conex, alpine) = alpine!();
    let file = conex.scratch().join("id").display().to_string();
    run(&conex, "web", &["--cidfile", &file], alpine);
    for verb in ["start", "stop", "restart", "kill", "rm"] {
        let error = conex.fails(1, &[verb]);
        assert!(error.contains(&format!("\"conex {verb}\" requires at least 1 argument")), "{error}");
        let error = conex.fails(125, &[verb, "--all", "web"]);
        assert!(error.contains("--all or --filter"), "{error}");
    }
    conex.fails(1, &["stop", "nosuch"]);
    assert_eq!(conex.ok(&["stop", "--ignore", "nosuch"]), "");
    conex.fails(1, &["stop", "--cidfile", "/nonexistent"]);
    assert_eq!(conex.ok(&["stop", "--ignore", "--cidfile", "/nonexistent"]), "");
    assert_eq!(conex.inspect("web")["State"]["Running"], true);
    conex.ok(&["stop", "--cidfile", &file]);
    assert_eq!(conex.inspect("web")["State"]["Running"], false);
    conex.ok(&["rm", "--force", "--ignore", "-t", "1", "--cidfile", &file]);
    assert_eq!(conex.ok(&["ps", "-aq"]), "");
    // Whoever has the name goes.
    run(&conex, "web", &[], alpine);
    let before = conex.inspect("web")["Id"].clone();
    run(&conex, "web", &["--replace"], alpine);
    assert_ne!(conex.inspect("web")["Id"], before);
    assert_eq!(conex.ok(&["ps", "-aq"]).lines().count(), 1);
    let error = conex.fails(125, &["run", "--replace", alpine, "true"]);
    assert!(error.contains("--name"), "{error}");
}

#[test]
fn a_start_that_fails_is_tried_again_under_the_policy() {
    let (conex, alpine) = alpine!();
    let directory = conex.scratch().join("data");
    std::fs::create_dir(&directory).unwrap();
    let bind = format!("type=bind,source={},target=/data", directory.display());
    conex.ok(&[
        "run",
        "-d",
        "--name",
        "web",
        "--restart",
        "always",
        "--mount",
        &bind,
        alpine,
        "sh",
        "-c",
        "echo run; sleep 0.3",
    ]);
    eventually("a run", || conex.ok(&["logs", "web"]).contains("run").then_some(()));
    // What it needs is away for a while: a disk that is not mounted yet, say.
    let away = conex.scratch().join("away");
    std::fs::rename(&directory, &away).unwrap();
    eventually("starts that failed", || {
        let document = conex.inspect("web");
        let error = document["State"]["Error"].as_str()?.to_owned();
        (document["State"]["Restarting"] == true
            && !error.is_empty()
            && document["RestartCount"].as_u64()? >= 2)
            .then_some(())
    });
    let runs = conex.ok(&["logs", "web"]).lines().count();
    std::fs::rename(&away, &directory).unwrap();
    eventually("another run", || (conex.ok(&["logs", "web"]).lines().count() > runs).then_some(()));
    conex.ok(&["rm", "-f", "web"]);
}
