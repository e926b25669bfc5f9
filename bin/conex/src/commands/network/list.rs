//! `network ls`

use clap::Command;
use conex_engine::NetworkFilter;
use conex_engine::network::Network;
use serde_json::{Value, json};

use crate::cli::args::{flag, list, value};
use crate::cli::{Arity, Context, Given, Verb};
use crate::errors::Error;
use crate::format::listing::{Column, Format, Row};
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
        _ if given.on("quiet") => Format::parse("{{.ID}}", "")?,
        Some(format) => Format::parse(format, default)?,
        None => Format::parse("table", default)?,
    };
    let mut filter = NetworkFilter::default();
    given.texts("filter").try_for_each(|text| filter.add(text))?;
    let full = given.on("no-trunc");
    let rows: Vec<Value> =
        context.engine()?.networks(&filter)?.iter().map(|network| row(network, full)).collect();
    let rows = rows.iter().map(|fields| Row { fields, method: &|_, _| None });
    output::text(&format.render(COLUMNS, rows)?)?;
    Ok(0)
}

fn row(network: &Network, full: bool) -> Value {
    let labels: Vec<_> = network.labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
    let subnets: Vec<_> = network.subnets.iter().map(|subnet| subnet.subnet.to_string()).collect();
    json!({
        "ID": if full { network.id.as_str() } else { network.id.short() },
        "Name": network.name,
        "Driver": network.driver.as_str(),
        "Scope": "local",
        "IPv4": "true",
        "IPv6": network.has_v6().to_string(),
        "Internal": network.internal.to_string(),
        "Labels": labels.join(","),
        "CreatedAt": network.created.to_string(),
        "Subnets": subnets.join(","),
    })
}
