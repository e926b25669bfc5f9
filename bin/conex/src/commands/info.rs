//! `info`, also `system info`.

use std::fmt::Write as _;

use clap::Command;
use serde_json::Value;

use super::document;
use crate::cli::args::flag;
use crate::cli::{Arity, Context, Given, Verb};
use crate::errors::Error;
use crate::format::listing::{Format, Row};
use crate::{config, output};

pub(crate) const VERB: Verb = Verb {
    name: "info",
    aliases: &[],
    about: "Display system-wide information",
    usage: "",
    arity: Arity::None,
    examples: "  conex info --format '{{.CgroupVersion}} {{.KernelVersion}}'
  conex info --config
  conex info --config --format '{{.Key}} {{.From}}'
  conex info --config --format toml > /etc/conex/conex.toml",
    unsupported: &[],
    failure: 1,
    define,
    run,
};

fn define(command: Command) -> Command {
    document::define(command).arg(
        flag("config").help("Display every key of the configuration, its value, and where that comes from (with --format toml: a file with all keys)"),
    )
}

fn run(context: &Context, given: &Given<'_>) -> Result<u8, Error> {
    if given.on("config") {
        return configuration(context, given);
    }
    document::show(given, || Ok(context.engine()?.info()?), text)
}

fn configuration(context: &Context, given: &Given<'_>) -> Result<u8, Error> {
    if given.text("format") == Some("toml") {
        output::text(&config::example())?;
        return Ok(0);
    }
    // Values last: some are long.
    let default = "{{.Key}}\t{{.From}}\t{{.Value}}";
    let format = Format::parse(given.filled("format").unwrap_or("table"), default)?;
    let rows = config::rows(context.config()?);
    let rows = rows.iter().map(|fields| Row { fields, method: &|_, _| None });
    output::text(&format.render(config::COLUMNS, rows)?)?;
    Ok(0)
}

fn text(document: &Value) -> String {
    let mut out = String::new();
    for (name, value) in document.as_object().into_iter().flatten() {
        write(&mut out, name, value, 0);
    }
    out
}

fn as_pair(value: &Value) -> Option<(&str, &str)> {
    match value.as_array()?.as_slice() {
        [name, value] => Some((name.as_str()?, value.as_str()?)),
        _ => None,
    }
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
        // Docker's lists of names with values.
        Value::Array(pairs) if !pairs.is_empty() && pairs.iter().all(|pair| as_pair(pair).is_some()) => {
            let _ = writeln!(out, "{:indent$}{name}:", "");
            for (name, value) in pairs.iter().filter_map(as_pair) {
                let _ = writeln!(out, "{:width$}{name}: {value}", "", width = indent + 1);
            }
        }
        value => {
            if let Some(value) = document::plain(value) {
                let _ = writeln!(out, "{:indent$}{name}: {value}", "");
            }
        }
    }
}
