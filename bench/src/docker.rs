//! dockerd and the containerd that it starts, in a process and mount namespace of their own with an empty /run: their stores
//! are this comparison's alone, and nothing of them outlives it.

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::Result;
use crate::peers::{version, which};
use crate::scene::{Scene, output, remove};

/// `unshare` becomes the first process of the namespace by way of this shell.
const ENTER: &str = r#"mount -t proc proc /proc && mount -t tmpfs tmpfs /run && exec "$0" "$@""#;

/// The daemons, which end when this is dropped.
pub(crate) struct Docker {
    child: Child,
    directory: PathBuf,
    client: PathBuf,
    pub(crate) version: String,
    /// containerd's own client, if there is one.
    ctr: Option<PathBuf>,
    pub(crate) containerd: String,
}

/// What becomes of networks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Networks {
    /// None is made: we are on the machine's own.
    Hosts,
    /// The default bridge, with rules: we are in a network namespace of the comparison's.
    Own,
}

impl Docker {
    pub(crate) fn start(scene: &Scene, networks: Networks) -> Result<Self> {
        let found = |name: &str| which(name).ok_or(format!("docker: {name} is not installed (docker.io)"));
        let (daemon, client, containerd) = (found("dockerd")?, found("docker")?, found("containerd")?);
        // The path of a socket is short.
        let directory = scene.short.path().join("dockerd");
        fs::create_dir_all(&directory).map_err(|error| error.to_string())?;
        let at = |name: &str| directory.join(name).display().to_string();
        let settings = format!("{{\"deprecated-key-path\": {:?}}}", at("key.json"));
        fs::write(at("daemon.json"), settings).map_err(|error| error.to_string())?;
        let log = fs::File::create(at("log")).map_err(|error| error.to_string())?;
        let mut command = Command::new("unshare");
        command.args(["--mount", "--pid", "--fork", "--kill-child", "--propagation", "private"]);
        command.args(["sh", "-c", ENTER]).arg(&daemon);
        for (option, value) in [
            ("config-file", at("daemon.json")),
            ("host", format!("unix://{}", at("docker.sock"))),
            ("data-root", at("data")),
            ("exec-root", at("exec")),
            ("pidfile", at("pid")),
            ("storage-driver", "overlay2".to_owned()),
            ("ip6tables", "false".to_owned()),
            ("userland-proxy", "false".to_owned()),
        ] {
            command.arg(format!("--{option}={value}"));
        }
        if networks == Networks::Hosts {
            command.args(["--bridge=none", "--iptables=false"]);
        }
        let streams = log.try_clone().map_err(|error| error.to_string())?;
        let child = command.stdin(Stdio::null()).stdout(streams).stderr(log).spawn();
        let child = child.map_err(|error| format!("docker: unshare: {error}"))?;
        let mut docker = Self {
            version: version(&daemon),
            containerd: version(&containerd),
            ctr: which("ctr"),
            child,
            directory,
            client,
        };
        docker.wait()?;
        Ok(docker)
    }

    fn wait(&mut self) -> Result<()> {
        let deadline = Instant::now() + Duration::from_secs(60);
        while output(self.command().args(["version", "--format", "{{.Server.Version}}"])).is_err() {
            let ended = self.child.try_wait().map_err(|error| error.to_string())?.is_some();
            if ended || Instant::now() > deadline {
                let log = fs::read_to_string(self.directory.join("log")).unwrap_or_default();
                return Err(format!(
                    "docker: dockerd does not answer: {}",
                    log.lines().last().unwrap_or_default()
                ));
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        Ok(())
    }

    /// Docker's client, for this daemon.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(&self.client);
        command.env("DOCKER_CONFIG", &self.directory);
        command.arg("--host").arg(format!("unix://{}", self.directory.join("docker.sock").display()));
        command
    }

    /// containerd's client, for the containerd below it; its namespace is not Docker's.
    pub(crate) fn ctr(&self) -> Option<Command> {
        let mut command = Command::new(self.ctr.as_ref()?);
        command.arg("--address").arg(self.directory.join("exec/containerd/containerd.sock"));
        command.args(["--namespace", "bench"]);
        Some(command)
    }

    /// Where Docker keeps everything, containerd's store included.
    pub(crate) fn data(&self) -> PathBuf {
        self.directory.join("data")
    }
}

impl Drop for Docker {
    fn drop(&mut self) {
        // With the first process of its namespace all others end, and their mounts with them.
        let _ = self.child.kill();
        let _ = self.child.wait();
        std::thread::sleep(Duration::from_millis(200));
        remove(&self.directory);
    }
}
