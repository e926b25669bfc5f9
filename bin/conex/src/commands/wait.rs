//! `wait`: prints exit codes as containers end.

use clap::Command;
use conex_engine::WaitCondition;

use crate::cli::args::many;
use crate::cli::{Arity, Context, Given, Verb};
use crate::errors::Error;
use crate::output;

pub(crate) const VERB: Verb = Verb {
    name: "wait",
    aliases: &[],
    about: "Block until one or more containers stop, then print their exit codes",
    usage: "CONTAINER [CONTAINER...]",
    arity: Arity::AtLeast(1),
    examples: "  conex wait job",
    unsupported: &[],
    failure: 1,
    define,
    run,
};

fn define(command: Command) -> Command {
    command.arg(many("container"))
}

fn run(context: &Context, given: &Given<'_>) -> Result<u8, Error> {
    let engine = context.engine()?;
    let mut code = 0;
    for name in given.texts("container") {
        match engine.find(name).and_then(|id| engine.wait(&id, WaitCondition::NotRunning)) {
            Ok(status) => output::line(status.to_string())?,
            Err(error) => {
                Error::from(error).tell();
                code = 1;
            }
        }
    }
    Ok(code)
}
