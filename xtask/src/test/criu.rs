//! A criu that works on this kernel: the machine's own, or Debian's newest, unpacked beside the build.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Result, ensure};

use crate::command::root;
use crate::debian::borrow;

/// What names it to the tests.
pub(crate) const VARIABLE: &str = "CONEX_TEST_CRIU";

const SUITE: &str = "sid";

/// The program to name, when it is not the one in PATH. Without any, the tests of checkpoints say that they are skipped.
pub(crate) fn find() -> Option<PathBuf> {
    if std::env::var_os(VARIABLE).is_some() || works(Path::new("criu")) {
        return None;
    }
    let tree = root().join("target/criu");
    let wrapper = tree.join("criu");
    if works(&wrapper) {
        return Some(wrapper);
    }
    match fetch(&tree, &wrapper) {
        Ok(()) => Some(wrapper),
        Err(error) => {
            println!("no criu for the tests of checkpoints: {error:#}");
            None
        }
    }
}

/// Whether it says that this kernel has all it needs; only root may ask.
fn works(criu: &Path) -> bool {
    let check = Command::new(criu).arg("check").stdout(Stdio::null()).stderr(Stdio::null()).status();
    check.is_ok_and(|status| status.success())
}

fn fetch(tree: &Path, wrapper: &Path) -> Result<()> {
    borrow(tree, SUITE, "criu", &["usr/sbin/criu"])?;
    ensure!(works(wrapper), "the one of Debian {SUITE} does not work on this kernel either");
    Ok(())
}
