//! `volume rm`

use clap::Command;

use crate::cli::args::{flag, many};
use crate::cli::{Arity, Context, Given, Verb};
use crate::errors::Error;
use crate::output;

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
    let mut code = 0;
    for name in given.texts("volume") {
        match engine.volume_remove(name) {
            Ok(()) => output::line(name)?,
            Err(conex_engine::Error::Volume(VolumeError::NotFound { .. })) if given.on("force") => {
                output::line(name)?;
            }
            Err(error) => {
                Error::from(error).tell();
                code = 1;
            }
        }
    }
    Ok(code)
}
