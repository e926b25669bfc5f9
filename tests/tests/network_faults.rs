//! SIGKILL at system calls of a start on networks, of all its processes: the next command clears leases, elements of the packet filter,
//! cables; and the networks work.
//!
//! In a run of the suite at some forty points; at every seventh with `CONEX_FAULTS=all`.

#![allow(missing_docs)]

use conex_tests::{Killat, Points, Yard, eventually, skip, yard};

const POINTS: Points = Points { some: 40, every: 7, kills: 20 };

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
    let works = |round: usize, after: &str| {
        assert_clear(&yard, after);
        if round.is_multiple_of(5) {
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
    };
    killat.each(&yard.conex, &words, POINTS, |_| (), works);
    // No network is in the way of its removal.
    yard.conex.ok(&["network", "rm", "one", "two"]);
    let rules = yard.host.sh("nft list ruleset");
    assert!(!rules.contains("conex0"), "{rules}");
}
