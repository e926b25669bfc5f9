//! `cargo xtask bench`: builds the shipped binaries and the floor program, then hands over to `conex-bench`.

use anyhow::Result;

use crate::command::{cargo, run as run_command, shipped_runtime};

/// Passes its arguments on.
pub(crate) fn run(arguments: &[String]) -> Result<()> {
    let mut build = cargo();
    build.args(["build", "--release", "--package", "conex-bench"]);
    // Without the engine, which takes longest, when only runtimes are compared.
    if arguments.first().is_none_or(|first| first != "runtime") {
        build.args(["--package", "conex"]);
    }
    run_command(&mut build)?;
    // As it is shipped.
    shipped_runtime()?;
    run_command(
        cargo().args(["run", "--quiet", "--release", "--package", "conex-bench", "--"]).args(arguments),
    )
}
