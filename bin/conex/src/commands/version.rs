//! `version`

use std::fmt::Write as _;

use serde_json::Value;

use super::document;
use crate::cli::{Arity, Context, Given, Verb};
use crate::errors::Error;

pub(crate) const VERB: Verb = Verb {
    name: "version",
    aliases: &[],
    about: "Show the Conex version information",
    usage: "",
    arity: Arity::None,
    examples: "  conex version --format '{{.Client.Version}}'",
    unsupported: &[],
    failure: 1,
    define: document::define,
    run,
};

fn run(context: &Context, given: &Given<'_>) -> Result<u8, Error> {
    document::show(given, || Ok(context.engine()?.version()), text)
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
            if let Some(value) = document::plain(value) {
                let _ = writeln!(out, " {:18}{value}", format!("{name}:"));
            }
        }
    }
    out
}
