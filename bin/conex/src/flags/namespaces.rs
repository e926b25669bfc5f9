//! Which views it has: `--pid --ipc --uts --cgroupns --userns --hostname --sysctl`.

use clap::Arg;
use conex_engine::options::{
    NamespaceMode, NamespaceOptions, parse_dns_server, parse_extra_host, parse_hostname, parse_sysctl,
};

use super::under;
use crate::cli::Given;
use crate::cli::args::{list, value};
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

pub(super) fn read(given: &Given<'_>) -> Result<NamespaceOptions, Error> {
    let mode = |name, what| given.parsed(name, |text| NamespaceMode::parse(what, text));
    let all = |name: &'static str| given.texts(name).map(str::to_owned).collect();
    Ok(NamespaceOptions {
        hostname: given.parsed("hostname", parse_hostname)?,
        domainname: given.filled("domainname").map(str::to_owned),
        network: super::network::mode(given)?,
        netns_link: given.on("netns-link"),
        extra_hosts: given.texts("add-host").map(parse_extra_host).collect::<Result<_, _>>()?,
        dns: given.texts("dns").map(parse_dns_server).collect::<Result<_, _>>()?,
        dns_search: all("dns-search"),
        dns_options: all("dns-option"),
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
