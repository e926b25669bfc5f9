//! `spec`: a `config.json` to begin with, the same as runc's.

use std::path::{Path, PathBuf};

use conex_oci::runtime::{
    Capabilities, DeviceRule, IdMapping, Linux, Mount, Namespace, NamespaceKind, Process, Resources, Rlimit,
    Root, SPEC_VERSION, Spec,
};
use conex_runtime::bundle::CONFIG;

use super::Act;
use crate::context::Context;
use crate::error::Error;
use crate::flags::arguments;

arguments! {
    pub(super) struct Arguments {
        /// Where to write it [default: the working directory]
        bundle: Option<PathBuf> = "-b --bundle DIRECTORY";
        /// For an ordinary user
        rootless: bool = "--rootless";
    }
}

impl Act for Arguments {
    fn act(self, _: &Context) -> Result<i32, Error> {
        let directory = self.bundle.filter(|path| !path.as_os_str().is_empty()).unwrap_or_default();
        let path = directory.join(CONFIG);
        let mut spec = example();
        if self.rootless {
            make_rootless(&mut spec);
        }
        let failed = |source: std::io::Error| Error::io("write", &path, source);
        let mut text = Vec::new();
        let formatter = serde_json::ser::PrettyFormatter::with_indent(b"\t");
        let mut serializer = serde_json::Serializer::with_formatter(&mut text, formatter);
        serde::Serialize::serialize(&spec, &mut serializer).map_err(|error| failed(error.into()))?;
        let open = std::fs::OpenOptions::new().write(true).create_new(true).open(&path);
        let mut file = match open {
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
                return Err(Error::Refused(format!("File {} exists. Remove it first", path.display())));
            }
            other => other.map_err(failed)?,
        };
        std::io::Write::write_all(&mut file, &text).map_err(failed)?;
        Ok(0)
    }
}

fn strings(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

fn paths(texts: &[&str]) -> Vec<PathBuf> {
    texts.iter().map(PathBuf::from).collect()
}

fn example() -> Spec {
    let capabilities = || strings(&["CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"]);
    let mut namespaces = vec![
        NamespaceKind::Pid,
        NamespaceKind::Network,
        NamespaceKind::Ipc,
        NamespaceKind::Uts,
        NamespaceKind::Mount,
    ];
    if Path::new("/sys/fs/cgroup/cgroup.controllers").exists() {
        namespaces.push(NamespaceKind::Cgroup);
    }
    Spec {
        oci_version: SPEC_VERSION.to_owned(),
        root: Some(Root { path: PathBuf::from("rootfs"), readonly: true }),
        process: Some(Process {
            terminal: true,
            args: strings(&["sh"]),
            env: strings(&[
                "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                "TERM=xterm",
            ]),
            cwd: PathBuf::from("/"),
            no_new_privileges: true,
            capabilities: Some(Capabilities {
                bounding: capabilities(),
                effective: capabilities(),
                permitted: capabilities(),
                ..Capabilities::default()
            }),
            rlimits: vec![Rlimit { kind: "RLIMIT_NOFILE".to_owned(), hard: 1024, soft: 1024 }],
            ..Process::default()
        }),
        hostname: Some("conex".to_owned()),
        mounts: mounts(),
        linux: Some(Linux {
            masked_paths: paths(&[
                "/proc/acpi",
                "/proc/asound",
                "/proc/kcore",
                "/proc/keys",
                "/proc/latency_stats",
                "/proc/timer_list",
                "/proc/timer_stats",
                "/proc/sched_debug",
                "/sys/firmware",
                "/proc/scsi",
            ]),
            readonly_paths: paths(&[
                "/proc/bus",
                "/proc/fs",
                "/proc/irq",
                "/proc/sys",
                "/proc/sysrq-trigger",
            ]),
            resources: Some(Resources {
                devices: vec![DeviceRule {
                    allow: false,
                    access: Some("rwm".to_owned()),
                    ..DeviceRule::default()
                }],
                ..Resources::default()
            }),
            namespaces: namespaces.into_iter().map(|kind| Namespace { kind, path: None }).collect(),
            ..Linux::default()
        }),
        ..Spec::default()
    }
}

fn mounts() -> Vec<Mount> {
    let mount = |destination: &str, kind: &str, source: &str, options: &[&str]| Mount {
        destination: PathBuf::from(destination),
        kind: Some(kind.to_owned()),
        source: Some(PathBuf::from(source)),
        options: strings(options),
        ..Mount::default()
    };
    vec![
        mount("/proc", "proc", "proc", &[]),
        mount("/dev", "tmpfs", "tmpfs", &["nosuid", "strictatime", "mode=755", "size=65536k"]),
        mount(
            "/dev/pts",
            "devpts",
            "devpts",
            &["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"],
        ),
        mount("/dev/shm", "tmpfs", "shm", &["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"]),
        mount("/dev/mqueue", "mqueue", "mqueue", &["nosuid", "noexec", "nodev"]),
        mount("/sys", "sysfs", "sysfs", &["nosuid", "noexec", "nodev", "ro"]),
        mount("/sys/fs/cgroup", "cgroup", "cgroup", &["nosuid", "noexec", "nodev", "relatime", "ro"]),
    ]
}

/// In a user namespace with the caller as root, in the caller's network, without limits.
fn make_rootless(spec: &mut Spec) {
    let (uid, gid) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    let map = |id| vec![IdMapping { container_id: 0, host_id: id, size: 1 }];
    if let Some(linux) = &mut spec.linux {
        linux.namespaces.retain(|namespace| namespace.kind != NamespaceKind::Network);
        linux.namespaces.push(Namespace { kind: NamespaceKind::User, path: None });
        linux.uid_mappings = map(uid);
        linux.gid_mappings = map(gid);
        linux.resources = None;
    }
    for mount in &mut spec.mounts {
        mount.options.retain(|option| !option.starts_with("uid=") && !option.starts_with("gid="));
        if mount.destination == Path::new("/sys") {
            mount.kind = Some("none".to_owned());
            mount.source = Some(PathBuf::from("/sys"));
            mount.options = strings(&["rbind", "nosuid", "noexec", "nodev", "ro"]);
        }
    }
}
