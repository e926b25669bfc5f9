//! Sudden death at a chosen system call: `fixtures/killat.c`, before a command of Conex.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::{Conex, finish, fixture};

/// The built program.
#[derive(Debug)]
pub struct Killat(PathBuf);

/// What came of a command.
#[derive(Debug)]
pub struct Traced {
    /// `killed …` or `ended …`, in killat's words.
    pub said: String,
    /// How many system calls all its processes made.
    pub calls: u64,
}

/// Where a command is killed by [`Killat::each`].
#[derive(Clone, Copy, Debug)]
pub struct Points {
    /// At about so many of its system calls, the same distance apart.
    pub some: u64,
    /// At every so-manyth instead, with `CONEX_FAULTS=all`.
    pub every: u64,
    /// More than so many times it is killed; else the test has shown little.
    pub kills: usize,
}

impl Killat {
    /// `None` without a C compiler.
    pub fn new(directory: &Path) -> Option<Self> {
        fixture("killat", directory).map(Self)
    }

    /// Runs it, and kills all its processes when one of them is about to make the `at`-th call, if there is one.
    ///
    /// # Panics
    /// When it panics, or fails by itself.
    #[track_caller]
    pub fn run(&self, conex: &Conex, words: &[&str], at: Option<u64>) -> Traced {
        let report = conex.scratch().join("report");
        let command = conex.command(words);
        let at = at.map_or_else(|| "-1".to_owned(), |at| at.to_string());
        let mut traced = Command::new(&self.0);
        traced.env_clear().envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        traced.args(["all", &at]).arg(&report).arg(command.get_program()).args(command.get_args());
        let output = finish(traced.stdin(Stdio::null()));
        let said = std::fs::read_to_string(&report).expect("killat's report").trim().to_owned();
        assert_eq!(output.code, 0, "killat: {said} {output:?}");
        assert!(!output.stderr.contains("panicked"), "{words:?}: {output:?}");
        assert!(!said.starts_with("ended") || said.starts_with("ended 0 "), "{words:?}: {said} {output:?}");
        let calls = said.rsplit(' ').next().and_then(|count| count.parse().ok()).unwrap_or(0);
        Traced { said, calls }
    }

    /// Runs a command to its end, and then again and again, killed at one point after the other: at other points in each run of the
    /// test. `before` is called with the number of a killed run, from 1 on; `after` with the number of any, 0 for the one to its end,
    /// and with words that say what came of it.
    ///
    /// # Panics
    /// When it fails by itself, or hardly any run was killed.
    #[track_caller]
    pub fn each(
        &self,
        conex: &Conex,
        words: &[&str],
        points: Points,
        mut before: impl FnMut(usize),
        mut after: impl FnMut(usize, &str),
    ) {
        let Traced { said, calls } = self.run(conex, words, None);
        assert!(said.starts_with("ended 0 "), "{said}");
        after(0, "a run to its end");
        let all = std::env::var("CONEX_FAULTS").is_ok_and(|value| value == "all");
        let step = if all { points.every } else { (calls / points.some).max(1) };
        let mut killed = 0;
        let first = u64::from(std::process::id()) % step;
        let places = (first..calls).step_by(usize::try_from(step).expect("a short step"));
        for (round, at) in (1..).zip(places) {
            before(round);
            let said = self.run(conex, words, Some(at)).said;
            killed += usize::from(said.starts_with("killed"));
            after(round, &format!("call {at} of {calls}: {said}"));
        }
        assert!(
            killed > points.kills,
            "hardly anything was killed: {killed} of {calls} calls, every {step}th"
        );
    }
}
