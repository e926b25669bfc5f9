//! `volume ls`

use clap::Command;
use conex_engine::{VolumeFilter, VolumeSummary};
use serde_json::{Value, json};

use crate::cli::args::{flag, list, value};
use crate::cli::{Arity, Context, Given, Verb};
use crate::errors::Error;
use crate::format::listing::{Column, Format, Row, label};
use crate::format::units::sum;
use crate::output;

pub(crate) const VERB: Verb = Verb {
    name: "ls",
    aliases: &["list"],
    about: "List volumes",
    usage: "",
    arity: Arity::None,
    examples: "  conex volume ls
  conex volume ls -q --filter dangling=true
  conex volume ls --filter label=stage=test --format '{{.Name}}: {{.Mountpoint}}'",
    unsupported: &["--cluster"],
    failure: 1,
    define,
    run,
};

pub(crate) const COLUMNS: &[Column] = &[
    ("Driver", "DRIVER"),
    ("Name", "VOLUME NAME"),
    ("Scope", "SCOPE"),
    ("Mountpoint", "MOUNTPOINT"),
    ("Labels", "LABELS"),
    ("Links", "LINKS"),
    ("Size", "SIZE"),
    ("Availability", "AVAILABILITY"),
    ("Group", "GROUP"),
    ("Status", "STATUS"),
];

fn define(command: Command) -> Command {
    command.args([
        list("filter", "filter").short('f').help("Provide filter values (dangling=, driver=, label=, name=)"),
        value("format", "string")
            .help("Format output using a custom template: 'table', 'table TEMPLATE', 'json', 'TEMPLATE'"),
        flag("quiet").short('q').help("Only display volume names"),
    ])
}

fn run(context: &Context, given: &Given<'_>) -> Result<u8, Error> {
    let default = "{{.Driver}}\t{{.Name}}";
    let format = match given.text("format") {
        // Docker's own.
        Some("raw") if given.on("quiet") => Format::parse("name: {{.Name}}", "")?,
        Some("raw") => Format::parse("name: {{.Name}}\ndriver: {{.Driver}}\n", "")?,
        None if given.on("quiet") => Format::parse("{{.Name}}", "")?,
        Some(format) => Format::parse(format, default)?,
        None => Format::parse("table", default)?,
    };
    let mut filter = VolumeFilter::default();
    given.texts("filter").try_for_each(|text| filter.add(text))?;
    let volumes = context.engine()?.volumes(&filter, false)?;
    let rows: Vec<Value> = volumes.iter().map(row).collect();
    let methods: Vec<_> = volumes
        .iter()
        .map(|one| move |name: &str, arguments: &[Value]| label(&one.volume.labels, name, arguments))
        .collect();
    let rows = rows.iter().zip(&methods).map(|(fields, method)| Row { fields, method });
    output::text(&format.render(COLUMNS, rows)?)?;
    Ok(0)
}

pub(crate) fn row(summary: &VolumeSummary) -> Value {
    let volume = &summary.volume;
    let labels: Vec<_> = volume.labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
    json!({
        "Availability": "N/A",
        "Driver": volume.driver,
        "Group": "N/A",
        "Labels": labels.join(","),
        "Links": summary.links.to_string(),
        "Mountpoint": summary.mountpoint,
        "Name": volume.name.as_str(),
        "Scope": "local",
        "Size": summary.size.map_or_else(|| "N/A".to_owned(), sum),
        "Status": "N/A",
    })
}
