//! SIGKILL at system calls of an ordinary user's start on a network of his own with a published port, of all its processes, from the making
//! of his namespaces on: the next command clears what is left, and all works.
//!
//! In a run of the suite at some twenty-five points; at every eleventh with `CONEX_FAULTS=all`.

#![allow(missing_docs)]

use conex_tests::{Killat, Points, Yard, eventually, processes, skip, user_yard};

const POINTS: Points = Points { some: 25, every: 11, kills: 10 };

/// That nothing of any container is left, after one command.
fn assert_clear(yard: &Yard, after: &str) {
    let run = yard.conex.run_root();
    assert_eq!(yard.conex.ok(&["ps", "-aq"]), "", "{after}");
    assert!(yard.leases("app").is_empty(), "{after}: {:?}", yard.leases("app"));
    let left: Vec<_> = std::fs::read_dir(run.join("containers")).into_iter().flatten().flatten().collect();
    assert!(left.is_empty(), "{after}: {left:?}");
    let mark = format!("{}/containers/", run.display());
    eventually(&format!("the end of what carries ({after})"), || {
        (processes(|words| words.contains(&mark)) == 0).then_some(())
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
    killat.each(&yard.conex, &words, POINTS, |_| (), |_, after| assert_clear(&yard, after));
    let words = ["run", "--rm", "--network", "app", "-p", "8080:80", yard.image, "ip", "address"];
    let shown = yard.conex.ok(&words);
    assert!(shown.contains("eth0") && shown.contains("uplink0"), "{shown}");
    yard.conex.ok(&["network", "rm", "app"]);
}
