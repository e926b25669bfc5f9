//! youki's `tests/contest`: one program that is given a runtime and a group of tests.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use super::{Ended, Verdict, kind};
use crate::command::{output, run as run_command};

/// Longer than any group takes, in seconds.
const LIMIT: &str = "300";

/// All groups, each in a run of its own: a test that panics ends the program.
pub(crate) fn run(checkout: &Path, runtime: &Path) -> Result<Vec<Ended>> {
    let (contest, runtimetest) = built(checkout)?;
    // It unpacks this from its working directory.
    let bundle = checkout.join("bundle.tar.gz");
    if !bundle.is_file() {
        std::fs::copy(checkout.join("tests/contest/contest/bundle.tar.gz"), &bundle)
            .context("the suite's root filesystem")?;
    }
    let groups = output(Command::new(&contest).arg("list").current_dir(checkout))?;
    let mut ended = Vec::new();
    for group in groups.lines().map(str::trim).filter(|group| !group.is_empty()) {
        let mut command = Command::new("timeout");
        command.args(["--kill-after=5", LIMIT]).arg(&contest).args(["run", "--runtime"]).arg(runtime);
        command.arg("--runtimetest").arg(&runtimetest).args(["--tests", group]);
        command.current_dir(checkout).env("RUNTIME_KIND", kind(runtime)).stdin(Stdio::null());
        let said = command.output().with_context(|| format!("cannot start contest for {group}"))?;
        let mut tests = parse(group, &String::from_utf8_lossy(&said.stdout));
        if tests.is_empty() {
            let stderr = String::from_utf8_lossy(&said.stderr);
            let mut lines = stderr.lines().skip_while(|line| !line.contains("panicked")).skip(1);
            let why = lines.next().unwrap_or("it does not say why");
            tests.push((format!("{group}::*"), Verdict::Failed(format!("{}: {why}", said.status))));
        }
        ended.append(&mut tests);
    }
    Ok(ended)
}

/// The suite's two programs: in the checkout's root, as its own build puts them, or built now.
fn built(checkout: &Path) -> Result<(PathBuf, PathBuf)> {
    let programs = (checkout.join("contest"), checkout.join("runtimetest"));
    if programs.0.is_file() && programs.1.is_file() {
        return Ok(programs);
    }
    println!("conformance: building contest (minutes)");
    let build = |program: &str, target: &str, flags: &str| {
        run_command(
            Command::new("cargo")
                .args(["build", "--release", "--bin", program, "--target-dir", target])
                .current_dir(checkout)
                .env("RUSTFLAGS", flags),
        )?;
        let from = checkout.join(target).join("release").join(program);
        std::fs::copy(&from, checkout.join(program)).with_context(|| from.display().to_string())
    };
    build("contest", "target", "")?;
    // It runs where there is no loader.
    build("runtimetest", "contest-target", "-Ctarget-feature=+crt-static -Crelocation-model=static")?;
    if !programs.0.is_file() {
        bail!("{} was not built", programs.0.display());
    }
    Ok(programs)
}

/// Lines `2 / 3 : name : ok`, `not ok` or `skipped`, each with a reason on the next lines.
fn parse(group: &str, text: &str) -> Vec<Ended> {
    let mut ended: Vec<Ended> = Vec::new();
    for line in text.lines() {
        let parts: Vec<&str> = line.splitn(3, " : ").collect();
        if let [number, name, verdict] = parts[..]
            && number.contains(" / ")
        {
            let verdict = match verdict.trim() {
                "ok" => Verdict::Passed,
                "skipped" => Verdict::Skipped,
                _ => Verdict::Failed(String::new()),
            };
            ended.push((format!("{group}::{name}"), verdict));
        } else if let (Some(said), Some((_, Verdict::Failed(why)))) =
            (line.strip_prefix('\t'), ended.last_mut())
            && why.is_empty()
        {
            *why = said.to_owned();
        }
    }
    ended
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_read() {
        let text = "# Start group g\n1 / 3 : a : ok\n2 / 3 : b c : not ok\n\twhy it is\n\tmore\n3 / 3 : d : skipped\n\tno\n\
                    # End group g\n";
        let failed = Verdict::Failed("why it is".to_owned());
        let expected = [("g::a", Verdict::Passed), ("g::b c", failed), ("g::d", Verdict::Skipped)]
            .map(|(name, verdict)| (name.to_owned(), verdict));
        assert_eq!(parse("g", text), expected);
    }
}
