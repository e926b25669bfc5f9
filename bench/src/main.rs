//! Comparisons: Conex against the bare system calls (`bench/floor.c`) and the engines that are installed, in one
//! run, interleaved, as medians and ratios. Absolute times say little about another machine; ratios do.
//!
//! `cargo xtask bench [run|layers|exec|memory|size|pull|network|density|runtime|inflate]... [--rounds N] [--count N] [--peer NAME=PATH]... [--no-save]`; without names, all of
//! them. Results are printed and kept in `bench/results/` as data.

mod bundle;
mod density;
mod docker;
mod exec;
mod inflate;
mod layers;
mod machine;
mod measure;
mod memory;
mod network;
mod options;
mod peers;
mod pull;
mod report;
mod run;
mod runtime;
mod scene;
mod size;

use std::process::ExitCode;

/// What can go wrong here has nobody to tell but a person.
pub(crate) type Result<T> = std::result::Result<T, String>;

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    if let Some((_, arguments)) = arguments.split_first().filter(|(first, _)| *first == "inflate-as") {
        return end(inflate::inflate_as(arguments).map(|count| println!("{count}")));
    }
    if let Some((_, arguments)) = arguments.split_first().filter(|(first, _)| *first == network::ROLE) {
        let options = options::Options::parse(arguments.iter().cloned());
        return end(options.and_then(|options| network::inside(&options)));
    }
    end(options::Options::parse(arguments.into_iter()).and_then(|options| all(&options)))
}

fn end(done: Result<()>) -> ExitCode {
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error}");
            ExitCode::FAILURE
        }
    }
}

fn all(options: &options::Options) -> Result<()> {
    let mut engine = Vec::new();
    for what in &options.what {
        match what.as_str() {
            "runtime" => runtime::bench(options)?,
            "inflate" => inflate::bench(options)?,
            "network" => network::bench()?,
            _ => engine.push(what),
        }
    }
    if engine.is_empty() {
        return Ok(());
    }
    let scene = scene::Scene::set(options)?;
    for what in engine {
        let reports = match what.as_str() {
            "run" => vec![run::bench(&scene, options)?],
            "layers" => vec![layers::bench(&scene, options)?],
            "exec" => vec![exec::bench(&scene, options)?],
            "memory" => vec![memory::bench(&scene)?],
            "density" => vec![density::bench(&scene, options)?],
            "pull" => pull::bench(&scene, options)?,
            _ => vec![size::bench(&scene)?],
        };
        for report in reports {
            report.finish(options.save)?;
        }
    }
    Ok(())
}
