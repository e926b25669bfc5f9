//! `cargo xtask test`: installs what the tests need, builds, runs everything, counts.
//!
//! The last line is `N passed, N failed, N skipped`, alone. A test that lacks something prints `skipped: why`
//! and returns; libtest counts it as passed, so it is counted over here.

mod criu;
mod erofs_utils;
mod packages;

pub(crate) use packages::install as install_packages;

use std::io::{BufRead, BufReader, Write};
use std::process::Stdio;

use anyhow::{Context, Result, bail};

use crate::command::{cargo, run as run_command, shipped_runtime};
use crate::debian::{PYTHON, SERVICES};
use crate::summary::Summary;
use crate::vm;

/// Runs the tests whose names contain one of `filters`, all without any.
pub(crate) fn run(arguments: &[String]) -> Result<()> {
    let (options, filters): (Vec<_>, Vec<_>) = arguments.iter().cloned().partition(|a| a.starts_with("--"));
    if let Some(unknown) = options.iter().find(|option| *option != "--vm") {
        bail!("test: unknown option {unknown} (known: --vm)");
    }
    packages::install()?;
    let summary = if options.is_empty() { native(&filters)? } else { vm::run(&filters)? };
    println!("{summary}");
    if summary.failed > 0 {
        bail!("{} tests failed", summary.failed);
    }
    if summary.passed + summary.skipped == 0 {
        bail!("no test ran");
    }
    Ok(())
}

/// On this machine: unit tests, the crates' tests, the black-box tests.
fn native(filters: &[String]) -> Result<Summary> {
    // The black-box tests drive the binary; they find it beside their own directory. The whole workspace, so that
    // crates have the same features here as below, and are compiled once.
    run_command(cargo().args(["build", "--workspace", "--bins"]))?;
    let mut command = cargo();
    // And the runtime as it is shipped: it is linked otherwise than all else (crates/sys/nolibc).
    command.env("CONEX_RUNTIME_BIN", shipped_runtime()?);
    command.args(["test", "--workspace", "--no-fail-fast", "--", "--show-output"]).args(filters);
    if let Some(criu) = criu::find() {
        command.env(criu::VARIABLE, criu);
    }
    if let Some(directory) = erofs_utils::find() {
        command.env(erofs_utils::VARIABLE, directory);
    }
    command.envs(PYTHON.find()).envs(SERVICES.find());
    let mut child = command.stdout(Stdio::piped()).spawn().context("cannot start cargo test")?;
    let stdout = child.stdout.take().context("cargo test has no standard output")?;
    let mut reading = Reading::default();
    for line in BufReader::new(stdout).split(b'\n') {
        let line = line.context("cannot read cargo test's output")?;
        if let Some(shown) = reading.line(&String::from_utf8_lossy(&line)) {
            writeln!(std::io::stdout(), "{shown}").context("cannot print")?;
        }
    }
    let status = child.wait().context("cannot wait for cargo test")?;
    if !status.success() && reading.summary.failed == 0 {
        bail!("cargo test: {status}");
    }
    reading.print_skips();
    Ok(reading.summary)
}

/// What cargo test has said so far. Output of tests that passed is dropped, but for the reasons of skips.
#[derive(Default)]
pub(crate) struct Reading {
    pub(crate) summary: Summary,
    within_successes: bool,
    test: String,
    skips: Vec<(String, String)>,
    /// Skips of the test binary being read, which its result line will count as passed.
    pending: u64,
}

impl Reading {
    /// Takes the next line; gives back what a person wants to see of it.
    pub(crate) fn line<'a>(&mut self, line: &'a str) -> Option<&'a str> {
        match line {
            "successes:" => self.within_successes = true,
            "failures:" => self.within_successes = false,
            _ => {}
        }
        if let Some(counts) = Summary::of_line(line) {
            self.within_successes = false;
            self.summary += counts;
            self.summary.passed = self.summary.passed.saturating_sub(std::mem::take(&mut self.pending));
        }
        if !self.within_successes {
            return Some(line);
        }
        if let Some(test) = line.strip_prefix("---- ").and_then(|rest| rest.strip_suffix(" stdout ----")) {
            self.test = test.to_owned();
        } else if let Some(why) = line.strip_prefix("skipped: ") {
            // One test counts once, whatever it says.
            if self.skips.last().is_none_or(|(test, _)| *test != self.test) {
                self.summary.skip();
                self.pending += 1;
            }
            self.skips.push((self.test.clone(), why.to_owned()));
        }
        None
    }

    pub(crate) fn print_skips(&self) {
        if !self.skips.is_empty() {
            println!("\nskipped:");
        }
        for (test, why) in &self.skips {
            println!("  {test}: {why}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_skip_is_not_a_pass() {
        let mut reading = Reading::default();
        let text = "running 2 tests\ntest a ... ok\ntest b ... ok\n\nsuccesses:\n\n---- b stdout ----\nskipped: no KVM\n\
                    noise\n\nsuccesses:\n    a\n    b\n\ntest result: ok. 2 passed; 0 failed; 0 ignored";
        let shown: Vec<_> = text.lines().filter_map(|line| reading.line(line).map(str::to_owned)).collect();
        assert!(!shown.iter().any(|line| line == "noise"), "{shown:?}");
        assert_eq!(reading.summary.skipped, 1);
        assert_eq!(reading.skips, [("b".to_owned(), "no KVM".to_owned())]);
        assert_eq!(reading.summary.to_string(), "1 passed, 0 failed, 1 skipped");
    }
}
