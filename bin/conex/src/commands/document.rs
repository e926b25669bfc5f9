//! Verbs that show documents by a template or as JSON: one (`info` and `version`), which has a text of the verb's own, too, or
//! one a name (each `inspect`).

use clap::{Arg, Command};
use serde::Serialize;
use serde_json::Value;

use crate::cli::Given;
use crate::cli::args::value;
use crate::errors::Error;
use crate::format::Template;
use crate::format::shape::Shape;
use crate::output;

/// The flags of `info` and `version`.
pub(super) fn define(command: Command) -> Command {
    command.arg(format())
}

/// `--format`
pub(super) fn format() -> Arg {
    value("format", "string").short('f').help("Format output using a custom template: 'json', 'TEMPLATE'")
}

/// What `--format` was given.
pub(super) fn template(given: &Given<'_>) -> Result<Option<Template>, Error> {
    match given.filled("format") {
        None => Ok(None),
        Some("json") => Ok(Some(Template::parse("{{json .}}")?)),
        Some(text) => Ok(Some(Template::parse(text)?)),
    }
}

/// Prints the document as `--format` says, else as `text` has it. A bad template is told before the document is made.
pub(super) fn show(
    given: &Given<'_>,
    document: impl FnOnce() -> Result<Value, Error>,
    text: fn(&Value) -> String,
) -> Result<u8, Error> {
    let template = template(given)?;
    let document = document()?;
    match template {
        Some(template) => output::line(template.render(&document)?)?,
        None => output::text(&text(&document))?,
    }
    Ok(0)
}

/// Prints what is found under each name and its type, by the template or all as one array; what is not is told, and gives the code 1.
pub(super) fn show_all<'a>(
    template: Option<&Template>,
    names: impl Iterator<Item = &'a str>,
    look: impl Fn(&str) -> Result<(Value, &'static Shape), Error>,
) -> Result<u8, Error> {
    let (mut code, mut found) = (0, Vec::new());
    for name in names {
        match look(name) {
            Ok(value) => found.push(value),
            Err(error) => {
                error.tell();
                code = 1;
            }
        }
    }
    match template {
        None => output::line(pretty(&found.into_iter().map(|(value, _)| value).collect()))?,
        Some(template) => {
            for (value, shape) in &found {
                output::line(template.render_shaped(value, shape)?)?;
            }
        }
    }
    Ok(code)
}

/// With four spaces, as Docker.
pub(super) fn pretty(value: &Value) -> String {
    let mut bytes = Vec::new();
    let formatter = serde_json::ser::PrettyFormatter::with_indent(b"    ");
    let mut serializer = serde_json::Serializer::with_formatter(&mut bytes, formatter);
    // A value that was read or built in memory is always text again.
    match value.serialize(&mut serializer) {
        Ok(()) => String::from_utf8(bytes).unwrap_or_default(),
        Err(error) => error.to_string(),
    }
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
