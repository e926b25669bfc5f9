//! As many idle containers as a machine is asked to have at once: how fast they start, from the first to the last, what each
//! costs in memory, and how long it takes to list them and to look at what they use.
//!
//! Peers are given a time in place of a number: what they reached in it is what is told, and nothing is extrapolated. The first
//! and the last starts are minutes apart, on a machine that may have other things to do: the bare system calls are timed beside
//! both.

mod crowd;

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use self::crowd::{Crowd, Settled};
use crate::Result;
use crate::docker::{Docker, Networks};
use crate::options::Options;
use crate::peers::Kind;
use crate::report::Report;
use crate::scene::{Scene, output, run};

/// How long a peer may start containers.
const PEER: Duration = Duration::from_secs(45);
/// What docker's daemon calls the image.
const IMPORTED: &str = "crowd:latest";
/// Starts at either end that the median is taken of.
const EDGE: usize = 25;
/// Times that things are listed.
const LOOKS: usize = 9;

pub(crate) fn bench(scene: &Scene, options: &Options) -> Result<Report> {
    let about = "idle containers at once (run -d --network none IMAGE sleep): starts, memory, listings; ps and stats are those of the engine that has them";
    let mut report = Report::new("density", about);
    ours(scene, options, &mut report)?;
    for peer in scene.peers.iter().filter(|peer| matches!(peer.kind, Kind::Podman { .. })) {
        let crowd = Crowd {
            name: peer.name.clone(),
            start: Box::new(|number| peer.start_named(&format!("crowd-{number}"))),
            verb: Box::new(|words| {
                let mut command = peer.command();
                command.args(words);
                command
            }),
            // It would wait ten seconds for each, whose program does not know the stop signal.
            remove: &["rm", "--force", "--time", "0"],
            supervisor: None,
        };
        theirs(&crowd, options, &mut report);
    }
    match Docker::start(scene, Networks::Hosts) {
        Ok(docker) => match import(scene, &docker) {
            Ok(()) => {
                let verb = |words: &[&str]| {
                    let mut command = docker.command();
                    command.args(words);
                    command
                };
                let crowd = Crowd {
                    name: "docker".to_owned(),
                    start: Box::new(|number| {
                        let mut command = verb(&["run", "--detach", "--network", "none", "--name"]);
                        command.args([&format!("crowd-{number}"), IMPORTED, "sleep", "36000"]);
                        command
                    }),
                    verb: Box::new(verb),
                    remove: &["rm", "--force"],
                    supervisor: Some([
                        "containerd-shim".to_owned(),
                        docker.data().with_file_name("exec").display().to_string(),
                    ]),
                };
                theirs(&crowd, options, &mut report);
            }
            Err(why) => report.left_out(format!("docker: {why}")),
        },
        Err(why) => report.left_out(why),
    }
    Ok(report)
}

/// The image, as docker's daemon has it: an older one does not read the archive.
fn import(scene: &Scene, docker: &Docker) -> Result<()> {
    let mut tar =
        Command::new("tar").arg("-C").arg(&scene.rootfs).args(["-c", "."]).stdout(Stdio::piped()).spawn();
    let stdout = tar.as_mut().map_err(|error| error.to_string())?.stdout.take().ok_or("tar says nothing")?;
    let mut import = docker.command();
    let status = import.args(["import", "-", IMPORTED]).stdin(stdout).stdout(Stdio::null()).status();
    let _ended = tar.map(|mut tar| tar.wait());
    match status.map_err(|error| error.to_string())? {
        status if status.success() => Ok(()),
        status => Err(format!("import: {status}")),
    }
}

/// All that were asked for; what is not kept of our own is a budget that is missed.
fn ours(scene: &Scene, options: &Options, report: &mut Report) -> Result<()> {
    let crowd = Crowd {
        name: "conex".to_owned(),
        start: Box::new(|number| {
            let mut command = scene.conex();
            command.args(["run", "--detach", "--network", "none", "--name"]);
            command.args([&format!("crowd-{number}"), &scene.image, "sleep", "36000"]);
            command
        }),
        verb: Box::new(|words| {
            let mut command = scene.conex();
            command.args(words);
            command
        }),
        remove: &["rm", "--force"],
        supervisor: None,
    };
    let before = floor(scene)?;
    let settled = crowd.gather(options.count, None);
    let after = floor(scene)?;
    let listed = settled.as_ref().map_err(Clone::clone).and_then(|settled| describe(&crowd, settled, report));
    let begun = Instant::now();
    let removed =
        run(scene.conex().args(["rm", "--force"]).args((0..options.count).map(|n| format!("crowd-{n}"))));
    report.figure("conex, rm --force of all", begun.elapsed().as_secs_f64() * 1000.0, "ms");
    let (settled, listed) = (settled?, listed?);
    removed?;
    report.figure("floor, beside the first and the last", before, "ms");
    report.figure("floor, beside them all", after, "ms");
    report.budget("start of the last / of the first", 1.5, settled.last / settled.first);
    report.budget("supervisor, private KiB", 1024.0, settled.private);
    report.budget("ps, ms", 50.0, listed.0);
    report.budget("stats --no-stream, ms", 1000.0, listed.1);
    Ok(())
}

/// As many as it starts in its time.
fn theirs(crowd: &Crowd<'_>, options: &Options, report: &mut Report) {
    let done = crowd.gather(options.count, Some(PEER)).and_then(|settled| describe(crowd, &settled, report));
    if let Err(why) = done {
        report.left_out(format!("{}: {why}", crowd.name));
    }
    let ids = output(&mut (crowd.verb)(&["ps", "--all", "--quiet"])).unwrap_or_default();
    let ids: Vec<&str> = ids.lines().collect();
    for some in ids.chunks(100) {
        if let Err(why) = run((crowd.verb)(crowd.remove).args(some)) {
            report.left_out(format!("{}: {why}", crowd.name));
        }
    }
}

/// Puts the figures down; gives the medians of `ps` and of `stats`.
fn describe(crowd: &Crowd<'_>, settled: &Settled, report: &mut Report) -> Result<(f64, f64)> {
    let name = |what: &str| format!("{}, {what}", crowd.name);
    #[expect(clippy::cast_precision_loss, reason = "some thousands")]
    let count = settled.count as f64;
    report.figure(name("containers at once"), count, "");
    report.figure(name("starts a second"), count / settled.took, "/s");
    report.figure(name("start of the first"), settled.first, "ms");
    report.figure(name("start of the last"), settled.last, "ms");
    report.figure(name("supervisor, private"), settled.private, "KiB");
    report.figure(name("supervisor, private, the largest"), settled.largest, "KiB");
    let ps = listing(&mut (crowd.verb)(&["ps"]), settled.count)?;
    let stats = listing(&mut (crowd.verb)(&["stats", "--no-stream"]), settled.count)?;
    report.figure(name("ps"), ps, "ms");
    report.figure(name("stats --no-stream"), stats, "ms");
    Ok((ps, stats))
}

/// The median time of a command that has a line for each container.
fn listing(command: &mut Command, count: usize) -> Result<f64> {
    let mut times = Vec::new();
    for _ in 0..LOOKS {
        let begun = Instant::now();
        let lines = output(command)?.lines().count();
        times.push(begun.elapsed().as_secs_f64() * 1000.0);
        if lines < count {
            return Err(format!("{command:?} has {lines} lines for {count} containers"));
        }
        // Those that take long are looked at less often.
        if times.iter().sum::<f64>() > 20_000.0 {
            break;
        }
    }
    Ok(crowd::median(&mut times))
}

fn floor(scene: &Scene) -> Result<f64> {
    let mut times = Vec::new();
    for _ in 0..EDGE {
        let begun = Instant::now();
        let mut command = scene.floor_run();
        let status = command.stdin(Stdio::null()).stdout(Stdio::null()).status();
        if !status.map_err(|error| error.to_string())?.success() {
            return Err("the floor program failed".to_owned());
        }
        times.push(begun.elapsed().as_secs_f64() * 1000.0);
    }
    Ok(crowd::median(&mut times))
}
