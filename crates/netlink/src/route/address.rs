//! Addresses of devices.

use std::net::{IpAddr, Ipv4Addr};

use super::{RTM_DELADDR, RTM_GETADDR, RTM_NEWADDR, Route, family};
use crate::attributes::{address, attributes, octets, u32_of};
use crate::error::Result;
use crate::message::Message;
use crate::socket::{NLM_F_CREATE, NLM_F_EXCL};

const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
const IFA_BROADCAST: u16 = 4;
/// The address counts at once: nobody else has it, who gives them out has seen to that.
const IFA_F_NODAD: u8 = 2;
const HEADER: usize = 8;

/// An address that a device has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Address {
    /// The device's number.
    pub index: u32,
    /// Its own.
    pub address: IpAddr,
    /// Bits of it that are the network's.
    pub prefix: u8,
    /// 0: everywhere, 253: on the link only, 254: on the host only.
    pub scope: u8,
}

/// `struct ifaddrmsg`
fn header(family: u8, prefix: u8, flags: u8, index: u32) -> [u8; HEADER] {
    let mut bytes = [family, prefix, flags, 0, 0, 0, 0, 0];
    bytes[4..].copy_from_slice(&index.to_ne_bytes());
    bytes
}

impl Route {
    /// Gives a device an address; an IPv4 one with its network's broadcast address, an IPv6 one without asking around whether
    /// somebody has it.
    ///
    /// # Errors
    /// [`Error::Refused`](crate::Error::Refused): EEXIST, ENODEV, EINVAL, EACCES for IPv6 where that is disabled.
    pub fn add_address(&mut self, index: u32, address: IpAddr, prefix: u8) -> Result<()> {
        let flags = if address.is_ipv6() { IFA_F_NODAD } else { 0 };
        let fixed = header(family(address), prefix, flags, index);
        let mut message = Message::new(RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, &fixed);
        let bytes = octets(address);
        message.put(IFA_LOCAL, &bytes);
        message.put(IFA_ADDRESS, &bytes);
        if let IpAddr::V4(v4) = address
            && prefix < 31
        {
            let host = u32::MAX.checked_shr(prefix.into()).unwrap_or(0);
            message.put(IFA_BROADCAST, &Ipv4Addr::from(u32::from(v4) | host).octets());
        }
        self.socket.request(&message, &|| format!("add the address {address}/{prefix}"))
    }

    /// Takes an address from a device.
    ///
    /// # Errors
    /// [`Error::Refused`](crate::Error::Refused): EADDRNOTAVAIL, ENODEV.
    pub fn delete_address(&mut self, index: u32, address: IpAddr, prefix: u8) -> Result<()> {
        let mut message = Message::new(RTM_DELADDR, 0, &header(family(address), prefix, 0, index));
        message.put(IFA_LOCAL, &octets(address));
        self.socket.request(&message, &|| format!("remove the address {address}/{prefix}"))
    }

    /// All addresses of all devices.
    ///
    /// # Errors
    /// [`Error::Refused`](crate::Error::Refused).
    pub fn addresses(&mut self) -> Result<Vec<Address>> {
        let message = Message::new(RTM_GETADDR, 0, &header(0, 0, 0, 0));
        let all = self.socket.dump(&message, &|| "list the addresses".to_owned())?;
        Ok(all
            .iter()
            .filter(|(kind, _)| *kind == RTM_NEWADDR)
            .filter_map(|(_, payload)| Address::read(payload))
            .collect())
    }
}

impl Address {
    fn read(payload: &[u8]) -> Option<Self> {
        let rest = payload.get(HEADER..)?;
        // Of a device with a peer IFA_ADDRESS is the peer's; IPv6 has IFA_ADDRESS only.
        let (mut own, mut other) = (None, None);
        for (kind, value) in attributes(rest) {
            match kind {
                IFA_LOCAL => own = address(value),
                IFA_ADDRESS => other = address(value),
                _ => {}
            }
        }
        let address = own.or(other)?;
        Some(Self { index: u32_of(&payload[4..]), address, prefix: payload[1], scope: payload[3] })
    }
}
