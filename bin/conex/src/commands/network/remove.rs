//! `network rm`

use clap::Command;

use crate::cli::args::{flag, many};
use crate::cli::{Arity, Context, Given, Verb};
use crate::commands;
use crate::errors::Error;

pub(crate) const VERB: Verb = Verb {
    name: "rm",
    aliases: &["remove"],
    about: "Remove one or more networks",
    usage: "NETWORK [NETWORK...]",
    arity: Arity::AtLeast(1),
    examples: "  conex network rm web",
    unsupported: &[],
    failure: 1,
    define,
    run,
};

fn define(command: Command) -> Command {
    command
        .args([flag("force").short('f').help("Do not error if the network does not exist"), many("network")])
}

fn run(context: &Context, given: &Given<'_>) -> Result<u8, Error> {
    use conex_engine::network::Error as NetworkError;
    let engine = context.engine()?;
    commands::each(given.texts("network"), |name| match engine.network_remove(name) {
        Ok(name) => Ok(Some(name.to_string())),
        Err(conex_engine::Error::Network(NetworkError::NotFound { .. })) if given.on("force") => Ok(None),
        Err(error) => Err(error.into()),
    })
}
