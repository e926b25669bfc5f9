//! `history`

use clap::Command;
use conex_image::HistoryRow;
use serde_json::{Value, json};

use super::time;
use crate::cli::args::{flag, one, value};
use crate::cli::{Arity, Context, Given, Verb};
use crate::errors::Error;
use crate::format::listing::{Column, Format, Row};
use crate::format::units::{ago, ellipsis, now, short_id, size};
use crate::output;

pub(crate) const VERB: Verb = Verb {
    name: "history",
    aliases: &[],
    about: "Show the history of an image",
    usage: "IMAGE",
    arity: Arity::Exactly(1),
    examples: "  conex history --no-trunc alpine:3.20",
    unsupported: &[],
    failure: 1,
    define,
    run,
};

const COLUMNS: &[Column] = &[
    ("ID", "IMAGE"),
    ("CreatedSince", "CREATED"),
    ("CreatedAt", "CREATED AT"),
    ("CreatedBy", "CREATED BY"),
    ("Size", "SIZE"),
    ("Comment", "COMMENT"),
];

fn define(command: Command) -> Command {
    command.args([
        flag("no-trunc").help("Don't truncate output"),
        flag("quiet").short('q').help("Only show image IDs"),
        flag("human").short('H').help("Print sizes and dates in human readable format (default true)"),
        value("format", "string")
            .help("Format output using a custom template: 'table', 'table TEMPLATE', 'json', 'TEMPLATE'"),
        value("platform", "string").help("Show history for the given platform (os/arch[/variant])"),
        one("image"),
    ])
}

fn run(context: &Context, given: &Given<'_>) -> Result<u8, Error> {
    let human = given.switch("human").unwrap_or(true);
    let default = if human {
        "{{.ID}}\t{{.CreatedSince}}\t{{.CreatedBy}}\t{{.Size}}\t{{.Comment}}"
    } else {
        "{{.ID}}\t{{.CreatedAt}}\t{{.CreatedBy}}\t{{.Size}}\t{{.Comment}}"
    };
    let format = match given.text("format") {
        _ if given.on("quiet") => Format::parse("{{.ID}}", "")?,
        Some(format) => Format::parse(format, default)?,
        None => Format::parse("table", default)?,
    };
    let platform = given.parsed("platform", str::parse)?;
    let images = context.images()?;
    let image = images.resolve(given.argument("image"), platform.as_ref())?;
    let (full, now) = (given.on("no-trunc"), now());
    let rows: Vec<Value> = images.history(&image)?.iter().map(|step| row(step, full, human, now)).collect();
    let rows = rows.iter().map(|fields| Row { fields, method: &|_, _| None });
    output::text(&format.render(COLUMNS, rows)?)?;
    Ok(0)
}

fn row(step: &HistoryRow, full: bool, human: bool, now: i64) -> Value {
    let id = step.id.map_or_else(|| "<missing>".to_owned(), |id| id.to_string());
    let created = step.created.as_deref().and_then(time::seconds_of);
    // RFC 3339 in whole seconds.
    let at = created.map(time::rfc3339).unwrap_or_default();
    let command = step.created_by.replace(['\t', '\n'], " ");
    json!({
        "ID": if full || step.id.is_none() { &id } else { short_id(&id) },
        "CreatedSince": match created {
            Some(created) if human => ago(created, now),
            None if human => "N/A".to_owned(),
            _ => at.clone(),
        },
        "CreatedAt": at,
        "CreatedBy": if full { command } else { ellipsis(&command, 45) },
        "Size": if human { size(step.size) } else { step.size.to_string() },
        "Comment": step.comment,
    })
}
