//! `stop`

use clap::Command;
use conex_engine::Grace;
use conex_engine::options::parse_signal;

use crate::cli::args::{many, value};
use crate::cli::{Arity, Context, Given, Verb};
use crate::errors::Error;
use crate::flags::seconds;

pub(crate) const VERB: Verb = Verb {
    name: "stop",
    aliases: &[],
    about: "Stop one or more running containers",
    usage: "CONTAINER [CONTAINER...]",
    arity: Arity::AtLeast(1),
    examples: "  conex stop -t 2 web\n  conex stop -s INT $(conex ps -q)",
    unsupported: &[],
    failure: 1,
    define,
    run,
};

pub(super) fn define(command: Command) -> Command {
    command.args([
        value("signal", "string").short('s').help("Signal to send to the container"),
        value("timeout", "int")
            .short('t')
            .alias("time")
            .help("Seconds to wait before killing the container, -1 for no end (default 10)"),
        many("container"),
    ])
}

fn run(context: &Context, given: &Given<'_>) -> Result<u8, Error> {
    let signal = given.parsed("signal", parse_signal)?;
    let grace = grace(given)?;
    super::each_container(context, given, |engine, id| Ok(engine.stop(id, signal, grace)?))
}

pub(super) fn grace(given: &Given<'_>) -> Result<Grace, Error> {
    Ok(match given.parsed("timeout", |text| seconds("timeout", text))? {
        None => Grace::Default,
        Some(std::time::Duration::MAX) => Grace::Forever,
        Some(time) => Grace::For(time),
    })
}
