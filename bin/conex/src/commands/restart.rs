//! `restart`

use conex_engine::options::parse_signal;

use super::stop;
use crate::cli::{Arity, Context, Given, Verb};
use crate::errors::Error;

pub(crate) const VERB: Verb = Verb {
    name: "restart",
    aliases: &[],
    about: "Restart one or more containers",
    usage: "CONTAINER [CONTAINER...]",
    arity: Arity::AtLeast(1),
    examples: "  conex restart -t 2 web",
    unsupported: &[],
    failure: 1,
    define: stop::define,
    run,
};

fn run(context: &Context, given: &Given<'_>) -> Result<u8, Error> {
    let signal = given.parsed("signal", parse_signal)?;
    let grace = stop::grace(given)?;
    super::each_container(context, given, |engine, id| Ok(engine.restart(id, signal, grace)?))
}
