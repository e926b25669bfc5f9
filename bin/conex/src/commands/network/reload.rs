//! `network reload`

use crate::cli::{Arity, Context, Given, Verb};
use crate::errors::Error;
use crate::output;

pub(crate) const VERB: Verb = Verb {
    name: "reload",
    aliases: &[],
    about: "Make again what a flushed packet filter, a restarted firewall or a removed device has taken",
    usage: "",
    arity: Arity::None,
    examples: "  conex network reload",
    unsupported: &[],
    failure: 1,
    define: |command| command,
    run,
};

/// The names of the containers whose networks were looked at.
fn run(context: &Context, _: &Given<'_>) -> Result<u8, Error> {
    context.engine()?.network_reload()?.iter().try_for_each(output::line)?;
    Ok(0)
}
