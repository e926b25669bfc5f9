//! Networks: what a start on the default bridge costs, many starts at once, and what goes through.
//!
//! All of it happens in a network and mount namespace that ends with the comparison, with an empty /run: the machine's own networks
//! and firewall are never touched, by none of the contestants.

mod crowd;
mod throughput;
mod yard;

use std::process::{Command, Stdio};

use crate::Result;
use crate::docker::{Docker, Networks};
use crate::measure::{Contestant, measure};
use crate::options::Options;
use crate::peers::Kind;
use crate::report::Report;
use crate::scene::{Scene, run};

pub(crate) use yard::ROLE;

const NONE: &str = "conex, none";

/// Goes on in namespaces of its own.
pub(crate) fn bench() -> Result<()> {
    yard::enter()
}

/// The comparison itself, in there.
pub(crate) fn inside(options: &Options) -> Result<()> {
    yard::furnish()?;
    let scene = Scene::set(options)?;
    let parts: [&dyn Fn() -> Result<Report>; 3] =
        [&|| starts(&scene, options), &|| crowd::bench(&scene), &|| throughput::bench(&scene)];
    for part in parts {
        part()?.finish(options.save)?;
    }
    Ok(())
}

/// `run --rm IMAGE true` on the default bridge of each engine.
fn starts(scene: &Scene, options: &Options) -> Result<Report> {
    let conex = |network: &'static str| {
        move || {
            let mut command = scene.conex();
            command.args(["run", "--rm", "--network", network, &scene.image, "true"]);
            command
        }
    };
    let version = env!("CARGO_PKG_VERSION");
    let mut report = Report::new("network", "run --rm busybox true on the default bridge");
    let docker =
        Docker::start(scene, Networks::Own).and_then(|docker| Ok((image_of(scene, &docker)?, docker)));
    let mut contestants = vec![
        Contestant::new("conex", version, conex("bridge")),
        Contestant::new(NONE, version, conex("none")),
    ];
    let podmans = scene.peers.iter().filter(|peer| matches!(peer.kind, Kind::Podman { .. }));
    contestants.extend(
        podmans.map(|peer| Contestant::new(&peer.name, &peer.version, || peer.run_on(scene, "bridge"))),
    );
    match &docker {
        Ok((image, docker)) => contestants.push(Contestant::new("docker", &docker.version, move || {
            let mut command = docker.command();
            command.args(["run", "--rm", image, "true"]);
            command
        })),
        Err(why) => report.left_out(why),
    }
    // The others are slow, and the machine is not theirs alone.
    let mut report = report.times(measure(contestants, options.rounds));
    report.ratio_to(NONE, 2.5);
    for peer in ["podman", "docker"] {
        report.ratio(peer, 1.0 / 10.0);
    }
    // A bridge that nobody is on any more may stay: the next comparison begins with none.
    let _ = run(scene.conex().args(["network", "prune", "--force"]));
    Ok(report)
}

fn image_of(scene: &Scene, docker: &Docker) -> Result<String> {
    // In its own format: older ones read no OCI archive.
    let archive = scene.directory.join("docker.tar");
    run(scene.conex().args(["save", "--output"]).arg(&archive).arg(&scene.image))?;
    let said = crate::scene::output(docker.command().args(["load", "--input"]).arg(&archive))?;
    Ok(said.split_whitespace().last().ok_or("docker load names no image")?.to_owned())
}

/// A command whose output is of no interest.
fn quiet(command: &mut Command) -> &mut Command {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null())
}
