//! What a container's places on its networks will be: addresses leased, ports taken, nothing made yet.

use std::collections::BTreeSet;
use std::net::IpAddr;

use conex_network::cni::{CniError, List, Request};
use conex_network::{Endpoint, Network, PortSpec, Published, Reserved, reserve};

use super::{Place, uplink};
use crate::engine::Parts;
use crate::options::{Connection, Exposed};
use crate::store::Record;
use crate::{Error, Result};

/// Places to be made, in the order in which they were asked for.
pub(super) struct Plan {
    pub(super) joints: Vec<Joint>,
    pub(super) ports: Reserved,
}

/// A container's place on a network, to be made.
pub(super) enum Joint {
    /// By us.
    Own { network: Network, endpoint: Endpoint },
    /// By plugins.
    Cni { list: List, request: Request },
    /// By a program of an ordinary user's.
    Carried(uplink::Planned),
}

impl Joint {
    /// Whether everywhere else may be reached by it.
    pub(super) fn leads_on(&self) -> bool {
        match self {
            Self::Own { network, .. } => !network.internal,
            Self::Cni { .. } | Self::Carried(_) => true,
        }
    }

    pub(super) fn ports(&self) -> &[Published] {
        match self {
            Self::Own { endpoint, .. } => &endpoint.ports,
            Self::Cni { request, .. } => &request.ports,
            Self::Carried(planned) => &planned.endpoint.ports,
        }
    }

    fn set_ports(&mut self, ports: &[Published]) {
        match self {
            Self::Own { endpoint, .. } => endpoint.ports = ports.to_vec(),
            Self::Cni { request, .. } => request.ports = ports.to_vec(),
            Self::Carried(planned) => planned.endpoint.ports = ports.to_vec(),
        }
    }
}

/// Plans all places; after an error nothing is leased or taken.
pub(super) fn plan(parts: &Parts, record: &Record) -> Result<Plan> {
    let connections = record.options.namespaces.network.connections();
    // What is carried is on no network of a definition.
    let joined: Vec<_> = connections.iter().enumerate().filter(|(_, one)| !uplink::is_carried(one)).collect();
    let found: Vec<Place> =
        joined.iter().map(|(_, one)| Place::find(&parts.store, &one.network)).collect::<Result<_, _>>()?;
    let uplink = uplink::plan(parts, record, &found)?;
    let wanted = if uplink.is_some() { Vec::new() } else { wanted(record, parts)? };
    let publisher = if wanted.is_empty() { None } else { publisher(&found)? };
    let mut joints: Vec<Joint> = Vec::with_capacity(connections.len());
    let leased = joined.iter().zip(found).try_for_each(|((number, connection), place)| {
        joints.push(joint(parts, record, connection, place, *number)?);
        Ok(())
    });
    let ports = leased.and_then(|()| match publisher.and_then(|index| joints.get_mut(index)) {
        Some(joint) => {
            // A plugin that maps ports does it for both families itself.
            let has_v6 = matches!(joint, Joint::Own { network, .. } if network.has_v6());
            let reserved = reserve(&wanted, parts.publish_address, has_v6)?;
            joint.set_ports(&reserved.ports);
            Ok(reserved)
        }
        None => Ok(Reserved::default()),
    });
    match ports {
        Ok(ports) => {
            joints.extend(uplink.map(Joint::Carried));
            Ok(Plan { joints, ports })
        }
        Err(error) => {
            for joint in &joints {
                if let Joint::Own { network, endpoint } = joint {
                    let addresses: Vec<_> = endpoint.ips().collect();
                    parts.networks().give_back(network, record.id.as_str(), &addresses);
                }
            }
            Err(error)
        }
    }
}

fn joint(
    parts: &Parts,
    record: &Record,
    connection: &Connection,
    place: Place,
    number: usize,
) -> Result<Joint> {
    match place {
        Place::Own(network) => {
            let endpoint = endpoint(parts, record, connection, &network, number)?;
            Ok(Joint::Own { network, endpoint })
        }
        Place::Cni(list) => {
            let request = super::cni::request(&parts.store, record, connection, number, Vec::new());
            request.check(&list)?;
            Ok(Joint::Cni { list, request })
        }
    }
}

/// The network by which the container's ports are reached: the first that can publish any. Nobody, where nothing leads anywhere.
fn publisher(places: &[Place]) -> Result<Option<usize>> {
    let found = places.iter().position(Place::publishes);
    match (found, places.iter().find(|place| place.leads_on())) {
        (None, Some(Place::Own(other))) => {
            Err(conex_network::Error::NoPorts { name: other.name.to_string(), driver: other.driver.as_str() }
                .into())
        }
        (None, Some(Place::Cni(list))) => {
            Err(CniError::NoPorts { network: list.name.to_string(), path: list.file.clone() }.into())
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
