//! `--restart`: the supervisor starts a container again, with a growing pause, unless a person stopped it.

use conex_tests::{Conex, alpine, eventually};

fn run(conex: &Conex, policy: &str, image: &str, script: &str) {
    conex.ok(&["run", "-d", "--name", "web", "--restart", policy, image, "sh", "-c", script]);
}

fn count(conex: &Conex) -> u64 {
    conex.inspect("web")["RestartCount"].as_u64().expect("a number")
}

#[test]
fn on_failure_gives_up_after_so_many() {
    let (conex, alpine) = alpine!();
    run(&conex, "on-failure:2", alpine, "echo run; exit 3");
    eventually("the last end", || (conex.inspect("web")["State"]["Status"] == "exited").then_some(()));
    let document = conex.inspect("web");
    assert_eq!(document["RestartCount"], 2);
    assert_eq!(document["State"]["ExitCode"], 3);
    assert_eq!(conex.ok(&["logs", "web"]), "run\nrun\nrun\n");
    // Started by hand it counts from the beginning.
    conex.ok(&["start", "web"]);
    eventually("six runs", || (conex.ok(&["logs", "web"]).lines().count() == 6).then_some(()));
}

#[test]
fn on_failure_spares_success() {
    let (conex, alpine) = alpine!();
    run(&conex, "on-failure", alpine, "exit 0");
    assert_eq!(conex.ok(&["wait", "web"]), "0\n");
    eventually("rest", || (conex.inspect("web")["State"]["Status"] == "exited").then_some(()));
    assert_eq!(count(&conex), 0);
}

#[test]
fn always_means_always_until_stopped() {
    let (conex, alpine) = alpine!();
    run(&conex, "always", alpine, "exit 0");
    eventually("restarts", || (count(&conex) >= 2).then_some(()));
    let document = conex.inspect("web");
    assert_eq!(document["State"]["Running"], true, "restarting counts as running");
    conex.ok(&["stop", "-t", "1", "web"]);
    let document = conex.inspect("web");
    assert_eq!(document["State"]["Status"], "exited");
    assert_eq!(document["State"]["Restarting"], false);
    assert_eq!(conex.ok(&["ps", "-q"]), "");
}

#[test]
fn stop_and_kill_are_final() {
    let (conex, alpine) = alpine!();
    for verb in [&["stop", "-t", "0"][..], &["kill"]] {
        run(&conex, "unless-stopped", alpine, "sleep 1000");
        conex.ok(&[verb, &["web"]].concat());
        eventually("the end", || (conex.inspect("web")["State"]["Status"] == "exited").then_some(()));
        assert_eq!(count(&conex), 0);
        conex.ok(&["rm", "web"]);
    }
}

/// In the back-off `kill` is a person's word, too; another signal has nobody to go to. What was counted stays counted.
#[test]
fn kill_ends_a_restart_that_waits() {
    let (conex, alpine) = alpine!();
    run(&conex, "always", alpine, "exit 1");
    // From the fifth on it waits for seconds.
    eventually("restarts", || (count(&conex) >= 5).then_some(()));
    eventually("a wait", || (conex.inspect("web")["State"]["Restarting"] == true).then_some(()));
    for words in [&["kill", "-s", "HUP", "web"][..], &["top", "web"]] {
        let error = conex.fails(1, words);
        assert!(error.contains("is restarting"), "{error}");
    }
    let told = count(&conex);
    conex.ok(&["kill", "web"]);
    eventually("the end", || (conex.inspect("web")["State"]["Status"] == "exited").then_some(()));
    assert!(count(&conex) >= told, "{} < {told}", count(&conex));
    conex.ok(&["rm", "web"]);
}

#[test]
fn a_crash_is_restarted_and_the_log_goes_on() {
    let (conex, alpine) = alpine!();
    // The writable layer outlives a run.
    run(&conex, "always", alpine, "echo x >>/runs; echo run $(wc -l </runs); sleep 1000");
    for number in 1..4 {
        let line = format!("run {number}\n");
        eventually(&line, || conex.ok(&["logs", "web"]).contains(&line).then_some(()));
        let pid = conex.inspect("web")["State"]["Pid"].to_string();
        // Not by conex: as the kernel or a person on the host would.
        let killed = std::process::Command::new("kill").args(["-KILL", &pid]).status().expect("kill");
        assert!(killed.success());
    }
    eventually("the third restart", || (count(&conex) == 3).then_some(()));
    conex.ok(&["rm", "-f", "web"]);
}

#[test]
fn a_restarting_container_can_be_removed_by_force_only() {
    let (conex, alpine) = alpine!();
    run(&conex, "always", alpine, "exit 1");
    // The pause has grown to more than a second by then.
    eventually("a long pause", || (count(&conex) >= 5).then_some(()));
    eventually("the pause", || (conex.inspect("web")["State"]["Status"] == "restarting").then_some(()));
    assert!(conex.ok(&["ps"]).contains("Restarting (1)"));
    conex.fails(1, &["rm", "web"]);
    conex.fails(1, &["exec", "web", "true"]);
    conex.ok(&["rm", "-f", "web"]);
    assert_eq!(conex.ok(&["ps", "-aq"]), "");
}

#[test]
fn rm_and_restart_exclude_each_other() {
    let (conex, alpine) = alpine!();
    let error = conex.fails(125, &["run", "-d", "--rm", "--restart", "always", alpine, "true"]);
    assert!(error.contains("--rm") && error.contains("--restart"), "{error}");
}
