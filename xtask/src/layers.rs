//! `cargo xtask layers`: the rules of the house that the compiler does not check.
//!
//! A crate uses what stands below it, never beside or above it; `unsafe` lives in `crates/sys` alone; a file
//! that outgrows a screenful of ideas is split.

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use crate::command::{cargo, output, program, root};

/// Each crate's floor (ARCHITECTURE.md). A crate that is missing here is an error: it has no place yet.
const FLOORS: &[(&str, u8)] = &[
    ("conex-oci", 0),
    ("conex-nolibc", 0),
    ("conex-sys", 0),
    ("conex-archive", 1),
    ("conex-cdi", 1),
    ("conex-dns", 1),
    ("conex-http", 1),
    ("conex-netlink", 1),
    ("conex-cgroup", 1),
    ("conex-seccomp", 1),
    ("conex-content", 2),
    ("conex-erofs", 2),
    ("conex-network", 2),
    ("conex-registry", 2),
    ("conex-runtime", 2),
    ("conex-volume", 2),
    ("conex-image", 3),
    ("conex-engine", 4),
    ("conex-distribution", 5),
    ("conex-metrics", 5),
    ("conex", 6),
    ("conex-runtime-cli", 6),
];

/// Outside the house: the chores, the program in the embedded image, the tests and comparisons from outside.
/// They depend on no crate of ours, so that they see what a user sees.
const OUTSIDE: &[&str] = &["xtask", "conex-tests", "conex-bench", "conex-hello"];

/// Lines of a file that are too many to take in.
const LONG: usize = 400;
/// Lines of a file that nobody reads.
const TOO_LONG: usize = 600;

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    dependencies: Vec<Dependency>,
}

#[derive(Deserialize)]
struct Dependency {
    name: String,
    path: Option<String>,
    kind: Option<String>,
}

/// All three rules.
pub(crate) fn run() -> Result<()> {
    println!("lint: layers");
    let metadata = output(cargo().args(["metadata", "--format-version", "1", "--no-deps"]))?;
    let metadata: Metadata = serde_json::from_str(&metadata).context("cannot read cargo metadata")?;
    let mut wrong = arrows(&metadata);
    let files =
        output(program("git").args(["ls-files", "--cached", "--others", "--exclude-standard", "*.rs"]))?;
    for file in files.lines() {
        let Ok(text) = std::fs::read_to_string(root().join(file)) else { continue };
        wrong.extend(file_rules(file, &text));
    }
    if !wrong.is_empty() {
        bail!("the house rules are broken:\n{}", wrong.join("\n"));
    }
    Ok(())
}

fn floor(name: &str) -> Option<u8> {
    FLOORS.iter().find(|(floor_of, _)| *floor_of == name).map(|(_, floor)| *floor)
}

/// Dependencies that do not point down.
fn arrows(metadata: &Metadata) -> Vec<String> {
    let mut wrong = Vec::new();
    for package in &metadata.packages {
        let inside = floor(&package.name);
        if inside.is_none() && !OUTSIDE.contains(&package.name.as_str()) {
            wrong.push(format!("{}: has no floor (add it to xtask/src/layers.rs)", package.name));
            continue;
        }
        for dependency in package.dependencies.iter().filter(|dependency| dependency.path.is_some()) {
            let verdict = match (inside, floor(&dependency.name)) {
                (Some(ours), Some(theirs)) if theirs < ours => continue,
                (Some(ours), Some(theirs)) => format!("floor {ours} may not use floor {theirs}"),
                // The embedded image's program is built, not linked.
                (Some(_), None) if dependency.kind.as_deref() == Some("build") => continue,
                // The harness of the black-box tests serves the crates' own tests too.
                (Some(_), None) if dependency.kind.as_deref() == Some("dev") => continue,
                (Some(_), None) => "is outside the house".to_owned(),
                (None, _) => "tests and chores stand outside, and use no crate of the house".to_owned(),
            };
            wrong.push(format!("{} uses {}: {verdict}", package.name, dependency.name));
        }
    }
    wrong
}

/// What is wrong with one file.
fn file_rules(file: &str, text: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    let lines = text.lines().count();
    if lines > TOO_LONG {
        wrong.push(format!("{file}: {lines} lines (at most {TOO_LONG}; split it by verb or phase)"));
    } else if lines > LONG {
        println!("warning: {file}: {lines} lines (more than {LONG}; split it by verb or phase)");
    }
    // The programs that stand for bare system calls have no crate below them to hide in.
    let may = ["crates/sys/", "images/hello/", "bench/"].iter().any(|place| file.starts_with(place));
    if !may && let Some(line) = unsafe_line(text) {
        wrong.push(format!("{file}:{line}: unsafe code outside crates/sys"));
    }
    wrong
}

/// The first line that opens an unsafe block, function, implementation or attribute.
fn unsafe_line(text: &str) -> Option<usize> {
    const OPENERS: [&str; 6] =
        ["unsafe {", "unsafe fn", "unsafe impl", "unsafe extern", "#[unsafe(", "allow(unsafe_code"];
    let code = |line: &str| !line.trim_start().starts_with("//") && !line.contains('"');
    text.lines()
        .enumerate()
        .find(|(_, line)| code(line) && OPENERS.iter().any(|opener| line.contains(opener)))
        .map(|(index, _)| index + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(name: &str, uses: &str) -> Metadata {
        let dependency = Dependency { name: uses.to_owned(), path: Some("x".to_owned()), kind: None };
        Metadata { packages: vec![Package { name: name.to_owned(), dependencies: vec![dependency] }] }
    }

    #[test]
    fn arrows_point_down() {
        assert!(arrows(&package("conex-image", "conex-content")).is_empty());
        assert_eq!(arrows(&package("conex-content", "conex-image")).len(), 1);
        assert_eq!(arrows(&package("conex-content", "conex-registry")).len(), 1, "beside");
        assert_eq!(arrows(&package("conex-tests", "conex-engine")).len(), 1, "tests stand outside");
        assert_eq!(arrows(&package("conex-new", "conex-oci")).len(), 1, "no floor yet");
    }

    #[test]
    fn unsafe_code_is_found() {
        assert_eq!(unsafe_line("fn a() {\n    unsafe { b() }\n}"), Some(2));
        assert_eq!(unsafe_line("// unsafe { no }\nlet a = \"unsafe { }\";"), None);
        assert!(file_rules("crates/sys/src/a.rs", "unsafe { b() }").is_empty());
        assert_eq!(file_rules("crates/oci/src/a.rs", "unsafe { b() }").len(), 1);
    }

    #[test]
    fn long_files_are_refused() {
        assert_eq!(file_rules("a.rs", &"x\n".repeat(TOO_LONG + 1)).len(), 1);
        assert!(file_rules("a.rs", &"x\n".repeat(LONG + 1)).is_empty());
    }
}
