//! What the comparisons happen in: the built binaries, one image unpacked for all, a control group, directories that are
//! removed at the end.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::machine::unified;
use crate::options::Options;
use crate::peers::{self, Peer};
use crate::{Result, bundle};

/// The image that everybody runs.
const ARCHIVE: &str = "busybox-1.38-musl.oci.tar";

/// The scene. Dropping it removes its groups and directories.
pub(crate) struct Scene {
    /// Everything below is in here.
    pub(crate) directory: PathBuf,
    /// The peers' own, with a short name.
    pub(crate) short: Short,
    pub(crate) conex: PathBuf,
    pub(crate) floor: PathBuf,
    /// The image as one directory.
    pub(crate) rootfs: PathBuf,
    pub(crate) archive: PathBuf,
    /// The image's name in Conex's store.
    pub(crate) image: String,
    /// A v2 group to make groups in.
    pub(crate) group: Option<PathBuf>,
    pub(crate) peers: Vec<Peer>,
}

impl Scene {
    pub(crate) fn set(options: &Options) -> Result<Self> {
        let exe = std::env::current_exe().map_err(|error| error.to_string())?;
        let release = exe.parent().ok_or("no directory of binaries")?;
        let conex = release.join("conex");
        if !conex.is_file() {
            return Err(format!("{} is not built: use cargo xtask bench", conex.display()));
        }
        let directory = release.join("bench-scene");
        if directory.exists() {
            remove(&directory);
        }
        let rootfs = directory.join("rootfs");
        for made in [&rootfs, &directory.join("work")] {
            fs::create_dir_all(made).map_err(|error| format!("cannot make {}: {error}", made.display()))?;
        }
        let archive = archive()?;
        unpack(&archive, &directory, &rootfs)?;
        let floor = build_floor(&directory)?;
        let group = unified().map(|root| root.join(format!("conex-bench-{}", std::process::id())));
        if let Some(group) = &group {
            fs::create_dir(group)
                .map_err(|error| format!("cannot make {}: {error} (root?)", group.display()))?;
        }
        let mut scene = Self {
            directory,
            short: Short::make()?,
            conex,
            floor,
            rootfs,
            archive,
            image: String::new(),
            group,
            peers: Vec::new(),
        };
        run(scene.conex().args(["load", "--quiet", "--input"]).arg(&scene.archive))?;
        let images = output(scene.conex().args(["images", "--format", "{{.Repository}}:{{.Tag}}"]))?;
        scene.image = images.lines().next().ok_or("conex load has left no image")?.to_owned();
        bundle::write(&scene)?;
        scene.peers = peers::find(&scene, options);
        Ok(scene)
    }

    /// A command of Conex in this scene.
    pub(crate) fn conex(&self) -> Command {
        self.conex_in("conex")
    }

    /// The same with a store of its own.
    pub(crate) fn conex_in(&self, store: &str) -> Command {
        let mut command = Command::new(&self.conex);
        command
            .env("CONEX_ROOT", self.directory.join(store).join("root"))
            .env("CONEX_RUN_ROOT", self.directory.join(store).join("run"));
        command
    }

    /// The floor program's command line for a container.
    pub(crate) fn floor_run(&self) -> Command {
        let mut command = Command::new(&self.floor);
        command.arg(&self.rootfs).arg(self.directory.join("work"));
        command.arg(self.group.as_deref().unwrap_or(Path::new("-"))).arg("/bin/true");
        command
    }
}

/// A directory directly below the temporary one; removed at the end.
pub(crate) struct Short(PathBuf);

impl Short {
    fn make() -> Result<Self> {
        let path = std::env::temp_dir().join(format!("cxb-{}", std::process::id()));
        fs::create_dir(&path).map_err(|error| format!("cannot make {}: {error}", path.display()))?;
        Ok(Self(path))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Short {
    fn drop(&mut self) {
        remove(&self.0);
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        if let Some(group) = &self.group {
            // The kernel may still be freeing the last process.
            for _ in 0..50 {
                if fs::remove_dir(group).is_ok() {
                    break;
                }
                std::thread::sleep(std::time::Duration::from_millis(10));
            }
        }
        for peer in &self.peers {
            peer.leave();
        }
        remove(&self.directory);
    }
}

pub(crate) fn remove(directory: &Path) {
    // Images with layers in EROFS stay mounted for the next start.
    let table = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let points = table.lines().rev().filter_map(|line| line.split(' ').nth(4));
    for point in points.filter(|point| Path::new(point).starts_with(directory)) {
        let _ = run(Command::new("umount").arg("--lazy").arg(point));
    }
    if let Err(error) = fs::remove_dir_all(directory) {
        eprintln!("bench: cannot remove {}: {error}", directory.display());
    }
}

/// Compiles the floor program into `directory`.
pub(crate) fn build_floor(directory: &Path) -> Result<PathBuf> {
    let floor = directory.join("floor");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("floor.c");
    run(Command::new("cc").args(["-O2", "-static", "-Wall", "-o"]).arg(&floor).arg(source))?;
    Ok(floor)
}

/// The fixture: in `CONEX_TEST_IMAGES`, or `shared/images` beside a directory above.
pub(crate) fn archive() -> Result<PathBuf> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let named = std::env::var_os("CONEX_TEST_IMAGES").map(PathBuf::from);
    named
        .into_iter()
        .chain(here.ancestors().skip(2).map(|above| above.join("shared/images")))
        .map(|directory| directory.join(ARCHIVE))
        .find(|path| path.is_file())
        .ok_or_else(|| format!("{ARCHIVE} is not here (name its directory in CONEX_TEST_IMAGES)"))
}

/// The layers of the first image in an OCI archive, into one directory.
pub(crate) fn unpack(archive: &Path, directory: &Path, rootfs: &Path) -> Result<()> {
    let layout = directory.join("layout");
    fs::create_dir_all(&layout).map_err(|error| error.to_string())?;
    run(Command::new("tar").arg("-C").arg(&layout).arg("-xf").arg(archive))?;
    let mut document = json(&layout.join("index.json"))?;
    while let Some(digest) = document["manifests"][0]["digest"].as_str() {
        document = json(&layout.join("blobs").join(digest.replace(':', "/")))?;
    }
    for layer in document["layers"].as_array().into_iter().flatten() {
        let digest = layer["digest"].as_str().unwrap_or_default();
        let blob = layout.join("blobs").join(digest.replace(':', "/"));
        run(Command::new("tar").arg("-C").arg(rootfs).arg("-xf").arg(blob))?;
    }
    for directory in ["proc", "sys", "dev"] {
        fs::create_dir_all(rootfs.join(directory)).map_err(|error| error.to_string())?;
    }
    Ok(())
}

fn json(path: &Path) -> Result<Value> {
    let text = fs::read(path).map_err(|error| format!("cannot read {}: {error}", path.display()))?;
    serde_json::from_slice(&text).map_err(|error| format!("{}: {error}", path.display()))
}

/// Runs to the end; a failure is an error with the last line that was said.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let said = command.stdin(Stdio::null()).output().map_err(|error| format!("{command:?}: {error}"))?;
    if !said.status.success() {
        let text = String::from_utf8_lossy(&said.stderr);
        return Err(format!("{command:?}: {}: {}", said.status, text.lines().last().unwrap_or_default()));
    }
    Ok(String::from_utf8_lossy(&said.stdout).into_owned())
}

/// As [`output`], for those that say nothing of interest.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    output(command).map(|_| ())
}
