//! HEALTHCHECK and `--health-…`: what the supervisor asks, what it makes of the answers, and what a bad one leads to.

use std::time::{Duration, Instant};

use conex_tests::{Conex, alpine, eventually};
use serde_json::Value;

/// Starts `web` in the background, asked after ten times a second; ended by SIGKILL, since `sleep` takes no other word.
fn run(conex: &Conex, flags: &[&str], words: &[&str]) {
    let common = ["run", "-d", "--name", "web", "--stop-signal", "KILL", "--health-interval", "100ms"];
    conex.ok(&[&common, flags, words].concat());
}

fn health(conex: &Conex) -> Value {
    conex.inspect("web")["State"]["Health"].clone()
}

fn becomes(conex: &Conex, status: &str) -> Value {
    eventually(status, || Some(health(conex)).filter(|health| health["Status"] == status))
}

fn status(conex: &Conex) -> String {
    conex.ok(&["ps", "-a", "--format", "{{.Status}}"])
}

#[test]
fn from_starting_over_healthy_to_unhealthy_and_back() {
    let (conex, alpine) = alpine!();
    let command = "cat /word; [ -e /up ]";
    run(
        &conex,
        &[
            "--health-cmd",
            command,
            "--health-retries",
            "3",
            "--health-start-period",
            "1h",
            "--health-start-interval",
            "100ms",
        ],
        &[alpine, "sh", "-c", "echo hello >/word; sleep 1000"],
    );
    assert!(status(&conex).contains("(health: starting)"), "{}", status(&conex));
    // Failures while it starts are told, and do not count.
    eventually("failures", || (health(&conex)["Log"].as_array()?.len() >= 4).then_some(()));
    let document = health(&conex);
    assert_eq!((&document["Status"], &document["FailingStreak"]), (&"starting".into(), &0.into()));
    conex.ok(&["exec", "web", "touch", "/up"]);
    let document = becomes(&conex, "healthy");
    let last = document["Log"].as_array().unwrap().last().unwrap().clone();
    assert_eq!((&last["ExitCode"], &last["Output"]), (&0.into(), &"hello\n".into()));
    assert!(last["Start"].as_str().unwrap() < last["End"].as_str().unwrap(), "{last}");
    assert!(status(&conex).contains("(healthy)"));
    conex.ok(&["exec", "web", "rm", "/up"]);
    let document = becomes(&conex, "unhealthy");
    assert!(document["FailingStreak"].as_u64().unwrap() >= 3, "{document}");
    assert_eq!(document["Log"].as_array().unwrap().len(), 5);
    assert!(status(&conex).contains("(unhealthy)"));
    conex.ok(&["exec", "web", "touch", "/up"]);
    becomes(&conex, "healthy");
    let check = &conex.inspect("web")["Config"]["Healthcheck"];
    assert_eq!(check["Test"], serde_json::json!(["CMD-SHELL", command]));
    assert_eq!((&check["Interval"], &check["Retries"]), (&100_000_000.into(), &3.into()));
    // What has ended is not healthy; what was said stays to be read.
    conex.ok(&["kill", "web"]);
    let document = eventually("the end", || {
        (conex.inspect("web")["State"]["Status"] == "exited").then(|| health(&conex))
    });
    assert_eq!(document["Status"], "unhealthy");
    assert_eq!(document["Log"].as_array().unwrap().len(), 5);
    assert!(!status(&conex).contains("health"), "{}", status(&conex));
    let run_directory = conex.run_root().join("containers");
    eventually("nothing left", || (std::fs::read_dir(&run_directory).unwrap().count() == 0).then_some(()));
}

#[test]
fn ps_filters_by_health() {
    let (conex, alpine) = alpine!();
    run(&conex, &["--health-cmd", "true"], &[alpine, "sleep", "1000"]);
    conex.ok(&["run", "-d", "--name", "plain", "--stop-signal", "KILL", alpine, "sleep", "1000"]);
    becomes(&conex, "healthy");
    let names =
        |value: &str| conex.ok(&["ps", "--filter", &format!("health={value}"), "--format", "{{.Names}}"]);
    assert_eq!(names("healthy"), "web\n");
    assert_eq!(names("none"), "plain\n");
    assert_eq!(names("unhealthy"), "");
    assert!(conex.inspect("plain")["State"].get("Health").is_none());
    let error = conex.fails(1, &["ps", "--filter", "health=fine"]);
    assert!(error.contains("healthy, none, starting, unhealthy"), "{error}");
}

#[test]
fn the_images_check_the_users_and_none() {
    let (conex, alpine) = alpine!();
    conex.ok(&["create", "--name", "base", alpine, "sleep", "1000"]);
    let change = r#"HEALTHCHECK --interval=100ms --retries=1 CMD ["cat", "/etc/hostname"]"#;
    conex.ok(&["commit", "--change", change, "base", "checked"]);
    conex.ok(&["run", "-d", "--name", "web", "--stop-signal", "KILL", "--hostname", "here", "checked"]);
    let document = becomes(&conex, "healthy");
    assert_eq!(document["Log"][0]["Output"], "here\n");
    conex.ok(&["rm", "-f", "web"]);
    // A flag replaces its part of the image's.
    conex.ok(&["run", "-d", "--name", "web", "--stop-signal", "KILL", "--health-cmd", "exit 7", "checked"]);
    assert_eq!(becomes(&conex, "unhealthy")["Log"][0]["ExitCode"], 7);
    conex.ok(&["commit", "web", "worse"]);
    let image: Value = serde_json::from_str(&conex.ok(&["image", "inspect", "worse"])).unwrap();
    let check = &image[0]["Config"]["Healthcheck"];
    assert_eq!(check["Test"], serde_json::json!(["CMD-SHELL", "exit 7"]), "{image}");
    assert_eq!(check["Interval"], 100_000_000);
    conex.ok(&["rm", "-f", "web"]);
    for flags in [&["--no-healthcheck"][..], &["--health-cmd", "none"]] {
        conex.ok(&[&["run", "-d", "--name", "web", "--stop-signal", "KILL"], flags, &["checked"]].concat());
        assert_eq!(conex.inspect("web")["Config"]["Healthcheck"]["Test"], serde_json::json!(["NONE"]));
        assert_eq!(health(&conex), Value::Null);
        assert_eq!(conex.ok(&["ps", "--filter", "health=none", "--format", "{{.Names}}"]), "web\n");
        let error = conex.fails(125, &["healthcheck", "run", "web"]);
        assert!(error.contains("has no defined healthcheck"), "{error}");
        conex.ok(&["rm", "-f", "web"]);
    }
    let error = conex.fails(125, &["run", "--no-healthcheck", "--health-cmd", "true", alpine, "true"]);
    assert!(error.contains("--no-healthcheck conflicts with --health-* options"), "{error}");
}

#[test]
fn what_cannot_be_run_is_a_failure_that_says_why() {
    let (conex, alpine) = alpine!();
    run(
        &conex,
        &["--health-cmd", r#"["CMD", "nosuch"]"#, "--health-retries", "1"],
        &[alpine, "sleep", "1000"],
    );
    let document = becomes(&conex, "unhealthy");
    assert_eq!(document["Log"][0]["ExitCode"], -1);
    let output = document["Log"][0]["Output"].as_str().unwrap();
    assert!(output.contains("nosuch") && output.contains("not found"), "{output}");
}

/// The processes of the container by their arguments.
fn processes(conex: &Conex) -> String {
    conex.ok(&["exec", "web", "ps", "-o", "args"])
}

#[test]
fn a_probe_that_takes_too_long_is_killed_with_all_that_it_forked() {
    let (conex, alpine) = alpine!();
    // Out of its session and its group of processes, and its parent gone: only the control group knows.
    let probe = "echo begun; setsid sleep 777 & setsid sh -c 'sleep 778 & sleep 779'; sleep 780";
    run(
        &conex,
        &["--health-cmd", probe, "--health-timeout", "300ms", "--health-retries", "1"],
        &[alpine, "sleep", "1000"],
    );
    let document = becomes(&conex, "unhealthy");
    let first = &document["Log"][0];
    assert_eq!(first["ExitCode"], -1);
    assert_eq!(first["Output"], "Health check exceeded timeout (300ms): begun\n");
    // One probe at most is there at any moment, whole; twenty are over.
    eventually("some more", || (health(&conex)["FailingStreak"].as_u64()? >= 5).then_some(()));
    let list = processes(&conex);
    for word in ["sleep 777", "sleep 778", "sleep 779"] {
        assert!(list.lines().filter(|line| *line == word).count() <= 1, "{list}");
    }
    assert!(list.contains("sleep 1000"), "{list}");
}

#[test]
fn a_probe_that_leaves_something_running_is_over_when_it_ends() {
    let (conex, alpine) = alpine!();
    // It holds the pipe; it is the container's from then on, as with Docker, and a later probe's end is not its end.
    let probe = "if [ ! -e /once ]; then touch /once; sleep 555 & fi; if [ -e /hang ]; then sleep 1000; fi";
    run(&conex, &["--health-cmd", probe, "--health-timeout", "2s"], &[alpine, "sleep", "1000"]);
    let begun = Instant::now();
    becomes(&conex, "healthy");
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    conex.ok(&["exec", "web", "touch", "/hang"]);
    becomes(&conex, "unhealthy");
    assert!(processes(&conex).contains("sleep 555"), "{}", processes(&conex));
}

#[test]
fn a_flood_of_output_is_cut_and_holds_nobody_up() {
    let (conex, alpine) = alpine!();
    run(
        &conex,
        &["--health-cmd", "yes | head -c 3000000; yes >&2", "--health-timeout", "500ms"],
        &[alpine, "sleep", "1000"],
    );
    let document = eventually("a probe", || health(&conex)["Log"].get(0).cloned());
    let output = document["Output"].as_str().unwrap();
    assert!(output.starts_with("Health check exceeded timeout (500ms): y\ny\n"), "{output}");
    assert!(output.ends_with("y\n...") && output.len() < 4200, "{}", output.len());
    let begun = Instant::now();
    conex.ok(&["exec", "web", "true"]);
    assert!(begun.elapsed() < Duration::from_secs(5));
}

#[test]
fn a_paused_container_is_not_asked() {
    let (conex, alpine) = alpine!();
    run(
        &conex,
        &["--health-cmd", "sleep 0.2; true", "--health-timeout", "1s", "--health-retries", "1"],
        &[alpine, "sleep", "1000"],
    );
    becomes(&conex, "healthy");
    conex.ok(&["pause", "web"]);
    let before = health(&conex);
    assert!(status(&conex).contains("(Paused)"), "{}", status(&conex));
    std::thread::sleep(Duration::from_millis(1500));
    assert_eq!(health(&conex), before);
    let error = conex.fails(125, &["healthcheck", "run", "web"]);
    assert!(error.contains("paused"), "{error}");
    conex.ok(&["unpause", "web"]);
    // The one that ran when it was frozen does not count, and they go on.
    eventually("the next", || (health(&conex)["Log"] != before["Log"]).then_some(()));
    assert_eq!(health(&conex)["Status"], "healthy");
}

#[test]
fn by_hand() {
    let (conex, alpine) = alpine!();
    let flags = [
        "--health-cmd",
        "echo asked >>/asked; [ -e /up ]",
        "--health-interval",
        "1h",
        "--health-retries",
        "2",
    ];
    run(&conex, &flags, &[alpine, "sleep", "1000"]);
    let run = conex.run(&["healthcheck", "run", "web"]);
    assert_eq!((run.code, run.stdout.as_str()), (1, "starting\n"), "{}", run.stderr);
    let run = conex.run(&["healthcheck", "run", "web"]);
    assert_eq!((run.code, run.stdout.as_str()), (1, "unhealthy\n"), "{}", run.stderr);
    conex.ok(&["exec", "web", "touch", "/up"]);
    assert_eq!(conex.ok(&["healthcheck", "run", "web"]), "");
    assert_eq!(health(&conex)["Status"], "healthy");
    // Each was one probe.
    assert_eq!(conex.ok(&["exec", "web", "cat", "/asked"]), "asked\n".repeat(3));
    conex.ok(&["kill", "web"]);
    let error = conex.fails(125, &["healthcheck", "run", "web"]);
    assert!(error.contains("not running"), "{error}");
    conex.fails(125, &["healthcheck", "run", "nosuch"]);
}

#[test]
fn unhealthy_is_restarted_with_a_growing_pause() {
    let (conex, alpine) = alpine!();
    run(
        &conex,
        &["--health-cmd", "false", "--health-retries", "1", "--health-on-failure", "restart"],
        &[alpine, "sh", "-c", "echo run; sleep 1000"],
    );
    let begun = Instant::now();
    eventually("the fourth run", || (conex.ok(&["logs", "web"]).lines().count() >= 4).then_some(()));
    // 100, 200 and 400 ms, and a tenth of a second for each to become unhealthy.
    assert!(begun.elapsed() > Duration::from_millis(900), "{:?}", begun.elapsed());
    assert_eq!(conex.inspect("web")["Config"]["HealthcheckOnFailureAction"], "restart");
    let runs = conex.ok(&["logs", "web"]).lines().count();
    assert!((4..=5).contains(&runs), "{runs}");
    // A person's word is the last.
    conex.ok(&["stop", "web"]);
    std::thread::sleep(Duration::from_millis(500));
    assert_eq!(conex.inspect("web")["State"]["Status"], "exited");
}

#[test]
fn unhealthy_is_restarted_no_more_often_than_the_policy_says() {
    let (conex, alpine) = alpine!();
    let flags = ["--health-cmd", "false", "--health-retries", "1", "--health-on-failure", "restart"];
    run(&conex, &[&flags[..], &["--restart", "on-failure:2"]].concat(), &[alpine, "sleep", "1000"]);
    eventually("rest", || (conex.inspect("web")["State"]["Status"] == "exited").then_some(()));
    assert_eq!(conex.inspect("web")["RestartCount"], 2);
}

#[test]
fn unhealthy_is_stopped_or_killed() {
    let (conex, alpine) = alpine!();
    let flags =
        |action| ["--health-cmd", "echo why; false", "--health-retries", "2", "--health-on-failure", action];
    // Stopped, whatever the policy, by the stop signal.
    let trap = "trap 'exit 9' TERM; while :; do sleep 0.1; done";
    let words = ["--stop-signal", "TERM", "--restart", "always", alpine, "sh", "-c", trap];
    run(&conex, &flags("stop"), &words);
    eventually("rest", || (conex.inspect("web")["State"]["Status"] == "exited").then_some(()));
    let document = conex.inspect("web");
    assert_eq!((&document["State"]["ExitCode"], &document["RestartCount"]), (&9.into(), &0.into()));
    assert_eq!(document["State"]["Health"]["Log"][1]["Output"], "why\n");
    // Filters go by what `inspect` says, also of one that rests.
    assert_eq!(document["State"]["Health"]["Status"], "unhealthy");
    for (status, names) in [("unhealthy", "web\n"), ("none", "")] {
        let filter = format!("health={status}");
        assert_eq!(conex.ok(&["ps", "-a", "--filter", &filter, "--format", "{{.Names}}"]), names);
    }
    conex.ok(&["rm", "web"]);
    run(&conex, &flags("kill"), &[alpine, "sh", "-c", trap]);
    eventually("rest", || (conex.inspect("web")["State"]["Status"] == "exited").then_some(()));
    assert_eq!(conex.inspect("web")["State"]["ExitCode"], 137);
    conex.ok(&["rm", "web"]);
    // Killed, the restart policy holds.
    run(&conex, &flags("kill"), &["--restart", "always", alpine, "sh", "-c", trap]);
    eventually("a restart", || (conex.inspect("web")["RestartCount"].as_u64()? >= 1).then_some(()));
    let error = conex.fails(125, &["create", "--health-on-failure", "kill", alpine]);
    assert!(error.contains("needs a health check"), "{error}");
    let error = conex.fails(125, &["create", "--health-on-failure", "reboot", alpine]);
    assert!(error.contains("reboot"), "{error}");
}

#[test]
fn a_probe_does_not_hold_up_a_stop() {
    let (conex, alpine) = alpine!();
    for extra in [&[][..], &["--pid", "host"]] {
        let flags = [
            "--health-cmd",
            "touch /asked; sleep 1000",
            "--health-timeout",
            "1000s",
            "--health-on-failure",
            "restart",
        ];
        run(&conex, &flags, &[extra, &[alpine, "sleep", "1000"]].concat());
        eventually("a probe", || {
            (conex.run(&["exec", "web", "test", "-e", "/asked"]).code == 0).then_some(())
        });
        let begun = Instant::now();
        conex.ok(&["stop", "web"]);
        assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
        assert_eq!(conex.inspect("web")["State"]["Status"], "exited");
        let group = format!("/sys/fs/cgroup/conex/{}", conex.inspect("web")["Id"].as_str().unwrap());
        assert!(!std::path::Path::new(&group).exists());
        conex.ok(&["rm", "web"]);
    }
}

/// The supervisor ends what it was asked to end, though whoever asked has been interrupted.
#[test]
fn an_interrupted_stop_goes_on() {
    let (conex, alpine) = alpine!();
    let deaf = [alpine, "sh", "-c", "trap '' TERM; while :; do sleep 1; done"];
    let flags = ["--stop-signal", "TERM", "--health-cmd", "true", "--restart", "always"];
    run(&conex, &flags, &deaf);
    becomes(&conex, "healthy");
    let mut stop = conex.background(&["stop", "-t", "1", "web"]);
    eventually("the signal", || {
        conex
            .ok(&["events", "--since", "1m", "--until", "0s", "--filter", "event=kill"])
            .contains("web")
            .then_some(())
    });
    stop.kill();
    drop(stop.finish());
    assert_eq!(conex.ok(&["wait", "web"]), "137\n");
    eventually("its rest", || (conex.inspect("web")["State"]["Status"] == "exited").then_some(()));
}

/// A signal that a container is deaf to is no end of its probes.
#[test]
fn probes_go_on_after_a_signal_that_ends_nothing() {
    let (conex, alpine) = alpine!();
    let deaf = [alpine, "sh", "-c", "trap '' TERM; while :; do sleep 1; done"];
    run(&conex, &["--stop-signal", "TERM", "--health-cmd", "test ! -e /ill", "--health-retries", "1"], &deaf);
    becomes(&conex, "healthy");
    conex.ok(&["kill", "-s", "TERM", "web"]);
    conex.ok(&["exec", "web", "touch", "/ill"]);
    becomes(&conex, "unhealthy");
    conex.ok(&["rm", "-f", "web"]);
}

#[test]
fn a_container_that_is_checked_stays_small() {
    let (conex, alpine) = alpine!();
    run(&conex, &["--health-cmd", "yes | head -c 5000; false"], &[alpine, "sleep", "1000"]);
    eventually("some probes", || (health(&conex)["FailingStreak"].as_u64()? >= 10).then_some(()));
    let state: Value = serde_json::from_slice(&std::fs::read(conex.state_file("web")).unwrap()).unwrap();
    let supervisor = state["supervisor"].as_u64().expect("its pid");
    let private = eventually("rest", || {
        let rollup = std::fs::read_to_string(format!("/proc/{supervisor}/smaps_rollup")).ok()?;
        let sum = rollup.lines().filter(|line| line.starts_with("Private_"));
        let sum: u64 = sum.filter_map(|line| line.split_ascii_whitespace().nth(1)?.parse::<u64>().ok()).sum();
        (sum < 1024).then_some(sum)
    });
    println!("{private} KiB");
}

#[test]
fn a_dead_supervisors_word_does_not_count() {
    let (conex, alpine) = alpine!();
    run(&conex, &["--health-cmd", "true"], &[alpine, "sleep", "1000"]);
    becomes(&conex, "healthy");
    let state: Value = serde_json::from_slice(&std::fs::read(conex.state_file("web")).unwrap()).unwrap();
    let supervisor = state["supervisor"].to_string();
    assert!(std::process::Command::new("kill").args(["-KILL", &supervisor]).status().unwrap().success());
    eventually("the end", || (conex.inspect("web")["State"]["Status"] == "exited").then_some(()));
    assert_eq!(health(&conex)["Status"], "unhealthy");
    conex.ok(&["start", "web"]);
    becomes(&conex, "healthy");
}

/// Kills it, and gives back whether there was one.
fn kill(pid: &str) -> bool {
    std::process::Command::new("kill").args(["-KILL", pid]).status().unwrap().success()
}

#[test]
fn nothing_is_left_of_a_supervisor_that_was_killed_in_a_probe() {
    let (conex, alpine) = alpine!();
    let socket = conex.scratch().join("manager");
    let _manager = std::os::unix::net::UnixDatagram::bind(&socket).unwrap();
    let words = [
        "run",
        "-d",
        "--rm",
        "--name",
        "web",
        "--health-cmd",
        "touch /asked; sleep 876",
        "--health-interval",
        "100ms",
        alpine,
        "sleep",
        "1000",
    ];
    let started = conex.command(&words).env("NOTIFY_SOCKET", &socket).output().unwrap();
    assert!(started.status.success(), "{started:?}");
    eventually("a probe", || (conex.run(&["exec", "web", "test", "-e", "/asked"]).code == 0).then_some(()));
    let id = conex.inspect("web")["Id"].as_str().unwrap().to_owned();
    let state: Value = serde_json::from_slice(&std::fs::read(conex.state_file("web")).unwrap()).unwrap();
    let directory = conex.run_root().join("containers").join(&id);
    assert!(directory.join("health.json").exists() && directory.join("notify").exists());
    assert!(kill(&state["supervisor"].to_string()));
    // A killed process takes a moment to end.
    eventually("the end", || conex.ok(&["ps", "-aq"]).is_empty().then_some(()));
    assert!(!directory.exists(), "{:?}", std::fs::read_dir(&directory).unwrap().collect::<Vec<_>>());
    assert!(!std::path::Path::new("/sys/fs/cgroup/conex").join(&id).exists());
    eventually("no probe", || {
        (conex_tests::processes(|words| words.contains("sleep\0876")) == 0).then_some(())
    });
}

#[test]
fn a_probe_whose_process_is_killed_has_failed() {
    let (conex, alpine) = alpine!();
    let command = "touch /asked; sleep 875";
    run(
        &conex,
        &["--health-cmd", command, "--health-timeout", "500s", "--health-retries", "1"],
        &[alpine, "sleep", "1000"],
    );
    eventually("a probe", || (conex.run(&["exec", "web", "test", "-e", "/asked"]).code == 0).then_some(()));
    // The parent of what runs inside; the shell has become it.
    let shell = "sleep\0875\0";
    let is_shell = |entry: &std::fs::DirEntry| {
        std::fs::read(entry.path().join("cmdline")).is_ok_and(|words| words == shell.as_bytes())
    };
    let shell = std::fs::read_dir("/proc").unwrap().flatten().find(is_shell).expect("its shell").path();
    let status = std::fs::read_to_string(shell.join("status")).unwrap();
    let parent = status.lines().find_map(|line| line.strip_prefix("PPid:")).unwrap().trim();
    assert_eq!(std::fs::read_to_string(format!("/proc/{parent}/comm")).unwrap(), "conex-probe\n");
    assert!(kill(parent));
    let document = becomes(&conex, "unhealthy");
    let output = document["Log"][0]["Output"].as_str().unwrap();
    assert!(output.contains("was killed"), "{output}");
}
