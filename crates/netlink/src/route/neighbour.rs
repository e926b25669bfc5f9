//! Neighbours: which MAC address has an IP address, and behind which port, or host, of a bridge or tunnel a MAC address is.

use std::net::IpAddr;

use super::{AF_BRIDGE, RTM_DELNEIGH, RTM_GETNEIGH, RTM_NEWNEIGH, Route, family};
use crate::attributes::{address, attributes, octets, u32_of};
use crate::error::Result;
use crate::message::Message;
use crate::socket::{NLM_F_APPEND, NLM_F_CREATE, NLM_F_REPLACE};

const NDA_DST: u16 = 1;
const NDA_LLADDR: u16 = 2;
const NUD_NOARP: u16 = 0x40;
const NUD_PERMANENT: u16 = 0x80;
const NTF_SELF: u8 = 0x02;
const NTF_MASTER: u8 = 0x04;
const HEADER: usize = 12;

/// Something that is known of a neighbour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Neighbour {
    /// An IP address has this MAC address (ARP, NDP).
    Address {
        /// By which device.
        index: u32,
        /// Its IP address.
        address: IpAddr,
        /// Its MAC address.
        mac: [u8; 6],
    },
    /// A MAC address is behind this port of a bridge.
    Port {
        /// The port's device.
        index: u32,
        /// The MAC address.
        mac: [u8; 6],
    },
    /// A MAC address is behind this host of a tunnel; all zeros: frames for all go there too.
    Tunnel {
        /// The tunnel's device.
        index: u32,
        /// The MAC address.
        mac: [u8; 6],
        /// The host.
        host: IpAddr,
    },
}

impl Route {
    /// Adds what is known, for good.
    ///
    /// # Errors
    /// [`Error::Refused`](crate::Error::Refused): ENODEV, EEXIST.
    pub fn add_neighbour(&mut self, neighbour: &Neighbour) -> Result<()> {
        // Of a tunnel, frames for all go to several hosts.
        let flags = match neighbour {
            Neighbour::Tunnel { mac: [0, 0, 0, 0, 0, 0], .. } => NLM_F_CREATE | NLM_F_APPEND,
            _ => NLM_F_CREATE | NLM_F_REPLACE,
        };
        let message = request(RTM_NEWNEIGH, flags, neighbour);
        self.socket.request(&message, &|| format!("add the neighbour {neighbour:?}"))
    }

    /// Forgets it.
    ///
    /// # Errors
    /// [`Error::Refused`](crate::Error::Refused): ENOENT.
    pub fn delete_neighbour(&mut self, neighbour: &Neighbour) -> Result<()> {
        let message = request(RTM_DELNEIGH, 0, neighbour);
        self.socket.request(&message, &|| format!("forget the neighbour {neighbour:?}"))
    }

    /// The forwarding tables' entries that were made for good, of all bridges and tunnels.
    ///
    /// # Errors
    /// [`Error::Refused`](crate::Error::Refused).
    pub fn forwarding(&mut self) -> Result<Vec<Neighbour>> {
        self.table(true)
    }

    /// What tunnels have learnt: behind which host a MAC address was last seen.
    ///
    /// # Errors
    /// [`Error::Refused`](crate::Error::Refused).
    pub fn learnt(&mut self) -> Result<Vec<Neighbour>> {
        let mut all = self.table(false)?;
        all.retain(|entry| matches!(entry, Neighbour::Tunnel { .. }));
        Ok(all)
    }

    fn table(&mut self, is_for_good: bool) -> Result<Vec<Neighbour>> {
        // A dump of the forwarding tables wants a `struct ifinfomsg` (`rtnl_fdb_dump`), or with strict checks this one, all zeros.
        let mut fixed = [0; HEADER];
        fixed[0] = AF_BRIDGE;
        let message = Message::new(RTM_GETNEIGH, 0, &fixed);
        let all = self.socket.dump(&message, &|| "list the forwarding table".to_owned())?;
        Ok(all
            .iter()
            .filter(|(kind, _)| *kind == RTM_NEWNEIGH)
            .filter_map(|(_, payload)| read(payload, is_for_good))
            .collect())
    }
}

fn request(kind: u16, flags: u16, neighbour: &Neighbour) -> Message {
    let (family, index, state, ntf) = match *neighbour {
        Neighbour::Address { index, address, .. } => (family(address), index, NUD_PERMANENT, 0),
        Neighbour::Port { index, .. } => (AF_BRIDGE, index, NUD_NOARP, NTF_MASTER),
        Neighbour::Tunnel { index, .. } => (AF_BRIDGE, index, NUD_PERMANENT | NUD_NOARP, NTF_SELF),
    };
    // `struct ndmsg`
    let mut fixed = [0; HEADER];
    fixed[0] = family;
    fixed[4..8].copy_from_slice(&index.to_ne_bytes());
    fixed[8..10].copy_from_slice(&state.to_ne_bytes());
    fixed[10] = ntf;
    let mut message = Message::new(kind, flags, &fixed);
    match neighbour {
        Neighbour::Address { address, mac, .. } => {
            message.put(NDA_DST, &octets(*address));
            message.put(NDA_LLADDR, mac);
        }
        Neighbour::Port { mac, .. } => message.put(NDA_LLADDR, mac),
        Neighbour::Tunnel { mac, host, .. } => {
            message.put(NDA_DST, &octets(*host));
            message.put(NDA_LLADDR, mac);
        }
    }
    message
}

/// `None` for a bridge's own addresses, and for what was made for good, or was learnt.
fn read(payload: &[u8], is_for_good: bool) -> Option<Neighbour> {
    let rest = payload.get(HEADER..)?;
    let (index, state, ntf) =
        (u32_of(&payload[4..]), u16::from_ne_bytes([payload[8], payload[9]]), payload[10]);
    if (state & (NUD_PERMANENT | NUD_NOARP) != 0) != is_for_good {
        return None;
    }
    let (mut mac, mut host) = (None, None);
    for (kind, value) in attributes(rest) {
        match kind {
            NDA_LLADDR => mac = <[u8; 6]>::try_from(value).ok(),
            NDA_DST => host = address(value),
            _ => {}
        }
    }
    match (mac?, host) {
        (mac, Some(host)) => Some(Neighbour::Tunnel { index, mac, host }),
        (mac, None) if ntf & NTF_SELF == 0 && state & NUD_PERMANENT == 0 => {
            Some(Neighbour::Port { index, mac })
        }
        _ => None,
    }
}
