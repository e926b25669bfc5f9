//! A container's device, made in the container's namespace in one message, and given all it needs before the container runs.

use std::net::IpAddr;
use std::os::fd::BorrowedFd;
use std::time::Duration;

use conex_netlink::{BridgePort, Change, Kind, NewLink, NewRoute, Peer, Place, Route};

use crate::definition::Network;
use crate::endpoint::Endpoint;
use crate::{Error, Result};

/// How often it is looked whether packets pass, and the pause between.
const LOOKS: u32 = 5000;
const PAUSE: Duration = Duration::from_micros(200);

/// An endpoint to be wired.
#[derive(Debug, Clone, Copy)]
pub struct Wire<'a> {
    /// On which network.
    pub network: &'a Network,
    /// What the container gets.
    pub endpoint: &'a Endpoint,
    /// A note on the host's end for people: the container's name.
    pub note: &'a str,
    /// Whether its gateways lead to everywhere else.
    pub is_default: bool,
}

impl Wire<'_> {
    /// Makes the pair of devices between the network's and the namespace. `host` is a way to the host's namespace, `container` one to
    /// the container's, which `namespace` is.
    ///
    /// # Errors
    /// [`Error::Kernel`]; then nothing of it is left.
    pub fn connect(&self, host: &mut Route, container: &mut Route, namespace: BorrowedFd<'_>) -> Result<()> {
        let (network, endpoint) = (self.network, self.endpoint);
        let kernel = Error::kernel(network.name.as_str());
        let bridge = match host.link(&network.device).map_err(&kernel)? {
            Some(bridge) if bridge.is_up => bridge.index,
            // Lost, or never made since the host came up.
            _ => network.raise(host)?,
        };
        let peer =
            Peer { name: &endpoint.device, mac: Some(endpoint.mac), place: Place::Namespace(namespace) };
        let new = NewLink {
            mtu: network.options.mtu,
            master: Some(bridge),
            up: true,
            alias: Some(self.note),
            ..NewLink::new(&endpoint.host_device, Kind::Veth(peer))
        };
        // One of that name can only be left of an earlier start of the same container.
        if let Some(old) = host.link(&endpoint.host_device).map_err(&kernel)? {
            let _ = host.delete_link(old.index);
        }
        let port = host.add_link(&new).map_err(&kernel)?;
        let wired = self.finish(host, port, container);
        if wired.is_err() {
            let _ = host.delete_link(port);
        }
        wired
    }

    /// Waits until packets pass: the kernel takes note of a cable's carrier a moment later, and until then a bridge drops what comes by
    /// it, so that a container's first packet would be sent again after a second.
    fn settle(&self, host: &mut Route) -> Result<()> {
        let kernel = Error::kernel(self.network.name.as_str());
        for device in [&self.endpoint.host_device, &self.network.device] {
            let mut looks = 0;
            while host.link(device).map_err(&kernel)?.is_some_and(|link| !link.is_running) && looks < LOOKS {
                std::thread::sleep(PAUSE);
                looks += 1;
            }
        }
        Ok(())
    }

    fn finish(&self, host: &mut Route, port: u32, container: &mut Route) -> Result<()> {
        let (network, endpoint) = (self.network, self.endpoint);
        let kernel = Error::kernel(network.name.as_str());
        let options = BridgePort {
            isolated: network.options.isolate.then_some(true),
            // Its own published ports lead back to it where bridged packets are translated (br_netfilter).
            hairpin: (!endpoint.ports.is_empty()).then_some(true),
            ..BridgePort::default()
        };
        if options != BridgePort::default() {
            host.set_bridge_port(port, &options).map_err(&kernel)?;
        }
        let device = container.link(&endpoint.device).map_err(&kernel)?;
        let device = device.ok_or_else(|| Error::NotFound { name: endpoint.device.clone() })?.index;
        if network.has_v6() {
            container.change_link(device, &Change { bare: true, ..Change::default() }).map_err(&kernel)?;
            let own = IpAddr::V6(Endpoint::link_local_of(endpoint.mac));
            container.add_address(device, own, 64).map_err(&kernel)?;
        }
        for (address, prefix) in &endpoint.addresses {
            container.add_address(device, *address, *prefix).map_err(&kernel)?;
        }
        container.set_up(device).map_err(&kernel)?;
        if self.is_default && !network.internal {
            for gateway in &endpoint.gateways {
                let everywhere = match gateway {
                    IpAddr::V4(_) => IpAddr::from([0, 0, 0, 0]),
                    IpAddr::V6(_) => IpAddr::from([0; 16]),
                };
                let route = NewRoute {
                    destination: (everywhere, 0),
                    gateway: Some(*gateway),
                    index: device,
                    metric: None,
                };
                container.add_route(&route).map_err(&kernel)?;
            }
        }
        self.settle(host)
    }

    /// Takes the pair away. That of a container that has ended goes with its namespace, a little later.
    ///
    /// # Errors
    /// [`Error::Kernel`].
    pub fn disconnect(network: &Network, endpoint: &Endpoint, host: &mut Route) -> Result<()> {
        let kernel = Error::kernel(network.name.as_str());
        match host.link(&endpoint.host_device).map_err(&kernel)? {
            Some(link) => match host.delete_link(link.index) {
                Err(error) if !error.is_gone() => Err(kernel(error)),
                _ => Ok(()),
            },
            None => Ok(()),
        }
    }
}
