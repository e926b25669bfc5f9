//! `run --rm --network none IMAGE true` of an image of one layer and of one of a hundred.

use std::process::Command;

use crate::Result;
use crate::measure::{Contestant, measure};
use crate::options::Options;
use crate::report::Report;
use crate::scene::{Scene, run};

const LAYERS: usize = 100;
const ONE: &str = "1 layer";
const MANY: &str = "100 layers";
const MANY_DIRECTORIES: &str = "100 layers, directories";

pub(crate) fn bench(scene: &Scene, options: &Options) -> Result<Report> {
    let stores = [("layers", "auto"), ("layers-directories", "directories")];
    let image = |count: usize| format!("bench/layers:{count}");
    let conex = |(store, layers): (&str, &str)| {
        let mut command = scene.conex_in(store);
        command.env("CONEX_LAYERS", layers);
        command
    };
    for store in stores {
        run(conex(store).args(["load", "--quiet", "--input"]).arg(&scene.archive))?;
        run(conex(store).args(["tag", &scene.image, &image(1)]))?;
        for count in 2..=LAYERS {
            let script = format!("mkdir -p /layers && echo {count} >/layers/{count}");
            let below = image(count - 1);
            run(conex(store).args([
                "run",
                "--name",
                "step",
                "--network",
                "none",
                &below,
                "sh",
                "-c",
                &script,
            ]))?;
            run(conex(store).args(["commit", "step", &image(count)]))?;
            run(conex(store).args(["rm", "step"]))?;
        }
        // All of them are there.
        let script = format!("[ $(ls /layers | wc -l) = {} ]", LAYERS - 1);
        let last = image(LAYERS);
        run(conex(store).args(["run", "--rm", "--network", "none", &last, "sh", "-c", &script]))?;
    }
    let start = |store, count| -> Command {
        let mut command = conex(store);
        command.args(["run", "--rm", "--network", "none", &image(count), "true"]);
        command
    };
    let contestants = vec![
        Contestant::new("floor", "bare system calls", || scene.floor_run()),
        Contestant::new(ONE, env!("CARGO_PKG_VERSION"), || start(stores[0], 1)),
        Contestant::new(MANY, env!("CARGO_PKG_VERSION"), || start(stores[0], LAYERS)),
        Contestant::new("1 layer, directories", "", || start(stores[1], 1)),
        Contestant::new(MANY_DIRECTORIES, "", || start(stores[1], LAYERS)),
    ];
    let about =
        "run --rm --network none busybox true, of an image of one layer and with 99 small ones over it";
    let mut report = Report::new("layers", about).of(MANY).times(measure(contestants, options.rounds));
    report.ratio_to(ONE, 1.1);
    Ok(report)
}
