//! A container's device, made in the container's namespace in one message, and given all it needs before the container runs.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::BorrowedFd;
use std::time::Duration;

use conex_netlink::{Change, NewRoute, Route};

use super::Driver;
use crate::definition::Network;
use crate::endpoint::Endpoint;
use crate::{Error, Result};

/// How often it is looked whether packets pass, and the pause between.
const LOOKS: u32 = 5000;
const PAUSE: Duration = Duration::from_micros(200);

/// Less than the kernel's own for IPv6, which is 1024.
const PRECEDING: u32 = 512;

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
    /// Makes the container's device, and the network's where they are missing. `host` is a way to the host's namespace, `container` one
    /// to the container's, which `namespace` is.
    ///
    /// # Errors
    /// [`Error::Kernel`], and those of [`Network::raise`]; then nothing of it is left.
    pub fn connect(&self, host: &mut Route, container: &mut Route, namespace: BorrowedFd<'_>) -> Result<()> {
        let network = self.network;
        match &network.driver {
            Driver::Bridge(bridge) => {
                let found = host.link(&network.device).map_err(Error::kernel(network.name.as_str()))?;
                let switch = match found {
                    Some(link) if link.is_up => link,
                    // Lost, or never made since the host came up.
                    _ => bridge.raise(network, bridge.mtu, host)?,
                };
                bridge.plug(self, switch.index, bridge.mtu, (host, container), namespace)
            }
            Driver::Overlay(overlay) => {
                // Who its peers are is looked at by everybody.
                let switch = overlay.raise(network, host)?;
                overlay.switch.plug(self, switch.index, Some(switch.mtu), (host, container), namespace)
            }
            Driver::Macvlan(macvlan) => macvlan.connect(self, (host, container), namespace),
            Driver::Ipvlan(ipvlan) => ipvlan.connect(self, (host, container), namespace),
        }
    }

    /// Takes the container's device away. That of a container that has ended goes with its namespace, a little later: then `container`,
    /// a way to that, is not needed.
    ///
    /// # Errors
    /// [`Error::Kernel`].
    pub fn disconnect(
        network: &Network,
        endpoint: &Endpoint,
        host: &mut Route,
        container: Option<&mut Route>,
    ) -> Result<()> {
        let (route, device) = match (network.driver.switch(), container) {
            (Some(_), _) => (host, &endpoint.host_device),
            (None, Some(container)) => (container, &endpoint.device),
            (None, None) => return Ok(()),
        };
        route.delete_named(device).map_err(Error::kernel(network.name.as_str()))
    }

    /// Whether the container's device is there, and on the network's.
    ///
    /// # Errors
    /// [`Error::Kernel`].
    pub fn is_whole(&self, host: &mut Route, container: &mut Route) -> Result<bool> {
        let kernel = Error::kernel(self.network.name.as_str());
        let Some(device) = host.link(&self.network.device).map_err(&kernel)? else { return Ok(false) };
        let link = match self.network.driver.switch() {
            Some(_) => host.link(&self.endpoint.host_device).map_err(&kernel)?.and_then(|link| link.master),
            None => container.link(&self.endpoint.device).map_err(&kernel)?.and_then(|link| link.parent),
        };
        Ok(link == Some(device.index))
    }

    /// Addresses and routes of the container's device, which is there.
    pub(super) fn configure(&self, container: &mut Route) -> Result<()> {
        let (network, endpoint) = (self.network, self.endpoint);
        let kernel = Error::kernel(network.name.as_str());
        let device = container.link(&endpoint.device).map_err(&kernel)?;
        let device = device.ok_or_else(|| Error::NotFound { name: endpoint.device.clone() })?;
        // Where all have one MAC address they cannot all have the link-local address that is made of it: the kernel finds another.
        if network.has_v6() && network.driver.has_own_macs() {
            container
                .change_link(device.index, &Change { bare: true, ..Change::default() })
                .map_err(&kernel)?;
            let own = IpAddr::V6(Endpoint::link_local_of(endpoint.mac));
            container.add_address(device.index, own, 64).map_err(&kernel)?;
        }
        for (address, prefix) in &endpoint.addresses {
            container.add_address(device.index, *address, *prefix).map_err(&kernel)?;
        }
        container.set_up(device.index).map_err(&kernel)?;
        if !self.is_default || network.internal {
            return Ok(());
        }
        for (address, _) in &endpoint.addresses {
            let everywhere: IpAddr = match address {
                IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
                IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
            };
            let same = |gateway: &&IpAddr| gateway.is_ipv4() == address.is_ipv4();
            // Plugins of CNI may have added another.
            let precedes = address.is_ipv6() && has_default_v6(container).map_err(&kernel)?;
            let route = NewRoute {
                destination: (everywhere, 0),
                gateway: endpoint.gateways.iter().find(same).copied(),
                index: device.index,
                metric: precedes.then_some(PRECEDING),
            };
            container.put_route(&route).map_err(&kernel)?;
        }
        Ok(())
    }
}

fn has_default_v6(route: &mut Route) -> conex_netlink::Result<bool> {
    Ok(route.routes()?.iter().any(|route| route.is_v6 && route.destination.is_none()))
}

/// Waits until packets pass: the kernel takes note of a cable's carrier a moment later, and until then a bridge drops what comes by it,
/// so that a container's first packet would be sent again after a second.
pub(crate) fn wait_until_running(route: &mut Route, device: &str) -> conex_netlink::Result<()> {
    let mut looks = 0;
    while route.link(device)?.is_some_and(|link| !link.is_running) && looks < LOOKS {
        std::thread::sleep(PAUSE);
        looks += 1;
    }
    Ok(())
}
