//! erofs-utils that know small blocks: the machine's own, or Debian's newer ones, unpacked beside the build.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, ensure};

use crate::command::root;
use crate::debian::borrow;

/// What names their directory to the tests.
pub(crate) const VARIABLE: &str = "CONEX_TEST_EROFS_UTILS";

const SUITE: &str = "trixie";
const PROGRAMS: [&str; 3] = ["usr/bin/dump.erofs", "usr/bin/fsck.erofs", "usr/bin/mkfs.erofs"];

/// The directory to name, when those in PATH will not do. Without any, the tests that want them say that they are skipped.
pub(crate) fn find() -> Option<PathBuf> {
    if std::env::var_os(VARIABLE).is_some() || works(Path::new("fsck.erofs")) {
        return None;
    }
    let tree = root().join("target/erofs-utils");
    if works(&tree.join("fsck.erofs")) {
        return Some(tree);
    }
    match fetch(&tree) {
        Ok(()) => Some(tree),
        Err(error) => {
            println!("no erofs-utils for the tests of EROFS: {error:#}");
            None
        }
    }
}

/// Whether it is of version 1.7 or later.
fn works(fsck: &Path) -> bool {
    let Ok(output) = Command::new(fsck).arg("--version").output() else { return false };
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let number = said.lines().next().and_then(|line| line.split_whitespace().last());
    let minor = number.and_then(|number| number.split('.').nth(1)?.parse::<u32>().ok());
    minor.is_some_and(|minor| minor >= 7)
}

fn fetch(tree: &Path) -> Result<()> {
    borrow(tree, SUITE, "erofs-utils", &PROGRAMS)?;
    ensure!(works(&tree.join("fsck.erofs")), "those of Debian {SUITE} do not work here");
    Ok(())
}
