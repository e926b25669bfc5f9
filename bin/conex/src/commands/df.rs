//! `system df`: what takes how much space, and how much of it a prune would free.

use clap::Command;
use conex_engine::{ContainerSummary, SystemUsage};
use conex_image::ImageUsage;
use serde_json::{Value, json};

use super::{images, ps, volume};
use crate::cli::args::{flag, value};
use crate::cli::{Arity, Context, Given, Verb};
use crate::errors::Error;
use crate::format::Template;
use crate::format::listing::{Column, Format, Row};
use crate::format::units::{now, size, sum};
use crate::output;

pub(crate) const VERB: Verb = Verb {
    name: "df",
    aliases: &[],
    about: "Show disk usage",
    usage: "",
    arity: Arity::None,
    examples: "  conex system df -v
  conex system df --format '{{.Type}}: {{.Reclaimable}}'
  conex system df -v --format '{{range .Images}}{{println .Repository .UniqueSize}}{{end}}'",
    unsupported: &[],
    failure: 1,
    define,
    run,
};

const COLUMNS: &[Column] = &[
    ("Type", "TYPE"),
    ("TotalCount", "TOTAL"),
    ("Active", "ACTIVE"),
    ("Size", "SIZE"),
    ("Reclaimable", "RECLAIMABLE"),
];
const SUMMARY: &str = "{{.Type}}\t{{.TotalCount}}\t{{.Active}}\t{{.Size}}\t{{.Reclaimable}}";

const IMAGES: &str = "{{.Repository}}\t{{.Tag}}\t{{.ID}}\t{{.CreatedSince}}\t{{.Size}}\t{{.SharedSize}}\t{{.UniqueSize}}\t{{.Containers}}";
const CONTAINERS: &str = "{{.ID}}\t{{.Image}}\t{{.Command}}\t{{.LocalVolumes}}\t{{.Size}}\t{{.RunningFor}}\t{{.Status}}\t{{.Names}}";
const VOLUMES: &str = "{{.Name}}\t{{.Links}}\t{{.Size}}";
/// There are none of these yet; their table is empty, as with Docker when it has none.
const BUILD_CACHE: &str = "CACHE ID\tCACHE TYPE\tSIZE\tCREATED\tLAST USED\tUSAGE\tSHARED";

fn define(command: Command) -> Command {
    command.args([
        flag("verbose").short('v').help("Show detailed information on space usage"),
        value("format", "string")
            .help("Format output using a custom template: 'table', 'table TEMPLATE', 'json', 'TEMPLATE'"),
    ])
}

fn run(context: &Context, given: &Given<'_>) -> Result<u8, Error> {
    let format = given.filled("format").unwrap_or("table");
    if given.on("verbose") {
        return verbose(context, format);
    }
    let format = Format::parse(format, SUMMARY)?;
    let rows = summary(&context.engine()?.disk_usage()?);
    let rows = rows.iter().map(|fields| Row { fields, method: &|_, _| None });
    output::text(&format.render(COLUMNS, rows)?)?;
    Ok(0)
}

fn summary(usage: &SystemUsage) -> [Value; 4] {
    let (images, containers) = (&usage.images, &usage.containers);
    let written = |container: &ContainerSummary| container.size.map_or(0, |(own, _)| own);
    let at_rest = containers.iter().filter(|container| !is_active(container));
    [
        row(
            "Images",
            images.images.len(),
            images.images.iter().filter(|image| image.containers > 0).count(),
            images.size,
            images.reclaimable,
        ),
        row(
            "Containers",
            containers.len(),
            containers.iter().filter(|container| is_active(container)).count(),
            containers.iter().map(written).sum(),
            at_rest.map(written).sum(),
        ),
        row(
            "Local Volumes",
            usage.volumes.len(),
            usage.volumes.iter().filter(|volume| volume.links > 0).count(),
            usage.volumes.iter().filter_map(|volume| volume.size).sum(),
            usage.volumes.iter().filter(|volume| volume.links == 0).filter_map(|volume| volume.size).sum(),
        ),
        row("Build Cache", 0, 0, 0, 0),
    ]
}

fn is_active(container: &ContainerSummary) -> bool {
    matches!(container.state, "running" | "paused" | "restarting")
}

fn row(kind: &str, total: usize, active: usize, bytes: u64, reclaimable: u64) -> Value {
    let share = match bytes {
        0 => sum(reclaimable),
        bytes => format!("{} ({}%)", sum(reclaimable), u128::from(reclaimable) * 100 / u128::from(bytes)),
    };
    json!({
        "Type": kind,
        "TotalCount": total.to_string(),
        "Active": active.to_string(),
        "Size": sum(bytes),
        "Reclaimable": share,
    })
}

fn verbose(context: &Context, format: &str) -> Result<u8, Error> {
    let table = format == "table";
    let template = match format {
        "table" | "json" => Template::parse("{{json .}}")?,
        other => Template::parse(
            &other.strip_prefix("table ").unwrap_or(other).replace("\\t", "\t").replace("\\n", "\n"),
        )?,
    };
    let usage = context.engine()?.disk_usage()?;
    let (full, now) = (!table, now());
    let images: Vec<Value> = usage.images.images.iter().map(|image| image_row(image, full, now)).collect();
    let containers: Vec<Value> =
        usage.containers.iter().map(|container| container_row(container, full, now)).collect();
    let volumes: Vec<Value> = usage.volumes.iter().map(volume::row).collect();
    if !table {
        let document =
            json!({ "Images": images, "Containers": containers, "Volumes": volumes, "BuildCache": [] });
        output::line(template.render(&document)?)?;
        return Ok(0);
    }
    let listed = |columns: &[Column], rows: &[Value], default: &str| {
        let rows = rows.iter().map(|fields| Row { fields, method: &|_, _| None });
        Format::parse("table", default).and_then(|format| format.render(columns, rows))
    };
    let empty = crate::format::table::align;
    output::text(&format!(
        "Images space usage:\n\n{}\nContainers space usage:\n\n{}\nLocal Volumes space usage:\n\n{}\nBuild cache usage: 0B\n\n{}\n",
        listed(images::COLUMNS, &images, IMAGES)?,
        listed(ps::COLUMNS, &containers, CONTAINERS)?,
        listed(volume::COLUMNS, &volumes, VOLUMES)?,
        empty(BUILD_CACHE),
    ))?;
    Ok(0)
}

/// An image once, by its first name.
fn image_row(usage: &ImageUsage, full: bool, now: i64) -> Value {
    let names = images::names(&usage.summary, false);
    let mut fields = images::row(&usage.summary, &names[0], full, now);
    fields["Size"] = size(usage.size).into();
    fields["VirtualSize"] = size(usage.size).into();
    fields["SharedSize"] = sum(usage.shared).into();
    fields["UniqueSize"] = sum(usage.size - usage.shared).into();
    fields["Containers"] = usage.containers.to_string().into();
    fields
}

/// A container with what it has written alone.
fn container_row(container: &ContainerSummary, full: bool, now: i64) -> Value {
    let mut fields = ps::row(container, full, now);
    fields["Size"] = size(container.size.map_or(0, |(own, _)| own)).into();
    fields
}
