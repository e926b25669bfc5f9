//! The C programs in `fixtures/`: what a test needs that no safe Rust can do, or that runs inside a container.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::{finish, installed};

/// Builds `fixtures/NAME.c` as the static program `directory/NAME`; `None` without a C compiler.
///
/// # Panics
/// When it does not compile.
pub fn fixture(name: &str, directory: &Path) -> Option<PathBuf> {
    if !installed("cc") {
        return None;
    }
    let program = directory.join(name);
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("fixtures/{name}.c"));
    let built =
        finish(Command::new("cc").args(["-static", "-no-pie", "-O1", "-w", "-o"]).arg(&program).arg(source));
    assert_eq!(built.code, 0, "{}", built.stderr);
    Some(program)
}
