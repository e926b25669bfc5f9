//! What it is connected to: `--network --ip --ip6 --mac-address --network-alias --publish --publish-all --expose --dns --add-host`.

use clap::Arg;
use conex_engine::options::{
    Connection, NetworkMode, OptionError, PortOptions, parse_hostname, parse_mac, parse_publish,
};

use super::under;
use crate::cli::Given;
use crate::cli::args::{flag, list, value};
use crate::config::Config;
use crate::errors::Error;

/// The network of who says nothing.
const DEFAULT: &str = "bridge";

pub(super) fn define() -> Vec<Arg> {
    under(
        "Network",
        vec![
            list("network", "network").alias("net").help(
                "Connect a container to a network (NAME[:ip=,ip6=,mac=,alias=,interface=], none, host, container:NAME) \
                 (default bridge)",
            ),
            value("ip", "ip").help("IPv4 address (e.g., 172.30.100.104)"),
            value("ip6", "ip").help("IPv6 address (e.g., 2001:db8::33)"),
            value("mac-address", "string").help("Container MAC address (e.g., 92:d0:c6:0a:29:33)"),
            list("network-alias", "list").alias("net-alias").help("Add network-scoped alias for the container"),
            flag("netns-link").help("List the network namespace in 'ip netns', by the container's name"),
            list("publish", "list").short('p').help("Publish a container's port(s) to the host"),
            flag("publish-all").short('P').help("Publish all exposed ports to random ports"),
            list("expose", "list").help("Expose a port or a range of ports"),
            list("add-host", "list").help("Add a custom host-to-IP mapping (host:ip)"),
            list("dns", "list").help("Set custom DNS servers"),
            list("dns-search", "list").help("Set custom DNS search domains"),
            list("dns-option", "list").alias("dns-opt").help("Set DNS options"),
        ],
    )
}

/// `--network`, or the default; with what `--ip` and its like say of the only network.
pub(super) fn mode(given: &Given<'_>, config: &Config) -> Result<NetworkMode, Error> {
    let texts: Vec<&str> = given.texts("network").collect();
    let mut mode = match NetworkMode::of(&texts)? {
        Some(mode) => mode,
        None => config.run.network.clone().map_or_else(|| DEFAULT.parse(), Ok)?,
    };
    let ip = given.parsed("ip", |text| {
        text.parse().map_err(|_| Error::usage(format!("invalid --ip {text:?}: expected an IPv4 address")))
    })?;
    let ip6 = given.parsed("ip6", |text| {
        text.parse().map_err(|_| Error::usage(format!("invalid --ip6 {text:?}: expected an IPv6 address")))
    })?;
    let mac = given.parsed("mac-address", parse_mac)?;
    let aliases: Vec<String> =
        given.texts("network-alias").map(parse_hostname).collect::<Result<_, OptionError>>()?;
    if ip.is_none() && ip6.is_none() && mac.is_none() && aliases.is_empty() {
        return Ok(mode);
    }
    match &mut mode {
        NetworkMode::Networks(connections) => match connections.as_mut_slice() {
            [one] => {
                *one = Connection {
                    ip: ip.or(one.ip),
                    ip6: ip6.or(one.ip6),
                    mac: mac.or(one.mac),
                    aliases: [std::mem::take(&mut one.aliases), aliases].concat(),
                    ..std::mem::take(one)
                };
                Ok(mode)
            }
            _ => Err(Error::usage(
                "conflicting options: --ip, --ip6, --mac-address and --network-alias are for one network; \
                 with several, write --network NAME:ip=…,alias=…",
            )),
        },
        mode => Err(Error::usage(format!(
            "conflicting options: --ip, --ip6, --mac-address and --network-alias need a network (--network {mode})"
        ))),
    }
}

pub(super) fn ports(given: &Given<'_>) -> Result<PortOptions, Error> {
    Ok(PortOptions {
        publish: given.texts("publish").map(parse_publish).collect::<Result<_, _>>()?,
        publish_all: given.on("publish-all"),
        expose: given.texts("expose").map(str::parse).collect::<Result<_, _>>()?,
    })
}
