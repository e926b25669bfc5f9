//! Who pulls: each engine with a store that is empty before each round.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::registry::Subject;
use crate::Result;
use crate::docker::Docker;
use crate::measure::Contestant;
use crate::peers::{Kind, which};
use crate::scene::{Scene, output, remove, run};

/// An engine, or a way of using one.
pub(crate) struct Engine<'a> {
    pub(crate) name: &'static str,
    version: String,
    store: PathBuf,
    empty: Box<dyn Fn() + 'a>,
    pull: Box<dyn Fn() -> Command + 'a>,
    /// Whether the command does the work itself, so that its memory is that of a pull.
    is_whole: bool,
}

impl Engine<'_> {
    /// Cold: without the image, and with what earlier rounds have written on the disk.
    pub(crate) fn contestant(&self) -> Contestant<'_> {
        Contestant::with_before(self.name, &self.version, || self.reset(), || (self.pull)())
    }

    pub(crate) fn reset(&self) {
        (self.empty)();
        sync();
    }

    /// MiB that the image takes in the store: with it less without it. Leaves it without.
    pub(crate) fn disk(&self) -> Result<f64> {
        self.reset();
        let before = mebibytes(&self.store)?;
        run(&mut (self.pull)())?;
        sync();
        let after = mebibytes(&self.store)?;
        self.reset();
        Ok(after - before)
    }

    /// MiB of resident memory of the largest process of one pull, at its peak; `None` when a daemon does the work.
    pub(crate) fn memory(&self, floor: &Path) -> Result<Option<f64>> {
        if !self.is_whole {
            return Ok(None);
        }
        self.reset();
        let pull = (self.pull)();
        let mut command = Command::new(floor);
        let name = pull.get_program();
        // The floor program looks nowhere for it.
        let program = name.to_str().and_then(which).unwrap_or_else(|| name.into());
        command.arg("memory").arg(program).args(pull.get_args());
        command.envs(pull.get_envs().filter_map(|(name, value)| Some((name, value?))));
        let said = output(&mut command)?;
        let kibibytes: f64 =
            said.trim().lines().last().unwrap_or_default().parse().map_err(|_| format!("{said:?}"))?;
        Ok(Some(kibibytes / 1024.0))
    }
}

/// All that are here.
pub(crate) fn engines<'a>(
    scene: &'a Scene,
    docker: Option<&'a Docker>,
    subject: &'a Subject,
) -> Vec<Engine<'a>> {
    let image = subject.reference.as_str();
    let mut engines = vec![
        conex(scene, image, "conex", "pull-conex", "auto"),
        conex(scene, image, "conex, directories", "pull-directories", "directories"),
        skopeo(scene, image),
    ];
    // All podmans pull alike, whatever runs their containers.
    if let Some(peer) = scene.peers.iter().find(|peer| matches!(peer.kind, Kind::Podman { .. })) {
        engines.push(Engine {
            name: "podman",
            version: peer.version.clone(),
            store: peer.store(),
            empty: Box::new(|| drop(run(peer.command().args(["rmi", "--force", image])))),
            pull: Box::new(|| {
                let mut command = peer.command();
                command.args(["pull", "--quiet", "--tls-verify=false", image]);
                command
            }),
            is_whole: true,
        });
    }
    if let Some(docker) = docker {
        engines.extend(of_docker(docker, image));
    }
    engines
}

fn conex<'a>(
    scene: &'a Scene,
    image: &'a str,
    name: &'static str,
    store: &'static str,
    layers: &'static str,
) -> Engine<'a> {
    let directory = scene.directory.join(store);
    Engine {
        name,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        empty: Box::new({
            let directory = directory.clone();
            move || {
                if directory.exists() {
                    remove(&directory);
                }
            }
        }),
        store: directory,
        pull: Box::new(move || {
            let mut command = scene.conex_in(store);
            command.args(["pull", "--quiet", image]).env("CONEX_LAYERS", layers);
            command
        }),
        is_whole: true,
    }
}

fn skopeo<'a>(scene: &'a Scene, image: &'a str) -> Engine<'a> {
    let directory = scene.directory.join("pull-skopeo");
    let to = format!("oci:{}:x", directory.display());
    Engine {
        name: "skopeo (blobs only)",
        version: String::new(),
        empty: Box::new({
            let directory = directory.clone();
            // It may not be there yet.
            move || drop(fs::remove_dir_all(&directory))
        }),
        store: directory,
        pull: Box::new(move || {
            let mut command = Command::new("skopeo");
            command.args(["--insecure-policy", "copy", "--quiet", "--src-tls-verify=false"]);
            command.arg(format!("docker://{image}")).arg(&to);
            command
        }),
        is_whole: true,
    }
}

/// Docker, which keeps images itself, and the containerd below it.
fn of_docker<'a>(docker: &'a Docker, image: &'a str) -> Vec<Engine<'a>> {
    let mut engines = vec![Engine {
        name: "docker",
        version: docker.version.clone(),
        store: docker.data(),
        empty: Box::new(|| drop(run(docker.command().args(["rmi", "--force", image])))),
        pull: Box::new(|| {
            let mut command = docker.command();
            command.args(["pull", "--quiet", image]);
            command
        }),
        is_whole: false,
    }];
    if docker.ctr().is_some() {
        let ctr = || docker.ctr().unwrap_or_else(|| Command::new("ctr"));
        engines.push(Engine {
            name: "containerd (ctr)",
            version: docker.containerd.clone(),
            store: docker.data(),
            // Waits until content and snapshots are collected.
            empty: Box::new(move || drop(run(ctr().args(["images", "rm", "--sync", image])))),
            pull: Box::new(move || {
                let mut command = ctr();
                command.args(["images", "pull", "--plain-http", image]);
                command
            }),
            is_whole: false,
        });
    }
    engines
}

/// What is to be written is written: nobody pays for who came before.
fn sync() {
    let _ = run(&mut Command::new("sync"));
}

fn mebibytes(directory: &Path) -> Result<f64> {
    if !directory.exists() {
        return Ok(0.0);
    }
    let said = output(Command::new("du").arg("-skx").arg(directory))?;
    let kibibytes = said.split_whitespace().next().and_then(|text| text.parse::<f64>().ok());
    kibibytes.map(|kibibytes| kibibytes / 1024.0).ok_or_else(|| format!("du: {said:?}"))
}
