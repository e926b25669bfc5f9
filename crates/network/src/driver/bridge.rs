//! The bridge driver: a switch on the host with the gateways' addresses, and a cable to it for each container.

use std::os::fd::BorrowedFd;

use conex_netlink::{BridgePort, Change, Kind, Link, LinkDetails, NewLink, Peer, Place, Route};
use serde::{Deserialize, Serialize};

use super::host::set;
use super::options::{device_name, mtu, truth, unknown};
use super::wire::{Wire, wait_until_running};
use crate::definition::{DefinitionError, Network};
use crate::endpoint::Endpoint;
use crate::{Error, Result};

/// What a switch can be told.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bridge {
    /// `mtu`: bytes of a frame's content; the kernel's 1500 without.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mtu: Option<u32>,
    /// `isolate`: containers of the network do not reach each other.
    #[serde(default)]
    pub isolate: bool,
    /// `masquerade=false`: packets leave with the container's own address, and the network outside knows the way back.
    #[serde(default)]
    pub routed: bool,
    /// `device`: its name on the host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
}

/// Names, with Docker's beside ours.
const KNOWN: &str = "mtu, isolate, masquerade, device (and Docker's com.docker.network.driver.mtu, \
     com.docker.network.bridge.name, .enable_icc, .enable_ip_masquerade)";

impl Bridge {
    pub(super) fn set(&mut self, name: &str, value: &str) -> Result<(), DefinitionError> {
        match self.take(name, value)? {
            true => Ok(()),
            false => Err(unknown("bridge", name, KNOWN)),
        }
    }

    /// False for a name that it does not know.
    pub(super) fn take(&mut self, name: &str, value: &str) -> Result<bool, DefinitionError> {
        match name {
            "mtu" | "com.docker.network.driver.mtu" => self.mtu = Some(mtu(value)?),
            "isolate" => self.isolate = truth("isolate", value)?,
            "com.docker.network.bridge.enable_icc" => self.isolate = !truth("enable_icc", value)?,
            "masquerade" => self.routed = !truth("masquerade", value)?,
            "com.docker.network.bridge.enable_ip_masquerade" => {
                self.routed = !truth("enable_ip_masquerade", value)?;
            }
            "device" | "com.docker.network.bridge.name" => self.device = Some(device_name("device", value)?),
            _ => return Ok(false),
        }
        Ok(true)
    }

    pub(super) fn options(&self) -> Vec<(&'static str, String)> {
        let mut options = Vec::new();
        options.extend(self.mtu.map(|mtu| ("mtu", mtu.to_string())));
        options.extend(self.isolate.then(|| ("isolate", "true".to_owned())));
        options.extend(self.routed.then(|| ("masquerade", "false".to_owned())));
        options.extend(self.device.clone().map(|device| ("device", device)));
        options
    }

    /// The switch, made or mended, up. `mtu` is only for one that is made now.
    pub(super) fn raise(&self, network: &Network, mtu: Option<u32>, route: &mut Route) -> Result<Link> {
        let kernel = Error::kernel(network.name.as_str());
        let found = match route.link(&network.device).map_err(&kernel)? {
            Some(link) => link,
            None => {
                let mac = network.subnets.first().map(|subnet| Endpoint::mac_of(subnet.gateway));
                let alias = format!("conex network {}", network.name);
                let new =
                    NewLink { mac, mtu, alias: Some(&alias), ..NewLink::new(&network.device, Kind::Bridge) };
                match route.create_link(&new) {
                    Err(error) if !error.is_there() => return Err(kernel(error)),
                    // Somebody else is at it.
                    _ => {}
                }
                let made = route.link(&network.device).map_err(&kernel)?;
                made.ok_or_else(|| Error::NotFound { name: network.device.clone() })?
            }
        };
        if found.details != LinkDetails::Other("bridge".to_owned()) {
            return Err(Error::Overlap {
                subnet: network.subnets[0].subnet,
                with: format!("the device {}, which is no bridge", network.device),
            });
        }
        for subnet in &network.subnets {
            match route.add_address(found.index, subnet.gateway, subnet.subnet.prefix_len()) {
                Err(error) if !error.is_there() => return Err(kernel(error)),
                _ => {}
            }
        }
        if network.has_v6()
            && let Some(mac) = found.mac
        {
            let bare = Change { bare: true, ..Change::default() };
            route.change_link(found.index, &bare).map_err(&kernel)?;
            match route.add_address(found.index, Endpoint::link_local_of(mac).into(), 64) {
                Err(error) if !error.is_there() => return Err(kernel(error)),
                _ => {}
            }
        }
        allow(network)?;
        route.set_up(found.index).map_err(&kernel)?;
        Ok(found)
    }

    /// A cable between the switch, which is there, and the namespace.
    pub(super) fn plug(
        &self,
        wire: &Wire<'_>,
        switch: u32,
        mtu: Option<u32>,
        (host, container): (&mut Route, &mut Route),
        namespace: BorrowedFd<'_>,
    ) -> Result<()> {
        let (network, endpoint) = (wire.network, wire.endpoint);
        let kernel = Error::kernel(network.name.as_str());
        let peer =
            Peer { name: &endpoint.device, mac: Some(endpoint.mac), place: Place::Namespace(namespace) };
        let new = NewLink {
            mtu,
            master: Some(switch),
            up: true,
            alias: Some(wire.note),
            ..NewLink::new(&endpoint.host_device, Kind::Veth(peer))
        };
        // One of that name can only be left of an earlier start of the same container.
        if let Some(old) = host.link(&endpoint.host_device).map_err(&kernel)? {
            let _ = host.delete_link(old.index);
        }
        let port = host.add_link(&new).map_err(&kernel)?;
        let mut finish = || {
            let options = BridgePort {
                isolated: self.isolate.then_some(true),
                // Its own published ports lead back to it where bridged packets are translated (br_netfilter).
                hairpin: (!endpoint.ports.is_empty()).then_some(true),
                ..BridgePort::default()
            };
            if options != BridgePort::default() {
                host.set_bridge_port(port, &options).map_err(&kernel)?;
            }
            wire.configure(container)?;
            for device in [&endpoint.host_device, &network.device] {
                wait_until_running(host, device).map_err(&kernel)?;
            }
            Ok(())
        };
        let finished = finish();
        if finished.is_err() {
            let _ = host.delete_link(port);
        }
        finished
    }
}

fn allow(network: &Network) -> Result<()> {
    let device = &network.device;
    // So that ports published on loopback lead to it: what comes from the bridge for loopback is dropped by the filter.
    set(&format!("net/ipv4/conf/{device}/route_localnet"), "1")?;
    set(&format!("net/ipv6/conf/{device}/accept_ra"), "0")?;
    if !network.has_v6() {
        set(&format!("net/ipv6/conf/{device}/disable_ipv6"), "1")?;
    }
    if network.internal {
        return Ok(());
    }
    set("net/ipv4/ip_forward", "1")?;
    if network.has_v6() {
        set("net/ipv6/conf/all/forwarding", "1")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options() {
        let mut bridge = Bridge::default();
        for (name, value) in [("mtu", "1400"), ("isolate", "true"), ("masquerade", "0"), ("device", "br-web")]
        {
            bridge.set(name, value).unwrap();
        }
        let device = Some("br-web".to_owned());
        assert_eq!(bridge, Bridge { mtu: Some(1400), isolate: true, routed: true, device });
        for (name, value) in
            [("mtu", "100"), ("mtu", "x"), ("isolate", "yes"), ("device", "a/b"), ("what", "1")]
        {
            assert!(bridge.set(name, value).is_err(), "{name}={value}");
        }
    }
}
