//! Kinds of devices, and what each of them is made with (`<linux/if_link.h>`).

use std::net::IpAddr;

use super::link::Place;
use crate::attributes::{address, attributes, octets, text, u16_of, u32_of};
use crate::message::Message;

pub(super) const IFLA_INFO_KIND: u16 = 1;
pub(super) const IFLA_INFO_DATA: u16 = 2;
const VETH_INFO_PEER: u16 = 1;
const IFLA_MACVLAN_MODE: u16 = 1;
const IFLA_IPVLAN_MODE: u16 = 1;
const IFLA_VXLAN_ID: u16 = 1;
const IFLA_VXLAN_LOCAL: u16 = 4;
const IFLA_VXLAN_LEARNING: u16 = 7;
const IFLA_VXLAN_PORT: u16 = 15;
const IFLA_VXLAN_LOCAL6: u16 = 17;

/// What kind of device is to be made.
#[derive(Debug, Clone)]
pub enum Kind<'a> {
    /// A switch.
    Bridge,
    /// A cable with two ends; this is the other one.
    Veth(Peer<'a>),
    /// A device of its own MAC address on the one with this index.
    Macvlan {
        /// The device below.
        parent: u32,
        /// How it talks to its neighbours.
        mode: MacvlanMode,
    },
    /// A device of its own addresses on the one with this index, and of its MAC address.
    Ipvlan {
        /// The device below.
        parent: u32,
        /// At which layer it is switched.
        mode: IpvlanMode,
    },
    /// A tunnel of frames in UDP (RFC 7348).
    Vxlan(Vxlan),
    /// A device that swallows all.
    Dummy,
}

/// The other end of a veth pair.
#[derive(Debug, Clone, Copy)]
pub struct Peer<'a> {
    /// What it is called there.
    pub name: &'a str,
    /// Its MAC address; a random one without.
    pub mac: Option<[u8; 6]>,
    /// In which network namespace it is made.
    pub place: Place<'a>,
}

/// macvlan's modes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum MacvlanMode {
    /// Nobody on the same parent is reached.
    Private = 1,
    /// All frames go out to the switch, which sends them back.
    Vepa = 2,
    /// All on the same parent reach each other.
    Bridge = 4,
    /// The parent belongs to this one alone.
    Passthru = 8,
}

/// ipvlan's modes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u16)]
pub enum IpvlanMode {
    /// Switched.
    L2 = 0,
    /// Routed.
    L3 = 1,
    /// Routed, through the host's netfilter.
    L3s = 2,
}

/// A VXLAN device. Where frames go is said by entries of its forwarding table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Vxlan {
    /// The network's number, 24 bits.
    pub vni: u32,
    /// The host's own address, from which it sends.
    pub local: Option<IpAddr>,
    /// The UDP port, 4789 by RFC 7348.
    pub port: u16,
    /// Whether it learns from what comes in behind which host a MAC address is.
    pub learning: bool,
}

impl Kind<'_> {
    /// As the kernel calls it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Bridge => "bridge",
            Self::Veth(_) => "veth",
            Self::Macvlan { .. } => "macvlan",
            Self::Ipvlan { .. } => "ipvlan",
            Self::Vxlan(_) => "vxlan",
            Self::Dummy => "dummy",
        }
    }

    /// The device below.
    pub(super) fn parent(&self) -> Option<u32> {
        match self {
            Self::Macvlan { parent, .. } | Self::Ipvlan { parent, .. } => Some(*parent),
            _ => None,
        }
    }

    pub(super) fn describe(&self, info: &mut Message, mtu: Option<u32>) {
        info.put(IFLA_INFO_KIND, self.name().as_bytes());
        match self {
            Self::Bridge | Self::Dummy => {}
            Self::Veth(peer) => info.nest(IFLA_INFO_DATA, |data| {
                data.nest(VETH_INFO_PEER, |message| {
                    // `struct ifinfomsg`, all zeros.
                    message.payload.extend_from_slice(&[0; 16]);
                    message.put_text(super::link::IFLA_IFNAME, peer.name);
                    if let Some(mac) = peer.mac {
                        message.put(super::link::IFLA_ADDRESS, &mac);
                    }
                    if let Some(mtu) = mtu {
                        message.put_u32(super::link::IFLA_MTU, mtu);
                    }
                    peer.place.put(message);
                });
            }),
            Self::Macvlan { mode, .. } => {
                info.nest(IFLA_INFO_DATA, |data| data.put_u32(IFLA_MACVLAN_MODE, *mode as u32));
            }
            Self::Ipvlan { mode, .. } => {
                info.nest(IFLA_INFO_DATA, |data| data.put_u16(IFLA_IPVLAN_MODE, *mode as u16));
            }
            Self::Vxlan(vxlan) => info.nest(IFLA_INFO_DATA, |data| vxlan.put(data)),
        }
    }
}

impl Vxlan {
    fn put(&self, data: &mut Message) {
        data.put_u32(IFLA_VXLAN_ID, self.vni);
        data.put_u8(IFLA_VXLAN_LEARNING, self.learning.into());
        data.put(IFLA_VXLAN_PORT, &self.port.to_be_bytes());
        if let Some(local) = self.local {
            let kind = if local.is_ipv4() { IFLA_VXLAN_LOCAL } else { IFLA_VXLAN_LOCAL6 };
            data.put(kind, &octets(local));
        }
    }

    fn read(data: &[u8]) -> Self {
        let mut vxlan = Self { vni: 0, local: None, port: 0, learning: false };
        for (kind, value) in attributes(data) {
            match kind {
                IFLA_VXLAN_ID => vxlan.vni = u32_of(value),
                IFLA_VXLAN_LOCAL | IFLA_VXLAN_LOCAL6 => vxlan.local = address(value),
                IFLA_VXLAN_PORT => vxlan.port = u16_of(value).swap_bytes(),
                IFLA_VXLAN_LEARNING => vxlan.learning = value.first().is_some_and(|learns| *learns != 0),
                _ => {}
            }
        }
        vxlan
    }
}

/// What kind of device there is, and what of its kind is read back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LinkDetails {
    /// A tunnel.
    Vxlan(Vxlan),
    /// macvlan, by number of its mode.
    Macvlan(u32),
    /// ipvlan, by number of its mode.
    Ipvlan(u16),
    /// Another kind, by the kernel's name; empty for hardware and loopback.
    Other(String),
}

impl LinkDetails {
    pub(super) fn read(info: &[u8]) -> Self {
        let (mut kind, mut data) = (String::new(), &[][..]);
        for (attribute, value) in attributes(info) {
            match attribute {
                IFLA_INFO_KIND => kind = text(value),
                IFLA_INFO_DATA => data = value,
                _ => {}
            }
        }
        let mode =
            attributes(data).find(|(kind, _)| *kind == IFLA_MACVLAN_MODE).map_or(&[][..], |(_, value)| value);
        match kind.as_str() {
            "vxlan" => Self::Vxlan(Vxlan::read(data)),
            "macvlan" => Self::Macvlan(u32_of(mode)),
            "ipvlan" => Self::Ipvlan(u16_of(mode)),
            _ => Self::Other(kind),
        }
    }

    /// As the kernel calls it.
    pub fn kind(&self) -> &str {
        match self {
            Self::Vxlan(_) => "vxlan",
            Self::Macvlan(_) => "macvlan",
            Self::Ipvlan(_) => "ipvlan",
            Self::Other(kind) => kind,
        }
    }
}
