//! `images`, also `image ls`.

use clap::{Arg, Command};
use conex_engine::filter::known;
use conex_image::{Filter, Summary};
use conex_oci::Reference;
use serde_json::{Value, json};

use super::prune::flag_of;
use super::time;
use crate::cli::args::{flag, list, value};
use crate::cli::{Arity, Context, Given, Verb};
use crate::errors::Error;
use crate::format::listing::{Column, Format, Row};
use crate::format::units::{ago, created_at, now, short_id, size};
use crate::output;

pub(crate) const VERB: Verb = Verb {
    name: "images",
    aliases: &[],
    about: "List images",
    usage: "[REPOSITORY[:TAG]]",
    arity: Arity::AtMost(1),
    examples: "  conex images alpine
  conex images --filter dangling=true -q
  conex images --format '{{.Repository}}:{{.Tag}} {{.Size}}'",
    unsupported: &["--tree"],
    failure: 1,
    define,
    run,
};

pub(super) const COLUMNS: &[Column] = &[
    ("Repository", "REPOSITORY"),
    ("Tag", "TAG"),
    ("Digest", "DIGEST"),
    ("ID", "IMAGE ID"),
    ("CreatedSince", "CREATED"),
    ("CreatedAt", "CREATED AT"),
    ("Size", "SIZE"),
    ("VirtualSize", "SIZE"),
    ("SharedSize", "SHARED SIZE"),
    ("UniqueSize", "UNIQUE SIZE"),
    ("Containers", "CONTAINERS"),
];

fn define(command: Command) -> Command {
    command.args([
        flag("all").short('a').help("Show all images (default hides intermediate images)"),
        flag("quiet").short('q').help("Only show image IDs"),
        flag("digests").help("Show digests"),
        flag("no-trunc").help("Don't truncate output"),
        list("filter", "filter").short('f').help(
            "Filter output based on conditions provided (dangling=, label=, before=, since=, reference=)",
        ),
        value("format", "string")
            .help("Format output using a custom template: 'table', 'table TEMPLATE', 'json', 'TEMPLATE'"),
        Arg::new("reference").value_name("REPOSITORY[:TAG]"),
    ])
}

fn run(context: &Context, given: &Given<'_>) -> Result<u8, Error> {
    let digests = given.on("digests");
    let default = if digests {
        "{{.Repository}}\t{{.Tag}}\t{{.Digest}}\t{{.ID}}\t{{.CreatedSince}}\t{{.Size}}"
    } else {
        "{{.Repository}}\t{{.Tag}}\t{{.ID}}\t{{.CreatedSince}}\t{{.Size}}"
    };
    let format = match given.text("format") {
        Some("raw") if given.on("quiet") => Format::parse("image_id: {{.ID}}", "")?,
        Some("raw") => Format::parse(&raw(digests), "")?,
        _ if given.on("quiet") => Format::parse("{{.ID}}", "")?,
        Some(format) => Format::parse(format, default)?,
        None => Format::parse("table", default)?,
    };
    let mut filter = filter(given)?;
    filter.references.extend(given.filled("reference").map(str::to_owned));
    let images = context.images()?.list(&filter)?;
    let (full, now) = (given.on("no-trunc"), now());
    let rows: Vec<Value> = images
        .iter()
        .flat_map(|image| names(image, digests).into_iter().map(move |name| row(image, &name, full, now)))
        .collect();
    let rows = rows.iter().map(|fields| Row { fields, method: &|_, _| None });
    output::text(&format.render(COLUMNS, rows)?)?;
    Ok(0)
}

/// `--format raw`: Docker's own.
fn raw(digests: bool) -> String {
    let digest = if digests { "digest: {{.Digest}}\n" } else { "" };
    let rest = "image_id: {{.ID}}\ncreated_at: {{.CreatedAt}}\nvirtual_size: {{.Size}}\n";
    format!("repository: {{{{.Repository}}}}\ntag: {{{{.Tag}}}}\n{digest}{rest}")
}

fn filter(given: &Given<'_>) -> Result<Filter, Error> {
    let mut filter = Filter::default();
    for text in given.texts("filter") {
        let (key, value) = known(text, &["before", "dangling", "label", "reference", "since"])?;
        match key.as_str() {
            "reference" => filter.references.push(value),
            "before" => filter.before = Some(value),
            "since" => filter.since = Some(value),
            "dangling" => filter.dangling = Some(flag_of(text, &value)?),
            _ => filter.labels.push(match value.split_once('=') {
                Some((key, value)) => (key.to_owned(), Some(value.to_owned())),
                None => (value, None),
            }),
        }
    }
    Ok(filter)
}

/// What stands in the first columns of one row.
pub(super) struct Name {
    pub(super) repository: String,
    pub(super) tag: String,
    digest: String,
}

/// A row a tag; with digests a row for each pair that belongs together.
pub(super) fn names(image: &Summary, digests: bool) -> Vec<Name> {
    let none = || "<none>".to_owned();
    let digest_of = |repository: &str| {
        let digest = image.digests.iter().find(|reference| reference.familiar_name() == repository);
        digest.and_then(Reference::digest).map_or_else(none, ToString::to_string)
    };
    let mut names: Vec<Name> = image
        .tags
        .iter()
        .map(|tag| {
            let repository = tag.familiar_name();
            let digest = digest_of(&repository);
            Name { repository, tag: tag.tag().unwrap_or("<none>").to_owned(), digest }
        })
        .collect();
    for reference in &image.digests {
        let repository = reference.familiar_name();
        let shown = names.iter().any(|name| name.repository == repository);
        if !shown && (digests || image.tags.is_empty()) {
            let digest = digest_of(&repository);
            names.push(Name { repository, tag: none(), digest });
        }
    }
    if names.is_empty() {
        names.push(Name { repository: none(), tag: none(), digest: none() });
    }
    names
}

pub(super) fn row(image: &Summary, name: &Name, full: bool, now: i64) -> Value {
    let id = image.id().to_string();
    let created = image.image.document.created.as_deref().and_then(time::seconds_of);
    json!({
        "Repository": name.repository,
        "Tag": name.tag,
        "Digest": name.digest,
        "ID": if full { &id } else { short_id(&id) },
        "CreatedSince": created.map_or_else(|| "N/A".to_owned(), |created| ago(created, now)),
        "CreatedAt": created.map_or_else(|| "N/A".to_owned(), created_at),
        "Size": size(image.size),
        "VirtualSize": size(image.size),
        "SharedSize": "N/A",
        "UniqueSize": "N/A",
        "Containers": "N/A",
    })
}
