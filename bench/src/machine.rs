//! The machine, as far as times depend on it.

use std::path::Path;
use std::process::Command;

use serde::Serialize;

/// What stands beside every result.
#[derive(Debug, Serialize)]
pub(crate) struct Machine {
    kernel: String,
    cpu: String,
    cpus: usize,
    memory_mib: u64,
    cgroups: &'static str,
    load: String,
    commit: String,
}

impl Machine {
    pub(crate) fn describe() -> Self {
        Self {
            kernel: read("/proc/sys/kernel/osrelease"),
            cpu: field("/proc/cpuinfo", "model name"),
            cpus: std::thread::available_parallelism().map_or(0, usize::from),
            memory_mib: field("/proc/meminfo", "MemTotal")
                .split_whitespace()
                .next()
                .and_then(|kib| kib.parse::<u64>().ok())
                .unwrap_or_default()
                / 1024,
            cgroups: cgroups(),
            load: read("/proc/loadavg"),
            commit: commit(),
        }
    }

    pub(crate) fn line(&self) -> String {
        format!(
            "{} x {}, {} MiB, Linux {}, cgroups: {}, load {}",
            self.cpus,
            self.cpu,
            self.memory_mib,
            self.kernel,
            self.cgroups,
            self.load.split(' ').next().unwrap_or_default()
        )
    }
}

/// Where cgroup v2 is mounted, if anywhere.
pub(crate) fn unified() -> Option<&'static Path> {
    ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"]
        .map(Path::new)
        .into_iter()
        .find(|path| path.join("cgroup.controllers").is_file())
}

fn cgroups() -> &'static str {
    match unified() {
        Some(path) if path.ends_with("unified") => "hybrid",
        Some(_) => "v2",
        None => "v1",
    }
}

/// Today in UTC, as `2026-11-22`.
pub(crate) fn today() -> String {
    let output = Command::new("date").args(["-u", "+%F"]).output();
    output.map_or_else(
        |_| "undated".to_owned(),
        |output| String::from_utf8_lossy(&output.stdout).trim().to_owned(),
    )
}

fn commit() -> String {
    let output = Command::new("git").args(["describe", "--always", "--dirty"]).output();
    output.map_or_else(|_| String::new(), |output| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn read(path: &str) -> String {
    std::fs::read_to_string(path).unwrap_or_default().trim().to_owned()
}

fn field(path: &str, name: &str) -> String {
    let text = read(path);
    let line = text.lines().find(|line| line.starts_with(name)).unwrap_or_default();
    line.split_once(':').map_or("", |(_, value)| value).trim().to_owned()
}
