//! SIGKILL at system calls of an ordinary user's start on a network of his own with a published port, of all its processes, from the making
//! of his namespaces on: the next command clears what is left, and all works.
//!
//! In a run of the suite at some twenty-five points; at every eleventh with `CONEX_FAULTS=all`.

#![allow(missing_docs)]

use conex_tests::{Killat, Traced, Yard, eventually, skip, user_yard};

const POINTS: u64 = 25;

/// That nothing of any container is left, after one command.
fn assert_clear(yard: &Yard, after: &str) {
    let run = yard.conex.run_root();
    assert_eq!(yard.conex.ok(&["ps", "-aq"]), "", "{after}");
    assert!(yard.leases("app").is_empty(), "{after}: {:?}", yard.leases("app"));
    let left: Vec<_> = std::fs::read_dir(run.join("containers")).into_iter().flatten().flatten().collect();
    assert!(left.is_empty(), "{after}: {left:?}");
    let mark = format!("{}/containers/", run.display());
    eventually(&format!("the end of what carries ({after})"), || {
        let all = std::fs::read_dir("/proc").expect("/proc").flatten();
        let carries = |entry: &std::fs::DirEntry| {
            let words = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
            String::from_utf8_lossy(&words).contains(&mark)
        };
        (!all.into_iter().any(|entry| carries(&entry))).then_some(())
    });
    // The devices go with the container's namespace, a moment later.
    let netns = format!("--net={}", run.join("host.netns").display());
    eventually(&format!("the end of the cables ({after})"), || {
        // Of namespaces that have gone with the last container there is an empty file.
        let links = yard.conex.run(&["unshare", "nsenter", &netns, "ip", "-o", "link"]).stdout;
        (!links.contains("alias victim")).then_some(())
    });
}

#[test]
fn a_start_that_is_killed_leaves_nothing() {
    let yard = user_yard!();
    let Some(killat) = Killat::new(yard.conex.scratch()) else { skip!("no C compiler") };
    yard.conex.ok(&["network", "create", "app"]);
    let words = ["run", "--rm", "--name", "victim", "--network", "app", "-p", "8080:80", yard.image, "true"];
    let Traced { said, calls } = killat.run(&yard.conex, &words, None);
    assert!(said.starts_with("ended 0 "), "{said}");
    assert_clear(&yard, "a run to its end");
    let all = std::env::var("CONEX_FAULTS").is_ok_and(|value| value == "all");
    let step = if all { 11 } else { (calls / POINTS).max(1) };
    let mut killed = 0;
    // Other points in each run.
    let mut at = u64::from(std::process::id()) % step;
    while at < calls {
        let said = killat.run(&yard.conex, &words, Some(at)).said;
        killed += i32::from(said.starts_with("killed"));
        assert_clear(&yard, &format!("call {at} of {calls}: {said}"));
        at += step;
    }
    assert!(killed > 10, "hardly anything was killed: {killed} of {calls} calls, every {step}th");
    let words = ["run", "--rm", "--network", "app", "-p", "8080:80", yard.image, "ip", "address"];
    let shown = yard.conex.ok(&words);
    assert!(shown.contains("eth0") && shown.contains("uplink0"), "{shown}");
    yard.conex.ok(&["network", "rm", "app"]);
}
