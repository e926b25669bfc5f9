//! An OCI bundle for the runtimes that take one: Docker's mounts, masked paths and capabilities, as the floor has them.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::Result;
use crate::scene::Scene;

/// Docker's default capabilities.
pub(crate) const CAPABILITIES: [&str; 14] = [
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FSETID",
    "CAP_FOWNER",
    "CAP_MKNOD",
    "CAP_NET_RAW",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETFCAP",
    "CAP_SETPCAP",
    "CAP_NET_BIND_SERVICE",
    "CAP_SYS_CHROOT",
    "CAP_KILL",
    "CAP_AUDIT_WRITE",
];

/// Writes two bundles: `bundle`, whose process ends at once, and `bundle-sleep`, whose process stays.
pub(crate) fn write(scene: &Scene) -> Result<()> {
    for (name, arguments) in
        [("bundle", json!(["/bin/true"])), ("bundle-sleep", json!(["/bin/sleep", "3600"]))]
    {
        let directory = scene.directory.join(name);
        write_one(&directory, &spec(&scene.rootfs, &arguments))?;
    }
    Ok(())
}

/// Writes one bundle.
pub(crate) fn write_one(directory: &Path, spec: &Value) -> Result<()> {
    fs::create_dir_all(directory)
        .and_then(|()| fs::write(directory.join("config.json"), spec.to_string()))
        .map_err(|error| format!("cannot write {}: {error}", directory.display()))
}

/// A configuration without seccomp.
pub(crate) fn spec(rootfs: &Path, arguments: &Value) -> Value {
    let mount = |to: &str, kind: &str, from: &str, options: &[&str]| json!({"destination": to, "type": kind, "source": from, "options": options});
    let guarded = ["nosuid", "noexec", "nodev"];
    let namespaces = ["pid", "network", "ipc", "uts", "mount"].map(|kind| json!({"type": kind}));
    json!({
        "ociVersion": "1.0.2",
        "hostname": "bench",
        "root": {"path": rootfs, "readonly": false},
        "process": {
            "terminal": false, "user": {"uid": 0, "gid": 0}, "cwd": "/", "args": arguments,
            "env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],
            "capabilities": {"bounding": CAPABILITIES, "effective": CAPABILITIES, "permitted": CAPABILITIES},
        },
        "mounts": [
            mount("/proc", "proc", "proc", &guarded),
            mount("/dev", "tmpfs", "tmpfs", &["nosuid", "strictatime", "mode=755", "size=65536k"]),
            mount("/dev/pts", "devpts", "devpts", &["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"]),
            mount("/sys", "sysfs", "sysfs", &["nosuid", "noexec", "nodev", "ro"]),
            mount("/sys/fs/cgroup", "cgroup", "cgroup", &["ro", "nosuid", "noexec", "nodev"]),
            mount("/dev/mqueue", "mqueue", "mqueue", &guarded),
            mount("/dev/shm", "tmpfs", "shm", &["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"]),
        ],
        "linux": {
            "namespaces": namespaces,
            "maskedPaths": ["/proc/acpi", "/proc/asound", "/proc/interrupts", "/proc/kcore", "/proc/keys",
                "/proc/latency_stats", "/proc/timer_list", "/proc/scsi", "/sys/firmware", "/sys/devices/virtual/powercap"],
            "readonlyPaths": ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"],
        },
    })
}
