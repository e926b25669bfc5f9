//! `create start stop restart kill wait rm rename attach pause unpause top`: a container's life, step by step.

use std::os::unix::fs::PermissionsExt;

use conex_tests::{Conex, alpine, eventually};

const FOREVER: [&str; 3] = ["sh", "-c", "trap 'exit 3' TERM; while :; do sleep 0.1; done"];

fn run_detached(conex: &Conex, flags: &[&str], image: &str, command: &[&str]) -> String {
    let id = conex.ok(&[&["run", "-d"][..], flags, &[image], command].concat());
    assert_eq!(id.trim().len(), 64, "{id}");
    id.trim().to_owned()
}

fn status(conex: &Conex, name: &str) -> String {
    conex.inspect(name)["State"]["Status"].as_str().expect("a status").to_owned()
}

/// Nothing of any container is left in the two roots, once the supervisors have ended, which clear up after they have told.
fn assert_empty(conex: &Conex) {
    let directories = ["root/containers", "root/names", "root/userns", "run/containers"];
    eventually("empty directories", || {
        let entries = |name| std::fs::read_dir(conex.scratch().join(name)).map_or(0, Iterator::count);
        (directories.map(entries) == [0; 4]).then_some(())
    });
}

#[test]
fn created_running_exited_removed() {
    let (conex, alpine) = alpine!();
    let id = conex.ok(&["create", "--name", "web", alpine, "sh", "-c", "exit 5"]);
    assert_eq!(status(&conex, "web"), "created");
    assert_eq!(conex.ok(&["ps", "-q"]), "");
    assert_eq!(conex.ok(&["start", "web"]), "web\n");
    assert_eq!(conex.ok(&["wait", "web"]), "5\n");
    let document = conex.inspect("web");
    assert_eq!(document["State"]["Status"], "exited");
    assert_eq!(document["State"]["ExitCode"], 5);
    assert_eq!(document["Id"], id.trim());
    assert_ne!(document["State"]["StartedAt"], "0001-01-01T00:00:00Z");
    // Again, by a prefix of its id.
    conex.ok(&["start", &id[..12]]);
    assert_eq!(conex.ok(&["wait", "web"]), "5\n");
    assert_eq!(conex.ok(&["rm", "web"]), "web\n");
    conex.fails(1, &["inspect", "web"]);
    assert_empty(&conex);
}

#[test]
fn the_exit_code_is_the_processs_own() {
    let (conex, alpine) = alpine!();
    conex.fails(7, &["run", "--rm", alpine, "sh", "-c", "exit 7"]);
    conex.fails(143, &["run", "--rm", "--init", alpine, "sh", "-c", "kill -TERM $$"]);
    let error = conex.fails(127, &["run", "--rm", alpine, "no-such-program"]);
    assert!(error.contains("no-such-program") && error.contains("not found"), "{error}");
    conex.fails(126, &["run", "--rm", alpine, "/etc/passwd"]);
    conex.fails(126, &["run", "--rm", alpine, "/etc"]);
    assert_empty(&conex);
}

#[test]
fn a_program_that_is_not_there_leaves_a_created_container() {
    let (conex, alpine) = alpine!();
    conex.fails(127, &["run", "--name", "typo", alpine, "no-such-program"]);
    let document = conex.inspect("typo");
    assert_eq!(document["State"]["Status"], "created");
    assert_eq!(document["State"]["ExitCode"], 127);
    assert!(document["State"]["Error"].as_str().unwrap().contains("no-such-program"));
    conex.fails(1, &["start", "typo"]);
    conex.ok(&["rm", "typo"]);
    assert_empty(&conex);
}

#[test]
fn stop_sends_the_stop_signal_and_then_kills() {
    let (conex, alpine) = alpine!();
    run_detached(&conex, &["--name", "polite"], alpine, &FOREVER);
    conex.ok(&["stop", "polite"]);
    assert_eq!(conex.inspect("polite")["State"]["ExitCode"], 3);
    // PID 1 without a handler does not even see SIGTERM.
    run_detached(&conex, &["--name", "deaf"], alpine, &["sleep", "1000"]);
    conex.ok(&["stop", "-t", "0", "deaf"]);
    assert_eq!(conex.inspect("deaf")["State"]["ExitCode"], 137);
    assert_eq!(conex.inspect("deaf")["State"]["OOMKilled"], false);
    let script = "trap 'exit 9' USR1; while :; do sleep 0.1; done";
    run_detached(&conex, &["--name", "own", "--stop-signal", "USR1"], alpine, &["sh", "-c", script]);
    conex.ok(&["stop", "own"]);
    assert_eq!(conex.inspect("own")["State"]["ExitCode"], 9);
    // Stopping what is stopped is no error.
    conex.ok(&["stop", "own"]);
    conex.fails(1, &["stop", "nobody"]);
}

/// Ends when it is asked to and has seen that another was asked, too: only those that are stopped at the same time end with 0.
const AFTER_ANOTHER: &str = "trap 'touch /all/$0; until [ -e /all/$1 ]; do sleep 0.1; done; exit 0' TERM
    touch /all/$0-runs; while :; do sleep 0.1; done";

#[test]
fn several_are_stopped_at_once() {
    let (conex, alpine) = alpine!();
    let all = conex.scratch().join("all");
    std::fs::create_dir(&all).unwrap();
    std::fs::set_permissions(&all, std::fs::Permissions::from_mode(0o777)).unwrap();
    let volume = format!("{}:/all", all.display());
    let run = |flags: &[&str], name: &str, other: &str| {
        for told in [name.to_owned(), format!("{name}-runs")] {
            let _ = std::fs::remove_file(all.join(told));
        }
        let flags = [&["--name", name, "-v", &volume], flags].concat();
        run_detached(&conex, &flags, alpine, &["sh", "-c", AFTER_ANOTHER, name, other]);
        eventually("the trap", || all.join(format!("{name}-runs")).exists().then_some(()));
    };
    let codes = || ["one", "two"].map(|name| conex.inspect(name)["State"]["ExitCode"].clone());
    run(&[], "one", "two");
    run(&[], "two", "one");
    let output = conex.run(&["stop", "-t", "30", "one", "nobody", "two"]);
    assert_eq!((output.code, output.stdout.as_str()), (1, "one\ntwo\n"));
    assert!(output.stderr.contains("nobody"), "{}", output.stderr);
    assert_eq!(codes(), [0, 0]);
    conex.ok(&["rm", "one", "two"]);
    conex.ok(&["pod", "create", "--name", "pod"]);
    run(&["--pod", "pod"], "one", "two");
    run(&["--pod", "pod"], "two", "one");
    conex.ok(&["pod", "stop", "-t", "30", "pod"]);
    assert_eq!(codes(), [0, 0]);
    conex.ok(&["pod", "rm", "pod"]);
    assert_empty(&conex);
}

#[test]
fn kill_sends_any_signal() {
    let (conex, alpine) = alpine!();
    let script = "trap 'echo got it; exit 4' HUP; echo ready; while :; do sleep 0.1; done";
    run_detached(&conex, &["--name", "web"], alpine, &["sh", "-c", script]);
    eventually("the trap", || conex.ok(&["logs", "web"]).contains("ready").then_some(()));
    conex.ok(&["kill", "-s", "HUP", "web"]);
    assert_eq!(conex.ok(&["wait", "web"]), "4\n");
    assert!(conex.ok(&["logs", "web"]).contains("got it"));
    let error = conex.fails(1, &["kill", "web"]);
    assert!(error.contains("is not running"), "{error}");
    conex.ok(&["start", "web"]);
    conex.ok(&["kill", "web"]);
    assert_eq!(conex.inspect("web")["State"]["ExitCode"], 137);
    let error = conex.run(&["kill", "-s", "NOSUCH", "web"]);
    assert!(error.code != 0 && error.stderr.contains("NOSUCH"), "{}", error.stderr);
}

#[test]
fn restart_starts_what_runs_and_what_does_not() {
    let (conex, alpine) = alpine!();
    run_detached(&conex, &["--name", "web"], alpine, &FOREVER);
    let before = conex.inspect("web")["State"]["Pid"].clone();
    conex.ok(&["restart", "-t", "5", "web"]);
    let after = conex.inspect("web");
    assert_eq!(after["State"]["Status"], "running");
    assert_ne!(after["State"]["Pid"], before);
    conex.ok(&["stop", "-t", "0", "web"]);
    conex.ok(&["restart", "web"]);
    assert_eq!(status(&conex, "web"), "running");
    // A --rm container survives its restart.
    run_detached(&conex, &["--rm", "--name", "brief"], alpine, &FOREVER);
    conex.ok(&["restart", "-t", "0", "brief"]);
    assert_eq!(status(&conex, "brief"), "running");
    conex.ok(&["rm", "-f", "web", "brief"]);
    eventually("the brief one's end", || conex.ok(&["ps", "-aq"]).is_empty().then_some(()));
    assert_empty(&conex);
}

#[test]
fn wait_blocks_until_the_end() {
    let (conex, alpine) = alpine!();
    run_detached(&conex, &["--name", "web"], alpine, &FOREVER);
    let waiting = conex.background(&["wait", "web"]);
    conex.ok(&["stop", "web"]);
    let output = waiting.finish();
    assert_eq!((output.code, output.stdout.as_str()), (0, "3\n"), "{}", output.stderr);
    conex.fails(1, &["wait", "nobody"]);
}

#[test]
fn rm_refuses_what_runs_without_force() {
    let (conex, alpine) = alpine!();
    run_detached(&conex, &["--name", "web"], alpine, &FOREVER);
    let error = conex.fails(1, &["rm", "web"]);
    assert!(error.contains("is running") && error.contains("force"), "{error}");
    conex.ok(&["pause", "web"]);
    conex.fails(1, &["rm", "web"]);
    assert_eq!(conex.ok(&["rm", "-f", "web"]), "web\n");
    assert_empty(&conex);
    conex.fails(1, &["rm", "web"]);
}

#[test]
fn rename_moves_the_name() {
    let (conex, alpine) = alpine!();
    run_detached(&conex, &["--name", "old"], alpine, &FOREVER);
    conex.ok(&["create", "--name", "other", alpine, "true"]);
    let error = conex.fails(1, &["rename", "old", "other"]);
    assert!(error.contains("already in use"), "{error}");
    conex.ok(&["rename", "old", "new"]);
    assert_eq!(conex.inspect("new")["Name"], "/new");
    conex.fails(1, &["inspect", "old"]);
    // The old name is free again.
    conex.ok(&["create", "--name", "old", alpine, "true"]);
    conex.fails(1, &["rename", "new", "new"]);
    conex.fails(1, &["rename", "new", "../etc"]);
}

#[test]
fn a_name_is_used_once() {
    let (conex, alpine) = alpine!();
    let id = conex.ok(&["create", "--name", "web", alpine, "true"]);
    let error = conex.fails(125, &["run", "--rm", "--name", "web", alpine, "true"]);
    let expected = format!(
        "Conflict. The container name \"/web\" is already in use by container \"{}\". You have to remove (or rename) that container to be able to reuse that name.",
        id.trim()
    );
    assert!(error.contains(&expected), "{error}");
    assert_eq!(conex.ok(&["ps", "-aq"]).lines().count(), 1, "the loser left something");
}

#[test]
fn pause_freezes_and_unpause_goes_on() {
    let (conex, alpine) = alpine!();
    let script = "i=0; while :; do i=$((i+1)); echo $i; sleep 0.02; done";
    run_detached(&conex, &["--name", "web"], alpine, &["sh", "-c", script]);
    let count = || conex.ok(&["logs", "web"]).lines().count();
    eventually("output", || (count() > 2).then_some(()));
    conex.ok(&["pause", "web"]);
    let document = conex.inspect("web");
    assert_eq!(document["State"]["Status"], "paused");
    assert_eq!(document["State"]["Paused"], true);
    assert!(conex.ok(&["ps"]).contains("(Paused)"));
    let frozen = count();
    assert!(conex.fails(1, &["pause", "web"]).contains("already paused"));
    assert!(conex.fails(1, &["exec", "web", "true"]).contains("is paused"));
    assert!(conex.fails(1, &["attach", "web"]).contains("paused"));
    assert!(conex.fails(1, &["start", "web"]).contains("paused"));
    assert_eq!(count(), frozen, "a paused container wrote");
    conex.ok(&["unpause", "web"]);
    eventually("more output", || (count() > frozen).then_some(()));
    assert!(conex.fails(1, &["unpause", "web"]).contains("is not paused"));
    // A paused one can be stopped.
    conex.ok(&["pause", "web"]);
    conex.ok(&["stop", "-t", "0", "web"]);
    assert_eq!(status(&conex, "web"), "exited");
    assert!(conex.fails(1, &["pause", "web"]).contains("is not running"));
}

#[test]
fn attach_sees_the_output_and_the_end() {
    let (conex, alpine) = alpine!();
    let script = "read line; echo got $line; exit 6";
    run_detached(&conex, &["-i", "--name", "web"], alpine, &["sh", "-c", script]);
    let output = conex.run_with_input(&["attach", "web"], b"hello\n");
    assert_eq!((output.code, output.stdout.as_str()), (6, "got hello\n"), "{}", output.stderr);
    assert!(conex.fails(1, &["attach", "web"]).contains("stopped"));
}

#[test]
fn start_attached_relays_both_ways() {
    let (conex, alpine) = alpine!();
    conex.ok(&["create", "-i", "--name", "cat", alpine, "sh", "-c", "cat; echo end >&2; exit 2"]);
    for _ in 0..2 {
        let output = conex.run_with_input(&["start", "-ai", "cat"], b"through\n");
        assert_eq!(output.code, 2, "{}", output.stderr);
        assert_eq!((output.stdout.as_str(), output.stderr.as_str()), ("through\n", "end\n"));
    }
}

#[test]
fn much_data_goes_through_both_ways_unharmed() {
    let (conex, alpine) = alpine!();
    let mut input = Vec::new();
    for number in 0..200_000 {
        input.extend_from_slice(format!("{number}\n").as_bytes());
    }
    let output = conex.run_with_input(&["run", "--rm", "-i", "--log-driver", "none", alpine, "cat"], &input);
    assert_eq!(output.code, 0, "{}", output.stderr);
    assert!(output.stdout.as_bytes() == input, "{} of {} bytes", output.stdout.len(), input.len());
}

#[test]
fn the_end_of_input_is_the_containers() {
    let (conex, alpine) = alpine!();
    let output = conex.run_with_input(&["run", "--rm", "-i", alpine, "wc", "-c"], b"12345");
    assert_eq!((output.code, output.stdout.trim()), (0, "5"), "{}", output.stderr);
    // Without -i there is none.
    let output = conex.run_with_input(&["run", "--rm", alpine, "wc", "-c"], b"12345");
    assert_eq!(output.stdout.trim(), "0", "{}", output.stderr);
}

#[test]
fn top_shows_the_hosts_view() {
    let (conex, alpine) = alpine!();
    run_detached(&conex, &["--name", "web"], alpine, &["sh", "-c", "sleep 1234 & sleep 4321"]);
    let table = eventually("both sleeps", || {
        let table = conex.ok(&["top", "web"]);
        (table.contains("sleep 1234") && table.contains("sleep 4321")).then_some(table)
    });
    let header: Vec<&str> = table.lines().next().unwrap().split_whitespace().collect();
    assert_eq!(header, ["UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD"]);
    let pid = conex.inspect("web")["State"]["Pid"].to_string();
    assert!(table.lines().any(|line| line.split_whitespace().nth(1) == Some(&pid)), "{table}");
    if conex_tests::installed("ps") {
        let table = conex.ok(&["top", "web", "-o", "pid,comm"]);
        assert!(table.contains("COMMAND") && table.contains(&pid), "{table}");
    }
    conex.ok(&["stop", "-t", "0", "web"]);
    conex.fails(1, &["top", "web"]);
}

#[test]
fn ps_filters() {
    let (conex, alpine) = alpine!();
    run_detached(&conex, &["--name", "one", "-l", "tier=web"], alpine, &FOREVER);
    run_detached(&conex, &["--name", "two", "-l", "tier=db"], alpine, &["sh", "-c", "exit 3"]);
    conex.ok(&["wait", "two"]);
    conex.ok(&["create", "--name", "three", alpine, "true"]);
    let names = |flags: &[&str]| -> Vec<String> {
        let text = conex.ok(&[&["ps", "--format", "{{.Names}}"][..], flags].concat());
        text.lines().map(str::to_owned).collect()
    };
    assert_eq!(names(&[]), ["one"]);
    assert_eq!(names(&["-a"]), ["three", "two", "one"]);
    assert_eq!(names(&["-n", "2"]), ["three", "two"]);
    assert_eq!(names(&["-a", "-f", "label=tier=db"]), ["two"]);
    assert_eq!(names(&["-a", "-f", "label=tier"]), ["two", "one"]);
    assert_eq!(names(&["-f", "status=exited"]), ["two"]);
    assert_eq!(names(&["-f", "status=created", "-f", "status=running"]), ["three", "one"]);
    assert_eq!(names(&["-a", "-f", "exited=3"]), ["two"]);
    assert_eq!(names(&["-a", "-f", "exited=0"]), [""; 0]);
    assert_eq!(names(&["-a", "-f", "name=o"]), ["two", "one"]);
    assert_eq!(names(&["-a", "-f", "before=three"]), ["two", "one"]);
    assert_eq!(names(&["-a", "-f", "since=one"]), ["three", "two"]);
    assert_eq!(names(&["-a", "-f", &format!("ancestor={alpine}")]).len(), 3);
    let error = conex.run(&["ps", "-f", "nmae=x"]);
    assert!(error.code != 0 && error.stderr.contains("name"), "{}", error.stderr);
}

#[test]
fn ambiguous_and_unknown_names_are_told_apart() {
    let (conex, alpine) = alpine!();
    // Of 17 ids two begin with the same digit.
    let ids: Vec<String> = (0..17).map(|_| conex.ok(&["create", alpine, "true"])).collect();
    let shared =
        "0123456789abcdef".chars().find(|&digit| ids.iter().filter(|id| id.starts_with(digit)).count() > 1);
    let error = conex.fails(1, &["inspect", &shared.unwrap().to_string()]);
    assert!(error.contains("multiple") || error.contains("ambiguous"), "{error}");
    let error = conex.fails(1, &["inspect", "nobody"]);
    assert!(error.contains("nobody"), "{error}");
}
