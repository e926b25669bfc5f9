//! `volume rm`

use clap::Command;

use crate::cli::args::{flag, many};
use crate::cli::{Arity, Context, Given, Verb};
use crate::commands;
use crate::errors::Error;

pub(crate) const VERB: Verb = Verb {
    name: "rm",
    aliases: &["remove"],
    about: "Remove one or more volumes and all their data",
    usage: "VOLUME [VOLUME...]",
    arity: Arity::AtLeast(1),
    examples: "  conex volume rm db",
    unsupported: &[],
    failure: 1,
    define,
    run,
};

fn define(command: Command) -> Command {
    command.args([flag("force").short('f').help("Do not error if the volume does not exist"), many("volume")])
}

fn run(context: &Context, given: &Given<'_>) -> Result<u8, Error> {
    use conex_engine::volumes::Error as VolumeError;
    let engine = context.engine()?;
    commands::each(given.texts("volume"), |name| match engine.volume_remove(name) {
        Ok(()) => Ok(Some(name.to_owned())),
        Err(conex_engine::Error::Volume(VolumeError::NotFound { .. })) if given.on("force") => {
            Ok(Some(name.to_owned()))
        }
        Err(error) => Err(error.into()),
    })
}
