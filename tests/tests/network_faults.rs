//! SIGKILL at system calls of a start on networks, of all its processes: the next command clears leases, elements of the packet filter,
//! cables; and the networks work.
//!
//! In a run of the suite at some forty points; at every seventh with `CONEX_FAULTS=all`.

#![allow(missing_docs)]

use conex_tests::{Killat, Traced, Yard, eventually, skip, yard};

const POINTS: u64 = 40;

/// That nothing of any container is left, after one command.
fn assert_clear(yard: &Yard, after: &str) {
    yard.conex.ok(&["ps", "-a"]);
    for network in ["one", "two"] {
        let leases = yard.leases(network);
        assert!(leases.is_empty(), "{after}: leases of {network}: {leases:?}");
    }
    let rules = yard.host.sh("nft list ruleset");
    assert!(!rules.contains("8080") && !rules.contains("\"cx0"), "{after}: {rules}");
    // The devices go with the namespace, which the kernel takes down a moment later.
    eventually(&format!("the end of the cables ({after})"), || {
        let links = yard.host.sh("ip -o link");
        links.lines().all(|line| !line.contains("alias victim")).then_some(())
    });
}

#[test]
fn a_start_that_is_killed_leaves_nothing() {
    let yard = yard!();
    let Some(killat) = Killat::new(yard.conex.scratch()) else { skip!("no C compiler") };
    yard.conex.ok(&["network", "create", "--ipv6", "one"]);
    yard.conex.ok(&["network", "create", "two"]);
    let words = [
        "run",
        "--rm",
        "--name",
        "victim",
        "--network",
        "one",
        "--network",
        "two",
        "-p",
        "8080:80",
        yard.image,
        "true",
    ];
    let Traced { said, calls } = killat.run(&yard.conex, &words, None);
    assert!(said.starts_with("ended 0 "), "{said}");
    assert_clear(&yard, "a run to its end");
    let all = std::env::var("CONEX_FAULTS").is_ok_and(|value| value == "all");
    let step = if all { 7 } else { (calls / POINTS).max(1) };
    let mut killed = 0;
    // Other points in each run.
    let mut at = u64::from(std::process::id()) % step;
    while at < calls {
        let said = killat.run(&yard.conex, &words, Some(at)).said;
        killed += i32::from(said.starts_with("killed"));
        assert_clear(&yard, &format!("call {at} of {calls}: {said}"));
        if at % 5 == 0 {
            let shown = yard.conex.ok(&[
                "run",
                "--rm",
                "--network",
                "one",
                "-p",
                "8080:80",
                yard.image,
                "ip",
                "address",
            ]);
            assert!(shown.contains("inet6 fd"), "{shown}");
        }
        at += step;
    }
    assert!(killed > 20, "hardly anything was killed: {killed} of {calls} calls, every {step}th");
    // No network is in the way of its removal.
    yard.conex.ok(&["network", "rm", "one", "two"]);
    let rules = yard.host.sh("nft list ruleset");
    assert!(!rules.contains("conex0"), "{rules}");
}
