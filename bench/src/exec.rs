//! `exec CONTAINER true` in a container that runs already.

use std::process::Command;

use crate::Result;
use crate::measure::{Contestant, measure};
use crate::options::Options;
use crate::report::Report;
use crate::scene::{Scene, output, run};

pub(crate) fn bench(scene: &Scene, options: &Options) -> Result<Report> {
    let about = "exec CONTAINER true in a running container; floor: setns by pidfd, fork, exec, wait";
    let mut report = Report::new("exec", about);
    let run_sleep =
        ["run", "--detach", "--name", "bench-exec", "--network", "none", &scene.image, "sleep", "3600"];
    run(scene.conex().args(run_sleep))?;
    let pid = output(scene.conex().args(["inspect", "--format", "{{.State.Pid}}", "bench-exec"]))?;
    let pid = pid.trim().to_owned();
    let floor = || {
        let mut command = Command::new(&scene.floor);
        command.args(["exec", &pid, "-", "/bin/true"]);
        command
    };
    let conex = || {
        let mut command = scene.conex();
        command.args(["exec", "bench-exec", "true"]);
        command
    };
    let mut contestants = vec![
        Contestant::new("floor", "bare system calls", floor),
        Contestant::new("conex", env!("CARGO_PKG_VERSION"), conex),
    ];
    for peer in &scene.peers {
        match peer.start_sleep(scene) {
            Ok(()) => contestants.push(Contestant::new(&peer.name, &peer.version, || peer.exec_true())),
            Err(why) => report.left_out(format!("{}: {why}", peer.name)),
        }
    }
    let measured = measure(contestants, options.rounds);
    for peer in &scene.peers {
        peer.remove_sleep();
    }
    run(scene.conex().args(["rm", "--force", "bench-exec"]))?;
    let mut report = report.times(measured);
    report.ratio("podman", 1.0 / 15.0);
    Ok(report)
}
