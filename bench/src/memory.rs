//! What an idle detached container costs in memory that nobody shares: all processes of the engine that belong to it.

use std::fs;

use crate::Result;
use crate::report::Report;
use crate::scene::{Scene, output, run};

/// KiB of one process.
struct Memory {
    private: f64,
    /// The part of it that was written; the rest is the program's file, which a second container's supervisor shares.
    dirty: f64,
    resident: f64,
}

pub(crate) fn bench(scene: &Scene) -> Result<Report> {
    let mut report =
        Report::new("memory", "an idle detached container: the processes that the engine keeps for it");
    let run_sleep =
        ["run", "--detach", "--name", "bench-memory", "--network", "none", &scene.image, "sleep", "3600"];
    run(scene.conex().args(run_sleep))?;
    let pid = output(scene.conex().args(["inspect", "--format", "{{.State.Pid}}", "bench-memory"]))?;
    let measured = parent(pid.trim()).and_then(|supervisor| memory(&supervisor));
    run(scene.conex().args(["rm", "--force", "bench-memory"]))?;
    let memory = measured?;
    report.figure("conex supervisor, private", memory.private, "KiB");
    report.figure("conex supervisor, private and written", memory.dirty, "KiB");
    report.figure("conex supervisor, resident", memory.resident, "KiB");
    report.budget("conex supervisor, private KiB", 1024.0, memory.private);
    for peer in scene.peers.iter().filter(|peer| peer.name.starts_with("podman")) {
        match conmon(peer, scene) {
            Ok(memory) => {
                report.figure(format!("{} conmon, private", peer.name), memory.private, "KiB");
                report.figure(format!("{} conmon, private and written", peer.name), memory.dirty, "KiB");
                report.figure(format!("{} conmon, resident", peer.name), memory.resident, "KiB");
            }
            Err(why) => report.left_out(format!("{}: {why}", peer.name)),
        }
        peer.remove_sleep();
    }
    Ok(report)
}

/// podman's supervisor is the container's parent, too.
fn conmon(peer: &crate::peers::Peer, scene: &Scene) -> Result<Memory> {
    peer.start_sleep(scene)?;
    memory(&parent(&peer.sleeping()?)?)
}

fn parent(pid: &str) -> Result<String> {
    let status = read(&format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("PPid:"));
    line.map(|parent| parent.trim().to_owned()).ok_or_else(|| format!("process {pid} has no parent"))
}

fn memory(pid: &str) -> Result<Memory> {
    // Idle means some time after the start, for whoever it is: ours gives back what the start needed after 100 ms.
    std::thread::sleep(std::time::Duration::from_secs(1));
    let rollup = read(&format!("/proc/{pid}/smaps_rollup"))?;
    let sum = |prefix: &str| {
        let lines = rollup.lines().filter(|line| line.starts_with(prefix));
        lines.filter_map(|line| line.split_whitespace().nth(1)?.parse::<f64>().ok()).sum()
    };
    // Private_Clean and Private_Dirty; huge pages are listed apart and a supervisor has none.
    let dirty = sum("Private_Dirty:");
    Ok(Memory { private: sum("Private_Clean:") + dirty, dirty, resident: sum("Rss:") })
}

fn read(path: &str) -> Result<String> {
    fs::read_to_string(path).map_err(|error| format!("cannot read {path}: {error}"))
}
