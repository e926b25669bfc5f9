//! kill -9 of the command, of the container's supervisor or of both, at random moments of every verb.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use conex_tests::{Conex, Dice, eventually, needs_root, skip};

use crate::truth::{alive, clear, mark, rounds, spelled, told, true_state};

/// How many times something is killed; `CONEX_ROUNDS` for more.
const ROUNDS: u64 = 120;

/// A verb on the container `box`.
struct Case {
    words: &'static [&'static str],
    /// How the container is before: what brings it there.
    from: State,
    /// What it may be after, killed or not; the first is what the verb is for.
    to: &'static [&'static str],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Absent,
    Created,
    Running,
    Paused,
    Exited,
}

/// `IMAGE` and `MARK` stand for what they are called in a round.
const CASES: [Case; 29] = [
    Case {
        words: &["create", "--name", "box", "IMAGE", "sleep", "MARK"],
        from: State::Absent,
        to: &["created", "absent"],
    },
    Case {
        words: &["run", "-d", "--name", "box", "IMAGE", "sleep", "MARK"],
        from: State::Absent,
        to: &["running", "created", "absent"],
    },
    Case {
        words: &["run", "--rm", "-d", "--name", "box", "IMAGE", "sleep", "MARK"],
        from: State::Absent,
        to: &["running", "absent"],
    },
    Case {
        words: &["run", "--name", "box", "IMAGE", "true"],
        from: State::Absent,
        to: &["exited", "created", "absent"],
    },
    Case { words: &["run", "--rm", "--name", "box", "IMAGE", "true"], from: State::Absent, to: &["absent"] },
    Case { words: &["start", "box"], from: State::Created, to: &["running", "created"] },
    Case { words: &["start", "box"], from: State::Exited, to: &["running", "exited"] },
    Case { words: &["stop", "-t", "0", "box"], from: State::Running, to: &["exited", "running"] },
    Case { words: &["stop", "-t", "0", "box"], from: State::Paused, to: &["exited", "paused", "running"] },
    Case { words: &["kill", "box"], from: State::Running, to: &["exited", "running"] },
    Case { words: &["restart", "-t", "0", "box"], from: State::Running, to: &["running", "exited"] },
    Case { words: &["restart", "-t", "0", "box"], from: State::Exited, to: &["running", "exited"] },
    Case { words: &["pause", "box"], from: State::Running, to: &["paused", "running"] },
    Case { words: &["unpause", "box"], from: State::Paused, to: &["running", "paused"] },
    Case { words: &["rm", "box"], from: State::Exited, to: &["absent", "exited"] },
    Case { words: &["rm", "-f", "box"], from: State::Running, to: &["absent", "running", "exited"] },
    Case { words: &["rename", "box", "other"], from: State::Running, to: &["running"] },
    Case { words: &["exec", "box", "true"], from: State::Running, to: &["running"] },
    Case { words: &["commit", "box", "made"], from: State::Running, to: &["running"] },
    Case { words: &["export", "-o", "/dev/null", "box"], from: State::Running, to: &["running"] },
    Case { words: &["container", "prune", "-f"], from: State::Exited, to: &["absent", "exited"] },
    Case { words: &["update", "--memory", "64m", "box"], from: State::Running, to: &["running"] },
    Case { words: &["update", "--restart", "always", "box"], from: State::Exited, to: &["exited"] },
    Case { words: &["cp", "/etc/passwd", "box:/copied"], from: State::Running, to: &["running"] },
    Case { words: &["cp", "/etc/passwd", "box:/copied"], from: State::Exited, to: &["exited"] },
    Case { words: &["cp", "box:/etc/passwd", "-"], from: State::Running, to: &["running"] },
    Case {
        words: &["run", "-d", "--name", "box", "-v", "/data", "-v", "kept:/kept", "IMAGE", "sleep", "MARK"],
        from: State::Absent,
        to: &["running", "created", "absent"],
    },
    Case {
        words: &[
            "run",
            "-d",
            "--name",
            "box",
            "--health-cmd",
            "true",
            "--health-interval",
            "100ms",
            "IMAGE",
            "sleep",
            "MARK",
        ],
        from: State::Absent,
        to: &["running", "created", "absent"],
    },
    Case { words: &["system", "prune", "-f"], from: State::Running, to: &["running"] },
];

fn bring(conex: &Conex, state: State, image: &str, mark: &str) {
    let run = ["run", "-d", "--name", "box", image, "sleep", mark];
    match state {
        State::Absent => {}
        State::Created => drop(conex.ok(&["create", "--name", "box", image, "sleep", mark])),
        State::Running => drop(conex.ok(&run)),
        State::Paused => {
            conex.ok(&run);
            conex.ok(&["pause", "box"]);
        }
        State::Exited => {
            conex.ok(&run);
            conex.ok(&["kill", "box"]);
        }
    }
}

/// The supervisor of whatever runs: the parent of its process.
fn supervisor(mark: &str) -> Option<u32> {
    for entry in std::fs::read_dir("/proc").ok()?.flatten() {
        let words = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        if words == format!("sleep\0{mark}\0").into_bytes() {
            let status = std::fs::read_to_string(entry.path().join("status")).ok()?;
            return status.lines().find_map(|line| line.strip_prefix("PPid:")?.trim().parse().ok());
        }
    }
    None
}

fn kill(pid: u32) {
    let pid = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw).expect("a pid");
    // It may have ended.
    if let Ok(process) = rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty()) {
        let _ = rustix::process::pidfd_send_signal(process, rustix::process::Signal::KILL);
    }
}

#[test]
fn at_random_moments_of_every_verb() {
    needs_root!();
    let conex = Conex::new();
    let Some(image) = conex.alpine() else { skip!("no alpine image") };
    let rounds = rounds(ROUNDS);
    let mut dice = Dice::from_env("CONEX_ROUNDS_SEED");
    let mut lasts: BTreeMap<usize, Duration> = BTreeMap::new();
    let (mut killed, mut acknowledged) = (0, 0);
    for round in 0..rounds {
        let mark = mark(1, round);
        let index = usize::try_from(round).expect("few") % CASES.len();
        let case = &CASES[index];
        let words = spelled(case.words, image, &mark);
        bring(&conex, case.from, image, &mark);
        // Whom: the command, the supervisor, or both; of a verb that has not been seen to its end yet nobody.
        let victims = if lasts.contains_key(&index) { dice.roll(3) } else { 3 };
        let whole = lasts.get(&index).copied().unwrap_or_default();
        let after =
            Duration::from_micros(dice.roll(u64::try_from(whole.as_micros()).expect("short") * 5 / 4 + 1));
        let before = (victims == 1 && case.from != State::Absent).then(|| supervisor(&mark)).flatten();
        let why = format!("round {round}: {words:?} from {:?}, victim {victims} after {after:?}", case.from);
        let began = Instant::now();
        let mut command = conex.background(&words);
        let output = if victims == 3 {
            let output = command.finish();
            lasts.insert(index, began.elapsed());
            Some(output)
        } else {
            std::thread::sleep(after);
            let supervisor = before.or_else(|| supervisor(&mark));
            if victims != 0 {
                supervisor.into_iter().for_each(kill);
            }
            if victims == 1 {
                Some(command.finish())
            } else {
                command.kill();
                drop(command);
                None
            }
        };
        killed += u64::from(victims != 3);
        // Whose supervisor was killed has ended, or is gone if it was for one run; that is the truth then.
        let ended = victims == 1 || victims == 2;
        let possible = |state: &str| {
            case.to.contains(&state) || ended && matches!(state, "exited" | "absent" | "created")
        };
        // What a killed command has begun may still be on its way.
        let (name, state) = eventually(&format!("{why}: a state of {:?}", case.to), || {
            let name = if case.words[0] == "rename" && has_new_name(&conex) { "other" } else { "box" };
            let state = true_state(&conex, name, &mark, &why);
            possible(&state).then_some((name, state))
        });
        if let Some(output) = output {
            assert!(output.stderr.lines().count() <= 1, "{why}: {output:?}");
            if output.code == 0 && victims == 3 {
                acknowledged += 1;
                assert_eq!(state, case.to[0], "{why}: {output:?}");
            }
            if output.code == 0 && case.words[0] == "commit" {
                conex.ok(&["image", "inspect", "made"]);
            }
        }
        // What is there can be used, whatever was killed.
        let brief = case.words[0] == "run" && case.words.last() == Some(&"true");
        if state != "absent" {
            let output = conex.run(&["restart", "-t", "0", name]);
            if output.code == 0 {
                assert_eq!(alive(&mark), usize::from(!brief), "{why}");
            } else {
                // One for a single run is gone with whoever was to start it.
                assert!(output.stderr.contains("No such container"), "{why}, {state}: {output:?}");
                assert_eq!(told(&conex, name), "absent", "{why}");
            }
        }
        clear(&conex, &mark, &why);
    }
    assert!(killed > rounds / 2 && acknowledged > 0, "{killed} of {rounds} killed");
    println!("{killed} kills in {rounds} rounds");
}

/// Whether the container has its new name.
fn has_new_name(conex: &Conex) -> bool {
    conex.ok(&["ps", "-a", "--format", "{{.Names}}"]).trim() == "other"
}
