//! `export`

use clap::Command;

use super::archive_file;
use crate::cli::args::{one, value};
use crate::cli::{Arity, Context, Given, Verb};
use crate::errors::Error;

pub(crate) const VERB: Verb = Verb {
    name: "export",
    aliases: &[],
    about: "Export a container's filesystem as a tar archive",
    usage: "CONTAINER",
    arity: Arity::Exactly(1),
    examples: "  conex export -o web.tar web\n  conex export web | tar -tv",
    unsupported: &[],
    failure: 1,
    define,
    run,
};

fn define(command: Command) -> Command {
    command.args([
        value("output", "string").short('o').help("Write to a file, instead of STDOUT"),
        one("container"),
    ])
}

fn run(context: &Context, given: &Given<'_>) -> Result<u8, Error> {
    let engine = context.engine()?;
    let id = engine.find(given.argument("container"))?;
    archive_file::write("export", given.filled("output"), |sink| Ok(engine.export(&id, sink).map(drop)?))?;
    Ok(0)
}
