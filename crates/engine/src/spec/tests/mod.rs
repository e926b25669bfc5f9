//! The whole spec for many sets of options, on a made-up machine and image.

mod confinement;
mod exec;
mod mounts;
mod namespaces;
mod process;
mod properties;
mod resources;
mod snapshots;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use conex_oci::ContainerId;
use conex_oci::image::ImageConfig;
use conex_oci::runtime::{Linux, Mount, NamespaceKind, Process};

use super::{
    Host, HostDevice, HostPropagation, IdRange, ImageFiles, Joined, JoinedContainer, Plan, SpecError,
    SpecRequest, build,
};
use crate::options::{CAPABILITIES, CreateOptions, IpcMode, SeccompMode};

/// An image's files in memory.
#[derive(Debug, Default)]
pub(super) struct Files(BTreeMap<String, Option<Vec<u8>>>);

impl Files {
    pub(super) fn with(self, path: &str, text: &str) -> Self {
        self.with_bytes(path, text.as_bytes().to_vec())
    }

    pub(super) fn with_bytes(mut self, path: &str, bytes: Vec<u8>) -> Self {
        self.0.insert(path.to_owned(), Some(bytes));
        self
    }

    pub(super) fn failing(mut self, path: &str) -> Self {
        self.0.insert(path.to_owned(), None);
        self
    }
}

impl ImageFiles for Files {
    fn read(&self, path: &str) -> io::Result<Option<Vec<u8>>> {
        match self.0.get(path) {
            None => Ok(None),
            Some(Some(bytes)) => Ok(Some(bytes.clone())),
            Some(None) => Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file")),
        }
    }
}

/// A machine as this project's own: no SELinux, no AppArmor, CAP_SYS_RESOURCE missing.
#[derive(Debug)]
struct Machine {
    missing: Vec<&'static str>,
    paths: Vec<PathBuf>,
    devices: Vec<HostDevice>,
    files: BTreeMap<PathBuf, String>,
    propagation: HostPropagation,
    thermal: Vec<PathBuf>,
    processors: u64,
    last_group: u32,
    oom_score_adj: i32,
    swap_limit: bool,
    apparmor: bool,
    selinux: bool,
}

fn device(path: &str, kind: char, major: u32, minor: u32) -> HostDevice {
    HostDevice { path: path.into(), kind, major, minor, mode: 0o660, uid: 0, gid: 6 }
}

impl Default for Machine {
    fn default() -> Self {
        let there = [
            "/srv",
            "/srv/data",
            "/dev/shm",
            "/proc/sys/net/ipv4/ip_unprivileged_port_start",
            "/proc/sys/net/ipv4/ping_group_range",
        ];
        Self {
            missing: vec!["CAP_SYS_RESOURCE"],
            paths: there.map(PathBuf::from).to_vec(),
            devices: vec![
                device("/dev/fuse", 'c', 10, 229),
                device("/dev/sda", 'b', 8, 0),
                device("/dev/snd/seq", 'c', 116, 1),
            ],
            files: BTreeMap::from([
                (
                    "/etc/resolv.conf".into(),
                    "nameserver 127.0.0.53\nnameserver 10.0.0.2\nsearch lan\n".into(),
                ),
                ("/etc/hosts".into(), "127.0.0.1 localhost\n10.0.0.9 thehost".into()),
            ]),
            propagation: HostPropagation::default(),
            thermal: Vec::new(),
            processors: 2,
            last_group: u32::MAX - 1,
            oom_score_adj: 0,
            swap_limit: true,
            apparmor: false,
            selinux: false,
        }
    }
}

impl Host for Machine {
    fn devices(&self, path: &Path) -> io::Result<Vec<HostDevice>> {
        let found: Vec<_> =
            self.devices.iter().filter(|device| device.path.starts_with(path)).cloned().collect();
        if found.is_empty() { Err(io::ErrorKind::NotFound.into()) } else { Ok(found) }
    }
    fn all_devices(&self) -> io::Result<Vec<HostDevice>> {
        Ok(self.devices.clone())
    }
    fn exists(&self, path: &Path) -> io::Result<bool> {
        Ok(path == Path::new("/") || self.paths.iter().any(|there| there == path))
    }
    fn propagation(&self, _path: &Path) -> io::Result<HostPropagation> {
        Ok(self.propagation)
    }
    fn thermal_throttle(&self) -> Vec<PathBuf> {
        self.thermal.clone()
    }
    fn read(&self, path: &Path) -> io::Result<Option<String>> {
        Ok(self.files.get(path).cloned())
    }
    fn bounding(&self) -> Vec<&'static str> {
        CAPABILITIES.into_iter().filter(|name| !self.missing.contains(name)).collect()
    }
    fn kernel_capabilities(&self) -> Vec<&'static str> {
        CAPABILITIES.to_vec()
    }
    fn hard_limit(&self, name: &str) -> Option<u64> {
        (name == "nofile").then_some(20_000)
    }
    fn processors(&self) -> u64 {
        self.processors
    }
    fn swap_limit(&self) -> bool {
        self.swap_limit
    }
    fn oom_score_adj(&self) -> i32 {
        self.oom_score_adj
    }
    fn last_group(&self) -> u32 {
        self.last_group
    }
    fn apparmor(&self) -> bool {
        self.apparmor
    }
    fn selinux(&self) -> bool {
        self.selinux
    }
    fn hostname(&self) -> String {
        "thehost".to_owned()
    }
}

#[derive(Debug)]
/// Everything that a spec depends on, with a plain image and no options.
struct Bed {
    options: CreateOptions,
    image: ImageConfig,
    machine: Machine,
    files: Files,
    joined: Joined,
    id_range: Option<IdRange>,
}

const RANGE: IdRange = IdRange { base: 0x8000_0000, size: 65_536 };

impl Bed {
    fn new() -> Self {
        let image = ImageConfig {
            env: words(&["PATH=/bin", "LANG=C.UTF-8"]),
            cmd: Some(words(&["/bin/sh"])),
            ..ImageConfig::default()
        };
        let files = Files::default()
            .with("/etc/passwd", "root:x:0:0:root:/root:/bin/sh\napp:x:1000:1000::/home/app:/bin/sh\n")
            .with("/etc/group", "root:x:0:root\nwheel:x:10:root,app\napp:x:1000:\n");
        let mut options = CreateOptions::default();
        // The filter has tests of its own.
        options.security.seccomp = SeccompMode::Unconfined;
        Self { options, image, machine: Machine::default(), files, joined: Joined::default(), id_range: None }
    }

    /// A bed with something changed.
    fn with(change: impl FnOnce(&mut Self)) -> Self {
        let mut bed = Self::new();
        change(&mut bed);
        bed
    }

    fn build(&self) -> Result<Plan, SpecError> {
        build(&SpecRequest {
            volumes: &[],
            images: &[],
            options: &self.options,
            image: &self.image,
            id: &ContainerId::from_random([0xc0; 32]),
            host: &self.machine,
            files: &self.files,
            joined: &self.joined,
            directory: Path::new("/var/lib/conex/containers/c0"),
            id_range: self.id_range,
            cgroups_path: "/conex/c0",
            rootfs: Path::new("/var/lib/conex/containers/c0/rootfs"),
        })
    }

    fn plan(&self) -> Plan {
        self.options.validate().expect("options are valid");
        self.build().expect("a plan")
    }

    fn error(&self) -> String {
        let text = self.build().expect_err("must fail").to_string();
        assert!(!text.contains('\n'), "one line: {text}");
        text
    }
}

fn plan(change: impl FnOnce(&mut Bed)) -> Plan {
    Bed::with(change).plan()
}

fn error(change: impl FnOnce(&mut Bed)) -> String {
    Bed::with(change).error()
}

impl Plan {
    fn process(&self) -> &Process {
        self.spec.process.as_ref().expect("a process")
    }

    fn linux(&self) -> &Linux {
        self.spec.linux.as_ref().expect("the Linux part")
    }

    fn mount(&self, place: &str) -> Option<&Mount> {
        let mut found = self.spec.mounts.iter().filter(|mount| mount.destination == Path::new(place));
        let first = found.next();
        assert!(found.next().is_none(), "{place} is mounted twice");
        first
    }

    /// `type source options`
    fn mount_line(&self, place: &str) -> String {
        let mount = self.mount(place).unwrap_or_else(|| panic!("{place} is not mounted"));
        let source = mount.source.as_ref().map(|path| path.display().to_string()).unwrap_or_default();
        format!("{} {source} {}", mount.kind.as_deref().unwrap_or("-"), mount.options.join(","))
    }

    /// `None`: the host's; `Some("")`: its own; else the path joined.
    fn namespace(&self, kind: NamespaceKind) -> Option<String> {
        let mut found = self.linux().namespaces.iter().filter(|namespace| namespace.kind == kind);
        let first = found.next();
        assert!(found.next().is_none());
        first.map(|namespace| {
            namespace.path.as_ref().map(|path| path.display().to_string()).unwrap_or_default()
        })
    }

    fn file(&self, name: &str) -> &str {
        &self
            .files
            .iter()
            .find(|(file, _)| *file == name)
            .unwrap_or_else(|| panic!("{name} is not written"))
            .1
    }
}

fn words(list: &[&str]) -> Vec<String> {
    list.iter().map(ToString::to_string).collect()
}

fn neighbour(ipc: IpcMode, id_range: Option<IdRange>) -> JoinedContainer {
    JoinedContainer {
        pid: 4242,
        directory: "/var/lib/conex/containers/web".into(),
        hostname: "web".to_owned(),
        ipc,
        id_range,
    }
}
