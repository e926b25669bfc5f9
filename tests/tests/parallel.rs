//! Many commands at once: no global lock, no lost name, nothing left.

use conex_tests::{alpine, eventually};

#[test]
fn thirty_two_runs_at_once_all_succeed() {
    let (conex, alpine) = alpine!();
    let all: Vec<_> = (0..32)
        .map(|number| {
            conex.background(&["run", "--rm", alpine, "sh", "-c", &format!("echo {number}; exit {number}")])
        })
        .collect();
    for (number, run) in all.into_iter().enumerate() {
        let output = run.finish();
        assert_eq!(
            (output.code, output.stdout.trim()),
            (i32::try_from(number).unwrap(), number.to_string().as_str()),
            "{}",
            output.stderr
        );
    }
    assert_eq!(conex.ok(&["ps", "-aq"]), "");
    for directory in
        [conex.root().join("containers"), conex.root().join("names"), conex.run_root().join("containers")]
    {
        // A supervisor clears up after it has told.
        eventually("an empty directory", || {
            (std::fs::read_dir(&directory).expect("a directory").count() == 0).then_some(())
        });
    }
}

#[test]
fn one_name_has_one_winner() {
    let (conex, alpine) = alpine!();
    for round in 0..5 {
        let name = format!("web{round}");
        let all: Vec<_> = (0..8)
            .map(|_| conex.background(&["run", "-d", "--name", &name, alpine, "sleep", "1000"]))
            .collect();
        let outputs: Vec<_> = all.into_iter().map(conex_tests::Background::finish).collect();
        let winners: Vec<_> = outputs.iter().filter(|output| output.code == 0).collect();
        assert_eq!(winners.len(), 1, "{outputs:?}");
        for loser in outputs.iter().filter(|output| output.code != 0) {
            assert_eq!(loser.code, 125);
            let id = winners[0].stdout.trim();
            assert!(
                loser.stderr.contains("already in use by container") && loser.stderr.contains(id),
                "{}",
                loser.stderr
            );
        }
        assert_eq!(conex.ok(&["ps", "-aq"]).lines().count(), round + 1);
    }
}

#[test]
fn starts_stops_and_removals_exclude_each_other() {
    let (conex, alpine) = alpine!();
    for _ in 0..5 {
        conex.ok(&["create", "--name", "web", alpine, "sleep", "1000"]);
        let starts: Vec<_> = (0..4).map(|_| conex.background(&["start", "web"])).collect();
        for start in starts {
            let output = start.finish();
            assert_eq!(output.code, 0, "{}", output.stderr);
        }
        let removals: Vec<_> = (0..4).map(|_| conex.background(&["rm", "-f", "web"])).collect();
        let codes: Vec<i32> = removals.into_iter().map(|removal| removal.finish().code).collect();
        assert!(codes.contains(&0), "{codes:?}");
        assert_eq!(conex.ok(&["ps", "-aq"]), "");
    }
}
