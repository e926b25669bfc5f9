//! `network prune`

use clap::Command;
use conex_engine::NetworkFilter;
use conex_engine::filter::known;

use crate::cli::args::{flag, list};
use crate::cli::{Arity, Context, Given, Verb};
use crate::commands::prune::confirmed;
use crate::commands::time;
use crate::errors::Error;
use crate::output;

pub(crate) const VERB: Verb = Verb {
    name: "prune",
    aliases: &[],
    about: "Remove all unused networks",
    usage: "",
    arity: Arity::None,
    examples: "  conex network prune -f
  conex network prune --filter until=24h --filter label=stage=test",
    unsupported: &[],
    failure: 1,
    define,
    run,
};

fn define(command: Command) -> Command {
    command.args([
        flag("force").short('f').help("Do not prompt for confirmation"),
        list("filter", "filter").help("Provide filter values (until=<timestamp>, label=<key>=<value>)"),
    ])
}

fn run(context: &Context, given: &Given<'_>) -> Result<u8, Error> {
    let (mut filter, mut until) = (NetworkFilter::default(), None);
    for text in given.texts("filter") {
        match known(text, &["label", "label!", "until"])? {
            (key, value) if key == "until" => until = Some(time::filter(text, &value)?),
            _ => filter.add(text)?,
        }
    }
    let question = "WARNING! This will remove all custom networks not used by at least one container.\n\
         Are you sure you want to continue?";
    if !confirmed(given, question)? {
        return Ok(0);
    }
    let limit = until.map(|nanoseconds| i64::try_from(nanoseconds / 1_000_000_000).unwrap_or(i64::MAX));
    let engine = context.engine()?;
    let gone = engine.network_prune(&filter, limit)?;
    if !gone.is_empty() {
        output::line("Deleted Networks:")?;
        gone.iter().try_for_each(output::line)?;
    }
    engine.collect_attachments()?.iter().for_each(output::warning);
    Ok(0)
}
