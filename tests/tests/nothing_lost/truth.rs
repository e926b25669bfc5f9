//! What is told of a container, held against what the kernel says.

use conex_tests::{Conex, eventually, eventually_shown, processes};

/// A number that no other sleep of this machine's has: `test` is the test's own digit.
pub(crate) fn mark(test: u64, round: u64) -> String {
    format!("{test}{:07}{:04}", std::process::id() % 10_000_000, round % 10_000)
}

/// How many rounds: `CONEX_ROUNDS`, or what is usual.
pub(crate) fn rounds(usual: u64) -> u64 {
    std::env::var("CONEX_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(usual)
}

/// The words of a command, with what `IMAGE` and `MARK` in it stand for.
pub(crate) fn spelled<'a>(words: &[&'a str], image: &'a str, mark: &'a str) -> Vec<&'a str> {
    let word = |word: &&'a str| match *word {
        "IMAGE" => image,
        "MARK" => mark,
        other => other,
    };
    words.iter().map(word).collect()
}

/// Processes of the container with this mark, wherever they are.
pub(crate) fn alive(mark: &str) -> usize {
    processes(|words| words == format!("sleep\0{mark}\0"))
}

/// Docker's word for a container's state; `absent` when there is none.
pub(crate) fn told(conex: &Conex, name: &str) -> String {
    let words = ["ps", "-a", "--no-trunc", "--filter", "name=", "--format", "{{.Names}} {{.State}}"];
    let list = conex.ok(&words);
    let of = |line: &str| line.strip_prefix(name)?.strip_prefix(' ').map(str::to_owned);
    let found: Vec<String> = list.lines().filter_map(of).collect();
    assert!(found.len() <= 1, "{name} is there twice: {list}");
    found.into_iter().next().unwrap_or_else(|| "absent".to_owned())
}

/// Asserts that what is told is so; gives it. A start whose command was killed goes on without it, and processes go a moment after their
/// state is known to; so it is asked until both agree, and never may a state be told that lives and does not.
#[track_caller]
pub(crate) fn true_state(conex: &Conex, name: &str, mark: &str, why: &str) -> String {
    // Between two runs of a `restart` there is one or none.
    let lives = |state: &str| matches!(state, "running" | "paused");
    loop {
        let state = eventually_shown(&format!("{why}: the truth about {name}"), || {
            let state = told(conex, name);
            let count = alive(mark);
            assert!(count <= 1, "{why}: {state}, {count} alive");
            let is_so = lives(&state) == (count == 1) && state != "restarting";
            (format!("{state}, {count} alive"), is_so.then_some(state))
        });
        if state != "paused" {
            return state;
        }
        let output = conex.run(&["unpause", name]);
        if output.code == 0 {
            assert_eq!(alive(mark), 1, "{why}");
            conex.ok(&["pause", name]);
            return state;
        }
        // An `unpause` that was killed had been asked of the supervisor.
        assert!(output.stderr.contains("is not paused"), "{why}: {output:?}");
        assert_ne!(told(conex, name), "paused", "{why}");
    }
}

/// Removes what there is, and asserts that nothing is left of it anywhere.
#[track_caller]
pub(crate) fn clear(conex: &Conex, mark: &str, why: &str) {
    for id in conex.ok(&["ps", "-aq"]).lines() {
        conex.run(&["rm", "-f", "-v", id]);
    }
    assert_eq!(conex.ok(&["ps", "-aq"]), "", "{why}");
    for directory in ["root/containers", "root/names", "root/userns", "run/containers"] {
        let path = conex.scratch().join(directory);
        let names = || -> Vec<_> {
            std::fs::read_dir(&path).into_iter().flatten().flatten().map(|entry| entry.file_name()).collect()
        };
        eventually(&format!("{why}: {directory} to be empty"), || names().is_empty().then_some(()));
    }
    eventually(&format!("{why}: the processes' end"), || (alive(mark) == 0).then_some(()));
    // Supervisors clear up behind themselves; helpers end with who has made them.
    eventually_shown(&format!("{why}: the end of Conex's own processes"), || {
        let left = ours(conex);
        (left.join(", "), left.is_empty().then_some(()))
    });
}

/// Conex's own processes, by the root directory in their environment.
fn ours(conex: &Conex) -> Vec<String> {
    let root = format!("CONEX_ROOT={}", conex.scratch().join("root").display());
    let of_ours = |entry: &std::fs::DirEntry| {
        let environment = std::fs::read(entry.path().join("environ")).unwrap_or_default();
        environment.split(|byte| *byte == 0).any(|variable| variable == root.as_bytes())
    };
    let told = |entry: std::fs::DirEntry| {
        let name = std::fs::read_to_string(entry.path().join("comm")).unwrap_or_default();
        format!("{} {}", entry.file_name().display(), name.trim())
    };
    let all = std::fs::read_dir("/proc").expect("/proc").flatten();
    all.filter(of_ours).map(told).collect()
}
