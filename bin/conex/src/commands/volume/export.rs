//! `volume export`

use clap::Command;

use crate::cli::args::{one, value};
use crate::cli::{Arity, Context, Given, Verb};
use crate::commands::archive_file;
use crate::errors::Error;

pub(crate) const VERB: Verb = Verb {
    name: "export",
    aliases: &[],
    about: "Export a volume's files as a tar archive",
    usage: "VOLUME",
    arity: Arity::Exactly(1),
    examples: "  conex volume export -o db.tar db\n  conex volume export db | zstd > db.tar.zst",
    unsupported: &[],
    failure: 1,
    define,
    run,
};

fn define(command: Command) -> Command {
    command.args([
        value("output", "string").short('o').help("Write to a file, instead of STDOUT"),
        one("volume"),
    ])
}

fn run(context: &Context, given: &Given<'_>) -> Result<u8, Error> {
    let engine = context.engine()?;
    let name = given.argument("volume");
    archive_file::write("export", given.filled("output"), |sink| {
        Ok(engine.volume_export(name, sink).map(drop)?)
    })?;
    Ok(0)
}
