//! `info`, also `system info`.

use std::fmt::Write as _;

use clap::Command;
use serde_json::Value;

use super::version::shown;
use crate::cli::args::value;
use crate::cli::{Arity, Context, Given, Verb};
use crate::errors::Error;
use crate::format::Template;
use crate::output;

pub(crate) const VERB: Verb = Verb {
    name: "info",
    aliases: &[],
    about: "Display system-wide information",
    usage: "",
    arity: Arity::None,
    examples: "  conex info --format '{{.CgroupVersion}} {{.KernelVersion}}'",
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
    let document = context.engine()?.info()?;
    match template {
        Some(template) => output::line(template.render(&document)?)?,
        None => output::text(&text(&document))?,
    }
    Ok(0)
}

fn text(document: &Value) -> String {
    let mut out = String::new();
    for (name, value) in document.as_object().into_iter().flatten() {
        write(&mut out, name, value, 0);
    }
    out
}

/// A line a field; what has fields of its own is indented under its name.
fn write(out: &mut String, name: &str, value: &Value, depth: usize) {
    let indent = depth + 1;
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            let _ = writeln!(out, "{:indent$}{name}:", "");
            for (name, value) in fields {
                write(out, name, value, indent);
            }
        }
        value => {
            if let Some(value) = shown(value) {
                let _ = writeln!(out, "{:indent$}{name}: {value}", "");
            }
        }
    }
}
