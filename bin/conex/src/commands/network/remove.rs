//! `network rm`

use clap::Command;

use crate::cli::args::{flag, many};
use crate::cli::{Arity, Context, Given, Verb};
use crate::errors::Error;
use crate::output;

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
    let mut code = 0;
    for name in given.texts("network") {
        match engine.network_remove(name) {
            Ok(name) => output::line(name)?,
            Err(conex_engine::Error::Network(NetworkError::NotFound { .. })) if given.on("force") => {}
            Err(error) => {
                Error::from(error).tell();
                code = 1;
            }
        }
    }
    Ok(code)
}
