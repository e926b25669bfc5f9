//! `ps`, also `container ls`.

use std::collections::BTreeMap;

use clap::Command;
use conex_engine::time::Time;
use conex_engine::{ContainerSummary, ListFilter};
use serde_json::{Value, json};

use crate::cli::args::{flag, list, value};
use crate::cli::{Arity, Context, Given, Verb};
use crate::errors::Error;
use crate::format::listing::{Column, Format, Row, label};
use crate::format::units::{ago, created_at, ellipsis, now, quoted, short_id, size};
use crate::output;

pub(crate) const VERB: Verb = Verb {
    name: "ps",
    aliases: &[],
    about: "List containers",
    usage: "",
    arity: Arity::None,
    examples: "  conex ps -a --filter status=exited
  conex ps --format 'table {{.Names}}\\t{{.Status}}'
  conex ps -a --format json",
    unsupported: &[],
    failure: 1,
    define,
    run,
};

pub(super) const COLUMNS: &[Column] = &[
    ("ID", "CONTAINER ID"),
    ("Image", "IMAGE"),
    ("Command", "COMMAND"),
    ("CreatedAt", "CREATED AT"),
    ("RunningFor", "CREATED"),
    ("Ports", "PORTS"),
    ("State", "STATE"),
    ("Status", "STATUS"),
    ("Size", "SIZE"),
    ("Names", "NAMES"),
    ("Labels", "LABELS"),
    ("Mounts", "MOUNTS"),
    ("LocalVolumes", "LOCAL VOLUMES"),
    ("Networks", "NETWORKS"),
    ("Platform", "PLATFORM"),
    ("ImageID", "IMAGE ID"),
    ("Pid", "PID"),
    ("ExitCode", "EXIT CODE"),
    ("StartedAt", "STARTED AT"),
    ("Restarts", "RESTARTS"),
    ("Pod", "POD ID"),
    ("PodName", "PODNAME"),
];

/// What `--sort` takes, as Podman has it.
const ORDERS: [&str; 8] = ["command", "created", "id", "image", "names", "runningfor", "size", "status"];

const TABLE: &str = "{{.ID}}\t{{.Image}}\t{{.Command}}\t{{.RunningFor}}\t{{.Status}}\t{{.Ports}}\t{{.Names}}";

/// `--format raw`: Docker's own.
const RAW: &str = "container_id: {{.ID}}
image: {{.Image}}
command: {{.Command}}
created_at: {{.CreatedAt}}
state: {{- pad .State 1 0}}
status: {{- pad .Status 1 0}}
names: {{.Names}}
labels: {{- pad .Labels 1 0}}
ports: {{- pad .Ports 1 0}}
";

fn define(command: Command) -> Command {
    command.args([
        flag("all").short('a').help("Show all containers (default shows just running)"),
        flag("quiet").short('q').help("Only display container IDs"),
        value("last", "int")
            .short('n')
            .help("Show n last created containers (includes all states) (default -1)"),
        flag("latest").short('l').help("Show the latest created container (includes all states)"),
        flag("size").short('s').help("Display total file sizes"),
        flag("no-trunc").help("Don't truncate output"),
        flag("pod").short('p').help("Print the ID and name of the pod that containers are in"),
        value("sort", "string")
            .help("Sort by command, created, id, image, names, runningfor, size or status"),
        list("filter", "filter")
            .short('f')
            .help("Filter output based on conditions provided (status=, name=, label=, …)"),
        value("format", "string")
            .help("Format output using a custom template: 'table', 'table TEMPLATE', 'json', 'TEMPLATE'"),
    ])
}

fn run(context: &Context, given: &Given<'_>) -> Result<u8, Error> {
    let quiet = given.on("quiet");
    let sized = given.on("size");
    let mut default = TABLE.to_owned();
    if given.on("pod") {
        default += "\t{{.Pod}}\t{{.PodName}}";
    }
    if sized {
        default += "\t{{.Size}}";
    }
    let format = match given.text("format") {
        Some("raw") if quiet => Format::parse("container_id: {{.ID}}", "")?,
        Some("raw") if sized => Format::parse(&format!("{RAW}size: {{{{.Size}}}}\n"), "")?,
        Some("raw") => Format::parse(RAW, "")?,
        _ if quiet => Format::parse("{{.ID}}", "")?,
        Some(format) => Format::parse(format, &default)?,
        None => Format::parse("table", &default)?,
    };
    let mut filter = ListFilter::default();
    filter.all = given.on("all");
    filter.last = last(given)?;
    // Walks each writable layer: not when nobody looks at it.
    filter.size = !quiet && (sized || given.text("format").is_some_and(|format| format.contains(".Size")));
    for text in given.texts("filter") {
        filter.add(text)?;
    }
    let order = given.filled("sort").unwrap_or("created");
    if !ORDERS.contains(&order) {
        return Err(Error::usage(format!(
            "invalid argument {order:?} for \"--sort\" flag: expected {}",
            ORDERS.join(", ")
        )));
    }
    filter.size |= order == "size";
    filter.platform =
        given.text("format").is_some_and(|format| format.contains("Platform") || format.contains("json"));
    filter.ports = !quiet
        && given
            .text("format")
            .is_none_or(|format| format == "table" || format.contains("Ports") || format.contains("json"));
    filter.pods = given.on("pod")
        || given.text("format").is_some_and(|format| format.contains("PodName") || format.contains("json"));
    let (full, now) = (given.on("no-trunc"), now());
    let mut containers = context.engine()?.list(&filter)?;
    sort(&mut containers, order);
    let rows: Vec<(Value, &BTreeMap<String, String>)> =
        containers.iter().map(|container| (row(container, full, now), &container.labels)).collect();
    let methods: Vec<_> = rows
        .iter()
        .map(|(_, labels)| move |name: &str, arguments: &[Value]| label(labels, name, arguments))
        .collect();
    let rows = rows.iter().zip(&methods).map(|((fields, _), method)| Row { fields, method });
    output::text(&format.render(COLUMNS, rows)?)?;
    Ok(0)
}

/// The newest come first unless something else is asked for.
fn sort(containers: &mut [ContainerSummary], order: &str) {
    match order {
        "command" => containers.sort_by(|a, b| a.command.cmp(&b.command)),
        "id" => containers.sort_by(|a, b| a.id.cmp(&b.id)),
        "image" => containers.sort_by(|a, b| a.image.cmp(&b.image)),
        "names" => containers.sort_by(|a, b| a.name.cmp(&b.name)),
        "runningfor" => containers.sort_by_key(|one| one.started),
        "size" => containers.sort_by_key(|one| one.size),
        "status" => containers.sort_by_key(|one| one.state),
        _ => {}
    }
}

fn last(given: &Given<'_>) -> Result<Option<usize>, Error> {
    if given.on("latest") {
        return Ok(Some(1));
    }
    let number = given.parsed("last", |text| {
        text.parse::<i64>().map_err(|_| {
            Error::usage(format!("invalid argument {text:?} for \"-n, --last\" flag: expected a number"))
        })
    })?;
    // As with Docker, -1 is no limit, and neither is 0.
    Ok(number.and_then(|number| usize::try_from(number).ok()).filter(|number| *number > 0))
}

pub(super) fn row(container: &ContainerSummary, full: bool, now: i64) -> Value {
    let labels: Vec<_> = container.labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
    let mounts: Vec<_> =
        container.mounts.iter().map(|mount| if full { mount.clone() } else { ellipsis(mount, 15) }).collect();
    json!({
        "ID": if full { container.id.as_str() } else { container.id.short() },
        "Image": image(container, full),
        "Command": quoted(&if full { container.command.clone() } else { ellipsis(&container.command, 20) }),
        "CreatedAt": created_at(container.created),
        "RunningFor": ago(container.created, now),
        "Ports": super::ports::column(container),
        "State": container.state,
        "Status": container.status,
        "Size": container.size.map_or_else(String::new, |(own, whole)| {
            format!("{} (virtual {})", size(own), size(whole))
        }),
        "Names": container.name,
        "Labels": labels.join(","),
        "Mounts": mounts.join(","),
        "LocalVolumes": container.local_volumes.to_string(),
        "Networks": container.network,
        "Platform": container.platform.clone().unwrap_or_default(),
        "ImageID": if full { container.image_id.to_string() } else { short_id(&container.image_id.to_string()).to_owned() },
        "Pid": container.pid,
        "ExitCode": container.exit_code,
        "StartedAt": container.started.map_or_else(|| Time::NEVER.to_owned(), String::from),
        "Restarts": container.restarts,
        "Pod": container.pod.as_ref().map_or("", |(id, _)| if full { id.as_str() } else { id.short() }),
        "PodName": container.pod.as_ref().map_or("", |(_, name)| name),
    })
}

/// What was typed; an image named by its id is shortened like one.
fn image(container: &ContainerSummary, full: bool) -> String {
    let typed = container.image.as_str();
    let id = container.image_id.to_string();
    let hex = typed.strip_prefix("sha256:").unwrap_or(typed);
    let by_id = hex.len() >= 12 && id.contains(hex);
    match typed {
        "" => "<no image>".to_owned(),
        _ if by_id && !full => short_id(&id).to_owned(),
        typed => typed.to_owned(),
    }
}
