//! `cargo xtask docs`: rustdoc without warnings, and links between Markdown files that resolve.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::command::{cargo, output, program, root, run as run_command};

/// Both checks.
pub(crate) fn run() -> Result<()> {
    println!("lint: documentation");
    links()?;
    run_command(
        cargo().args(["doc", "--quiet", "--workspace", "--no-deps"]).env("RUSTDOCFLAGS", "-D warnings"),
    )
}

/// Writes the documents that are made of the program's own tables: docs/docker.md, docs/conex.toml, the guide's table of keys.
pub(crate) fn update() -> Result<()> {
    run_command(
        cargo().args(["test", "--quiet", "--package", "conex", "documents"]).env("CONEX_UPDATE_DOCS", "1"),
    )
}

/// Every relative link of every Markdown file that git tracks leads somewhere.
fn links() -> Result<()> {
    let root = root();
    let files =
        output(program("git").args(["ls-files", "--cached", "--others", "--exclude-standard", "*.md"]))?;
    let mut broken = Vec::new();
    for file in files.lines() {
        let path = root.join(file);
        let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {file}"))?;
        for (line, target) in targets(&text) {
            if !leads_somewhere(&path, target) {
                broken.push(format!("{file}:{line}: {target} leads nowhere"));
            }
        }
    }
    if !broken.is_empty() {
        bail!("broken links:\n{}", broken.join("\n"));
    }
    Ok(())
}

/// The targets of `[text](target)` outside code blocks, with their line numbers.
fn targets(text: &str) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    let mut in_code = false;
    for (number, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            in_code = !in_code;
        }
        if in_code {
            continue;
        }
        let mut rest = line;
        while let Some((_, after)) = rest.split_once("](") {
            let Some((target, tail)) = after.split_once(')') else { break };
            found.push((number + 1, target));
            rest = tail;
        }
    }
    found
}

fn leads_somewhere(from: &Path, target: &str) -> bool {
    let target = target.split(['#', ' ']).next().unwrap_or_default();
    if target.is_empty() || target.contains("://") || target.starts_with("mailto:") {
        return true;
    }
    let directory = from.parent().map(PathBuf::from).unwrap_or_default();
    directory.join(target).exists()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_found_outside_code_only() {
        let text = "a [b](c.md) [d](e#f)\n```\n[x](y)\n```\n";
        assert_eq!(targets(text), [(1, "c.md"), (1, "e#f")]);
    }

    #[test]
    fn a_link_to_nothing_is_broken() {
        let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
        assert!(leads_somewhere(&here, "Cargo.toml#x"));
        assert!(leads_somewhere(&here, "https://example.com"));
        assert!(!leads_somewhere(&here, "no-such-file.md"));
    }
}
