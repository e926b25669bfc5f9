//! `cargo xtask lint`: everything that can be said about the code without running it.

use anyhow::Result;

use crate::command::{cargo, installed, run as run_command};
use crate::{docs, layers};

/// All checks, the cheap ones first.
pub(crate) fn run() -> Result<()> {
    println!("lint: formatting");
    run_command(cargo().args(["fmt", "--all", "--check"]))?;
    layers::run()?;
    println!("lint: clippy");
    run_command(cargo().args(["clippy", "--quiet", "--workspace", "--all-targets", "--", "-D", "warnings"]))?;
    deny()?;
    docs::run()
}

/// Licences, sources and duplicates of dependencies (deny.toml). Advisories need the network: left to CI.
fn deny() -> Result<()> {
    println!("lint: dependencies");
    if !installed("cargo-deny") {
        println!("skipped: cargo-deny is not installed (cargo install cargo-deny)");
        return Ok(());
    }
    run_command(cargo().args(["deny", "--log-level", "error", "check", "bans", "licenses", "sources"]))
}
