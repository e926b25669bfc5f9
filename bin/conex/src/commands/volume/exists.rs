//! `volume exists`

use clap::Command;

use crate::cli::args::one;
use crate::cli::{Arity, Context, Given, Verb};
use crate::errors::Error;

pub(crate) const VERB: Verb = Verb {
    name: "exists",
    aliases: &[],
    about: "Tell by the exit code whether a volume exists (0) or not (1)",
    usage: "VOLUME",
    arity: Arity::Exactly(1),
    examples: "  conex volume exists db || conex volume create db",
    unsupported: &[],
    failure: 125,
    define,
    run,
};

fn define(command: Command) -> Command {
    command.arg(one("volume"))
}

fn run(context: &Context, given: &Given<'_>) -> Result<u8, Error> {
    let exists = context.engine()?.volume_exists(given.argument("volume"))?;
    Ok(u8::from(!exists))
}
