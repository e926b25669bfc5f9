//! `image diff`: the files in which two images differ.

use clap::Command;
use conex_image::contents::{Difference, EventKind, compare};
use serde_json::{Value, json};

use crate::cli::args::{one, value};
use crate::cli::{Arity, Context, Given, Verb};
use crate::errors::Error;
use crate::format::listing::{Column, Format, Row};
use crate::format::units::size;
use crate::output;

pub(crate) const VERB: Verb = Verb {
    name: "diff",
    aliases: &[],
    about: "Show files that are added, changed or deleted from one image to another",
    usage: "IMAGE IMAGE",
    arity: Arity::Exactly(2),
    examples: "  conex image diff app:1 app:2
  conex image diff --format '{{.Change}} {{.Path}}' app:1 app:2",
    unsupported: &[],
    failure: 1,
    define,
    run,
};

const COLUMNS: &[Column] =
    &[("Change", "CHANGE"), ("Before", "BEFORE"), ("After", "AFTER"), ("What", "IN"), ("Path", "PATH")];

fn define(command: Command) -> Command {
    command.args([
        value("format", "string")
            .help("Format output using a custom template: 'table', 'table TEMPLATE', 'json', 'TEMPLATE'"),
        value("platform", "string").help("Compare the images of this platform (os/arch[/variant])"),
        one("first"),
        one("second"),
    ])
}

fn run(context: &Context, given: &Given<'_>) -> Result<u8, Error> {
    let default = "{{.Change}}\t{{.Before}}\t{{.After}}\t{{.What}}\t{{.Path}}";
    let format = Format::parse(given.text("format").unwrap_or("table"), default)?;
    let platform = given.parsed("platform", str::parse)?;
    let images = context.images()?;
    let first = images.resolve(given.argument("first"), platform.as_ref())?;
    let second = images.resolve(given.argument("second"), platform.as_ref())?;
    let _leases = [images.lease(&first)?, images.lease(&second)?];
    let [a, b] = images.contents_of_two([&first, &second])?;
    let numbers = matches!(format, Format::Json);
    let rows: Vec<Value> = compare(&a, &b).iter().map(|found| row(found, numbers)).collect();
    let rows = rows.iter().map(|fields| Row { fields, method: &|_, _| None });
    output::text(&format.render(COLUMNS, rows)?)?;
    Ok(0)
}

fn row(found: &Difference, numbers: bool) -> Value {
    let bytes = |bytes: Option<u64>| match (bytes, numbers) {
        (bytes, true) => bytes.map_or(Value::Null, Value::from),
        (Some(bytes), false) => size(bytes).into(),
        (None, false) => "-".into(),
    };
    json!({
        "Change": match found.kind {
            EventKind::Added => "A",
            EventKind::Changed => "C",
            EventKind::Deleted => "D",
        },
        "Before": bytes(found.before),
        "After": bytes(found.after),
        "What": found.what.join(","),
        "Path": String::from_utf8_lossy(&found.path),
    })
}
