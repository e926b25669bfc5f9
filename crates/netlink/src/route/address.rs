//! Addresses of devices.

use std::net::{IpAddr, Ipv4Addr};

use super::{RTM_GETADDR, RTM_NEWADDR, Route, family};
use crate::attributes::{address, attributes, find, octets, u32_of};
use crate::error::Result;
use crate::message::Message;
use crate::socket::{NLM_F_CREATE, NLM_F_EXCL};

const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
const IFA_BROADCAST: u16 = 4;
const IFA_FLAGS: u16 = 8;
const IFA_RT_PRIORITY: u16 = 9;
const IFA_F_PERMANENT: u32 = 0x80;
const RT_SCOPE_UNIVERSE: u8 = 0;
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

/// What makes up an address that a device has for good, to be given to it again where it has come to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastingAddress {
    family: u8,
    prefix: u8,
    attributes: Vec<(u16, Vec<u8>)>,
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

    /// The addresses of a device that are permanent and global: those that belong to it wherever it is.
    ///
    /// # Errors
    /// [`Error::Refused`](crate::Error::Refused).
    pub fn lasting_addresses(&mut self, index: u32) -> Result<Vec<LastingAddress>> {
        let message = Message::new(RTM_GETADDR, 0, &header(0, 0, 0, 0));
        let all = self.socket.dump(&message, &|| "list the addresses".to_owned())?;
        let of_device = all.iter().filter(|(kind, _)| *kind == RTM_NEWADDR);
        Ok(of_device.filter_map(|(_, payload)| LastingAddress::read(payload, index)).collect())
    }

    /// Gives a device an address that it had elsewhere.
    ///
    /// # Errors
    /// As [`Route::add_address`].
    pub fn restore_address(&mut self, index: u32, address: &LastingAddress) -> Result<()> {
        let fixed = header(address.family, address.prefix, 0, index);
        let mut message = Message::new(RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, &fixed);
        for (kind, value) in &address.attributes {
            message.put(*kind, value);
        }
        self.socket.request(&message, &|| format!("restore an address of the network device number {index}"))
    }
}

impl LastingAddress {
    fn read(payload: &[u8], index: u32) -> Option<Self> {
        let rest = payload.get(HEADER..)?;
        let flags = find(rest, IFA_FLAGS).map_or(payload[2].into(), u32_of);
        if u32_of(&payload[4..]) != index || payload[3] != RT_SCOPE_UNIVERSE || flags & IFA_F_PERMANENT == 0 {
            return None;
        }
        // Not its label, which is the device's name, and not the state of its duplicate detection.
        let kept = |kind: u16| matches!(kind, IFA_ADDRESS | IFA_LOCAL | IFA_BROADCAST | IFA_RT_PRIORITY);
        let attributes =
            attributes(rest).filter(|(kind, _)| kept(*kind)).map(|(kind, value)| (kind, value.to_vec()));
        Some(Self { family: payload[0], prefix: payload[1], attributes: attributes.collect() })
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
