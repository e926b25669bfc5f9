//! `info`, also `system info`.

use std::fmt::Write as _;

use serde_json::Value;

use super::document;
use crate::cli::{Arity, Context, Given, Verb};
use crate::errors::Error;

pub(crate) const VERB: Verb = Verb {
    name: "info",
    aliases: &[],
    about: "Display system-wide information",
    usage: "",
    arity: Arity::None,
    examples: "  conex info --format '{{.CgroupVersion}} {{.KernelVersion}}'",
    unsupported: &[],
    failure: 1,
    define: document::define,
    run,
};

fn run(context: &Context, given: &Given<'_>) -> Result<u8, Error> {
    document::show(given, || Ok(context.engine()?.info()?), text)
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
