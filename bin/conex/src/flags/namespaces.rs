//! Which views it has: `--pid --ipc --uts --cgroupns --userns --hostname --sysctl`.

use clap::Arg;
use conex_engine::options::{
    NamespaceMode, NamespaceOptions, NetworkMode, parse_dns_server, parse_extra_host, parse_hostname,
    parse_sysctl,
};

use super::under;
use crate::cli::Given;
use crate::cli::args::{list, value};
use crate::config::Config;
use crate::errors::Error;

pub(super) fn define() -> Vec<Arg> {
    under(
        "Namespaces",
        vec![
            value("hostname", "string").short('h').help("Container host name"),
            value("domainname", "string").help("Container NIS domain name"),
            value("pid", "string").help("PID namespace to use (private, host, container:NAME)"),
            value("ipc", "string").help("IPC mode to use (private, shareable, none, host, container:NAME)"),
            value("uts", "string").help("UTS namespace to use (private, host, container:NAME)"),
            value("cgroupns", "string").help("Cgroup namespace to use (private, host, container:NAME)"),
            value("userns", "string").help("User namespace to use (host, private, auto, container:NAME)"),
            value("timens", "string").help("Time namespace to use (host, private, container:NAME)"),
            list("sysctl", "map").help("Sysctl options"),
        ],
    )
}

pub(super) fn read(given: &Given<'_>, config: &Config) -> Result<NamespaceOptions, Error> {
    let mode = |name, what| given.parsed(name, |text| NamespaceMode::parse(what, text));
    let all = |name: &'static str| given.texts(name).map(str::to_owned).collect::<Vec<_>>();
    let network = super::network::mode(given, config)?;
    let mut dns: Vec<String> = given.texts("dns").map(parse_dns_server).collect::<Result<_, _>>()?;
    let (mut dns_search, mut dns_options) = (all("dns-search"), all("dns-option"));
    // Who shares another's network, or the host's, has the name servers that are there.
    if !matches!(network, NetworkMode::Container(_) | NetworkMode::Host) {
        let usual = &config.dns;
        if dns.is_empty() {
            dns.extend(usual.servers.iter().flatten().map(ToString::to_string));
        }
        if dns_search.is_empty() {
            dns_search.extend(usual.search.iter().flatten().cloned());
        }
        if dns_options.is_empty() {
            dns_options.extend(usual.options.iter().flatten().cloned());
        }
    }
    Ok(NamespaceOptions {
        hostname: given.parsed("hostname", parse_hostname)?,
        domainname: given.filled("domainname").map(str::to_owned),
        network,
        netns_link: given.on("netns-link"),
        extra_hosts: given.texts("add-host").map(parse_extra_host).collect::<Result<_, _>>()?,
        dns,
        dns_search,
        dns_options,
        pid: mode("pid", "--pid")?.unwrap_or_default(),
        ipc: given.parsed("ipc", str::parse)?.unwrap_or_default(),
        uts: mode("uts", "--uts")?.unwrap_or_default(),
        cgroup: mode("cgroupns", "--cgroupns")?.unwrap_or_default(),
        user: given.parsed("userns", str::parse)?.unwrap_or_default(),
        time: mode("timens", "--timens")?,
        debugs: false,
        sysctls: given.texts("sysctl").map(parse_sysctl).collect::<Result<_, _>>()?,
    })
}
