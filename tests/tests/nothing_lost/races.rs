//! Two commands at one container at once: one line of error at most, and afterwards the state of one order or the other.

use conex_tests::{Conex, needs_root, skip};

use crate::truth::{clear, mark, rounds, spelled, true_state};

/// How many times each pair runs; `CONEX_ROUNDS` for more.
const ROUNDS: u64 = 12;

struct Race {
    /// What has the container begin.
    before: &'static [&'static [&'static str]],
    one: &'static [&'static str],
    two: &'static [&'static str],
    /// How it may be after both.
    states: &'static [&'static str],
}

const CREATE: &[&str] = &["create", "--name", "box", "IMAGE", "sleep", "MARK"];
const RUN: &[&str] = &["run", "-d", "--name", "box", "IMAGE", "sleep", "MARK"];

const RACES: [Race; 10] = [
    Race { before: &[CREATE], one: &["start", "box"], two: &["rm", "box"], states: &["running", "absent"] },
    Race { before: &[CREATE], one: &["start", "box"], two: &["rm", "-f", "box"], states: &["absent"] },
    Race { before: &[CREATE], one: &["start", "box"], two: &["start", "box"], states: &["running"] },
    Race {
        before: &[RUN],
        one: &["exec", "box", "true"],
        two: &["stop", "-t", "0", "box"],
        states: &["exited"],
    },
    Race { before: &[RUN], one: &["pause", "box"], two: &["kill", "box"], states: &["exited"] },
    Race { before: &[RUN], one: &["pause", "box"], two: &["unpause", "box"], states: &["running", "paused"] },
    Race {
        before: &[RUN],
        one: &["restart", "-t", "0", "box"],
        two: &["stop", "-t", "0", "box"],
        states: &["running", "exited"],
    },
    Race { before: &[RUN], one: &["stop", "-t", "0", "box"], two: &["rm", "-f", "box"], states: &["absent"] },
    Race { before: &[RUN], one: &["rm", "-f", "box"], two: &["rm", "-f", "box"], states: &["absent"] },
    Race { before: &[RUN], one: &["commit", "box", "made"], two: &["rm", "-f", "box"], states: &["absent"] },
];

#[test]
fn two_commands_at_one_container() {
    needs_root!();
    let conex = Conex::new();
    let Some(image) = conex.alpine() else { skip!("no alpine image") };
    let rounds = rounds(ROUNDS);
    for race in &RACES {
        for round in 0..rounds {
            let mark = mark(2, round);
            let begin = |words: &[&'static str]| conex.background(&spelled(words, image, &mark));
            for words in race.before {
                let output = begin(words).finish();
                assert_eq!(output.code, 0, "{words:?}: {output:?}");
            }
            // Now one is first, now the other.
            let (first, second) = if round % 2 == 0 { (race.one, race.two) } else { (race.two, race.one) };
            let (first, second) = (begin(first), begin(second));
            let why = format!("round {round}: {:?} and {:?}", race.one, race.two);
            for output in [first.finish(), second.finish()] {
                assert!(matches!(output.code, 0 | 1 | 126 | 137 | 125), "{why}: {output:?}");
                assert!(output.stderr.lines().count() <= 1, "{why}: {output:?}");
                assert!(
                    output.code == 0 || output.stderr.starts_with("conex: ") || output.code == 137,
                    "{why}: {output:?}"
                );
            }
            let state = true_state(&conex, "box", &mark, &why);
            assert!(race.states.contains(&state.as_str()), "{why}: {state}");
            clear(&conex, &mark, &why);
        }
    }
}

#[test]
fn two_names_for_one_container() {
    needs_root!();
    let conex = Conex::new();
    let Some(image) = conex.alpine() else { skip!("no alpine image") };
    let mark = mark(4, 0);
    conex.ok(&["run", "-d", "--name", "box", image, "sleep", &mark]);
    let id = conex.inspect("box")["Id"].as_str().expect("an id").to_owned();
    for round in 0..ROUNDS {
        let (one, two) = (format!("one{round}"), format!("two{round}"));
        let renames = [conex.background(&["rename", &id, &one]), conex.background(&["rename", &id, &two])];
        let outputs = renames.map(conex_tests::Background::finish);
        assert!(outputs.iter().any(|output| output.code == 0), "{outputs:?}");
        // The one that it has, and no other is kept from anybody.
        let name = conex.ok(&["inspect", "-f", "{{.Name}}", &id]);
        let name = name.trim().trim_start_matches('/');
        assert!(name == one || name == two, "{name}");
        let names: Vec<_> = std::fs::read_dir(conex.root().join("names")).expect("names").flatten().collect();
        assert!(names.len() == 1 && names[0].file_name() == name, "{names:?}");
        assert_eq!(true_state(&conex, name, &mark, &one), "running");
    }
    clear(&conex, &mark, "renames");
}
