//! `cdi ls`: which devices can be asked for by name.

use clap::Command;
use serde_json::json;

use crate::cli::args::{flag, value};
use crate::cli::{Arity, Context, Given, Verb};
use crate::errors::Error;
use crate::format::listing::{Column, Format, Row};
use crate::output;

pub(crate) const LIST: Verb = Verb {
    name: "ls",
    aliases: &["list"],
    about: "List the devices that CDI specifications have",
    usage: "",
    arity: Arity::None,
    examples: "  conex cdi ls
  conex cdi ls --format json
  conex run --rm --device vendor.com/class=name IMAGE",
    unsupported: &[],
    failure: 1,
    define,
    run,
};

const COLUMNS: &[Column] = &[("Name", "DEVICE"), ("Kind", "KIND"), ("File", "SPECIFICATION")];

fn define(command: Command) -> Command {
    command.args([
        value("format", "string")
            .help("Format output using a custom template: 'table', 'table TEMPLATE', 'json', 'TEMPLATE'"),
        flag("quiet").short('q').help("Only display the names of devices"),
    ])
}

/// 1 when a specification could not be used: what it has is not listed.
fn run(context: &Context, given: &Given<'_>) -> Result<u8, Error> {
    let default = "{{.Name}}\t{{.File}}";
    let format = match given.filled("format") {
        _ if given.on("quiet") => Format::parse("{{.Name}}", "")?,
        format => Format::parse(format.unwrap_or("table"), default)?,
    };
    let registry = context.engine()?.cdi();
    let rows: Vec<_> = registry
        .devices()
        .map(|(name, found)| {
            json!({
                "Name": name.to_string(),
                "Kind": name.kind.to_string(),
                "File": found.path,
                "ContainerEdits": found.edits,
            })
        })
        .collect();
    let rows = rows.iter().map(|fields| Row { fields, method: &|_, _| None });
    output::text(&format.render(COLUMNS, rows)?)?;
    for fault in registry.faults() {
        output::note(format!("WARNING: not usable: {fault}"));
    }
    Ok(u8::from(!registry.faults().is_empty()))
}
