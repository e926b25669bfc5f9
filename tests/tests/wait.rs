//! `wait` and its conditions, in Docker's API's words and Podman's.

use conex_tests::{alpine, eventually};

#[test]
fn conditions_that_hold_already() {
    let (conex, alpine) = alpine!();
    conex.ok(&["create", "--name", "made", alpine, "true"]);
    conex.run(&["run", "--name", "ended", alpine, "sh", "-c", "exit 7"]);
    conex.ok(&["run", "-d", "--name", "runs", alpine, "sleep", "1000"]);
    for (name, condition, code) in [
        ("made", "not-running", "0\n"),
        ("made", "created", "-1\n"),
        ("made", "configured", "-1\n"),
        ("ended", "not-running", "7\n"),
        ("ended", "exited", "7\n"),
        ("ended", "stopped", "7\n"),
        ("runs", "running", "-1\n"),
        ("runs", "exited,running", "-1\n"),
    ] {
        assert_eq!(conex.ok(&["wait", "--condition", condition, name]), code, "{name} {condition}");
    }
    conex.ok(&["pause", "runs"]);
    assert_eq!(conex.ok(&["wait", "--condition", "paused", "--interval", "10ms", "runs"]), "-1\n");
    assert!(conex.fails(1, &["wait", "--condition", "tired", "runs"]).contains("unknown condition"));
    assert!(conex.fails(125, &["wait", "--interval", "soon", "runs"]).contains("--interval"));
    assert!(conex.fails(1, &["wait", "--condition", "healthy", "runs"]).contains("no defined healthcheck"));
    assert_eq!(conex.ok(&["wait", "--ignore", "nosuch", "ended"]), "-1\n7\n");
    assert_eq!(conex.run(&["wait", "nosuch"]).code, 1);
}

#[test]
fn conditions_that_come() {
    let (conex, alpine) = alpine!();
    conex.ok(&[
        "create",
        "--name",
        "web",
        alpine,
        "sh",
        "-c",
        "trap 'exit 5' TERM; echo up; while :; do sleep 0.1; done",
    ]);
    let (mut running, mut gone) = (
        conex.background(&["wait", "--condition", "running", "web"]),
        conex.background(&["wait", "--condition", "removed", "web"]),
    );
    let next = conex.background(&["wait", "--condition", "next-exit", "web"]);
    let either = conex.background(&["wait", "--condition", "paused", "--condition", "exited", "web"]);
    assert!(!running.has_ended() && !gone.has_ended());
    conex.ok(&["start", "web"]);
    assert_eq!(running.finish().stdout, "-1\n");
    eventually("its word", || conex.ok(&["logs", "web"]).contains("up").then_some(()));
    conex.ok(&["stop", "web"]);
    assert_eq!(next.finish().stdout, "5\n");
    assert_eq!(either.finish().stdout, "5\n");
    assert!(!gone.has_ended());
    conex.ok(&["rm", "web"]);
    assert_eq!(gone.finish().stdout, "5\n");
}

#[test]
fn one_that_goes_is_told() {
    let (conex, alpine) = alpine!();
    conex.ok(&["create", "--name", "web", alpine, "true"]);
    let mut waiting = conex.background(&["wait", "--condition", "running", "web"]);
    assert!(!waiting.has_ended());
    conex.ok(&["rm", "web"]);
    let output = waiting.finish();
    assert!(output.code == 1 && output.stderr.contains("No such container: web"), "{output:?}");
}
