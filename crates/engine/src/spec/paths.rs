//! Files of the kernel's that a container does not see, or may only read.

use std::path::{Path, PathBuf};

use super::Host;
use crate::options::{SecurityOptions, Unmask};

/// Docker's today: each tells about the host, or acts on it.
const MASKED: [&str; 12] = [
    "/proc/acpi",
    "/proc/asound",
    // Keystrokes of other users can be timed by it (GHSA-6fw5-f8r9-fgfm).
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    // Keys of other processes can be told from the power used (CVE-2020-8694, GHSA-jq35-85cj-fj4p).
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
];

const READ_ONLY: [&str; 5] = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

pub(super) struct Paths {
    pub(super) masked: Vec<PathBuf>,
    pub(super) read_only: Vec<PathBuf>,
}

pub(super) fn build(host: &dyn Host, security: &SecurityOptions) -> Paths {
    let (mut masked, mut read_only) = (Vec::new(), Vec::new());
    if !security.privileged {
        let hidden = |path: &Path| !unmasked(&security.unmask, path);
        masked.extend(MASKED.iter().map(PathBuf::from).filter(|path| hidden(path)));
        if security.unmask != Unmask::All {
            masked.extend(host.thermal_throttle().into_iter().filter(|path| hidden(path)));
        }
        read_only.extend(READ_ONLY.iter().map(PathBuf::from).filter(|path| hidden(path)));
    }
    for path in &security.mask {
        if !masked.contains(path) {
            masked.push(path.clone());
        }
    }
    Paths { masked, read_only }
}

fn unmasked(unmask: &Unmask, path: &Path) -> bool {
    match unmask {
        Unmask::All => true,
        Unmask::Paths(paths) => paths.iter().any(|asked| match asked.file_name() {
            Some(name) if name == "*" => {
                asked.parent().is_some_and(|above| path != above && path.starts_with(above))
            }
            _ => asked == path,
        }),
    }
}
