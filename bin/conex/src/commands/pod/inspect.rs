//! `pod inspect`, `pod exists`.

use clap::Command;
use serde_json::Value;

use crate::cli::args::{many, one, value};
use crate::cli::{Arity, Context, Given, Verb};
use crate::commands::inspect::pretty;
use crate::errors::Error;
use crate::format::Template;
use crate::output;

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
    command.args([
        value("format", "string")
            .short('f')
            .help("Format output using a custom template: 'json', 'TEMPLATE'"),
        many("pod"),
    ])
}

fn run(context: &Context, given: &Given<'_>) -> Result<u8, Error> {
    let format = match given.filled("format") {
        None => None,
        Some("json") => Some(Template::parse("{{json .}}")?),
        Some(text) => Some(Template::parse(text)?),
    };
    let engine = context.engine()?;
    let (mut code, mut found) = (0, Vec::new());
    for name in given.texts("pod") {
        match engine.find_pod(name).and_then(|id| engine.inspect_pod(&id)) {
            Ok(value) => found.push(value),
            Err(error) => {
                Error::from(error).tell();
                code = 1;
            }
        }
    }
    match format {
        None => output::line(pretty(&Value::Array(found)))?,
        Some(template) => {
            for value in &found {
                output::line(template.render(value)?)?;
            }
        }
    }
    Ok(code)
}
