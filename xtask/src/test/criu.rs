//! A criu that works on this kernel: the machine's own, or Debian's newest, unpacked beside the build.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

use crate::command::{output, program, root, run};
use crate::debian::{Apt, Sources};

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
    ensure!(output(program("id").arg("-u"))?.trim() == "0", "not root");
    println!("fetching criu of Debian {SUITE} (kept in {})", tree.display());
    let apt = Apt::new(tree.join("apt"), &Sources::of_this_machine()?.line(SUITE))?;
    // Nothing counts as installed: all libraries come along, and are used by this program alone.
    let status = apt.state.join("status");
    std::fs::write(&status, "")?;
    let mut install = apt.get();
    install.arg("-o").arg(format!("Dir::State::status={}", status.display()));
    install.args(["install", "--yes", "--no-install-recommends", "--download-only", "criu"]);
    output(&mut install).context("cannot fetch criu")?;
    for package in apt.fetched()? {
        run(program("dpkg").arg("-x").arg(package).arg(tree))?;
    }
    let libraries = tree.join("usr/lib/x86_64-linux-gnu");
    let text = format!(
        "#!/bin/sh\nexec {0}/ld-linux-x86-64.so.2 --library-path {0} {1} \"$@\"\n",
        libraries.display(),
        tree.join("usr/sbin/criu").display()
    );
    std::fs::write(wrapper, text)?;
    std::fs::set_permissions(wrapper, std::fs::Permissions::from_mode(0o755))?;
    ensure!(works(wrapper), "the one of Debian {SUITE} does not work on this kernel either");
    Ok(())
}
