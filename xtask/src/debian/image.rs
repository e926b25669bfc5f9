//! The image `debian-python`: a Debian with Python in six layers, as an ordinary Dockerfile would give them, of packages from
//! where this machine has its own. No container tool has a part in it: mmdebstrap, apt, overlayfs, GNU tar and gzip.
//!
//! It is kept in `target/debian-python` as an OCI archive. What can be the same in two builds is: the packages' files, all times, the
//! order of names.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::bootstrap::{self, bootstrap};
use super::kept::{Kept, clear};
use super::{Apt, Sources};
use crate::command::{installed, output, program, run as run_command};

/// The image.
pub(crate) const PYTHON: Kept = Kept {
    name: "debian-python",
    file: "debian-python.oci.tar",
    variable: "CONEX_TEST_DEBIAN_IMAGE",
    recipe,
    make,
};

const NAME: &str = "debian-python:1";

/// No file is younger: 2025-01-01.
const EPOCH: &str = "1735689600";
const CREATED: &str = "2025-01-01T00:00:00Z";

/// What each step over the base system installs.
const STEPS: [(u8, &[&str]); 3] = [
    (2, &["ca-certificates", "netbase", "tzdata"]),
    (3, &["python3-minimal", "python3"]),
    (4, &["python3-yaml", "python3-requests", "python3-pygments", "python3-jinja2"]),
];

const SCRIPT: &str = include_str!("layers.sh");
const PROGRAM: &str = include_str!("main.py");

fn recipe(sources: &Sources) -> String {
    format!("{}{STEPS:?}\n{PROGRAM}{SCRIPT}", bootstrap::recipe(sources, EPOCH))
}

fn make(making: &Path, cache: &Path, sources: &Sources) -> Result<PathBuf> {
    ensure!(installed("getfattr"), "getfattr is not installed");
    let packages = cache.join("packages");
    clear(&packages)?;
    // Layer 1.
    bootstrap(&making.join("1.tar"), sources, EPOCH, &[], &[])?;
    fetch(making, &packages, sources)?;
    upper_layers(making, &packages)?;
    assemble(making, &architecture()?)?;
    let mut tar = program("tar");
    tar.args(["--create", "--sort=name", "--numeric-owner", "--owner=0", "--group=0", "--mode=go=rX"]);
    tar.arg(format!("--mtime=@{EPOCH}")).arg("--directory").arg(making.join("layout"));
    let archive = making.join("archive");
    run_command(tar.arg("--file").arg(&archive).args(["oci-layout", "index.json", "blobs"]))?;
    Ok(archive)
}

/// The package files of each step, into `packages/N`: what the base system and the steps before do not have.
fn fetch(making: &Path, packages: &Path, sources: &Sources) -> Result<()> {
    let apt = Apt::new(making.join("apt"), &sources.line(&sources.suite))?;
    let status = making.join("status");
    let mut tar = program("tar");
    fs::write(&status, output(tar.arg("-xOf").arg(making.join("1.tar")).arg("./var/lib/dpkg/status"))?)?;
    let mut known = Vec::new();
    for (number, names) in STEPS {
        let mut install = apt.get();
        install.arg("-o").arg(format!("Dir::State::status={}", status.display()));
        install.args(["install", "--yes", "--no-install-recommends", "--download-only"]).args(names);
        output(&mut install).with_context(|| format!("cannot fetch {}", names.join(" ")))?;
        let directory = packages.join(number.to_string());
        fs::create_dir_all(&directory)?;
        for file in apt.fetched()?.into_iter().filter(|file| !known.contains(file)).collect::<Vec<_>>() {
            fs::copy(&file, directory.join(file.file_name().context("a package without a name")?))?;
            known.push(file);
        }
    }
    Ok(())
}

fn upper_layers(making: &Path, packages: &Path) -> Result<()> {
    fs::write(making.join("main.py"), PROGRAM)?;
    let mut command = program("unshare");
    command.args(["--mount", "sh", "-c", SCRIPT, "layers.sh"]);
    command.env("OUT", making).env("PACKAGES", packages).env("SOURCE_DATE_EPOCH", EPOCH);
    run_command(&mut command).context("a step of the image")
}

fn architecture() -> Result<String> {
    Ok(output(program("dpkg").arg("--print-architecture"))?.trim().to_owned())
}

/// Compresses the layers and writes the layout around them.
fn assemble(making: &Path, architecture: &str) -> Result<()> {
    let layers: Vec<PathBuf> = (1..=6).map(|number| making.join(format!("{number}.tar"))).collect();
    let compressing: Vec<_> = layers
        .iter()
        .map(|layer| Command::new("gzip").arg("--no-name").arg("--keep").arg(layer).spawn())
        .collect();
    for child in compressing {
        let status = child.and_then(|mut child| child.wait()).context("gzip")?;
        ensure!(status.success(), "gzip: {status}");
    }
    let blobs = making.join("layout/blobs/sha256");
    fs::create_dir_all(&blobs)?;
    let keep = |file: &Path, kind: &str| -> Result<Value> {
        let digest = sha256(file)?;
        let size = fs::metadata(file)?.len();
        fs::rename(file, blobs.join(&digest))?;
        Ok(json!({"mediaType": kind, "digest": format!("sha256:{digest}"), "size": size}))
    };
    let mut diff_ids = Vec::new();
    let mut descriptors = Vec::new();
    for layer in &layers {
        diff_ids.push(format!("sha256:{}", sha256(layer)?));
        descriptors
            .push(keep(&layer.with_extension("tar.gz"), "application/vnd.oci.image.layer.v1.tar+gzip")?);
    }
    let document = |name: &str, kind: &str, text: &Value| -> Result<Value> {
        let file = making.join(name);
        fs::write(&file, text.to_string())?;
        keep(&file, kind)
    };
    let config =
        document("config", "application/vnd.oci.image.config.v1+json", &config(architecture, &diff_ids))?;
    let kind = "application/vnd.oci.image.manifest.v1+json";
    let manifest = json!({"schemaVersion": 2, "mediaType": kind, "config": config, "layers": descriptors});
    let mut manifest = document("manifest", kind, &manifest)?;
    manifest["platform"] = json!({"architecture": architecture, "os": "linux"});
    manifest["annotations"] =
        json!({"org.opencontainers.image.ref.name": NAME, "io.containerd.image.name": NAME});
    let index = json!({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": [manifest]});
    fs::write(making.join("layout/index.json"), index.to_string())?;
    fs::write(making.join("layout/oci-layout"), json!({"imageLayoutVersion": "1.0.0"}).to_string())?;
    Ok(())
}

/// As a builder would have written it, with steps that have no layer.
fn config(architecture: &str, diff_ids: &[String]) -> Value {
    let step = |text: &str| json!({"created": CREATED, "created_by": text});
    let bare = |text: &str| json!({"created": CREATED, "created_by": text, "empty_layer": true});
    let mut history = vec![json!({"created": CREATED, "created_by": "mmdebstrap", "comment": "minbase"})];
    history.extend(STEPS.map(|(_, names)| step(&format!("RUN apt-get install {}", names.join(" ")))));
    history.extend([step("RUN clean"), bare("ENV PYTHONUNBUFFERED=1"), step("COPY app /app")]);
    history.extend(
        ["WORKDIR /app", "USER 1000:1000", "ENTRYPOINT [\"python3\"]", "CMD [\"main.py\"]"].map(bare),
    );
    json!({
        "created": CREATED,
        "architecture": architecture,
        "os": "linux",
        "config": {
            "User": "1000:1000",
            "Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "PYTHONUNBUFFERED=1"],
            "Entrypoint": ["python3"],
            "Cmd": ["main.py"],
            "WorkingDir": "/app",
            "Labels": {"org.opencontainers.image.title": "debian-python"},
        },
        "rootfs": {"type": "layers", "diff_ids": diff_ids},
        "history": history,
    })
}

fn sha256(file: &Path) -> Result<String> {
    let text = output(program("sha256sum").arg(file))?;
    Ok(text.split(' ').next().unwrap_or_default().trim_start_matches('\\').to_owned())
}
