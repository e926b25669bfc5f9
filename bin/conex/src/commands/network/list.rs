//! `network ls`

use std::collections::BTreeMap;

use clap::Command;
use conex_engine::NetworkFilter;
use conex_engine::network::Place;
use serde_json::{Value, json};

use crate::cli::args::{flag, list, value};
use crate::cli::{Arity, Context, Given, Verb};
use crate::errors::Error;
use crate::format::listing::{Column, Format, Row, label};
use crate::output;

pub(crate) const VERB: Verb = Verb {
    name: "ls",
    aliases: &["list"],
    about: "List networks",
    usage: "",
    arity: Arity::None,
    examples: "  conex network ls
  conex network ls --filter driver=bridge --filter label=stage=test -q
  conex network ls --format '{{.Name}} {{.Subnets}}'",
    unsupported: &[],
    failure: 1,
    define,
    run,
};

const COLUMNS: &[Column] = &[
    ("ID", "NETWORK ID"),
    ("Name", "NAME"),
    ("Driver", "DRIVER"),
    ("Scope", "SCOPE"),
    ("IPv4", "IPV4"),
    ("IPv6", "IPV6"),
    ("Internal", "INTERNAL"),
    ("Labels", "LABELS"),
    ("CreatedAt", "CREATED AT"),
    ("Subnets", "SUBNETS"),
];

/// `--format raw`: Docker's own.
const RAW: &str = "network_id: {{.ID}}\nname: {{.Name}}\ndriver: {{.Driver}}\nscope: {{.Scope}}\n";

fn define(command: Command) -> Command {
    command.args([
        list("filter", "filter")
            .short('f')
            .help("Provide filter values (driver=, id=, label=, name=, scope=, type=, dangling=)"),
        value("format", "string")
            .help("Format output using a custom template: 'table', 'table TEMPLATE', 'json', 'TEMPLATE'"),
        flag("no-trunc").help("Do not truncate the output"),
        flag("quiet").short('q').help("Only display network IDs"),
    ])
}

fn run(context: &Context, given: &Given<'_>) -> Result<u8, Error> {
    let default = "{{.ID}}\t{{.Name}}\t{{.Driver}}\t{{.Scope}}";
    let format = match given.text("format") {
        Some("raw") if given.on("quiet") => Format::parse("network_id: {{.ID}}", "")?,
        Some("raw") => Format::parse(RAW, "")?,
        _ if given.on("quiet") => Format::parse("{{.ID}}", "")?,
        Some(format) => Format::parse(format, default)?,
        None => Format::parse("table", default)?,
    };
    let mut filter = NetworkFilter::default();
    given.texts("filter").try_for_each(|text| filter.add(text))?;
    let full = given.on("no-trunc");
    let places = context.engine()?.networks(&filter)?;
    let rows: Vec<Value> = places.iter().map(|place| row(place, full)).collect();
    let methods: Vec<_> = places
        .iter()
        .map(|place| {
            move |name: &str, arguments: &[Value]| match place {
                Place::Own(network) => label(&network.labels, name, arguments),
                Place::Cni(_) => label(&BTreeMap::new(), name, arguments),
            }
        })
        .collect();
    let rows = rows.iter().zip(&methods).map(|(fields, method)| Row { fields, method });
    output::text(&format.render(COLUMNS, rows)?)?;
    Ok(0)
}

fn row(place: &Place, full: bool) -> Value {
    let id = place.id();
    let (mut internal, mut labels) = (false, Vec::new());
    let (subnets, created) = match place {
        Place::Own(network) => {
            internal = network.internal;
            labels.extend(network.labels.iter().map(|(key, value)| format!("{key}={value}")));
            let subnets: Vec<_> = network.subnets.iter().map(|subnet| subnet.subnet).collect();
            (subnets, Some(network.created))
        }
        Place::Cni(list) => {
            let subnets: Vec<_> = list.subnets().into_iter().map(|(subnet, _)| subnet).collect();
            (subnets, list.modified())
        }
    };
    let v6 = subnets.iter().any(|subnet| subnet.addr().is_ipv6());
    let subnets: Vec<_> = subnets.iter().map(ToString::to_string).collect();
    json!({
        "ID": if full { id.as_str() } else { id.short() },
        "Name": place.name(),
        "Driver": place.driver(),
        "Scope": "local",
        "IPv4": "true",
        "IPv6": v6.to_string(),
        "Internal": internal.to_string(),
        "Labels": labels.join(","),
        "CreatedAt": created.map(|time| time.to_string()).unwrap_or_default(),
        "Subnets": subnets.join(","),
    })
}
