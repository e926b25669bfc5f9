//! `volume prune`

use clap::Command;
use conex_engine::filter::known;
use conex_engine::{Engine, VolumeFilter};

use crate::cli::args::{flag, list};
use crate::cli::{Arity, Context, Given, Verb};
use crate::commands::prune::{confirmed, flag_of};
use crate::errors::Error;
use crate::format::units::sum;
use crate::output;

pub(crate) const VERB: Verb = Verb {
    name: "prune",
    aliases: &[],
    about: "Remove unused local volumes",
    usage: "",
    arity: Arity::None,
    examples: "  conex volume prune -f\n  conex volume prune --all --filter label!=keep",
    unsupported: &[],
    failure: 1,
    define,
    run,
};

fn define(command: Command) -> Command {
    command.args([
        flag("all").short('a').help("Remove all unused volumes, not just anonymous ones"),
        flag("force").short('f').help("Do not prompt for confirmation"),
        list("filter", "filter")
            .help("Provide filter values (label=<key>=<value>, label!=<key>=<value>, all=)"),
    ])
}

fn run(context: &Context, given: &Given<'_>) -> Result<u8, Error> {
    let (mut filter, mut all) = (VolumeFilter::default(), given.on("all"));
    for text in given.texts("filter") {
        match known(text, &["all", "label", "label!"])? {
            (key, value) if key == "all" => all |= flag_of(text, &value)?,
            _ => filter.add(text)?,
        }
    }
    let what = if all { "all local volumes" } else { "anonymous local volumes" };
    let question = format!(
        "WARNING! This will remove {what} not used by at least one container.\nAre you sure you want to continue?"
    );
    if !confirmed(given, &question)? {
        return Ok(0);
    }
    let bytes = volumes(&context.engine()?, &filter, all)?;
    output::line(format!("Total reclaimed space: {}", sum(bytes)))?;
    Ok(0)
}

/// Bytes that were freed.
pub(crate) fn volumes(engine: &Engine, filter: &VolumeFilter, all: bool) -> Result<u64, Error> {
    let pruned = engine.volume_prune(filter, all)?;
    let lines: String = pruned.removed.iter().map(|name| format!("{name}\n")).collect();
    if !lines.is_empty() {
        output::text(&format!("Deleted Volumes:\n{lines}\n"))?;
    }
    for (name, error) in &pruned.left {
        output::warning(format!("volume {name} is left: {error}"));
    }
    Ok(pruned.bytes)
}
