//! What a container's endpoints will be: addresses leased, ports taken, nothing made yet.

use std::collections::BTreeSet;
use std::net::IpAddr;

use conex_network::{Endpoint, Network, PortSpec, Published, Reserved, reserve};

use super::uplink;
use crate::engine::Parts;
use crate::options::{Connection, Exposed};
use crate::store::Record;
use crate::{Error, Result};

/// Endpoints to be made, each on the network of its place.
pub(super) struct Plan {
    pub(super) networks: Vec<Network>,
    pub(super) endpoints: Vec<Endpoint>,
    pub(super) ports: Reserved,
    /// The way out of an ordinary user's.
    pub(super) uplink: Option<uplink::Planned>,
}

/// Plans all endpoints; after an error nothing is leased or taken.
pub(super) fn plan(parts: &Parts, record: &Record) -> Result<Plan> {
    let connections = record.options.namespaces.network.connections();
    let networks = parts.networks();
    // What is carried has no network here.
    let wired: Vec<_> = connections.iter().enumerate().filter(|(_, one)| !uplink::is_carried(one)).collect();
    let found: Vec<Network> =
        wired.iter().map(|(_, one)| networks.find(&one.network)).collect::<Result<_, _>>()?;
    let uplink = uplink::plan(parts, record, &found)?;
    let wanted = if uplink.is_some() { Vec::new() } else { wanted(record, parts)? };
    let publisher = if wanted.is_empty() { None } else { publisher(&found)? };
    let mut endpoints: Vec<Endpoint> = Vec::with_capacity(found.len());
    let leased = wired.iter().zip(&found).try_for_each(|((number, connection), network)| {
        endpoints.push(endpoint(parts, record, connection, network, *number)?);
        Ok(())
    });
    let published = publisher.and_then(|index| found.get(index).map(|network| (index, network.has_v6())));
    let ports = leased.and_then(|()| match published {
        Some((index, has_v6)) => {
            let reserved = reserve(&wanted, parts.publish_address, has_v6)?;
            if let Some(out) = endpoints.get_mut(index) {
                out.ports.clone_from(&reserved.ports);
            }
            Ok(reserved)
        }
        None => Ok(Reserved::default()),
    });
    match ports {
        Ok(ports) => Ok(Plan { networks: found, endpoints, ports, uplink }),
        Err(error) => {
            for (network, endpoint) in found.iter().zip(&endpoints) {
                networks.give_back(network, record.id.as_str(), &endpoint.ips().collect::<Vec<_>>());
            }
            Err(error)
        }
    }
}

/// The network by which everywhere else is reached: the first that leads anywhere, if it is not the one whose ports are published.
pub(super) fn way_out(networks: &[Network]) -> Option<usize> {
    networks.iter().position(|network| !network.internal)
}

/// The network by which the container's ports are reached: the first that leads anywhere and has a switch on this host.
fn publisher(networks: &[Network]) -> Result<Option<usize>> {
    let publishes = |network: &Network| !network.internal && network.driver.switch().is_some();
    match (networks.iter().position(publishes), way_out(networks).and_then(|index| networks.get(index))) {
        (None, Some(other)) => {
            Err(conex_network::Error::NoPorts { name: other.name.to_string(), driver: other.driver.as_str() }
                .into())
        }
        (found, _) => Ok(found),
    }
}

/// One endpoint, its addresses leased.
pub(crate) fn endpoint(
    parts: &Parts,
    record: &Record,
    connection: &Connection,
    network: &Network,
    number: usize,
) -> Result<Endpoint> {
    let id = record.id.as_str();
    let addresses = parts.networks().lease(network, id, &connection.wishes())?;
    let first =
        addresses.first().copied().ok_or_else(|| Error::NoAddress { network: network.name.to_string() })?;
    let mac = network.mac_for(connection.mac, first).inspect_err(|_| {
        parts.networks().give_back(network, id, &addresses);
    })?;
    let prefix = |address: &IpAddr| {
        let subnet = network.subnets.iter().find(|subnet| subnet.subnet.contains(address));
        subnet.map_or(0, |subnet| subnet.subnet.prefix_len())
    };
    Ok(Endpoint {
        network: network.name.clone(),
        network_id: network.id.clone(),
        device: connection.interface.clone().unwrap_or_else(|| format!("eth{number}")),
        host_device: Endpoint::host_device_of(id, number),
        mac,
        addresses: addresses.iter().map(|address| (*address, prefix(address))).collect(),
        gateways: network.gateways(),
        aliases: connection.aliases.clone(),
        ports: Vec::<Published>::new(),
    })
}

/// What is to be published: what was asked for, and with `-P` what else is exposed.
pub(super) fn wanted(record: &Record, parts: &Parts) -> Result<Vec<PortSpec>> {
    let asked = &record.options.ports;
    let mut specs = asked.publish.clone();
    if !asked.publish_all {
        return Ok(specs);
    }
    let mut exposed: BTreeSet<Exposed> = asked.expose.iter().copied().collect();
    let image = parts.images.resolve(&record.image_id.to_string(), None)?;
    exposed
        .extend(image.document.config.exposed_ports.keys().filter_map(|text| text.parse::<Exposed>().ok()));
    let covered = |port: u16, one: &Exposed, specs: &[PortSpec]| {
        specs.iter().any(|spec| {
            spec.protocol == one.protocol
                && (spec.container_ports.first..=spec.container_ports.last).contains(&port)
        })
    };
    for one in &exposed {
        for port in one.ports.first..=one.ports.last {
            if !covered(port, one, &specs) {
                let container_ports = conex_network::PortRange { first: port, last: port };
                specs.push(PortSpec {
                    host: None,
                    host_ports: None,
                    container_ports,
                    protocol: one.protocol,
                });
            }
        }
    }
    Ok(specs)
}
