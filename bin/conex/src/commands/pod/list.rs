//! `pod ps`

use clap::Command;
use conex_engine::{PodFilter, PodSummary};
use serde_json::{Value, json};

use crate::cli::args::{flag, list, value};
use crate::cli::{Arity, Context, Given, Verb};
use crate::errors::Error;
use crate::format::listing::{Column, Format, Row};
use crate::output;

pub(crate) const VERB: Verb = Verb {
    name: "ps",
    aliases: &["ls", "list"],
    about: "List pods",
    usage: "",
    arity: Arity::None,
    examples: "  conex pod ps
  conex pod ps --ctr-names --ctr-status
  conex pod ps --filter status=running -q",
    unsupported: &["--sort", "--ns"],
    failure: 1,
    define,
    run,
};

const COLUMNS: &[Column] = &[
    ("ID", "POD ID"),
    ("Name", "NAME"),
    ("Status", "STATUS"),
    ("Created", "CREATED"),
    ("CreatedAt", "CREATED AT"),
    ("InfraID", "INFRA ID"),
    ("Networks", "NETWORKS"),
    ("Shared", "SHARED"),
    ("Labels", "LABELS"),
    ("NumberOfContainers", "# OF CONTAINERS"),
    ("ContainerIds", "IDS"),
    ("ContainerNames", "NAMES"),
    ("ContainerStatuses", "STATUS OF CONTAINERS"),
];

fn define(command: Command) -> Command {
    command.args([
        list("filter", "filter").short('f').help(
            "Provide filter values (id=, name=, status=, label=, network=, ctr-ids=, ctr-names=, ctr-number=, ctr-status=)",
        ),
        value("format", "string")
            .help("Format output using a custom template: 'table', 'table TEMPLATE', 'json', 'TEMPLATE'"),
        flag("ctr-ids").help("Show the IDs of the containers"),
        flag("ctr-names").help("Show the names of the containers"),
        flag("ctr-status").help("Show the states of the containers"),
        flag("no-trunc").help("Do not truncate the output"),
        flag("quiet").short('q').help("Only display pod IDs"),
    ])
}

fn run(context: &Context, given: &Given<'_>) -> Result<u8, Error> {
    let mut default = "{{.ID}}\t{{.Name}}\t{{.Status}}\t{{.Created}}\t{{.InfraID}}".to_owned();
    for (name, column) in
        [("ctr-ids", "ContainerIds"), ("ctr-names", "ContainerNames"), ("ctr-status", "ContainerStatuses")]
    {
        if given.on(name) {
            default += &format!("\t{{{{.{column}}}}}");
        }
    }
    default += "\t{{.NumberOfContainers}}";
    let mut filter = PodFilter::default();
    given.texts("filter").try_for_each(|text| filter.add(text))?;
    if given.text("format") == Some("json") && !given.on("quiet") {
        let pods: Vec<Value> = context.engine()?.pods(&filter)?.iter().map(document).collect();
        return output::line(format!("{:#}", Value::Array(pods))).map(|()| 0);
    }
    let format = match given.text("format") {
        _ if given.on("quiet") => Format::parse("{{.ID}}", "")?,
        Some(format) => Format::parse(format, &default)?,
        None => Format::parse("table", &default)?,
    };
    let full = given.on("no-trunc");
    let rows: Vec<Value> = context.engine()?.pods(&filter)?.iter().map(|pod| row(pod, full)).collect();
    let rows = rows.iter().map(|fields| Row { fields, method: &|_, _| None });
    output::text(&format.render(COLUMNS, rows)?)?;
    Ok(0)
}

/// As `podman pod ps --format json` has it: one list.
fn document(pod: &PodSummary) -> Value {
    let containers = pod.containers.iter();
    let containers: Vec<Value> = containers
        .map(|(id, name, state)| json!({ "Id": id.as_str(), "Names": name, "Status": state }))
        .collect();
    let networks = pod.network.split(',').filter(|name| !name.is_empty());
    json!({
        "Cgroup": "",
        "Containers": containers,
        "Created": pod.created.to_string(),
        "Id": pod.id.as_str(),
        "InfraId": pod.id.as_str(),
        "Labels": pod.labels,
        "Name": pod.name,
        "Namespace": "",
        "Networks": networks.collect::<Vec<_>>(),
        "Status": pod.state.word(),
    })
}

fn row(pod: &PodSummary, full: bool) -> Value {
    let id = if full { pod.id.as_str() } else { pod.id.short() };
    let all = |of: &dyn Fn(&(conex_oci::ContainerId, String, &'static str)) -> String| {
        pod.containers.iter().map(of).collect::<Vec<_>>().join(",")
    };
    let labels: Vec<_> = pod.labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
    json!({
        "ID": id,
        "Name": pod.name,
        "Status": pod.state.word(),
        "Created": format!("{} ago", conex_engine::time::in_words(pod.created.elapsed())),
        "CreatedAt": pod.created.to_string(),
        "InfraID": id,
        "Networks": pod.network,
        "Shared": pod.shared.join(","),
        "Labels": labels.join(","),
        "NumberOfContainers": pod.containers.len().to_string(),
        "ContainerIds": all(&|(id, _, _)| if full { id.to_string() } else { id.short().to_owned() }),
        "ContainerNames": all(&|(_, name, _)| name.clone()),
        "ContainerStatuses": all(&|(_, _, state)| (*state).to_owned()),
    })
}
