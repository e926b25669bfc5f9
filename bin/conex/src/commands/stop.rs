//! `stop`

use clap::Command;
use conex_engine::Grace;
use conex_engine::options::parse_signal;

use super::chosen::{self, Those};
use crate::cli::args::{flag, value};
use crate::cli::{Arity, Context, Given, Verb};
use crate::errors::Error;
use crate::flags::seconds;

pub(crate) const VERB: Verb = Verb {
    name: "stop",
    aliases: &[],
    about: "Stop one or more running containers",
    usage: "CONTAINER [CONTAINER...]",
    arity: Arity::Containers,
    examples: "  conex stop -t 2 web\n  conex stop -s INT $(conex ps -q)",
    unsupported: &[],
    failure: 1,
    define,
    run,
};

fn define(command: Command) -> Command {
    let command = chosen::define(command, "Stop all running containers");
    command.args(chosen::files()).args(timing()).arg(flag("shutdown").help(
        "Not a person's stop: --restart unless-stopped counts it as running, and a boot starts it again",
    ))
}

/// How a container is ended, which `restart` has too.
pub(super) fn timing() -> [clap::Arg; 2] {
    [
        value("signal", "string").short('s').help("Signal to send to the container"),
        value("timeout", "int")
            .short('t')
            .alias("time")
            .help("Seconds to wait before killing the container, -1 for no end (default 10)"),
    ]
}

fn run(context: &Context, given: &Given<'_>) -> Result<u8, Error> {
    let signal = given.parsed("signal", parse_signal)?;
    let grace = grace(given)?;
    let shutdown = given.on("shutdown");
    chosen::each(&context.engine()?, given, (Those::Live, true), |engine, id| {
        let stopped = match shutdown {
            true => engine.shut_down(id, signal, grace),
            false => engine.stop(id, signal, grace),
        };
        Ok(stopped?)
    })
}

pub(super) fn grace(given: &Given<'_>) -> Result<Grace, Error> {
    Ok(match given.parsed("timeout", |text| seconds("timeout", text))? {
        None => Grace::Default,
        Some(std::time::Duration::MAX) => Grace::Forever,
        Some(time) => Grace::For(time),
    })
}
