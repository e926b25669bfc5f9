//! `cargo xtask conformance PATH... [--runtime PROGRAM]`: the public suites for OCI runtimes, from sources that somebody has
//! fetched: youki's `contest` and opencontainers' `runtime-tools`.
//!
//! Prints the counts and each failure. What is known to fail stands in `known.txt` beside this file with its reason, and in
//! docs/runtime-spec.md; a failure that does not is an error, and so is a known one that passes. Another runtime, for
//! comparison, has no such list.

mod contest;
mod known;
mod runtime_tools;

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

use crate::command::shipped_runtime;

/// How one test ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    Passed,
    /// In the suite's words.
    Failed(String),
    Skipped,
}

/// A test's name and its end.
pub(crate) type Ended = (String, Verdict);

/// Runs each suite that is named.
pub(crate) fn run(arguments: &[String]) -> Result<()> {
    let (mut suites, mut runtime) = (Vec::new(), None);
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        match argument.as_str() {
            "--runtime" => runtime = rest.next().map(PathBuf::from),
            option if option.starts_with('-') => bail!("conformance: unknown option {option}"),
            path => suites.push(std::path::absolute(path)?),
        }
    }
    if suites.is_empty() {
        bail!("conformance: name a checkout of youki or of opencontainers/runtime-tools");
    }
    let ours = runtime.is_none();
    let runtime = match runtime {
        Some(path) => std::path::absolute(path)?,
        None => shipped_runtime()?,
    };
    let mut wrong = 0;
    for suite in &suites {
        let (name, ended) = if suite.join("tests/contest").is_dir() {
            ("contest", contest::run(suite, &runtime)?)
        } else if suite.join("validation").is_dir() {
            ("runtime-tools", runtime_tools::run(suite, &runtime)?)
        } else {
            bail!("{}: neither youki (tests/contest) nor runtime-tools (validation)", suite.display());
        };
        wrong += report(name, &ended, ours);
    }
    if wrong > 0 {
        bail!("{wrong} results that known.txt does not have");
    }
    Ok(())
}

/// Prints; gives back how many results are not as known.
fn report(suite: &str, ended: &[Ended], ours: bool) -> usize {
    let count = |of: fn(&Verdict) -> bool| ended.iter().filter(|(_, verdict)| of(verdict)).count();
    let mut wrong = 0;
    for (test, verdict) in ended {
        let reason = if ours { known::reason(suite, test) } else { None };
        match (verdict, reason) {
            (Verdict::Failed(_), Some(reason)) => println!("  known: {test}: {reason}"),
            (Verdict::Failed(why), None) => {
                wrong += usize::from(ours);
                println!("  FAILED: {test}: {}", why.trim());
            }
            // A pattern speaks of those that fail; another machine may have what this one lacks.
            (Verdict::Passed, Some(reason)) if !reason.starts_with("here") && known::is_one(suite, test) => {
                wrong += 1;
                println!("  PASSED: {test}, which known.txt says fails: take it out");
            }
            _ => {}
        }
    }
    println!(
        "{suite}: {} passed, {} failed, {} skipped",
        count(|verdict| *verdict == Verdict::Passed),
        count(|verdict| matches!(verdict, Verdict::Failed(_))),
        count(|verdict| *verdict == Verdict::Skipped)
    );
    wrong
}

/// What the suites take a runtime for: some tests are only for runtimes of one name.
pub(crate) fn kind(runtime: &Path) -> String {
    runtime.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}
