//! `pod inspect`, `pod exists`.

use clap::Command;

use crate::cli::args::{many, one};
use crate::cli::{Arity, Context, Given, Verb};
use crate::commands::document::{format, show_all, template};
use crate::commands::shapes;
use crate::errors::Error;

pub(crate) const VERB: Verb = Verb {
    name: "inspect",
    aliases: &[],
    about: "Display detailed information on one or more pods",
    usage: "POD [POD...]",
    arity: Arity::AtLeast(1),
    examples: "  conex pod inspect web
  conex pod inspect -f '{{range .Containers}}{{println .Name .State}}{{end}}' web",
    unsupported: &[],
    failure: 1,
    define,
    run,
};

pub(crate) const EXISTS: Verb = Verb {
    name: "exists",
    about: "Exit with 0 if a pod is there, with 1 if not",
    usage: "POD",
    arity: Arity::Exactly(1),
    examples: "  conex pod exists web || conex pod create web",
    define: |command| command.arg(one("pod")),
    run: |context, given| Ok(u8::from(context.engine()?.find_pod(given.argument("pod")).is_err())),
    ..VERB
};

fn define(command: Command) -> Command {
    command.args([format(), many("pod")])
}

fn run(context: &Context, given: &Given<'_>) -> Result<u8, Error> {
    let template = template(given)?;
    let engine = context.engine()?;
    show_all(template.as_ref(), given.texts("pod"), |name| {
        Ok((engine.inspect_pod(&engine.find_pod(name)?)?, &shapes::POD))
    })
}
