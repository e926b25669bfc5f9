//! The OCI runtimes among themselves, with one bundle: Docker's namespaces, mounts, masked paths and seccomp profile, and
//! busybox's `true`. `run` to its end, `exec` into a container that runs, `create`, `start` and `delete` apart, peak memory, size.

mod arena;
mod seccomp;
mod verbs;
mod yard;

use crate::options::Options;
use crate::report::{Report, save};
use crate::{Result, measure};

use yard::Yard;

/// As `runc` is called; the name in results.
const OURS: &str = "conex-runtime";

/// All of it, in the arena: the first call makes it and calls the program again.
pub(crate) fn bench(options: &Options) -> Result<()> {
    if !arena::inside() {
        return arena::enter();
    }
    let yard = Yard::set(options)?;
    let reports = [
        run(&yard, options),
        exec(&yard, options)?,
        apart(&yard, options, "create", "create, before start"),
        apart(&yard, options, "start", "start of a created container, to the verb's end"),
        apart(&yard, options, "delete", "delete of a container whose process has ended"),
        memory(&yard),
        size(&yard)?,
    ];
    for report in &reports {
        report.print();
    }
    if options.save {
        println!("kept in {}\n", save("runtime", &reports)?.display());
    }
    Ok(())
}

fn report(what: &'static str, about: &str) -> Report {
    Report::new(what, &format!("{about}; {}", arena::ABOUT)).of(OURS)
}

fn run(yard: &Yard, options: &Options) -> Report {
    let mut contestants = vec![
        measure::Contestant::new("floor", "bare system calls", || yard.floor_bundle(&yard.filter)),
        measure::Contestant::new("floor, no seccomp", "", || yard.floor_bundle("-".as_ref())),
    ];
    contestants.extend(yard.contestants("run"));
    let mut report = report("runtime run", "run to its end (create, start, delete), seccomp")
        .times(measure::measure(contestants, options.rounds));
    report.ratio("crun", 0.6);
    // The one with the filter: the name is the prefix of the other's, which is faster.
    report.ratio_to("floor", 1.5);
    report
}

fn exec(yard: &Yard, options: &Options) -> Result<Report> {
    let mut report = report("runtime exec", "exec of true in a running container, seccomp");
    let mut running = Vec::new();
    for runtime in &yard.runtimes {
        match runtime.start_sleeping() {
            Ok(()) => running.push(runtime),
            Err(why) => report.left_out(format!("{}: {why}", runtime.name)),
        }
    }
    let first = running.first().ok_or("no runtime can start a container")?;
    let pid = first.pid("sleep")?;
    let mut contestants =
        vec![measure::Contestant::new("floor", "bare system calls", || yard.floor_exec(&pid))];
    contestants.extend(running.iter().map(|runtime| runtime.contestant("exec")));
    let measured = measure::measure(contestants, options.rounds);
    for runtime in running {
        runtime.delete("sleep");
    }
    let mut report = report.times(measured);
    report.ratio("crun", 0.6);
    report.ratio("floor", 1.5);
    Ok(report)
}

fn apart(yard: &Yard, options: &Options, verb: &'static str, about: &str) -> Report {
    let what = match verb {
        "create" => "runtime create",
        "start" => "runtime start",
        _ => "runtime delete",
    };
    let report = report(what, about).times(measure::measure(yard.contestants(verb), options.rounds));
    for runtime in &yard.runtimes {
        runtime.delete(verb);
    }
    report
}

/// The largest of the processes of one `run`: the runtime's own, or of its helpers.
fn memory(yard: &Yard) -> Report {
    let mut report = report("runtime memory", "peak resident memory of run (ru_maxrss, children included)");
    let mut peaks = Vec::new();
    for runtime in &yard.runtimes {
        match yard.peak(runtime) {
            Ok(peak) => {
                report.figure(&runtime.name, peak, "KiB");
                peaks.push((runtime.name.as_str(), peak));
            }
            Err(why) => report.left_out(format!("{}: {why}", runtime.name)),
        }
    }
    if let Some((_, ours)) = peaks.iter().find(|(name, _)| *name == OURS) {
        for (name, peak) in peaks.iter().filter(|(name, _)| name.starts_with("crun")) {
            report.budget(format!("{OURS} / {name}"), 1.0, ours / peak);
        }
    }
    report
}

fn size(yard: &Yard) -> Result<Report> {
    let mut report = report("runtime size", "the programs' files (without the libraries that they load)");
    for runtime in &yard.runtimes {
        let metadata =
            std::fs::metadata(&runtime.program).map_err(|error| format!("{}: {error}", runtime.name))?;
        // A length fits a float to the byte.
        #[allow(clippy::cast_precision_loss)]
        let size = metadata.len() as f64 / 1e6;
        report.figure(&runtime.name, size, "MB");
        if runtime.name == OURS {
            report.budget(format!("{OURS}, MB"), 2.0, size);
        }
    }
    Ok(report)
}
