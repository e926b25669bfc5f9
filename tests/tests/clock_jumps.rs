//! The machine's clock is set to another time while containers run: what has to happen happens, and nothing is told that cannot be.
//!
//! Only where the clock is the tests' own, as in the virtual machine (`CONEX_OWN_CLOCK`).

use std::time::{Duration, Instant, SystemTime};

use conex_tests::{Conex, eventually, needs_root, skip};

/// Sets the clock by so many seconds, and back at the end.
struct Clock {
    began: (SystemTime, Instant),
}

impl Clock {
    fn own() -> Option<Self> {
        std::env::var_os("CONEX_OWN_CLOCK")?;
        Some(Self { began: (SystemTime::now(), Instant::now()) })
    }

    /// What it would be without us, and so much more.
    fn set(&self, seconds: i64) {
        let now = self.began.0 + self.began.1.elapsed();
        let now = now.duration_since(SystemTime::UNIX_EPOCH).expect("after 1970");
        let at = i64::try_from(now.as_secs()).expect("a time") + seconds;
        let set = std::process::Command::new("date").args(["-s", &format!("@{at}")]).output().expect("date");
        assert!(set.status.success(), "{set:?}");
    }
}

impl Drop for Clock {
    fn drop(&mut self) {
        self.set(0);
    }
}

const DAY: i64 = 86_400;

#[test]
fn containers_live_through_it() {
    needs_root!();
    let Some(clock) = Clock::own() else { skip!("the clock is the machine's (CONEX_OWN_CLOCK)") };
    let conex = Conex::new();
    let Some(alpine) = conex.alpine() else { skip!("no alpine image") };
    conex.ok(&["run", "-d", "--name", "web", alpine, "sh", "-c", "while :; do echo tick; sleep 0.2; done"]);
    let again = ["run", "-d", "--name", "again", "--restart", "always", alpine, "sleep", "0.2"];
    conex.ok(&again);
    let check = [
        "run",
        "-d",
        "--name",
        "checked",
        "--health-interval",
        "300ms",
        "--health-cmd",
        "true",
        alpine,
        "sleep",
        "1000",
    ];
    conex.ok(&check);
    let restarts = || conex.inspect("again")["RestartCount"].as_u64().expect("a number");
    let probes = || conex.inspect("checked")["State"]["Health"]["Log"][4]["End"].as_str().map(str::to_owned);
    for jump in [-DAY, 3650 * DAY, -3650 * DAY, 0] {
        clock.set(jump);
        // All of them run, and are told to.
        let list = conex.ok(&["ps", "--format", "{{.Names}} {{.Status}}"]);
        assert!(list.contains("web Up ") && !list.contains('-'), "{jump}: {list}");
        // Restarts, probes and the log go on.
        let (count, probe) = (restarts(), probes());
        eventually("another restart", || (restarts() > count).then_some(()));
        eventually("another probe", || (probes().is_some() && probes() != probe).then_some(()));
        let lines = conex.ok(&["logs", "web"]).lines().count();
        eventually("another line", || (conex.ok(&["logs", "web"]).lines().count() > lines).then_some(()));
        conex.ok(&["logs", "--since", "10m", "-t", "-n", "1", "web"]);
        // A deadline is a length of time, not a time of day.
        let began = Instant::now();
        conex.ok(&[
            "run",
            "-d",
            "--name",
            "deaf",
            alpine,
            "sh",
            "-c",
            "trap '' TERM; while :; do sleep 1; done",
        ]);
        conex.ok(&["stop", "-t", "1", "deaf"]);
        assert!(began.elapsed() < Duration::from_secs(30), "{jump}: {:?}", began.elapsed());
        assert_eq!(conex.inspect("deaf")["State"]["ExitCode"], 137);
        conex.ok(&["start", "deaf"]);
        conex.ok(&["rm", "-f", "deaf"]);
        conex.ok(&["stats", "--no-stream"]);
        conex.ok(&["inspect", "web", "again", "checked"]);
    }
    // What was made in another time can go by its age without a fault.
    conex.ok(&["kill", "web"]);
    clock.set(-DAY);
    conex.ok(&["container", "prune", "-f", "--filter", "until=1h"]);
    conex.ok(&["start", "web"]);
    conex.ok(&["rm", "-f", "web", "again", "checked"]);
    assert_eq!(conex.ok(&["ps", "-aq"]), "");
}
