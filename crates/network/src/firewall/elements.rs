//! What networks and containers are in the sets and maps.

use std::net::IpAddr;

use conex_netlink::nft::{Element, Table};

use super::{BRIDGE, INET};
use crate::definition::Network;
use crate::endpoint::Endpoint;
use crate::ports::Published;

/// A set of a table.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    pub(super) table: Table<'static>,
    pub(super) set: &'static str,
}

fn inet(set: &'static str) -> Place {
    Place { table: INET, set }
}

fn bridge(set: &'static str) -> Place {
    Place { table: BRIDGE, set }
}

/// A device's name as it is in keys.
fn name(device: &str) -> [u8; 16] {
    let mut bytes = [0; 16];
    // Names are shorter, or the kernel would not have had the device.
    let length = device.len().min(15);
    bytes[..length].copy_from_slice(&device.as_bytes()[..length]);
    bytes
}

pub(super) fn of_network(network: &Network) -> Vec<(Place, Element)> {
    let device = name(&network.device);
    let mut elements = vec![
        (inet("bridges"), Element::new(&[&device])),
        (inet("within"), Element::new(&[&device, &device])),
    ];
    if network.internal {
        elements.push((inet("internal"), Element::new(&[&device])));
    } else if !network.options.routed {
        elements.push((inet("masqueraded"), Element::new(&[&device])));
    }
    elements
}

pub(super) fn of_endpoint(network: &Network, endpoint: &Endpoint) -> Vec<(Place, Element)> {
    let device = name(&endpoint.host_device);
    let mut elements = vec![
        (bridge("ports"), Element::new(&[&device])),
        (bridge("macs"), Element::new(&[&device, &endpoint.mac])),
    ];
    for (address, _) in &endpoint.addresses {
        match address {
            IpAddr::V4(v4) => {
                let own = v4.octets();
                elements.push((bridge("addresses4"), Element::new(&[&device, &own])));
                elements.push((inet("selves4"), Element::new(&[&own, &own])));
            }
            IpAddr::V6(v6) => {
                let own = v6.octets();
                elements.push((bridge("addresses6"), Element::new(&[&device, &own])));
                elements.push((inet("selves6"), Element::new(&[&own, &own])));
            }
        }
    }
    if network.has_v6() {
        let own = Endpoint::link_local_of(endpoint.mac).octets();
        elements.push((bridge("addresses6"), Element::new(&[&device, &own])));
    }
    for port in &endpoint.ports {
        elements.extend(published(endpoint, port));
    }
    elements
}

/// Where clouds tell a machine who it is, its keys among it: of nearly all of them, and of one by IPv6.
pub(super) fn of_metadata() -> Vec<(Place, Element)> {
    let v6: std::net::Ipv6Addr = [0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254].into();
    vec![
        (inet("refused4"), Element::new(&[&[169, 254, 169, 254]])),
        (inet("refused6"), Element::new(&[&v6.octets()])),
    ]
}

/// Where a port of the host leads to: the endpoint's address of the same family, if it has one.
fn published(endpoint: &Endpoint, port: &Published) -> Option<(Place, Element)> {
    let same = |(address, _): &&(IpAddr, u8)| address.is_ipv4() == port.host.is_ipv4();
    let (target, _) = endpoint.addresses.iter().find(same)?;
    let (protocol, from, to) =
        ([port.protocol.number()], port.host_port.to_be_bytes(), port.container_port.to_be_bytes());
    Some(match (port.host, target) {
        (IpAddr::V4(host), IpAddr::V4(target)) if host.is_unspecified() => {
            (inet("ports4"), Element::mapped(&[&protocol, &from], &[&target.octets(), &to]))
        }
        (IpAddr::V4(host), IpAddr::V4(target)) => {
            (inet("bound4"), Element::mapped(&[&host.octets(), &protocol, &from], &[&target.octets(), &to]))
        }
        (IpAddr::V6(host), IpAddr::V6(target)) if host.is_unspecified() => {
            (inet("ports6"), Element::mapped(&[&protocol, &from], &[&target.octets(), &to]))
        }
        (IpAddr::V6(host), IpAddr::V6(target)) => {
            (inet("bound6"), Element::mapped(&[&host.octets(), &protocol, &from], &[&target.octets(), &to]))
        }
        _ => return None,
    })
}
