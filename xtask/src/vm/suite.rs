//! The second disk: the test programs (static, so they run in any system), what they drive, and the guest's script.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::machine::file_system;
use crate::command::{cargo, output, program, root, run, shipped_runtime};

/// The packages whose tests are about the host's control groups, or its kernel.
const PACKAGES: [&str; 3] = ["conex-cgroup", "conex-netlink", "conex-tests"];

/// Of the black-box tests, what is in the names of the programs that run in the guest when none is asked for by name: those whose results
/// depend on the host's control groups, or on its kernel. The others would say little new there, many times slower.
const BLACK_BOX: [&str; 15] = [
    "clock",
    "limits",
    "update",
    "stats",
    "metrics",
    "lifecycle",
    "hello",
    "rootless",
    "systemd",
    "verity",
    "drivers",
    "networks_modules",
    "overlay_encrypted",
    "xfrm",
    "user",
];

/// The command line that they drive, beside the runtime as it is shipped: package and binary.
const ENGINE: (&str, &str) = ("conex", "conex");

const GUEST: &str = include_str!("guest.sh");
/// What systemd runs in the guest, after the others.
const SYSTEMD: &str = include_str!("systemd.sh");

/// Builds everything and gives back the disk.
pub(super) fn build(cache: &Path, filters: &[String]) -> Result<PathBuf> {
    let tree = cache.join("suite");
    if tree.exists() {
        fs::remove_dir_all(&tree).with_context(|| format!("cannot clear {}", tree.display()))?;
    }
    // The layout of target/: black-box tests look for the binary beside their own directory.
    let tests = tree.join("debug/deps");
    fs::create_dir_all(&tests)?;
    let programs = programs(!filters.is_empty())?;
    ensure!(!programs.is_empty(), "cargo built no test for the cgroup v2 machine");
    for (name, path) in programs {
        strip(&path, &tests.join(name))?;
    }
    let (package, name) = ENGINE;
    strip(&binary(package, name)?, &tree.join("debug").join(name))?;
    strip(&shipped_runtime()?, &tree.join("debug/conex-runtime"))?;
    let images = tree.join("images");
    fs::create_dir_all(&images)?;
    for image in fixtures() {
        let name = image.file_name().context("an image without a name")?;
        fs::copy(&image, images.join(name)).with_context(|| format!("cannot copy {}", image.display()))?;
    }
    fs::write(tree.join("harness"), root().join("tests").display().to_string())?;
    fs::write(tree.join("filters"), filters.join("\n"))?;
    for (name, text) in [("guest.sh", GUEST), ("systemd.sh", SYSTEMD)] {
        let script = tree.join(name);
        fs::write(&script, text)?;
        run(program("chmod").arg("755").arg(&script))?;
    }
    let disk = cache.join("suite.ext4");
    file_system(&tree, &disk, 2048)?;
    Ok(disk)
}

/// Test programs, `all` or those for the guest: their targets' names and files.
fn programs(all: bool) -> Result<Vec<(String, PathBuf)>> {
    let mut command = cargo();
    command.args(["test", "--no-run", "--message-format=json-render-diagnostics"]);
    for package in PACKAGES {
        command.args(["--package", package]);
    }
    let text = output(&mut command)?;
    let artifacts = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let program = |artifact: Value| {
        let executable = PathBuf::from(artifact["executable"].as_str()?);
        let name = artifact["target"]["name"].as_str()?.to_owned();
        let is_of_cgroup = artifact["package_id"].as_str()?.contains("crates/cgroup");
        let is_test = artifact["profile"]["test"].as_bool()?;
        let is_wanted = all || is_of_cgroup || BLACK_BOX.iter().any(|part| name.contains(part));
        (is_test && is_wanted).then_some((name, executable))
    };
    Ok(artifacts.filter_map(program).collect())
}

/// A command line, built the same way as for the tests here.
fn binary(package: &str, name: &str) -> Result<PathBuf> {
    let text =
        output(cargo().args(["build", "--package", package, "--message-format=json-render-diagnostics"]))?;
    let artifacts = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let binary = |artifact: Value| {
        (artifact["target"]["name"] == name)
            .then(|| artifact["executable"].as_str().map(PathBuf::from))
            .flatten()
    };
    artifacts.filter_map(binary).next().with_context(|| format!("cargo built no {name}"))
}

/// The fixture images, from where the black-box tests take them here: `CONEX_TEST_IMAGES`, or `shared/images` beside a
/// directory above.
fn fixtures() -> Vec<PathBuf> {
    let named = std::env::var_os("CONEX_TEST_IMAGES").map(PathBuf::from);
    let root = root();
    let above = root.ancestors().skip(1).map(|directory| directory.join("shared/images"));
    let directory = named.into_iter().chain(above).find(|directory| directory.is_dir());
    let entries =
        directory.and_then(|directory| fs::read_dir(directory).ok()).into_iter().flatten().flatten();
    entries
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "tar"))
        .collect()
}

/// Copies a program without its symbols: debug builds are large and the emulated disk is slow.
fn strip(from: &Path, to: &Path) -> Result<()> {
    run(program("strip").arg("-o").arg(to).arg(from))
}
