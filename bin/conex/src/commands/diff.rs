//! `diff`

use clap::Command;

use crate::cli::args::one;
use crate::cli::{Arity, Context, Given, Verb};
use crate::errors::Error;
use crate::output;

pub(crate) const VERB: Verb = Verb {
    name: "diff",
    aliases: &[],
    about: "Inspect changes to files or directories on a container's filesystem",
    usage: "CONTAINER",
    arity: Arity::Exactly(1),
    examples: "  conex diff web",
    unsupported: &[],
    failure: 1,
    define,
    run,
};

fn define(command: Command) -> Command {
    command.arg(one("container"))
}

fn run(context: &Context, given: &Given<'_>) -> Result<u8, Error> {
    let engine = context.engine()?;
    let id = engine.find(given.argument("container"))?;
    let mut out = String::new();
    for change in engine.diff(&id)? {
        // A name may hold anything, a newline too: each change is one line all the same.
        let path = String::from_utf8_lossy(&change.path);
        out.push(change.kind.letter());
        out.push(' ');
        out.push_str(&output::visible(&path, &[]));
        out.push('\n');
    }
    output::text(&out)?;
    Ok(0)
}
