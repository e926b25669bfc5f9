//! `network inspect`

use clap::Command;

use crate::cli::args::{flag, many};
use crate::cli::{Arity, Context, Given, Verb};
use crate::commands::document::{format, show_all, template};
use crate::commands::shapes;
use crate::errors::Error;

pub(crate) const VERB: Verb = Verb {
    name: "inspect",
    aliases: &[],
    about: "Display detailed information on one or more networks",
    usage: "NETWORK [NETWORK...]",
    arity: Arity::AtLeast(1),
    examples: "  conex network inspect web
  conex network inspect -f '{{range .IPAM.Config}}{{.Subnet}}{{end}}' web
  conex network inspect -f '{{range .Host.Rules}}{{println .Comment .Packets}}{{end}}' web",
    unsupported: &["--scope"],
    failure: 1,
    define,
    run,
};

fn define(command: Command) -> Command {
    command.args([
        format(),
        flag("verbose").short('v').help("Devices and rules are always shown"),
        many("network"),
    ])
}

fn run(context: &Context, given: &Given<'_>) -> Result<u8, Error> {
    let template = template(given)?;
    let engine = context.engine()?;
    show_all(template.as_ref(), given.texts("network"), |name| {
        Ok((engine.network_inspect(name)?, &shapes::NETWORK))
    })
}
