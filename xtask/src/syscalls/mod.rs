//! `cargo xtask syscalls [--update] [--list]`: how many system calls a container's life takes, against bench/syscalls.txt.
//!
//! Each verb runs a few times under strace, and the fewest count: container's program and runtime together, without what
//! depends on the allocator and on who is faster. More than the file says is an error; fewer is an invitation to `--update` it.
//! `--list` prints them one by one. All of it happens in namespaces in which cgroup v2 is the only one, so that the machine's
//! layout does not count; another kernel may still lead to other numbers, by what it offers.

mod scene;

use std::collections::BTreeMap;
use std::fmt::Write;

use anyhow::{Context, Result, bail};

use crate::command::{installed, root};
use scene::Scene;

const FILE: &str = "bench/syscalls.txt";
const HEAD: &str = "\
# System calls of the runtime's verbs with xtask/src/syscalls/config.json, as `cargo xtask syscalls` counts them: at most.
# `cargo xtask syscalls --update` writes this file.
";

/// The allocator's and the scheduler's affair.
const UNCOUNTED: [&str; 9] =
    ["brk", "mmap", "munmap", "mremap", "madvise", "futex", "sched_yield", "rt_sigreturn", "restart_syscall"];

/// Name and number of calls.
type Calls = BTreeMap<String, u64>;

/// Counts and compares.
pub(crate) fn run(arguments: &[String]) -> Result<()> {
    if let Some(unknown) =
        arguments.iter().find(|argument| !["--update", "--list"].contains(&argument.as_str()))
    {
        bail!("syscalls: unknown option {unknown} (known: --update, --list)");
    }
    let has = |option: &str| arguments.iter().any(|argument| argument == option);
    crate::test::install_packages()?;
    for program in ["strace", "busybox", "unshare"] {
        if !installed(program) {
            println!("skipped: {program} is not installed");
            return Ok(());
        }
    }
    let scene = Scene::set()?;
    let counted: Vec<(&str, Calls)> = scene.count()?;
    let path = root().join(FILE);
    if has("--list") {
        for (verb, calls) in &counted {
            let mut calls: Vec<_> = calls.iter().collect();
            calls.sort_by_key(|(name, number)| (std::cmp::Reverse(**number), (*name).clone()));
            let text: Vec<String> = calls.iter().map(|(name, number)| format!("{name} {number}")).collect();
            println!("{verb}: {}", text.join(", "));
        }
    }
    if has("--update") {
        let mut text = HEAD.to_owned();
        for (verb, calls) in &counted {
            writeln!(text, "{verb} {}", total(calls))?;
        }
        std::fs::write(&path, text).with_context(|| format!("cannot write {FILE}"))?;
    }
    let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {FILE}"))?;
    let allowed = allowed(&text);
    let mut grown = Vec::new();
    for (verb, calls) in &counted {
        let (now, most) = (total(calls), allowed.get(verb).copied().unwrap_or_default());
        println!("{verb}: {now} system calls (at most {most})");
        if now > most {
            grown.push(format!("{verb} takes {now} system calls, {most} before"));
        }
    }
    if !grown.is_empty() {
        bail!("{} (see --list; with good reason: --update)", grown.join("; "));
    }
    Ok(())
}

fn total(calls: &Calls) -> u64 {
    calls.iter().filter(|(name, _)| !UNCOUNTED.contains(&name.as_str())).map(|(_, number)| number).sum()
}

/// The file's lines `verb number`.
fn allowed(text: &str) -> BTreeMap<&str, u64> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines
        .filter_map(|line| line.split_once(' '))
        .filter_map(|(verb, number)| Some((verb, number.parse().ok()?)))
        .collect()
}

/// `strace -c`'s table: share, seconds, microseconds a call, calls, errors if any, name.
fn table(text: &str) -> Calls {
    let mut calls = Calls::new();
    for line in text.lines() {
        let fields: Vec<&str> = line.split_whitespace().collect();
        if let (Some(number), Some(name)) =
            (fields.get(3).and_then(|field| field.parse::<u64>().ok()), fields.last())
            && *name != "total"
        {
            calls.insert((*name).to_owned(), number);
        }
    }
    calls
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_read() {
        let text = "% time     seconds  usecs/call     calls    errors syscall\n\
                    ------ ----------- ----------- --------- --------- ----------------\n\
                    \x20 7.87    0.000181           5        35           read\n  0.74    0.000017           1        14         8 mkdirat\n\
                    \x20 0.00    0.000000           0        10           brk\n\
                    ------ ----------- ----------- --------- --------- ----------------\n100.00    0.002301           4       512        30 total\n";
        let calls = table(text);
        assert_eq!((calls["read"], calls["mkdirat"], calls.len()), (35, 14, 3));
        assert_eq!(total(&calls), 49);
        assert_eq!(allowed("# a 1\nrun 200\nexec 90\n"), BTreeMap::from([("run", 200), ("exec", 90)]));
    }
}
