//! `cargo xtask bench`: builds the release binaries and the floor program, then hands over to `conex-bench`.

use anyhow::Result;

use crate::command::{cargo, run as run_command};

/// Passes its arguments on.
pub(crate) fn run(arguments: &[String]) -> Result<()> {
    run_command(cargo().args(["build", "--release", "--package", "conex", "--package", "conex-bench"]))?;
    run_command(
        cargo().args(["run", "--quiet", "--release", "--package", "conex-bench", "--"]).args(arguments),
    )
}
