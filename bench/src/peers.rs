//! The other engines and runtimes, as they are found.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::options::Options;
use crate::scene::{Scene, output};

/// How a peer is spoken to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kind {
    /// runc's command line, with the bundles.
    Runtime,
    /// podman with a store of its own and one of the runtimes.
    Podman {
        /// `--runtime`
        runtime: Option<PathBuf>,
    },
    /// docker with its daemon.
    Docker,
}

/// Another engine or runtime.
#[derive(Debug, Clone)]
pub(crate) struct Peer {
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) kind: Kind,
    program: PathBuf,
    directory: PathBuf,
    /// What it calls the image.
    image: String,
}

/// Those that are installed, and those that were named.
pub(crate) fn find(scene: &Scene, options: &Options) -> Vec<Peer> {
    let installed = ["crun", "runc", "podman", "docker"]
        .into_iter()
        .filter_map(|name| Some((name.to_owned(), which(name)?)));
    let mut programs: Vec<(String, PathBuf)> = installed.collect();
    programs.extend(options.peers.iter().cloned());
    let runtimes: Vec<_> = programs
        .iter()
        .filter(|(name, _)| name.starts_with("crun") || name.starts_with("runc"))
        .cloned()
        .collect();
    let mut peers = Vec::new();
    for (name, program) in programs {
        let peer = |name: String, kind: Kind| Peer {
            // podman wants no path longer than 50 characters.
            directory: scene.short.path().join(&name),
            image: String::new(),
            version: version(&program),
            program: program.clone(),
            name,
            kind,
        };
        if name.starts_with("podman") {
            for (runtime, path) in &runtimes {
                peers.push(peer(format!("{name}+{runtime}"), Kind::Podman { runtime: Some(path.clone()) }));
            }
            if runtimes.is_empty() {
                peers.push(peer(name, Kind::Podman { runtime: None }));
            }
        } else if name.starts_with("docker") {
            if output(Command::new(&program).args(["version", "--format", "{{.Server.Version}}"])).is_ok() {
                peers.push(peer(name, Kind::Docker));
            } else {
                println!("bench: docker is installed but no daemon answers: left out");
            }
        } else {
            peers.push(peer(name, Kind::Runtime));
        }
    }
    peers.retain_mut(|peer| match peer.prepare(scene) {
        Ok(()) => true,
        Err(why) => {
            println!("bench: {} left out: {why}", peer.name);
            false
        }
    });
    peers
}

impl Peer {
    /// Brings the image there.
    fn prepare(&mut self, scene: &Scene) -> crate::Result<()> {
        std::fs::create_dir_all(&self.directory).map_err(|error| error.to_string())?;
        if self.kind != Kind::Runtime {
            let said = output(self.command().args(["load", "--input"]).arg(&scene.archive))?;
            // `Loaded image: localhost/busybox:1.38.0-musl`, or an id.
            self.image = said.split_whitespace().last().ok_or("load names no image")?.to_owned();
        }
        Ok(())
    }

    /// The peer with the options that keep it in this scene.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        match &self.kind {
            Kind::Runtime => {
                command.arg("--root").arg(self.directory.join("state"));
            }
            Kind::Podman { runtime } => {
                command.arg("--root").arg(self.directory.join("root"));
                command.arg("--runroot").arg(self.directory.join("run"));
                command.args(["--cgroup-manager", "cgroupfs", "--events-backend", "none"]);
                if let Some(runtime) = runtime {
                    command.arg("--runtime").arg(runtime);
                }
            }
            Kind::Docker => {}
        }
        command
    }

    /// Where it keeps images.
    pub(crate) fn store(&self) -> PathBuf {
        self.directory.join("root")
    }

    /// `run --rm … true`.
    pub(crate) fn run_true(&self, scene: &Scene) -> Command {
        self.run_on(scene, "none")
    }

    /// The same on a network; a runtime knows none.
    pub(crate) fn run_on(&self, scene: &Scene, network: &str) -> Command {
        let mut command = self.command();
        match self.kind {
            Kind::Runtime => {
                command
                    .args(["run", "--bundle"])
                    .arg(scene.directory.join("bundle"))
                    .arg(self.container("run"));
            }
            _ => {
                command.args(["run", "--rm"]).args(self.limits()).args([
                    "--network",
                    network,
                    &self.image,
                    "true",
                ]);
            }
        }
        command
    }

    /// podman's default limits are above what a machine without CAP_SYS_RESOURCE may set.
    fn limits(&self) -> &'static [&'static str] {
        if matches!(self.kind, Kind::Podman { .. }) {
            &["--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1024:1024"]
        } else {
            &[]
        }
    }

    /// Starts a container that stays. A runtime's container has the standard streams of its caller: they lead nowhere.
    pub(crate) fn start_sleep(&self, scene: &Scene) -> crate::Result<()> {
        let mut command = self.command();
        match self.kind {
            Kind::Runtime => {
                let bundle = scene.directory.join("bundle-sleep");
                command.args(["run", "--detach", "--bundle"]).arg(bundle).arg(self.container("sleep"));
            }
            _ => {
                command.args(["run", "--detach", "--name", &self.container("sleep"), "--network", "none"]);
                command.args(self.limits()).args([&self.image, "sleep", "3600"]);
            }
        }
        let status = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
        match status {
            Ok(status) if status.success() => Ok(()),
            Ok(status) => Err(format!("cannot start a container: {status}")),
            Err(error) => Err(format!("cannot start a container: {error}")),
        }
    }

    /// The start of another one, of an engine's.
    pub(crate) fn start_named(&self, name: &str) -> Command {
        let mut command = self.command();
        command.args(["run", "--detach", "--name", name, "--network", "none"]);
        command.args(self.limits()).args([&self.image, "sleep", "36000"]);
        command
    }

    /// The pid of that container's first process.
    pub(crate) fn sleeping(&self) -> crate::Result<String> {
        let container = self.container("sleep");
        let pid = output(self.command().args(["inspect", "--format", "{{.State.Pid}}", &container]))?;
        Ok(pid.trim().to_owned())
    }

    /// `exec … true` in that container.
    pub(crate) fn exec_true(&self) -> Command {
        let mut command = self.command();
        command.arg("exec").arg(self.container("sleep")).arg("/bin/true");
        command
    }

    /// Removes that container.
    pub(crate) fn remove_sleep(&self) {
        let verb: &[&str] =
            if self.kind == Kind::Runtime { &["delete", "--force"] } else { &["rm", "--force"] };
        // It may not have come up.
        let _ = output(self.command().args(verb).arg(self.container("sleep")));
    }

    /// Leaves nothing running or mounted behind.
    pub(crate) fn leave(&self) {
        if matches!(self.kind, Kind::Podman { .. }) {
            let _ = output(self.command().args(["rm", "--all", "--force"]));
            let _ = output(self.command().args(["rmi", "--all", "--force"]));
            // podman keeps its store mounted upon itself, and its groups, which are empty by now.
            let _ = output(Command::new("umount").arg(self.directory.join("root/overlay")));
            for hierarchy in std::fs::read_dir("/sys/fs/cgroup").into_iter().flatten().flatten() {
                remove_groups(&hierarchy.path().join("libpod_parent"));
            }
        }
    }

    fn container(&self, what: &str) -> String {
        format!("bench-{}-{what}", std::process::id())
    }
}

/// Removes a group and those in it; one that somebody is in stays.
fn remove_groups(group: &Path) {
    for child in std::fs::read_dir(group).into_iter().flatten().flatten() {
        if child.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_groups(&child.path());
        }
    }
    let _ = std::fs::remove_dir(group);
}

pub(crate) fn which(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .chain(["/usr/sbin".into(), "/sbin".into()])
        .map(|directory| directory.join(name))
        .find(|path| path.is_file())
}

pub(crate) fn version(program: &Path) -> String {
    let said = output(Command::new(program).arg("--version")).unwrap_or_default();
    said.lines().next().unwrap_or_default().to_owned()
}
