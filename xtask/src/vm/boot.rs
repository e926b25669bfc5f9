//! Starts the emulated machine, follows what the tests print, and ends it when it does not end by itself.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::Machine;
use crate::summary::Summary;
use crate::test::Reading;

/// Four minutes of tests, and as much again for a busy machine.
const PATIENCE: Duration = Duration::from_secs(15 * 60);

pub(super) fn run(cache: &Path, machine: &Machine, suite: &Path) -> Result<Summary> {
    let results = cache.join("results.log");
    let console = cache.join("console.log");
    fs::write(&results, "")?;
    let disk = |path: &Path| format!("file={},if=virtio,format=raw,snapshot=on", path.display());
    let mut command = machine.emulator.command();
    // -M microvm hangs with Debian's kernel; KVM may be there and still not run it.
    command.args(["-M", "q35", "-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "2", "-m", "2048"]);
    command.args(["-nodefaults", "-display", "none", "-no-reboot"]);
    command.arg("-kernel").arg(&machine.kernel).arg("-initrd").arg(&machine.initramfs);
    command.args(["-append", "console=ttyS0 quiet panic=-1 mitigations=off"]);
    command.args(["-drive", &disk(&machine.root_disk), "-drive", &disk(suite)]);
    command.arg("-serial").arg(format!("file:{}", console.display()));
    command.arg("-serial").arg(format!("file:{}", results.display()));
    let child = command.stdin(Stdio::null()).spawn().context("cannot start QEMU")?;
    let mut guest = Guest { child };
    let summary = follow(&mut guest, File::open(&results)?);
    summary.with_context(|| format!("the cgroup v2 machine (its console: {})", console.display()))
}

/// A running machine; never left running.
struct Guest {
    child: Child,
}

impl Drop for Guest {
    fn drop(&mut self) {
        let _already_ended = self.child.kill();
        let _reaped = self.child.wait();
    }
}

/// Prints the results while they come.
fn follow(guest: &mut Guest, mut results: File) -> Result<Summary> {
    let deadline = Instant::now() + PATIENCE;
    let mut reading = Reading::default();
    let mut bytes = Vec::new();
    let (mut is_complete, mut has_result) = (false, false);
    loop {
        let ended = guest.child.try_wait()?;
        results.read_to_end(&mut bytes)?;
        while let Some(end) = bytes.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = bytes.drain(..=end).collect();
            let line = String::from_utf8_lossy(&line);
            let line = line.trim_end();
            is_complete |= line == "end of the tests";
            has_result |= line.starts_with("test result: ");
            // A program that fails without a result of its own crashed, or took too long.
            if line.starts_with("exit status ") && !has_result || line.starts_with("left behind: ") {
                reading.summary.failed += 1;
            }
            if line.trim_start().starts_with("Running ") {
                has_result = false;
            }
            if let Some(shown) = reading.line(line) {
                writeln!(std::io::stdout(), "{shown}")?;
            }
        }
        match ended {
            Some(_) if is_complete => {
                reading.print_skips();
                return Ok(reading.summary);
            }
            Some(status) => bail!("it ended before its tests did ({status})"),
            None if Instant::now() > deadline => bail!("it has not ended after {} s", PATIENCE.as_secs()),
            None => std::thread::sleep(Duration::from_millis(200)),
        }
    }
}
