//! opencontainers' `runtime-tools`: one program a subject under `validation/`, each printing TAP about the runtime that
//! `RUNTIME` names.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result};

use super::{Ended, Verdict};
use crate::command::run as run_command;

/// Longer than any program takes, in seconds.
const LIMIT: &str = "120";

/// All programs; prints how many of them passed whole.
pub(crate) fn run(checkout: &Path, runtime: &Path) -> Result<Vec<Ended>> {
    let programs = built(checkout)?;
    let before = containers(runtime);
    let (mut ended, mut whole) = (Vec::new(), 0);
    for program in &programs {
        let name = program.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let mut command = Command::new("timeout");
        command.args(["--kill-after=5", LIMIT]).arg(program).current_dir(checkout);
        let said = command.env("RUNTIME", runtime).stdin(Stdio::null()).output();
        let said = said.with_context(|| format!("cannot start {}", program.display()))?;
        let mut tests = parse(&name, &String::from_utf8_lossy(&said.stdout));
        if !said.status.success() && !tests.iter().any(|(_, verdict)| matches!(verdict, Verdict::Failed(_))) {
            let stderr = String::from_utf8_lossy(&said.stderr);
            // The program's own last line only repeats how its child ended.
            let line = stderr.lines().rfind(|line| !line.starts_with("exit status"));
            let why = format!("{}: {}", said.status, line.unwrap_or("it does not say why"));
            tests.push((format!("{name}: end"), Verdict::Failed(why)));
        }
        let passed = tests.iter().any(|(_, verdict)| *verdict == Verdict::Passed);
        whole +=
            usize::from(passed && !tests.iter().any(|(_, verdict)| matches!(verdict, Verdict::Failed(_))));
        ended.append(&mut tests);
    }
    // Some programs leave what they made when a point fails.
    for left in containers(runtime).iter().filter(|id| !before.contains(id)) {
        let _ = Command::new(runtime).args(["delete", "--force", left]).output();
    }
    println!("runtime-tools: {whole} of {} programs passed whole", programs.len());
    Ok(ended)
}

/// The ids of all there are.
fn containers(runtime: &Path) -> Vec<String> {
    let listed = Command::new(runtime).args(["list", "-q"]).output();
    let listed = listed.map(|output| output.stdout).unwrap_or_default();
    String::from_utf8_lossy(&listed).lines().map(str::to_owned).collect()
}

/// `validation/*/*.t`, built now where they are not.
fn built(checkout: &Path) -> Result<Vec<PathBuf>> {
    let mut programs = Vec::new();
    let mut missing = !checkout.join("runtimetest").is_file();
    for directory in std::fs::read_dir(checkout.join("validation"))? {
        let directory = directory?.path();
        let name = directory.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if directory.join(format!("{name}.go")).is_file() {
            let program = directory.join(format!("{name}.t"));
            missing |= !program.is_file();
            programs.push(program);
        }
    }
    if missing {
        println!("conformance: building runtime-tools (a minute)");
        run_command(
            Command::new("make").args(["runtimetest", "validation-executables"]).current_dir(checkout),
        )?;
    }
    programs.retain(|program| program.is_file());
    programs.sort();
    Ok(programs)
}

/// TAP: `ok 1 - what`, `not ok 2 - what`, `ok 3 # SKIP why`; a bare `1..0 # SKIP` skips all. Points of one name count apart.
fn parse(program: &str, text: &str) -> Vec<Ended> {
    let mut ended: Vec<Ended> = Vec::new();
    let mut said = String::new();
    for line in text.lines() {
        let (failed, rest) = match line.strip_prefix("not ok") {
            Some(rest) => (true, rest),
            None => match line.strip_prefix("ok") {
                Some(rest) => (false, rest),
                None => {
                    if line.trim_start().starts_with("\"error\"") {
                        line.trim().clone_into(&mut said);
                    }
                    if let Some((_, Verdict::Failed(why))) = ended.last_mut()
                        && why.is_empty()
                    {
                        said.clone_into(why);
                    }
                    continue;
                }
            },
        };
        said.clear();
        let what = rest.trim_start_matches(|c: char| c.is_ascii_digit() || c == ' ').trim_start_matches("- ");
        let verdict = match (what.to_ascii_uppercase().contains("# SKIP"), failed) {
            (true, _) => Verdict::Skipped,
            (_, true) => Verdict::Failed(String::new()),
            _ => Verdict::Passed,
        };
        ended.push((format!("{program}: {what}"), verdict));
    }
    if ended.is_empty() && text.to_ascii_uppercase().contains("1..0 # SKIP") {
        ended.push((format!("{program}: all"), Verdict::Skipped));
    }
    ended
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tap_is_read() {
        let text = "TAP version 13\nok 1 - first\n  ---\n  {\n    \"error\": \"x\"\n  }\n  ...\nnot ok 2 - second\n  ---\n\
                    \x20   \"error\": \"exit status 1\",\nok 3 # SKIP no such thing\n1..3\n";
        let ended = parse("p", text);
        assert_eq!(ended[0], ("p: first".to_owned(), Verdict::Passed));
        assert_eq!(
            ended[1],
            ("p: second".to_owned(), Verdict::Failed("\"error\": \"exit status 1\",".to_owned()))
        );
        assert_eq!(ended[2].1, Verdict::Skipped);
        assert_eq!(parse("q", "TAP version 13\n1..0 # SKIP not here\n")[0].1, Verdict::Skipped);
    }
}
