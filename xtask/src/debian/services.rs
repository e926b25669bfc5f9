//! The image `debian-services`: servers and firewalls that everybody runs, as Debian packages them, for the tests of
//! networks. One layer, kept
//! in `target/debian-services` as the tar file that `conex import` takes, and made anew when the recipe changes.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use rustix::fs::{FlockOperation, flock};

use super::{Sources, bootstrap};
use crate::command::root;

/// What names the tar file to tests.
pub(crate) const VARIABLE: &str = "CONEX_TEST_SERVICES_IMAGE";

/// No file is younger: 2025-01-01.
const EPOCH: &str = "1735689600";

const PACKAGES: [&str; 8] =
    ["nginx-light", "redis-server", "postgresql", "curl", "busybox", "firewalld", "ufw", "nftables"];

/// A third of all: what PostgreSQL loads if it compiles queries, which it does for none of the tests'.
const LEFT_OUT: [&str; 2] = ["/usr/lib/*/libLLVM*", "/usr/lib/llvm-*"];

/// `cargo xtask debian-image services`, for who runs single tests by hand.
pub(crate) fn run() -> Result<()> {
    println!("{VARIABLE}={}", kept(&root().join("target/debian-services"))?.display());
    Ok(())
}

/// The file to name, made if it is not there. Without it, the tests that want it say that they are skipped.
pub(crate) fn find() -> Option<PathBuf> {
    if let Some(named) = std::env::var_os(VARIABLE) {
        return Some(named.into());
    }
    match kept(&root().join("target/debian-services")) {
        Ok(tar) => Some(tar),
        Err(error) => {
            println!("no image of Debian's servers for the tests: {error:#}");
            None
        }
    }
}

/// Two that want it at once make it once.
fn kept(cache: &Path) -> Result<PathBuf> {
    let sources = Sources::of_this_machine()?;
    let tar = cache.join("debian-services.tar");
    let recipe = format!("{}{PACKAGES:?} {LEFT_OUT:?}", bootstrap::recipe(&sources, EPOCH));
    fs::create_dir_all(cache)?;
    let lock = File::create(cache.join("lock"))?;
    flock(&lock, FlockOperation::LockExclusive)?;
    if fs::read_to_string(cache.join("recipe")).is_ok_and(|text| text == recipe) && tar.is_file() {
        return Ok(tar);
    }
    println!("building the image debian-services of Debian packages (kept in {})", cache.display());
    let making = cache.join("making");
    if making.exists() {
        fs::remove_dir_all(&making).with_context(|| format!("cannot clear {}", making.display()))?;
    }
    fs::create_dir(&making)?;
    let made = making.join("root.tar");
    bootstrap::bootstrap(&made, &sources, EPOCH, &PACKAGES, &LEFT_OUT)?;
    fs::rename(made, &tar)?;
    fs::write(cache.join("recipe"), recipe)?;
    fs::remove_dir_all(&making)?;
    Ok(tar)
}
