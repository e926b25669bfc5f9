//! `volume inspect`

use clap::Command;

use crate::cli::args::many;
use crate::cli::{Arity, Context, Given, Verb};
use crate::commands::document::{format, show_all, template};
use crate::commands::shapes;
use crate::errors::Error;

pub(crate) const VERB: Verb = Verb {
    name: "inspect",
    aliases: &[],
    about: "Display detailed information on one or more volumes",
    usage: "VOLUME [VOLUME...]",
    arity: Arity::AtLeast(1),
    examples: "  conex volume inspect db
  conex volume inspect -f '{{.Mountpoint}}' db",
    unsupported: &[],
    failure: 1,
    define,
    run,
};

fn define(command: Command) -> Command {
    command.args([format(), many("volume")])
}

fn run(context: &Context, given: &Given<'_>) -> Result<u8, Error> {
    let template = template(given)?;
    let engine = context.engine()?;
    show_all(template.as_ref(), given.texts("volume"), |name| {
        Ok((engine.volume_inspect(name)?, &shapes::VOLUME))
    })
}
