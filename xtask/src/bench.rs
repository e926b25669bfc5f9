//! `cargo xtask bench`: builds what is compared, as it is shipped, then hands over to `conex-bench`.

use anyhow::Result;

use crate::command::{cargo, run as run_command, shipped_runtime};
use crate::debian::PYTHON;

/// What the engine takes part in.
const ENGINE: [&str; 8] = ["run", "layers", "exec", "memory", "size", "pull", "network", "density"];

/// Passes its arguments on.
pub(crate) fn run(arguments: &[String]) -> Result<()> {
    let named = |what: &str| arguments.iter().any(|argument| argument == what);
    let all = ![&ENGINE[..], &["runtime", "inflate"]].concat().into_iter().any(named);
    // Each by itself: built together, one's dependencies would get the features that another's ask for.
    if all || ENGINE.into_iter().any(named) {
        run_command(cargo().args(["build", "--release", "--package", "conex"]))?;
    }
    if all || named("runtime") || ENGINE.into_iter().any(named) {
        shipped_runtime()?;
    }
    let mut bench = cargo();
    bench.args(["run", "--release", "--package", "conex-bench"]);
    if all || named("inflate") {
        run_command(cargo().args([
            "build",
            "--release",
            "--package",
            "conex-archive",
            "--example",
            "layer",
        ]))?;
        bench.args(["--features", "inflaters"]);
    }
    if all || named("pull") {
        bench.envs(PYTHON.find());
    }
    run_command(bench.arg("--").args(arguments))
}
