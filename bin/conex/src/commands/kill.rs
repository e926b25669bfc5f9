//! `kill`

use clap::Command;
use conex_engine::options::parse_signal;
use rustix::process::Signal;

use crate::cli::args::{many, value};
use crate::cli::{Arity, Context, Given, Verb};
use crate::errors::Error;

pub(crate) const VERB: Verb = Verb {
    name: "kill",
    aliases: &[],
    about: "Kill one or more running containers",
    usage: "CONTAINER [CONTAINER...]",
    arity: Arity::AtLeast(1),
    examples: "  conex kill web\n  conex kill -s HUP web",
    unsupported: &[],
    failure: 1,
    define,
    run,
};

fn define(command: Command) -> Command {
    command.args([
        value("signal", "string").short('s').help("Signal to send to the container (default KILL)"),
        many("container"),
    ])
}

fn run(context: &Context, given: &Given<'_>) -> Result<u8, Error> {
    let signal = given.parsed("signal", parse_signal)?.unwrap_or(Signal::KILL.as_raw());
    super::each_container(context, given, |engine, id| Ok(engine.kill(id, signal)?))
}
