//! A verb that shows one document: `info` and `version`. By a template, as JSON, or as text of the verb's own.

use clap::Command;
use serde_json::Value;

use crate::cli::Given;
use crate::cli::args::value;
use crate::errors::Error;
use crate::format::Template;
use crate::output;

/// `--format`
pub(super) fn define(command: Command) -> Command {
    command.arg(
        value("format", "string")
            .short('f')
            .help("Format output using a custom template: 'json', 'TEMPLATE'"),
    )
}

/// Prints the document as `--format` says, else as `text` has it. A bad template is told before the document is made.
pub(super) fn show(
    given: &Given<'_>,
    document: impl FnOnce() -> Result<Value, Error>,
    text: fn(&Value) -> String,
) -> Result<u8, Error> {
    let template = match given.filled("format") {
        None => None,
        Some("json") => Some(Template::parse("{{json .}}")?),
        Some(text) => Some(Template::parse(text)?),
    };
    let document = document()?;
    match template {
        Some(template) => output::line(template.render(&document)?)?,
        None => output::text(&text(&document))?,
    }
    Ok(0)
}

/// Plain values only: lists of components are for `--format json`.
pub(super) fn plain(value: &Value) -> Option<String> {
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
