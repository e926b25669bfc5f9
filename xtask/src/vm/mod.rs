//! The tests that care about control groups, or parts of the kernel that others lack, on a pure cgroup v2 machine (`cargo xtask test --vm`).
//!
//! Build machines are often hybrid or v1 hosts, and KVM may not be there: so an emulated machine with Debian's cloud
//! kernel is booted once for the whole run. Everything it is made of comes from the package sources that this machine
//! has already, is unpacked below `target/vm` (nothing is installed for it but mmdebstrap and busybox), and is kept there.
//! Programs are built here, because the emulated processor is many times slower.

mod boot;
mod machine;
mod packages;
mod suite;

use std::path::PathBuf;

use anyhow::Result;

use crate::command::root;
use crate::summary::Summary;

/// Boots the machine, runs the tests there, gives back the counts. A machine that cannot be built here is one skip.
pub(crate) fn run(filters: &[String]) -> Result<Summary> {
    let cache = root().join("target/vm");
    match prepare(&cache) {
        Ok(machine) => {
            let disk = suite::build(&cache, filters)?;
            boot::run(&cache, &machine, &disk)
        }
        Err(why) => {
            println!("skipped: the cgroup v2 machine: {why:#}");
            Ok(Summary { skipped: 1, ..Summary::default() })
        }
    }
}

/// What the emulator is started with.
struct Machine {
    emulator: packages::Emulator,
    kernel: PathBuf,
    initramfs: PathBuf,
    root_disk: PathBuf,
}

fn prepare(cache: &std::path::Path) -> Result<Machine> {
    anyhow::ensure!(cfg!(target_arch = "x86_64"), "it is described for x86_64 only");
    packages::need_root()?;
    std::fs::create_dir_all(cache)?;
    packages::install_tools()?;
    let sources = crate::debian::Sources::of_this_machine()?;
    let emulator = packages::emulator(cache, &sources)?;
    let root = machine::root(cache, &sources)?;
    Ok(Machine {
        emulator,
        kernel: root.kernel.clone(),
        initramfs: machine::initramfs(cache, &root)?,
        root_disk: machine::root_disk(cache, &root)?,
    })
}
