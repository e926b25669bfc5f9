//! Pulls into an empty store from a registry on loopback: three gzip layers of this machine's own files, and a Debian with
//! Python. Beside the peers stand the floors: the same blobs fetched by curl, inflated and hashed by the tools that everybody has,
//! and by the fastest programs that are installed. Then what a pull takes in memory and on the disk, and what the first run after it pays.

mod engines;
mod registry;

use std::process::Command;

use crate::Result;
use crate::docker::{Docker, Networks};
use crate::measure::{Contestant, measure};
use crate::options::Options;
use crate::report::Report;
use crate::scene::{Scene, run};
use engines::{Engine, engines};
use registry::{Registry, Subject};

/// A pull takes long: fewer rounds tell as much.
const ROUNDS: usize = 8;

const DOWNLOAD: &str = "floor: download";
const INFLATE: &str = "floor: inflate";
const FASTEST: &str = "fastest inflate";
const FIRST: &str = "first run after it";
const LATER: &str = "later run";

pub(crate) fn bench(scene: &Scene, options: &Options) -> Result<Vec<Report>> {
    let registry = match Registry::start(scene) {
        Ok(registry) => registry,
        Err(why) => {
            let mut report = Report::new("pull", "pulls from a loopback registry");
            report.left_out(why);
            return Ok(vec![report]);
        }
    };
    let docker = Docker::start(scene, Networks::Hosts);
    let mut reports = Vec::new();
    for subject in [registry.layers(scene), registry.debian(scene)] {
        match subject {
            Ok(subject) => reports.push(pull(scene, options, &registry, &docker, &subject)?),
            Err(why) => println!("bench: {why}: left out"),
        }
    }
    Ok(reports)
}

fn pull(
    scene: &Scene,
    options: &Options,
    registry: &Registry,
    docker: &Result<Docker>,
    subject: &Subject,
) -> Result<Report> {
    let mut report = Report::new(subject.what, subject.about);
    if let Err(why) = docker {
        report.left_out(why);
    }
    let engines = engines(scene, docker.as_ref().ok(), subject);
    let Floors { fetch, inflate, fastest } = floors(registry, subject)?;
    let mut contestants = vec![
        Contestant::new(DOWNLOAD, "curl", || shell(&fetch)),
        Contestant::new(INFLATE, "gzip, sha256sum", || shell(&inflate)),
        Contestant::new(FASTEST, "igzip, openssl", || shell(&fastest)),
    ];
    contestants.extend(engines.iter().map(Engine::contestant));
    let rounds = options.rounds.min(ROUNDS);
    let mut report = report.times(measure(contestants, rounds));
    for peer in ["podman", "docker"] {
        report.ratio(peer, 1.0 / 5.0);
    }
    report.ratio_to_slower([DOWNLOAD, INFLATE], 1.25);
    report.ratio_to_slower([DOWNLOAD, FASTEST], 1.25);
    for engine in &engines {
        if report.median(engine.name).is_none() {
            continue;
        }
        report.figure(format!("disk, {}", engine.name), engine.disk()?, "MiB");
        if let Some(memory) = engine.memory(&scene.floor)? {
            report.figure(format!("peak memory, {}", engine.name), memory, "MiB");
            if engine.name.starts_with("conex") {
                report.budget(format!("peak memory, {}, MB", engine.name), 100.0, memory * 1.048_576);
            }
        }
        engine.reset();
    }
    if subject.runs {
        report = runs(scene, report, &subject.reference, rounds);
    }
    Ok(report)
}

/// The first run of an image that was just pulled, beside one of an image that was run before.
fn runs(scene: &Scene, report: Report, image: &str, rounds: usize) -> Report {
    let (first, later) = ("pull-first", "pull-later");
    let pull = |store| {
        let directory = scene.directory.join(store);
        if directory.exists() {
            crate::scene::remove(&directory);
        }
        let _ = run(scene.conex_in(store).args(["pull", "--quiet", image]));
        let _ = run(&mut Command::new("sync"));
    };
    let start = |store| {
        let mut command = scene.conex_in(store);
        command.args(["run", "--rm", "--network", "none", "--user", "0", "--entrypoint", "/bin/true", image]);
        command
    };
    pull(later);
    let contestants = vec![
        Contestant::with_before(FIRST, "conex", || pull(first), || start(first)),
        Contestant::new(LATER, "conex", || start(later)),
    ];
    let mut report = report.times(measure(contestants, rounds));
    if let (Some(first), Some(later)) = (report.median(FIRST), report.median(LATER)) {
        // The image is mounted then, once until the next boot.
        report.figure(format!("{FIRST}, more than a {LATER}"), first - later, "ms");
        if let Some(pull) = report.median("conex") {
            report.budget("what the first run pays more / the pull", 0.05, (first - later) / pull);
        }
    }
    report
}

fn shell(script: &str) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", script]);
    command
}

/// The shell's words for bringing the image's layers here and to nowhere, all at once; and for inflating and hashing them (blob
/// and contents) from the page cache, as many at once as there are processors.
struct Floors {
    fetch: String,
    inflate: String,
    fastest: String,
}

fn floors(registry: &Registry, subject: &Subject) -> Result<Floors> {
    let blobs = subject.layers()?;
    let fetch: Vec<_> =
        blobs.iter().map(|blob| format!("-o /dev/null {}", registry.url(subject, blob))).collect();
    let files: Vec<_> = blobs.iter().map(|blob| subject.blob(blob).display().to_string()).collect();
    let list = files.join("\\n");
    let by = |hash: &str, inflate: &str| {
        let one = format!("{hash} \"$0\" >/dev/null & {inflate} -dc \"$0\" | {hash} >/dev/null; wait");
        format!("printf '{list}\\n' | xargs -P \"$(nproc)\" -I F sh -c '{one}' F")
    };
    Ok(Floors {
        fetch: format!("curl -sfZ {}", fetch.join(" ")),
        inflate: by("sha256sum", "gzip"),
        fastest: by("openssl sha256", "igzip"),
    })
}
