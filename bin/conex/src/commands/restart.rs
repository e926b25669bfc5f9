//! `restart`

use conex_engine::options::parse_signal;

use clap::Command;

use super::chosen::{self, Those};
use super::stop;
use crate::cli::args::flag;
use crate::cli::{Arity, Context, Given, Verb};
use crate::errors::Error;

pub(crate) const VERB: Verb = Verb {
    name: "restart",
    aliases: &[],
    about: "Restart one or more containers",
    usage: "CONTAINER [CONTAINER...]",
    arity: Arity::Containers,
    examples: "  conex restart -t 2 web",
    unsupported: &[],
    failure: 1,
    define,
    run,
};

fn define(command: Command) -> Command {
    let command = chosen::define(command, "Restart all containers, whatever their state");
    command.args(stop::timing()).arg(flag("running").help("Restart those that run"))
}

fn run(context: &Context, given: &Given<'_>) -> Result<u8, Error> {
    let signal = given.parsed("signal", parse_signal)?;
    let grace = stop::grace(given)?;
    let those = if given.on("running") { Those::Live } else { Those::Any };
    chosen::each(&context.engine()?, given, (those, false), |engine, id| {
        Ok(engine.restart(id, signal, grace)?)
    })
}
