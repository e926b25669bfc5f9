//! `run --rm --network none IMAGE true`, from the start of the command line to its end.

use crate::Result;
use crate::measure::{Contestant, measure};
use crate::options::Options;
use crate::report::Report;
use crate::scene::Scene;

pub(crate) fn bench(scene: &Scene, options: &Options) -> Result<Report> {
    let conex = || {
        let mut command = scene.conex();
        command.args(["run", "--rm", "--network", "none", &scene.image, "true"]);
        command
    };
    let mut contestants = vec![
        Contestant::new("floor", "bare system calls", || scene.floor_run()),
        Contestant::new("conex", env!("CARGO_PKG_VERSION"), conex),
    ];
    let peers = scene.peers.iter();
    contestants.extend(peers.map(|peer| Contestant::new(&peer.name, &peer.version, || peer.run_true(scene))));
    let about =
        "run --rm --network none busybox true; runc and crun: a bundle on a plain directory, without seccomp";
    let mut report = Report::new("run", about).times(measure(contestants, options.rounds));
    report.ratio("floor", 3.0);
    report.ratio("podman", 1.0 / 15.0);
    Ok(report)
}
