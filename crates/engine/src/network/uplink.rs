//! The way out of an ordinary user's container: a program that carries what it sends (`conex_network::usermode`), in the place of the
//! default network and of what other networks of root's lead to.

use std::net::IpAddr;
use std::os::fd::BorrowedFd;

use conex_netlink::Route;
use conex_network::usermode::{Carried, Carrier, Uplink};
use conex_network::{DEFAULT, Endpoint, NetworkId, find_free, refuse_metadata};
use conex_sys::namespace::visit_network;

use super::Place;
use crate::engine::Parts;
use crate::options::{Connection, NetworkMode};
use crate::rootless::is_rootless;
use crate::store::Record;
use crate::{Error, Result};

/// The device of a container that is not on the default network.
const DEVICE: &str = "uplink0";
/// The network is of no definition: the user's is his own, and not a bridge of root's.
const NOBODYS: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// A program that is to be started.
pub(super) struct Planned {
    carrier: Carrier,
    pub(super) endpoint: Endpoint,
}

/// Whether a connection is made by a program rather than by a device on the host.
pub(super) fn is_carried(connection: &Connection) -> bool {
    connection.network == DEFAULT && is_rootless()
}

/// Plans the way out of a container that is on these networks beside the carried one; `None` for root's, and for one that is on internal
/// networks only.
pub(super) fn plan(parts: &Parts, record: &Record, places: &[Place]) -> Result<Option<Planned>> {
    let connections = record.options.namespaces.network.connections();
    let own = connections.iter().position(is_carried);
    if !is_rootless() || own.is_none() && !places.iter().any(Place::leads_on) {
        return Ok(None);
    }
    let carrier = Carrier::find()?;
    if let Some(connection) = own.and_then(|index| connections.get(index)) {
        check(connection, &carrier)?;
    }
    let wanted = super::plan::wanted(record, parts)?;
    let ports = find_free(&wanted, parts.publish_address, carrier.has_v6_ports())?;
    let device = own.and_then(|index| {
        let asked = connections.get(index)?.interface.clone();
        Some(asked.unwrap_or_else(|| format!("eth{index}")))
    });
    let endpoint = Endpoint {
        network: if own.is_some() { DEFAULT } else { DEVICE }.parse()?,
        network_id: NetworkId::try_from(NOBODYS.to_owned()).map_err(|why| Error::Carried { why })?,
        device: device.unwrap_or_else(|| DEVICE.to_owned()),
        host_device: carrier.name().to_owned(),
        mac: [0; 6],
        addresses: Vec::new(),
        gateways: Vec::new(),
        aliases: Vec::new(),
        ports,
    };
    Ok(Some(Planned { carrier, endpoint }))
}

/// What nobody can have there.
fn check(connection: &Connection, carrier: &Carrier) -> Result<()> {
    let asked = [
        (connection.ip.is_some() || connection.ip6.is_some(), "an address"),
        (connection.mac.is_some(), "a MAC address"),
        (!connection.aliases.is_empty(), "an alias"),
    ];
    match asked.into_iter().find(|(is_asked, _)| *is_asked) {
        Some((_, what)) => {
            let why = format!(
                "{what} can be given on networks of one's own (conex network create), not on the default one, which {} carries",
                carrier.name()
            );
            Err(Error::Carried { why })
        }
        None => Ok(()),
    }
}

impl Planned {
    /// Starts the program, and finds out which addresses the container has now.
    pub(super) fn start(
        &mut self,
        parts: &Parts,
        record: &Record,
        pid: u32,
        namespace: BorrowedFd<'_>,
    ) -> Result<Carried> {
        // Addresses of IPv6 count at once: nobody else is on this link.
        detect_duplicates(namespace, false);
        let carried = self.carrier.start(&Uplink {
            pid,
            namespace,
            directory: &parts.store.run_directory(&record.id),
            device: &self.endpoint.device,
            ports: &self.endpoint.ports,
        })?;
        detect_duplicates(namespace, true);
        if parts.firewall.block_metadata {
            refuse_metadata(namespace)?;
        }
        let mut inside = Route::open_in(namespace)?;
        if let Some(link) = inside.link(&self.endpoint.device)? {
            self.endpoint.mac = link.mac.unwrap_or_default();
            let of = |address: &conex_netlink::Address| {
                address.index == link.index && !is_link_local(address.address)
            };
            self.endpoint.addresses = inside
                .addresses()?
                .into_iter()
                .filter(of)
                .map(|address| (address.address, address.prefix))
                .collect();
        }
        let ways = inside.routes()?.into_iter().filter(|route| route.destination.is_none());
        self.endpoint.gateways = ways.filter_map(|route| route.gateway).collect();
        Ok(carried)
    }
}

/// Whether it is no place on a network, but a way out.
pub(super) fn is_uplink(endpoint: &Endpoint) -> bool {
    endpoint.network_id.as_str() == NOBODYS
}

/// Where a container with this endpoint asks for names if it can reach none of the host's name servers.
pub(super) fn name_server(endpoint: &Endpoint) -> Option<IpAddr> {
    is_uplink(endpoint).then(|| Carrier::name_server(&endpoint.host_device)).flatten()
}

/// What devices that are made from now on do (RFC 4862, section 5.4); without IPv6 nothing.
fn detect_duplicates(namespace: BorrowedFd<'_>, detect: bool) {
    const SWITCH: &str = "/proc/sys/net/ipv6/conf/default/accept_dad";
    let switched = visit_network(namespace, || std::fs::write(SWITCH, if detect { "1" } else { "0" }));
    if let Err(error) = switched.and_then(|written| written) {
        log::debug!("{SWITCH}: {error}");
    }
}

/// Whether there is a program for a container on these networks, if it needs one: known before anything is made.
pub(crate) fn check_carrier(mode: &NetworkMode) -> Result<()> {
    match mode.connections().iter().any(is_carried) {
        true => Carrier::find().map(drop).map_err(Error::from),
        false => Ok(()),
    }
}

fn is_link_local(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_unicast_link_local(),
    }
}
