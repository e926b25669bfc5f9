//! `version`

use std::fmt::Write as _;

use clap::Command;
use serde_json::Value;

use crate::cli::args::value;
use crate::cli::{Arity, Context, Given, Verb};
use crate::errors::Error;
use crate::format::Template;
use crate::output;

pub(crate) const VERB: Verb = Verb {
    name: "version",
    aliases: &[],
    about: "Show the Conex version information",
    usage: "",
    arity: Arity::None,
    examples: "  conex version --format '{{.Client.Version}}'",
    unsupported: &[],
    failure: 1,
    define,
    run,
};

fn define(command: Command) -> Command {
    command.arg(
        value("format", "string")
            .short('f')
            .help("Format output using a custom template: 'json', 'TEMPLATE'"),
    )
}

fn run(context: &Context, given: &Given<'_>) -> Result<u8, Error> {
    let template = match given.filled("format") {
        None => None,
        Some("json") => Some(Template::parse("{{json .}}")?),
        Some(text) => Some(Template::parse(text)?),
    };
    let document = context.engine()?.version();
    match template {
        Some(template) => output::line(template.render(&document)?)?,
        None => output::text(&text(&document))?,
    }
    Ok(0)
}

/// Client and Server under their names, a line a field.
fn text(document: &Value) -> String {
    let mut out = String::new();
    for side in ["Client", "Server"] {
        let Some(fields) = document[side].as_object() else { continue };
        if !out.is_empty() {
            out.push('\n');
        }
        let _ = writeln!(out, "{side}:");
        for (name, value) in fields {
            if let Some(value) = shown(value) {
                let _ = writeln!(out, " {:18}{value}", format!("{name}:"));
            }
        }
    }
    out
}

/// Plain values only: lists of components are for `--format json`.
pub(super) fn shown(value: &Value) -> Option<String> {
    match value {
        Value::String(text) if text.is_empty() => None,
        Value::String(text) => Some(text.clone()),
        Value::Bool(_) | Value::Number(_) => Some(value.to_string()),
        Value::Array(items) if items.iter().all(Value::is_string) && !items.is_empty() => {
            Some(items.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" "))
        }
        _ => None,
    }
}
