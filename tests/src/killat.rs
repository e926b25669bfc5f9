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
}
