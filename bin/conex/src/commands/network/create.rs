//! `network create`

use clap::Command;
use conex_engine::network::{Driver, NetworkName, NewNetwork, Subnet, Unplaced, parse_subnet};
use conex_engine::options::parse_label;

use crate::cli::args::{flag, list, one, value};
use crate::cli::{Arity, Context, Given, Verb};
use crate::errors::Error;
use crate::output;

pub(crate) const VERB: Verb = Verb {
    name: "create",
    aliases: &[],
    about: "Create a network",
    usage: "NETWORK",
    arity: Arity::Exactly(1),
    examples: "  conex network create web
  conex network create --subnet 10.20.0.0/24 --gateway 10.20.0.254 --ip-range 10.20.0.128/25 web
  conex network create --ipv6 --internal -o mtu=1400 -o isolate=true db
  conex network create -d macvlan -o parent=eth0 --ip-range 192.168.1.192/27 lan
  conex network create -d overlay --subnet 10.20.0.0/24 --ip-range 10.20.0.0/26 -o peers=192.0.2.2,192.0.2.3 mesh",
    unsupported: &[
        "--attachable",
        "--aux-address",
        "--config-from",
        "--config-only",
        "--ingress",
        "--ipam-opt",
        "--scope",
    ],
    failure: 1,
    define,
    run,
};

fn define(command: Command) -> Command {
    command.args([
        value("driver", "string").short('d').help("Driver to manage the network: bridge, macvlan, ipvlan or overlay (default bridge)"),
        list("subnet", "subnet").help("Subnet in CIDR format that represents a network segment"),
        list("gateway", "ip").help("Gateway of the subnet: its first address if not given"),
        list("ip-range", "subnet").help("Allocate container addresses from a sub-range"),
        flag("ipv6").help("Give the network an IPv6 subnet, too"),
        flag("ipv4").help("Give the network an IPv4 subnet (it always has one)"),
        flag("internal").help("Restrict external access to the network"),
        list("opt", "map").short('o').help("Set driver options (bridge: mtu=, isolate=, masquerade=, device=; macvlan, ipvlan: parent=, mode=; overlay: peers=, peers-file=, vni=, port=, local=, encrypted, key-file=)"),
        list("label", "list").help("Set metadata on a network"),
        value("ipam-driver", "string").help("Address management: default"),
        one("network"),
    ])
}

fn run(context: &Context, given: &Given<'_>) -> Result<u8, Error> {
    if let Some(driver) = given.filled("ipam-driver")
        && driver != "default"
    {
        return Err(Error::usage(format!("--ipam-driver {driver:?} is unknown; there is default")));
    }
    if given.switch("ipv4") == Some(false) {
        return Err(Error::usage("--ipv4=false: networks without IPv4 are not supported"));
    }
    let name: NetworkName = given.argument("network").parse()?;
    let mut driver: Driver = given.parsed("driver", str::parse)?.unwrap_or_default();
    for text in given.texts("opt") {
        let (key, value) = text.split_once('=').unwrap_or((text, "true"));
        driver.set(key, value)?;
    }
    let (subnets, unplaced) = subnets(given)?;
    let asked = NewNetwork {
        driver,
        subnets,
        unplaced,
        v6: given.on("ipv6"),
        internal: given.on("internal"),
        labels: given.texts("label").map(parse_label).collect::<Result<_, _>>()?,
    };
    output::line(context.engine()?.network_create(&name, &asked)?.id.as_str())?;
    Ok(0)
}

/// Each gateway and range goes to the subnet that it is in, as with Docker; those of none are left.
fn subnets(given: &Given<'_>) -> Result<(Vec<Subnet>, Unplaced), Error> {
    let address = |text: &str| {
        let bad = || Error::usage(format!("invalid --gateway {text:?}: expected an IP address"));
        text.parse().map_err(|_| bad())
    };
    let mut unplaced = Unplaced {
        gateways: given.texts("gateway").map(address).collect::<Result<_, _>>()?,
        ranges: given.texts("ip-range").map(parse_subnet).collect::<Result<_, _>>()?,
    };
    let mut subnets = Vec::new();
    for text in given.texts("subnet") {
        subnets.push(unplaced.place(parse_subnet(text)?, None)?);
    }
    Ok((subnets, unplaced))
}
