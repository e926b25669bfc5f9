//! A container's place on a network: kept in the container's run directory for as long as it runs.

use std::net::{IpAddr, Ipv6Addr};

use serde::{Deserialize, Serialize};

use crate::definition::NetworkName;
use crate::ports::Published;

/// Where a container is on a network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoint {
    /// Which network.
    pub network: NetworkName,
    /// Its id.
    pub network_id: crate::NetworkId,
    /// The device in the container: `eth0`.
    pub device: String,
    /// The other end, on the host.
    pub host_device: String,
    /// The device's MAC address.
    pub mac: [u8; 6],
    /// Addresses and the lengths of their prefixes.
    pub addresses: Vec<(IpAddr, u8)>,
    /// Who leads on, one for each family.
    pub gateways: Vec<IpAddr>,
    /// Other names than the container's own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub aliases: Vec<String>,
    /// Ports that lead here.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<Published>,
}

/// `02:42:0a:58:00:02`
pub fn mac_text(mac: [u8; 6]) -> String {
    mac.map(|byte| format!("{byte:02x}")).join(":")
}

impl Endpoint {
    /// Its addresses, their prefixes apart.
    pub fn ips(&self) -> impl Iterator<Item = IpAddr> {
        self.addresses.iter().map(|(address, _)| *address)
    }

    /// The MAC address of who has no other: made of its first address, so that who takes the address over takes what neighbours know of
    /// it over, too. The first two bytes are Docker's: locally administered.
    pub fn mac_of(address: IpAddr) -> [u8; 6] {
        match address {
            IpAddr::V4(v4) => {
                let [a, b, c, d] = v4.octets();
                [0x02, 0x42, a, b, c, d]
            }
            IpAddr::V6(v6) => {
                let [.., a, b, c, d] = v6.octets();
                [0x02, 0x43, a, b, c, d]
            }
        }
    }

    /// The address that is made of a MAC address for its link alone (RFC 4291, appendix A).
    pub fn link_local_of([a, b, c, d, e, f]: [u8; 6]) -> Ipv6Addr {
        let mut octets = [0; 16];
        octets[..2].copy_from_slice(&[0xfe, 0x80]);
        octets[8..].copy_from_slice(&[a ^ 2, b, c, 0xff, 0xfe, d, e, f]);
        octets.into()
    }

    /// The name of the host's end for the container's endpoint of this number: it begins with the container's id.
    pub fn host_device_of(container: &str, number: usize) -> String {
        // 15 bytes at most: two, ten, and a digit or two.
        format!("cx{}{number}", container.get(..10).unwrap_or(container))
    }
}
