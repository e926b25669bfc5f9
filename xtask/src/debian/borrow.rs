//! Programs of a newer suite with all the libraries that they need, used from a directory of their own.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use anyhow::{Context, Result, ensure};

use super::{Apt, Sources};
use crate::command::{output, program, run};

/// Unpacks `package` of `suite` and what it depends on into `tree`, and puts a wrapper of the same name there for each of the
/// package's `programs`, which are named by their paths in it.
pub(crate) fn borrow(tree: &Path, suite: &str, package: &str, programs: &[&str]) -> Result<()> {
    ensure!(output(program("id").arg("-u"))?.trim() == "0", "not root");
    println!("fetching {package} of Debian {suite} (kept in {})", tree.display());
    let apt = Apt::new(tree.join("apt"), &Sources::of_this_machine()?.line(suite))?;
    // Nothing counts as installed: all libraries come along, and are used by these programs alone.
    let status = apt.state.join("status");
    std::fs::write(&status, "")?;
    let mut install = apt.get();
    install.arg("-o").arg(format!("Dir::State::status={}", status.display()));
    install.args(["install", "--yes", "--no-install-recommends", "--download-only", package]);
    output(&mut install).with_context(|| format!("cannot fetch {package}"))?;
    for package in apt.fetched()? {
        run(program("dpkg").arg("-x").arg(package).arg(tree))?;
    }
    let libraries = tree.join("usr/lib/x86_64-linux-gnu");
    for program in programs.iter().map(|program| tree.join(program)) {
        let name = program.file_name().context("a program has no name")?;
        let text = format!(
            "#!/bin/sh\nexec {0}/ld-linux-x86-64.so.2 --library-path {0} {1} \"$@\"\n",
            libraries.display(),
            program.display()
        );
        let wrapper = tree.join(name);
        std::fs::write(&wrapper, text)?;
        std::fs::set_permissions(wrapper, std::fs::Permissions::from_mode(0o755))?;
    }
    Ok(())
}
