//! The image `debian-services`: servers and firewalls that everybody runs, as Debian packages them, for the tests of
//! networks. One layer, kept in `target/debian-services` as the tar file that `conex import` takes.

use std::path::{Path, PathBuf};

use anyhow::Result;

use super::kept::Kept;
use super::{Sources, bootstrap};

/// The image.
pub(crate) const SERVICES: Kept = Kept {
    name: "debian-services",
    file: "debian-services.tar",
    variable: "CONEX_TEST_SERVICES_IMAGE",
    recipe,
    make,
};

/// No file is younger: 2025-01-01.
const EPOCH: &str = "1735689600";

const PACKAGES: [&str; 8] =
    ["nginx-light", "redis-server", "postgresql", "curl", "busybox", "firewalld", "ufw", "nftables"];

/// A third of all: what PostgreSQL loads if it compiles queries, which it does for none of the tests'.
const LEFT_OUT: [&str; 2] = ["/usr/lib/*/libLLVM*", "/usr/lib/llvm-*"];

fn recipe(sources: &Sources) -> String {
    format!("{}{PACKAGES:?} {LEFT_OUT:?}", bootstrap::recipe(sources, EPOCH))
}

fn make(making: &Path, _: &Path, sources: &Sources) -> Result<PathBuf> {
    let made = making.join("root.tar");
    bootstrap::bootstrap(&made, sources, EPOCH, &PACKAGES, &LEFT_OUT)?;
    Ok(made)
}
