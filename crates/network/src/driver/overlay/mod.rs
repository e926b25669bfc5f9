//! The overlay driver: a switch on each host, joined by VXLAN (RFC 7348). All hosts have a network of the same subnet and number; each
//! gives out addresses of a range of its own.
//!
//! The gateway has the same IP and MAC address on every host, so that each host's containers go out there: what is of the gateway never
//! crosses the tunnel, by rules of the packet filter (`firewall/rules.rs`). Nor does the host itself use it: it reaches its own
//! containers only. What comes by the tunnel is of the peers, or dropped; and if the network is encrypted ([`esp`]) it comes encrypted.

mod esp;
mod file;
mod options;
mod peers;
mod secret;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket};
use std::path::PathBuf;

use conex_netlink::{
    BridgePort, Change, Kind, Link, LinkDetails, Neighbour, NewLink, Route, Vxlan, unless_gone,
};
use serde::{Deserialize, Serialize};

use self::esp::Sealed;
pub use self::peers::Peer;
use self::peers::host_address;
use super::bridge::Bridge;
use super::host::set;
use super::wire::wait_until_running;
use crate::definition::{DefinitionError, Network, NetworkName, NewNetwork, Subnet};
use crate::endpoint::Endpoint;
use crate::{Error, Result};

/// Assigned to VXLAN.
const PORT: u16 = 4789;
/// What a tunnel adds to a frame's content: the frame's own header, VXLAN's and UDP's (RFC 7348, section 5), and below it IPv4's or IPv6's.
const AROUND: u32 = 14 + 8 + 8;
const IPV4: u32 = 20;
const IPV6: u32 = 40;

/// What it can be told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Overlay {
    /// The switch on this host.
    #[serde(default)]
    pub switch: Bridge,
    /// `vni`: the tunnel's number, 24 bits, the same on all hosts; one that is made of the network's name without.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vni: Option<u32>,
    /// `port`: UDP, the same on all hosts.
    pub port: u16,
    /// `local`: the host's own address in it; that of the route to the peers without.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub local: Option<IpAddr>,
    /// `peers`
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub peers: Vec<IpAddr>,
    /// `peers-file`
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peers_file: Option<PathBuf>,
    /// `encrypted`: by ESP between the hosts.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub encrypted: bool,
    /// `key-file`: what it is encrypted with is in that file only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_file: Option<PathBuf>,
}

impl Default for Overlay {
    fn default() -> Self {
        Self {
            switch: Bridge::default(),
            vni: None,
            port: PORT,
            local: None,
            peers: Vec::new(),
            peers_file: None,
            encrypted: false,
            key_file: None,
        }
    }
}

impl Network {
    /// The device of an overlay's tunnel.
    pub fn tunnel_device(&self) -> String {
        format!("vx-{}", self.id.short())
    }
}

impl Overlay {
    /// The tunnel's number: what was asked for, or what hosts agree on that call the network the same (FNV-1a, folded to 24 bits).
    pub fn number(&self, name: &NetworkName) -> u32 {
        self.vni.unwrap_or_else(|| {
            let hash = name
                .as_str()
                .bytes()
                .fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
            (hash >> 24 ^ hash & 0x00ff_ffff).max(1)
        })
    }

    pub(super) fn survey(&self, asked: &NewNetwork) -> Result<Vec<Subnet>> {
        let kernel = Error::kernel("overlay");
        if let Some(path) = self.secrets()? {
            esp::need(self.local.or(self.peers.first().copied()).is_none_or(|address| address.is_ipv4()))?;
            secret::read(path)?;
        }
        if !Route::open().and_then(|mut route| route.has_kind("vxlan")).map_err(kernel)? {
            return Err(Error::NoKind { driver: "overlay", kind: "vxlan", hint: "" });
        }
        // Any choice of this host's would not be the others'.
        let count = |v6| asked.subnets.iter().filter(|one| one.subnet.addr().is_ipv6() == v6).count();
        if count(false) == 0 || asked.v6 && count(true) == 0 {
            return Err(DefinitionError::NeedsSubnet.into());
        }
        Ok(asked.subnets.clone())
    }

    /// All other hosts that are known, this one too where it is listed.
    ///
    /// # Errors
    /// [`Error::Peers`], [`Error::File`].
    pub fn peers(&self) -> Result<Vec<Peer>> {
        let mut all = match &self.peers_file {
            Some(path) => peers::read(path)?,
            None => Vec::new(),
        };
        for host in &self.peers {
            peers::add(&mut all, *host, []);
        }
        Ok(all)
    }

    /// The switch, made or mended, with the tunnel as one of its ports, which leads to those who are peers now.
    pub(super) fn raise(&self, network: &Network, route: &mut Route) -> Result<Link> {
        let kernel = Error::kernel(network.name.as_str());
        let own = route.addresses().map_err(&kernel)?;
        let mut peers = self.peers()?;
        peers.retain(|peer| !own.iter().any(|own| own.address == peer.host));
        // One socket, one family.
        let source = self.local.or_else(|| source_to(peers.first()?.host));
        let is_v4 = source.or(peers.first().map(|peer| peer.host)).is_none_or(|address| address.is_ipv4());
        if let Some(other) = peers.iter().find(|peer| peer.host.is_ipv4() != is_v4) {
            return Err(Error::Families { name: network.name.to_string(), peer: other.host });
        }
        let below = own.iter().find(|own| Some(own.address) == source).map(|own| own.index);
        let links = route.links().map_err(&kernel)?;
        let below = links.iter().find(|link| Some(link.index) == below).map_or(1500, |link| link.mtu);
        let mtu = self.switch.mtu.unwrap_or_else(|| self.mtu(below, is_v4));
        if let Some(path) = self.secrets()? {
            let secrets = secret::read(path)?;
            self.sealed(network).raise(&self.pairs(&peers), is_v4, &secrets, &links)?;
        }

        let mut switch = self.switch.raise(network, Some(mtu), route)?;
        // One that was there has its own.
        switch.mtu = switch.mtu.min(mtu);
        let vxlan = Vxlan {
            vni: self.number(&network.name),
            // Without, the kernel takes each packet's from its route; for IPv6 it has to be told.
            local: if is_v4 { self.local } else { source },
            port: self.port,
            learning: true,
        };
        let tunnel = self.tunnel(network, &switch, vxlan, route)?;
        lead(network, tunnel, &peers, route)?;
        Ok(switch)
    }

    /// Bytes of a frame's content that the tunnel takes, of what the device below it does.
    fn mtu(&self, below: u32, is_v4: bool) -> u32 {
        let datagram = below.saturating_sub(if is_v4 { IPV4 } else { IPV6 });
        let datagram = if self.encrypted { esp::room(datagram) } else { datagram };
        // What IPv6 needs at least; what is longer then goes in fragments.
        datagram.saturating_sub(AROUND).max(1280)
    }

    /// Each peer with the own address that it knows.
    fn pairs(&self, peers: &[Peer]) -> esp::Pairs {
        let pair = |peer: &Peer| {
            let own = self.local.or_else(|| source_to(peer.host));
            if own.is_none() {
                log::warn!("there is no route to the peer {}: nothing is sent to it", peer.host);
            }
            Some((own?, peer.host))
        };
        peers.iter().filter_map(pair).collect()
    }

    fn sealed<'a>(&self, network: &'a Network) -> Sealed<'a> {
        Sealed { network, vni: self.number(&network.name), port: self.port }
    }

    /// What was there beside its devices, after these.
    pub(super) fn lower(&self, network: &Network) -> Result<()> {
        if self.encrypted { self.sealed(network).lower() } else { Ok(()) }
    }

    /// What two overlays of one host may not have in common, if they have.
    pub(super) fn conflict(
        &self,
        name: &NetworkName,
        other: &Self,
        other_name: &NetworkName,
    ) -> Option<String> {
        let (port, number) = (self.port, self.number(name));
        if port != other.port {
            return None;
        }
        if self.encrypted || other.encrypted {
            return Some(format!(
                "port {port}, and an encrypted network has its port alone; give another by -o port="
            ));
        }
        (number == other.number(other_name))
            .then(|| format!("the tunnel's number {number} at port {port}; give another by -o vni="))
    }

    fn tunnel(&self, network: &Network, switch: &Link, vxlan: Vxlan, route: &mut Route) -> Result<u32> {
        let kernel = Error::kernel(network.name.as_str());
        let name = network.tunnel_device();
        let mut found = route.link(&name).map_err(&kernel)?;
        if let Some(link) = found.take_if(|link| link.details != LinkDetails::Vxlan(vxlan)) {
            route.delete_link(link.index).map_err(&kernel)?;
        }
        let is_new = found.is_none();
        let link = match found {
            Some(link) => link,
            None => {
                let alias = format!("conex network {}: tunnel", network.name);
                let new = NewLink {
                    mtu: Some(switch.mtu),
                    master: Some(switch.index),
                    alias: Some(&alias),
                    ..NewLink::new(&name, Kind::Vxlan(vxlan))
                };
                let made = route.create_link(&new);
                match (made, route.link(&name).map_err(&kernel)?) {
                    (Err(error), _) if error.is_unsupported() => {
                        return Err(Error::NoKind { driver: "overlay", kind: "vxlan", hint: "" });
                    }
                    // Somebody else is at it; one of another name has the number.
                    (Err(error), found) if !error.is_there() || found.is_none() => return Err(kernel(error)),
                    (_, found) => found.ok_or_else(|| Error::NotFound { name: name.clone() })?,
                }
            }
        };
        if link.master != Some(switch.index) {
            let change = Change { master: Some(switch.index), ..Change::default() };
            route.change_link(link.index, &change).map_err(&kernel)?;
        }
        if self.switch.isolate {
            let isolated = BridgePort { isolated: Some(true), ..BridgePort::default() };
            route.set_bridge_port(link.index, &isolated).map_err(&kernel)?;
        }
        if is_new || !link.is_up {
            // It is a port, and says nothing itself.
            set(&format!("net/ipv6/conf/{name}/disable_ipv6"), "1")?;
            route.set_up(link.index).map_err(&kernel)?;
            wait_until_running(route, &name).map_err(&kernel)?;
        }
        Ok(link.index)
    }
}

/// Makes the tunnel's table what the peers are: frames for all go to each of them, and others where it is known.
fn lead(network: &Network, index: u32, peers: &[Peer], route: &mut Route) -> Result<()> {
    let kernel = Error::kernel(network.name.as_str());
    let gateway = network.subnets.first().map(|subnet| Endpoint::mac_of(subnet.gateway));
    let mut wanted = Vec::new();
    for peer in peers {
        let macs = peer.macs.iter().copied().filter(|mac| Some(*mac) != gateway);
        let entry = |mac| Neighbour::Tunnel { index, mac, host: peer.host };
        wanted.extend([[0; 6]].into_iter().chain(macs).map(entry));
    }
    let mut there = route.forwarding().map_err(&kernel)?;
    there.retain(|entry| matches!(entry, Neighbour::Tunnel { index: at, .. } if *at == index));
    // What was learnt of who is no peer any more.
    let mut learnt = route.learnt().map_err(&kernel)?;
    let is_strange = |entry: &Neighbour| match entry {
        Neighbour::Tunnel { index: at, host, .. } => {
            *at == index && peers.iter().all(|peer| peer.host != *host)
        }
        _ => false,
    };
    learnt.retain(is_strange);
    for entry in there.iter().filter(|entry| !wanted.contains(entry)).chain(&learnt) {
        unless_gone(route.delete_neighbour(entry)).map_err(&kernel)?;
    }
    for entry in wanted.iter().filter(|entry| !there.contains(entry)) {
        route.add_neighbour(entry).map_err(&kernel)?;
    }
    Ok(())
}

/// The host's address from which it would send there: a socket is told, and sends nothing.
fn source_to(host: IpAddr) -> Option<IpAddr> {
    let any: IpAddr = match host {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((any, 0)).ok()?;
    socket.connect((host, PORT)).ok()?;
    Some(socket.local_addr().ok()?.ip())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_encrypted_has_its_port_alone() {
        let [one, two] = ["one", "two"].map(|text| text.parse::<NetworkName>().unwrap());
        let plain = Overlay::default();
        assert_eq!(plain.conflict(&one, &plain, &two), None);
        assert!(plain.conflict(&one, &plain, &one).is_some_and(|what| what.contains("by -o vni=")));
        let encrypted = Overlay { encrypted: true, ..plain.clone() };
        for (here, there) in [(&plain, &encrypted), (&encrypted, &plain), (&encrypted, &encrypted)] {
            assert!(here.conflict(&one, there, &two).is_some_and(|what| what.contains("by -o port=")));
        }
        assert_eq!(plain.conflict(&one, &Overlay { port: 4790, ..encrypted }, &two), None);
    }

    #[test]
    fn frames_fit_into_tunnels() {
        let plain = Overlay::default();
        assert_eq!((plain.mtu(1500, true), plain.mtu(1500, false)), (1450, 1430));
        let encrypted = Overlay { encrypted: true, ..plain };
        assert_eq!((encrypted.mtu(1500, true), encrypted.mtu(1500, false)), (1408, 1376));
        assert_eq!((encrypted.mtu(9000, true), encrypted.mtu(1280, true)), (8896, 1280));
    }

    #[test]
    fn numbers_are_made_of_names() {
        let name = |text: &str| text.parse::<NetworkName>().unwrap();
        let overlay = Overlay::default();
        assert_eq!(overlay.number(&name("mesh")), overlay.number(&name("mesh")));
        assert_ne!(overlay.number(&name("mesh")), overlay.number(&name("mesh2")));
        assert!((1..1 << 24).contains(&overlay.number(&name("a"))));
        assert_eq!(Overlay { vni: Some(7), ..overlay }.number(&name("mesh")), 7);
    }
}
