//! What networks and containers are in the sets and maps.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use conex_netlink::nft::{Element, Table};

use super::{BRIDGE, INET};
use crate::definition::Network;
use crate::driver::{Overlay, Peer};
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

/// Nothing for one that has no switch here.
pub(super) fn of_network(network: &Network) -> Vec<(Place, Element)> {
    let Some(switch) = network.driver.switch() else { return Vec::new() };
    let device = name(&network.device);
    let mut elements = vec![
        (inet("bridges"), Element::new(&[&device])),
        (inet("within"), Element::new(&[&device, &device])),
    ];
    if network.internal {
        elements.push((inet("internal"), Element::new(&[&device])));
    } else if !switch.routed {
        elements.push((inet("masqueraded"), Element::new(&[&device])));
    }
    if let Some(overlay) = network.driver.overlay() {
        elements.extend(of_tunnel(network, overlay));
    }
    elements
}

/// The tunnel, and what is of the gateway and stays on its host.
fn of_tunnel(network: &Network, overlay: &Overlay) -> Vec<(Place, Element)> {
    let (port, number) = tunnel(network, overlay);
    let device = name(&network.tunnel_device());
    let mut elements = vec![
        (inet("tunnels"), Element::new(&[&port, &number])),
        (bridge("tunnels"), Element::new(&[&device])),
    ];
    if overlay.encrypted {
        elements.push((inet("encrypted"), Element::new(&[&port])));
    }
    let Some(mac) = network.subnets.first().map(|subnet| Endpoint::mac_of(subnet.gateway)) else {
        return elements;
    };
    elements.push((bridge("gateway_macs"), Element::new(&[&device, &mac])));
    let link_local = network.has_v6().then(|| Endpoint::link_local_of(mac).into());
    for gateway in network.subnets.iter().map(|subnet| subnet.gateway).chain(link_local) {
        elements.push(match gateway {
            IpAddr::V4(v4) => (bridge("gateways4"), Element::new(&[&device, &v4.octets()])),
            IpAddr::V6(v6) => (bridge("gateways6"), Element::new(&[&device, &v6.octets()])),
        });
    }
    elements
}

/// Whether there has to be the set of ports that are encrypted.
pub(super) fn is_encrypted(network: &Network) -> bool {
    network.driver.overlay().is_some_and(|overlay| overlay.encrypted)
}

/// The tunnel as it is in keys: its port, and its number as it is in a packet.
fn tunnel(network: &Network, overlay: &Overlay) -> ([u8; 2], [u8; 4]) {
    (overlay.port.to_be_bytes(), (overlay.number(&network.name) << 8).to_be_bytes())
}

/// Who may send by the tunnel: the peers that there are now.
pub(super) fn of_peers(network: &Network) -> crate::Result<Vec<(Place, Element)>> {
    let Some(overlay) = network.driver.overlay() else { return Ok(Vec::new()) };
    let (port, number) = tunnel(network, overlay);
    let element = |peer: Peer| match peer.host {
        IpAddr::V4(v4) => (inet("peers4"), Element::new(&[&port, &number, &v4.octets()])),
        IpAddr::V6(v6) => (inet("peers6"), Element::new(&[&port, &number, &v6.octets()])),
    };
    Ok(overlay.peers()?.into_iter().map(element).collect())
}

/// The sets that peers are in, and how the keys of this network's begin.
pub(super) fn peers_begin(network: &Network) -> Option<([Place; 2], Vec<u8>)> {
    let (port, number) = tunnel(network, network.driver.overlay()?);
    Some(([inet("peers4"), inet("peers6")], Element::new(&[&port, &number]).key().to_vec()))
}

pub(super) fn of_endpoint(network: &Network, endpoint: &Endpoint) -> Vec<(Place, Element)> {
    if network.driver.switch().is_none() {
        return Vec::new();
    }
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
                elements.push((bridge("senders4"), Element::new(&[&device, &endpoint.mac, &own])));
                elements.push((inet("selves4"), Element::new(&[&own, &own])));
            }
            IpAddr::V6(v6) => {
                let own = v6.octets();
                elements.push((bridge("addresses6"), Element::new(&[&device, &own])));
                elements.push((bridge("senders6"), Element::new(&[&device, &endpoint.mac, &own])));
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
    vec![
        (inet("refused4"), Element::new(&[&METADATA_4.octets()])),
        (inet("refused6"), Element::new(&[&METADATA_6.octets()])),
    ]
}

pub(super) const METADATA_4: Ipv4Addr = Ipv4Addr::new(169, 254, 169, 254);
pub(super) const METADATA_6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254);

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
