//! `kill`

use clap::Command;
use conex_engine::options::parse_signal;
use rustix::process::Signal;

use super::chosen::{self, Those};
use crate::cli::args::{list, value};
use crate::cli::{Arity, Context, Given, Verb};
use crate::errors::Error;

pub(crate) const VERB: Verb = Verb {
    name: "kill",
    aliases: &[],
    about: "Kill one or more running containers",
    usage: "CONTAINER [CONTAINER...]",
    arity: Arity::Containers,
    examples: "  conex kill web\n  conex kill -s HUP web",
    unsupported: &[],
    failure: 1,
    define,
    run,
};

fn define(command: Command) -> Command {
    chosen::define(command, "Signal all running containers").args([
        value("signal", "string").short('s').help("Signal to send to the container (default KILL)"),
        list("cidfile", "file").help("Read a container's ID from the file"),
    ])
}

fn run(context: &Context, given: &Given<'_>) -> Result<u8, Error> {
    let signal = given.parsed("signal", parse_signal)?.unwrap_or(Signal::KILL.as_raw());
    chosen::each(&context.engine()?, given, (Those::Live, false), |engine, id| Ok(engine.kill(id, signal)?))
}
