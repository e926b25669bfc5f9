//! Many containers started at once: addresses and ports for all, in a time that grows with their number and no faster.

use std::time::Instant;

use super::quiet;
use crate::Result;
use crate::report::Report;
use crate::scene::{Scene, output, run};

const SIZES: [usize; 3] = [10, 100, 300];
/// How often each size is measured; the sizes take turns.
const ROUNDS: usize = 3;

pub(super) fn bench(scene: &Scene) -> Result<Report> {
    let about = "conex run -d -p PORT:80 busybox sleep, so many at once; milliseconds a container, medians";
    let mut report = Report::new("network-crowd", about);
    let mut taken = SIZES.map(|_| Vec::with_capacity(ROUNDS));
    for round in 0..ROUNDS {
        for turn in 0..SIZES.len() {
            let index = (round + turn) % SIZES.len();
            taken[index].push(crowd(scene, SIZES[index])?);
        }
    }
    let each = taken.map(|mut times| {
        times.sort_by(f64::total_cmp);
        times[times.len() / 2]
    });
    for (size, time) in SIZES.iter().zip(each) {
        report.figure(format!("{size} at once, each"), time, "ms");
    }
    report.budget("each of 300 / each of 10", 1.5, each[2] / each[0]);
    Ok(report)
}

/// Milliseconds a container.
fn crowd(scene: &Scene, size: usize) -> Result<f64> {
    let name = |number: usize| format!("crowd-{number}");
    let begun = Instant::now();
    let mut starts = Vec::with_capacity(size);
    for number in 0..size {
        let mut command = scene.conex();
        command.args(["run", "--detach", "--rm", "--name", &name(number), "--network", "bridge"]);
        command.args(["--publish", &format!("{}:80", 20_000 + number), &scene.image, "sleep", "3600"]);
        starts.push(quiet(&mut command).spawn().map_err(|error| format!("conex: {error}"))?);
    }
    let mut failed = 0;
    for mut start in starts {
        failed += usize::from(!start.wait().map_err(|error| error.to_string())?.success());
    }
    let took = begun.elapsed().as_secs_f64() * 1000.0;
    let there = output(scene.conex().args(["ps", "--quiet"]))?.lines().count();
    let names: Vec<_> = (0..size).map(name).collect();
    let removed = run(scene.conex().args(["rm", "--force"]).args(&names));
    if failed != 0 || there != size {
        return Err(format!("network: of {size} started at once {failed} failed and {there} run"));
    }
    removed?;
    #[expect(clippy::cast_precision_loss, reason = "a few hundred")]
    Ok(took / size as f64)
}
