//! `volume inspect`

use clap::Command;
use serde_json::Value;

use crate::cli::args::{many, value};
use crate::cli::{Arity, Context, Given, Verb};
use crate::commands::inspect::pretty;
use crate::errors::Error;
use crate::format::Template;
use crate::output;

pub(crate) const VERB: Verb = Verb {
    name: "inspect",
    aliases: &[],
    about: "Display detailed information on one or more volumes",
    usage: "VOLUME [VOLUME...]",
    arity: Arity::AtLeast(1),
    examples: "  conex volume inspect db
  conex volume inspect -f '{{.Mountpoint}}' db",
    unsupported: &[],
    failure: 1,
    define,
    run,
};

fn define(command: Command) -> Command {
    command.args([
        value("format", "string")
            .short('f')
            .help("Format output using a custom template: 'json', 'TEMPLATE'"),
        many("volume"),
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
    for name in given.texts("volume") {
        match engine.volume_inspect(name) {
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
