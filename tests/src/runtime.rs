//! The built `conex-runtime`, driven as an engine would: bundles on a scratch disk, a state directory of their own, cgroups
//! below the test's own, or beside it.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::enclosure::own_cgroup;
use crate::{Background, Output, archive, finish};

/// A state directory and the bundles of one test. Its containers are deleted when it is dropped.
#[derive(Debug)]
pub struct Runtime {
    directory: TempDir,
    /// One for all its containers' cgroups.
    cgroup: String,
}

impl Runtime {
    /// `None` when the busybox image, which all root filesystems are made of, is not on this machine.
    ///
    /// # Panics
    /// When no temporary directory can be made.
    pub fn new() -> Option<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        busybox()?;
        let directory =
            tempfile::Builder::new().prefix("conex-rt-").tempdir().expect("a temporary directory");
        for name in ["state", "bundles"] {
            std::fs::create_dir(directory.path().join(name)).expect("a directory");
        }
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let cgroup =
            format!("{}/conex-rt-{}-{number}", own_cgroup().trim_end_matches('/'), std::process::id());
        Some(Self { directory, cgroup })
    }

    /// The built binary: `CONEX_RUNTIME_BIN`, or the one beside the test's own.
    ///
    /// # Panics
    /// When it has not been built.
    pub fn binary() -> PathBuf {
        if let Some(named) = std::env::var_os("CONEX_RUNTIME_BIN") {
            return named.into();
        }
        let exe = std::env::current_exe().expect("the test's own path");
        let beside = exe.ancestors().skip(1).take(3).map(|directory| directory.join("conex-runtime"));
        let found = beside.into_iter().find(|path| path.is_file());
        found.expect("conex-runtime is not built: run `cargo build -p conex-runtime-cli` first")
    }

    /// Its `--root`.
    pub fn root(&self) -> PathBuf {
        self.directory.path().join("state")
    }

    /// A directory for the test's own files, removed with the rest.
    pub fn scratch(&self) -> &Path {
        self.directory.path()
    }

    /// `cgroupsPath` of all its containers, but for the last part, which is the container's id.
    pub fn cgroup(&self) -> &str {
        &self.cgroup
    }

    /// A config.json as `spec` would write it, that runs these words: to be edited. `cgroupsPath` is for [`bundle`](Self::bundle) to fill in.
    pub fn config(&self, words: &[&str]) -> Value {
        let caps = ["CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"];
        let mount = |destination: &str, kind: &str, source: &str, options: &str| {
            json!({"destination": destination, "type": kind, "source": source,
                   "options": options.split(',').collect::<Vec<_>>()})
        };
        json!({
            "ociVersion": "1.2.0",
            "root": {"path": "rootfs"},
            "hostname": "box",
            "process": {
                "args": words, "cwd": "/", "env": ["PATH=/usr/sbin:/usr/bin:/sbin:/bin", "TERM=xterm"],
                "user": {"uid": 0, "gid": 0}, "noNewPrivileges": true,
                "capabilities": {"bounding": caps, "effective": caps, "permitted": caps},
            },
            "mounts": [
                mount("/proc", "proc", "proc", "nosuid,noexec,nodev"),
                mount("/dev", "tmpfs", "tmpfs", "nosuid,strictatime,mode=755,size=65536k"),
                mount("/dev/pts", "devpts", "devpts", "nosuid,noexec,newinstance,ptmxmode=0666,mode=0620,gid=5"),
                mount("/dev/shm", "tmpfs", "shm", "nosuid,noexec,nodev,mode=1777,size=65536k"),
                mount("/dev/mqueue", "mqueue", "mqueue", "nosuid,noexec,nodev"),
                mount("/sys", "sysfs", "sysfs", "nosuid,noexec,nodev,ro"),
                mount("/sys/fs/cgroup", "cgroup", "cgroup", "nosuid,noexec,nodev,relatime,ro"),
            ],
            "linux": {
                "namespaces": [{"type": "pid"}, {"type": "network"}, {"type": "ipc"}, {"type": "uts"}, {"type": "mount"}, {"type": "cgroup"}],
                "maskedPaths": ["/proc/acpi", "/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/timer_list",
                                "/proc/timer_stats", "/proc/sched_debug", "/proc/scsi", "/sys/firmware"],
                "readonlyPaths": ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"],
            },
        })
    }

    /// A bundle named `id`: a busybox root filesystem of its own and this config.json, in which a `linux` object without
    /// `cgroupsPath` gets one.
    ///
    /// # Panics
    /// When it cannot be made.
    pub fn bundle(&self, id: &str, config: &Value) -> PathBuf {
        let bundle = self.directory.path().join("bundles").join(id);
        if !bundle.exists() {
            std::fs::create_dir(&bundle).expect("a directory");
            let copied = finish(
                Command::new("cp").arg("-a").arg(busybox().expect("it was there")).arg(bundle.join("rootfs")),
            );
            assert_eq!(copied.code, 0, "{}", copied.stderr);
        }
        let mut config = config.clone();
        if let Some(linux) = config.get_mut("linux").and_then(Value::as_object_mut) {
            linux.entry("cgroupsPath").or_insert_with(|| json!(format!("{}/{id}", self.cgroup)));
        }
        std::fs::write(bundle.join("config.json"), config.to_string()).expect("a file");
        bundle
    }

    /// A command line with `--root`, not yet started, with nothing on standard input and a clean environment.
    pub fn command(&self, arguments: &[&str]) -> Command {
        self.command_of(&Self::binary(), arguments)
    }

    /// The same with another copy of the binary.
    pub fn command_of(&self, binary: &Path, arguments: &[&str]) -> Command {
        let mut command = Command::new(binary);
        command.env_clear().stdin(Stdio::null()).arg("--root").arg(self.root()).args(arguments);
        for kept in ["PATH", "TMPDIR", "LLVM_PROFILE_FILE"] {
            if let Some(value) = std::env::var_os(kept) {
                command.env(kept, value);
            }
        }
        command
    }

    /// Runs to the end, whatever the end is.
    #[track_caller]
    pub fn run(&self, arguments: &[&str]) -> Output {
        finish(&mut self.command(arguments))
    }

    /// Runs to the end and gives back standard output.
    ///
    /// # Panics
    /// When the exit status is not 0.
    #[track_caller]
    pub fn ok(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert_eq!(output.code, 0, "conex-runtime {arguments:?}: {output:?}");
        output.stdout
    }

    /// Runs to the end and gives back standard error.
    ///
    /// # Panics
    /// When it does not fail with status 1 and one line.
    #[track_caller]
    pub fn fails(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert_eq!(
            (output.code, output.stderr.lines().count()),
            (1, 1),
            "conex-runtime {arguments:?}: {output:?}"
        );
        output.stderr
    }

    /// Runs to the end with another exit status than 1 and one line; gives back standard error.
    ///
    /// # Panics
    /// When it ends otherwise.
    #[track_caller]
    pub fn fails_with(&self, code: i32, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert_eq!(
            (output.code, output.stderr.lines().count()),
            (code, 1),
            "conex-runtime {arguments:?}: {output:?}"
        );
        output.stderr
    }

    /// Runs to the end and gives the exit status.
    #[track_caller]
    pub fn code(&self, arguments: &[&str]) -> i32 {
        self.run(arguments).code
    }

    /// Makes a bundle `id` and a container of it, not started.
    ///
    /// # Panics
    /// When it cannot be made.
    #[track_caller]
    pub fn create_config(&self, id: &str, config: &Value) {
        let bundle = self.bundle(id, config);
        let mut command =
            self.command(&["create", "--bundle", bundle.to_str().expect("a path in UTF-8"), id]);
        let status = command.stdout(Stdio::null()).stderr(Stdio::inherit()).status().expect("conex-runtime");
        assert!(status.success(), "create {id}: {status}");
    }

    /// Its status, or `None` when there is no such container.
    pub fn status(&self, id: &str) -> Option<String> {
        let state: Value = serde_json::from_str(&self.run(&["state", id]).stdout).ok()?;
        state["status"].as_str().map(str::to_owned)
    }

    /// Makes a bundle `id` of this config.json and `run`s it to its end.
    #[track_caller]
    pub fn run_config(&self, id: &str, config: &Value) -> Output {
        let bundle = self.bundle(id, config);
        self.run(&["run", "--bundle", bundle.to_str().expect("a path in UTF-8"), id])
    }

    /// Makes a bundle `id` and runs it detached.
    ///
    /// # Panics
    /// When it does not start.
    #[track_caller]
    pub fn start_config(&self, id: &str, config: &Value) {
        let bundle = self.bundle(id, config);
        let log = self.scratch().join(format!("log-{id}"));
        let text = |path: &Path| path.to_str().expect("a path in UTF-8").to_owned();
        let mut command =
            self.command(&["--log", &text(&log), "run", "--detach", "--bundle", &text(&bundle), id]);
        // The container keeps what it inherits open: no pipe, and no file that grows (a checkpoint looks at its size).
        let status = command.stdout(Stdio::null()).stderr(Stdio::null()).status().expect("conex-runtime");
        assert!(
            status.success(),
            "run --detach {id}: {status}: {}",
            std::fs::read_to_string(&log).unwrap_or_default()
        );
    }

    /// Starts it beside the test.
    pub fn background(&self, arguments: &[&str]) -> Background {
        Background::spawn(&mut self.command(arguments))
    }

    /// `state`, parsed.
    ///
    /// # Panics
    /// When it fails or prints no JSON.
    #[track_caller]
    pub fn state(&self, id: &str) -> Value {
        serde_json::from_str(&self.ok(&["state", id])).expect("state prints JSON")
    }
}

impl Drop for Runtime {
    fn drop(&mut self) {
        // Best effort, and never a second panic: the test has its verdict.
        for entry in std::fs::read_dir(self.root()).into_iter().flatten().flatten() {
            let id = entry.file_name();
            let _ = self
                .command(&["delete", "--force"])
                .arg(id)
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .status();
        }
        for path in self.cgroups() {
            remove_groups(&path);
        }
    }
}

impl Runtime {
    /// The directories of its cgroup in all hierarchies; empty when nothing is left of its containers' groups but their parent.
    pub fn cgroups(&self) -> Vec<PathBuf> {
        let root = Path::new("/sys/fs/cgroup");
        let hierarchies = std::fs::read_dir(root).into_iter().flatten().flatten().map(|entry| entry.path());
        let places = hierarchies.chain([root.to_owned()]).map(|hierarchy| hierarchy.join(&self.cgroup[1..]));
        let mut places: Vec<_> = places.filter(|place| place.is_dir()).collect();
        places.dedup();
        places
    }

    /// The cgroups of containers that are left below it.
    pub fn groups(&self) -> Vec<PathBuf> {
        let below = |place: PathBuf| std::fs::read_dir(place).into_iter().flatten().flatten();
        let entries = self.cgroups().into_iter().flat_map(below);
        entries.map(|entry| entry.path()).filter(|path| path.is_dir()).collect()
    }
}

fn remove_groups(path: &Path) {
    for entry in std::fs::read_dir(path).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_groups(&entry.path());
        }
    }
    let _ = std::fs::remove_dir(path);
}

/// The busybox image's root filesystem, unpacked once a build: to be copied.
fn busybox() -> Option<&'static Path> {
    static ROOTFS: OnceLock<Option<PathBuf>> = OnceLock::new();
    ROOTFS
        .get_or_init(|| {
            let archive = archive("busybox-1.38-musl.oci.tar")?;
            let store = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/test-images");
            std::fs::create_dir_all(&store).expect("target/test-images");
            let rootfs = store.join("busybox-rootfs");
            if !rootfs.exists() {
                let directory = tempfile::tempdir_in(&store).expect("a directory");
                // Another test program may have been faster; its is as good.
                let _ = std::fs::rename(unpack(&archive, directory.path()), &rootfs);
            }
            Some(rootfs)
        })
        .as_deref()
}

/// Unpacks an OCI image layout; gives the root filesystem of its first image for this machine.
fn unpack(archive: &Path, into: &Path) -> PathBuf {
    let tar = |file: &Path, into: &Path| {
        let done = finish(Command::new("tar").arg("-xf").arg(file).arg("-C").arg(into));
        assert_eq!(done.code, 0, "tar {}: {}", file.display(), done.stderr);
    };
    tar(archive, into);
    let blob = |digest: &Value| into.join("blobs").join(digest.as_str().expect("a digest").replace(':', "/"));
    let parse = |path: PathBuf| -> Value {
        serde_json::from_slice(&std::fs::read(path).expect("a blob")).expect("JSON")
    };
    let mut document = parse(into.join("index.json"));
    // An index may point to another.
    while let Some(manifests) = document["manifests"].as_array() {
        let ours = manifests.iter().find(|manifest| manifest["platform"]["architecture"] == go_arch());
        document = parse(blob(&ours.unwrap_or(&manifests[0])["digest"]));
    }
    let rootfs = into.join("rootfs");
    std::fs::create_dir(&rootfs).expect("a directory");
    for layer in document["layers"].as_array().expect("layers") {
        tar(&blob(&layer["digest"]), &rootfs);
    }
    for name in ["proc", "sys", "dev", "tmp"] {
        std::fs::create_dir_all(rootfs.join(name)).expect("a directory");
    }
    rootfs
}

fn go_arch() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}
