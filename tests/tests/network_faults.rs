//! SIGKILL at system calls of a start on networks, of all its processes: the next command clears leases, elements of the packet filter,
//! cables; and the networks work.
//!
//! In a run of the suite at some forty points; at every seventh with `CONEX_FAULTS=all`.

#![allow(missing_docs)]

use std::path::PathBuf;
use std::process::{Command, Stdio};

use conex_tests::{Conex, NetHost, eventually, finish, fixture, needs_root, skip};

const POINTS: i64 = 40;

struct Yard {
    conex: Conex,
    image: &'static str,
    killat: PathBuf,
    host: NetHost,
}

impl Yard {
    /// Runs it and kills it at its `at`-th system call; what came of it, and how many calls it made in all.
    fn traced(&self, words: &[&str], at: i64) -> (String, i64) {
        let report = self.conex.scratch().join("report");
        let command = self.conex.command(words);
        let mut traced = Command::new(&self.killat);
        traced.env_clear().envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        traced
            .args(["all", &at.to_string()])
            .arg(&report)
            .arg(command.get_program())
            .args(command.get_args());
        let output = finish(traced.stdin(Stdio::null()));
        assert!(!output.stderr.contains("panicked"), "{words:?}: {output:?}");
        let said = std::fs::read_to_string(&report).expect("killat's report").trim().to_owned();
        let calls = said.rsplit(' ').next().and_then(|count| count.parse().ok()).unwrap_or(0);
        (said, calls)
    }

    /// That nothing of any container is left, after one command.
    fn assert_clear(&self, after: &str) {
        self.conex.ok(&["ps", "-a"]);
        for network in ["one", "two"] {
            let directory = self.conex.run_root().join("networks").join(network);
            let leases =
                std::fs::read_dir(directory).into_iter().flatten().flatten().map(|entry| entry.file_name());
            let leases: Vec<_> = leases.filter(|name| name != ".lock").collect();
            assert!(leases.is_empty(), "{after}: leases of {network}: {leases:?}");
        }
        let rules = self.host.sh("nft list ruleset");
        assert!(!rules.contains("8080") && !rules.contains("\"cx0"), "{after}: {rules}");
        // The devices go with the namespace, which the kernel takes down a moment later.
        eventually(&format!("the end of the cables ({after})"), || {
            let links = self.host.sh("ip -o link");
            links.lines().all(|line| !line.contains("alias victim")).then_some(())
        });
    }
}

#[test]
fn a_start_that_is_killed_leaves_nothing() {
    needs_root!();
    let Some(host) = NetHost::new() else { return };
    let conex = host.conex();
    let Some(image) = conex.busybox() else { skip!("no busybox image (CONEX_TEST_IMAGES)") };
    let Some(killat) = fixture("killat", conex.scratch()) else { skip!("no C compiler") };
    let yard = Yard { conex, image, killat, host };
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
    let (said, calls) = yard.traced(&words, -1);
    assert!(said.starts_with("ended 0 "), "{said}");
    yard.assert_clear("a run to its end");
    let all = std::env::var("CONEX_FAULTS").is_ok_and(|value| value == "all");
    let step = if all { 7 } else { (calls / POINTS).max(1) };
    let mut killed = 0;
    // Other points in each run.
    let mut at = i64::from(std::process::id()) % step;
    while at < calls {
        let (said, _) = yard.traced(&words, at);
        killed += i32::from(said.starts_with("killed"));
        yard.assert_clear(&format!("call {at} of {calls}: {said}"));
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
