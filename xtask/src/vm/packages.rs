//! Packages that are fetched with an apt state of their own and unpacked, not installed: the emulator from the backports
//! and the kernel from a later suite would otherwise change the machine.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::command::{installed, output, program, run};
use crate::debian::{Apt, Sources, files_of};

/// The oldest emulator that this is known to work with: 7.2 crashes on the kernel used here.
const EMULATOR_SINCE: u32 = 9;
const KERNEL_SUITE: &str = "trixie";

/// A QEMU, the machine's own or one unpacked in the cache.
pub(super) struct Emulator {
    program: PathBuf,
    libraries: Vec<PathBuf>,
    firmware: Vec<PathBuf>,
}

impl Emulator {
    pub(super) fn command(&self) -> Command {
        let mut command = program(&self.program);
        if let Ok(path) = std::env::join_paths(&self.libraries)
            && !self.libraries.is_empty()
        {
            command.env("LD_LIBRARY_PATH", path);
        }
        for directory in &self.firmware {
            command.arg("-L").arg(directory);
        }
        command
    }

    /// `QEMU emulator version 10.0.2 (Debian …)`
    fn version(&self) -> Option<u32> {
        let text = output(self.command().arg("--version")).ok()?;
        text.split_once("version ")?.1.split('.').next()?.parse().ok()
    }
}

pub(super) fn need_root() -> Result<()> {
    ensure!(output(program("id").arg("-u"))?.trim() == "0", "building its disk needs root");
    Ok(())
}

/// The small programs that build the disks.
pub(super) fn install_tools() -> Result<()> {
    let tools =
        [("mmdebstrap", "mmdebstrap"), ("busybox-static", "busybox"), ("cpio", "cpio"), ("xz-utils", "xz")];
    let missing: Vec<&str> =
        tools.iter().filter(|(_, program)| !installed(program)).map(|(package, _)| *package).collect();
    if missing.is_empty() {
        return Ok(());
    }
    ensure!(installed("apt-get"), "apt-get is not installed");
    println!("The cgroup v2 machine is built with these Debian packages: {}", missing.join(" "));
    let mut command = program("apt-get");
    command.env("DEBIAN_FRONTEND", "noninteractive").args([
        "install",
        "-qq",
        "--yes",
        "--no-install-recommends",
    ]);
    run(command.args(missing))
}

pub(super) fn emulator(cache: &Path, sources: &Sources) -> Result<Emulator> {
    let own = Emulator { program: "qemu-system-x86_64".into(), libraries: Vec::new(), firmware: Vec::new() };
    if installed("qemu-system-x86_64") && own.version().is_some_and(|version| version >= EMULATOR_SINCE) {
        return Ok(own);
    }
    let tree = cache.join("qemu");
    let emulator = Emulator {
        program: tree.join("usr/bin/qemu-system-x86_64"),
        libraries: vec![tree.join("usr/lib/x86_64-linux-gnu"), tree.join("lib/x86_64-linux-gnu")],
        firmware: vec![tree.join("usr/share/qemu"), tree.join("usr/share/seabios")],
    };
    if emulator.program.exists() && emulator.version().is_some() {
        return Ok(emulator);
    }
    println!("fetching QEMU (kept in {})", tree.display());
    let backports = format!("{}-backports", sources.suite);
    let apt =
        Apt::new(cache.join("apt-qemu"), &[sources.line(&sources.suite), sources.line(&backports)].concat())?;
    let mut install = apt.get();
    install.args([
        "install",
        "--yes",
        "--no-install-recommends",
        "--download-only",
        "--target-release",
        &backports,
        "qemu-system-x86",
    ]);
    output(&mut install).context("cannot fetch QEMU")?;
    for package in apt.fetched()? {
        run(program("dpkg").arg("-x").arg(package).arg(&tree))?;
    }
    let version = emulator.version().context("the fetched QEMU does not run here")?;
    ensure!(version >= EMULATOR_SINCE, "QEMU {version} is too old for it");
    Ok(emulator)
}

/// Debian's cloud kernel as a package file.
pub(super) fn kernel(cache: &Path, sources: &Sources) -> Result<PathBuf> {
    let apt = Apt::new(cache.join("apt-kernel"), &sources.line(KERNEL_SUITE))?;
    let depends = output(apt.command("apt-cache").args(["depends", "linux-image-cloud-amd64"]))?;
    let name = depends
        .lines()
        .find_map(|line| line.trim().strip_prefix("Depends: "))
        .context("Debian's cloud kernel is not in the package lists")?;
    let mut download = apt.get();
    output(download.args(["download", name]).current_dir(&apt.state))
        .with_context(|| format!("cannot fetch {name}"))?;
    let files = files_of(&apt.state)?;
    files.into_iter().next().with_context(|| format!("apt-get has not stored {name}"))
}
