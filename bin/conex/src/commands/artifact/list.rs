//! `artifact ls`: what is attached to an image in its registry.

use clap::Command;
use conex_oci::{Descriptor, Reference};
use serde_json::{Value, json};

use crate::cli::args::{one, value};
use crate::cli::{Arity, Context, Given, Verb};
use crate::errors::Error;
use crate::format::listing::{Column, Format, Row};
use crate::format::units::size;
use crate::output;

pub(crate) const VERB: Verb = Verb {
    name: "ls",
    aliases: &[],
    about: "List what is attached to an image in its registry (referrers)",
    usage: "NAME[:TAG|@DIGEST]",
    arity: Arity::Exactly(1),
    examples: "  conex artifact ls registry.example.com/app:1.0
  conex artifact ls --artifact-type application/vnd.example.sbom --format '{{.Digest}}' registry.example.com/app:1.0",
    unsupported: &[],
    failure: 1,
    define,
    run,
};

const COLUMNS: &[Column] = &[
    ("Digest", "DIGEST"),
    ("ArtifactType", "ARTIFACT TYPE"),
    ("MediaType", "MEDIA TYPE"),
    ("Size", "MANIFEST SIZE"),
    ("Annotations", "ANNOTATIONS"),
];

fn define(command: Command) -> Command {
    command.args([
        value("artifact-type", "type").help("Only what is of this type"),
        value("format", "string")
            .help("Format output using a custom template: 'table', 'table TEMPLATE', 'json', 'TEMPLATE'"),
        one("name"),
    ])
}

fn run(context: &Context, given: &Given<'_>) -> Result<u8, Error> {
    let default = "{{.Digest}}\t{{.ArtifactType}}\t{{.Size}}\t{{.Annotations}}";
    let format = Format::parse(given.text("format").unwrap_or("table"), default)?;
    let reference: Reference = given.argument("name").parse()?;
    let client = context.registries();
    let digest = match reference.digest() {
        Some(digest) => *digest,
        None => client.resolve(&reference)?.descriptor.digest,
    };
    let found = client.referrers(&reference, &digest, given.filled("artifact-type"))?;
    let rows: Vec<Value> = found.iter().map(row).collect();
    let rows = rows.iter().map(|fields| Row { fields, method: &|_, _| None });
    output::text(&format.render(COLUMNS, rows)?)?;
    Ok(0)
}

fn row(descriptor: &Descriptor) -> Value {
    let annotations = descriptor.annotations.iter().flatten().map(|(key, value)| format!("{key}={value}"));
    json!({
        "Digest": descriptor.digest.to_string(),
        "ArtifactType": descriptor.artifact_type.clone().unwrap_or_default(),
        "MediaType": descriptor.media_type,
        "Size": size(descriptor.size),
        "Annotations": annotations.collect::<Vec<_>>().join(","),
    })
}
