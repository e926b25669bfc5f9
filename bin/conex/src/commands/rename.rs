//! `rename`

use clap::Command;

use crate::cli::args::one;
use crate::cli::{Arity, Context, Given, Verb};
use crate::errors::Error;

pub(crate) const VERB: Verb = Verb {
    name: "rename",
    aliases: &[],
    about: "Rename a container",
    usage: "CONTAINER NEW_NAME",
    arity: Arity::Exactly(2),
    examples: "  conex rename brave_turing web",
    unsupported: &[],
    failure: 1,
    define,
    run,
};

fn define(command: Command) -> Command {
    command.args([one("container"), one("name")])
}

fn run(context: &Context, given: &Given<'_>) -> Result<u8, Error> {
    let name = given.argument("name").parse()?;
    let engine = context.engine()?;
    let id = engine.find(given.argument("container"))?;
    engine.rename(&id, &name)?;
    Ok(0)
}
