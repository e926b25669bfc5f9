//! `unpause`

use clap::Command;

use crate::cli::args::many;
use crate::cli::{Arity, Context, Given, Verb};
use crate::errors::Error;

pub(crate) const VERB: Verb = Verb {
    name: "unpause",
    aliases: &[],
    about: "Unpause all processes within one or more containers",
    usage: "CONTAINER [CONTAINER...]",
    arity: Arity::AtLeast(1),
    examples: "  conex unpause web",
    unsupported: &[],
    failure: 1,
    define,
    run,
};

fn define(command: Command) -> Command {
    command.arg(many("container"))
}

fn run(context: &Context, given: &Given<'_>) -> Result<u8, Error> {
    super::each_container(context, given, |engine, id| Ok(engine.unpause(id)?))
}
