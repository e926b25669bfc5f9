//! A subnet of a network: which addresses there are, which is the gateway's, which are given out.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::DefinitionError;
use crate::error::shown;

/// A network's addresses of one family.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subnet {
    /// All of them.
    pub subnet: IpNet,
    /// The host's own.
    pub gateway: IpAddr,
    /// Those that are given out, if that are not all (`--ip-range`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub range: Option<IpNet>,
}

impl Subnet {
    /// With the first address for the gateway, unless another is given.
    ///
    /// # Errors
    /// A subnet that containers cannot have addresses of; a gateway or range that is not of it.
    pub fn new(
        subnet: IpNet,
        gateway: Option<IpAddr>,
        range: Option<IpNet>,
    ) -> Result<Self, DefinitionError> {
        check(subnet)?;
        let gateway = gateway.unwrap_or_else(|| at(subnet, 1));
        if !subnet.contains(&gateway) {
            return Err(DefinitionError::Outside { what: "gateway", address: gateway.to_string(), subnet });
        }
        if !is_host(subnet, gateway) {
            return Err(DefinitionError::NotAHost { what: "gateway", address: gateway });
        }
        if let Some(range) = range {
            let inside = range.prefix_len() >= subnet.prefix_len() && subnet.contains(&range.network());
            if !inside {
                return Err(DefinitionError::Outside { what: "range", address: range.to_string(), subnet });
            }
        }
        Ok(Self { subnet, gateway, range: range.map(|range| range.trunc()) })
    }

    /// What addresses are given out of.
    pub fn given_out(&self) -> IpNet {
        self.range.unwrap_or(self.subnet)
    }

    /// Whether a container can have it: it is of the subnet, and neither its own, nor its broadcast address, nor the gateway's.
    pub fn is_free_for_containers(&self, address: IpAddr) -> bool {
        self.subnet.contains(&address) && is_host(self.subnet, address) && address != self.gateway
    }
}

/// `--gateway` and `--ip-range` before it is known of which subnet they are: of the one that they are in.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Unplaced {
    /// `--gateway`
    pub gateways: Vec<IpAddr>,
    /// `--ip-range`
    pub ranges: Vec<IpNet>,
}

impl Unplaced {
    /// A subnet with those that are in it, and `gateway` if none is.
    ///
    /// # Errors
    /// As [`Subnet::new`].
    pub fn place(&mut self, subnet: IpNet, gateway: Option<IpAddr>) -> Result<Subnet, DefinitionError> {
        let own = self.gateways.iter().position(|address| subnet.contains(address));
        let own = own.map(|at| self.gateways.remove(at));
        let range = self.ranges.iter().position(|range| subnet.contains(range));
        let range = range.map(|at| self.ranges.remove(at));
        Subnet::new(subnet, own.or(gateway), range)
    }

    /// Whether all have been placed.
    ///
    /// # Errors
    /// [`DefinitionError::NoSubnet`].
    pub(crate) fn finish(&self) -> Result<(), DefinitionError> {
        let gateway = self.gateways.first().map(|address| ("--gateway", address.to_string()));
        let range = self.ranges.first().map(|range| ("--ip-range", range.to_string()));
        match gateway.or(range) {
            Some((what, address)) => Err(DefinitionError::NoSubnet { what, address }),
            None => Ok(()),
        }
    }
}

/// `10.89.0.0/24`
///
/// # Errors
/// [`DefinitionError::Subnet`].
pub fn parse_subnet(text: &str) -> Result<IpNet, DefinitionError> {
    text.parse().map_err(|_| DefinitionError::Subnet { text: shown(text, 80) })
}

fn check(subnet: IpNet) -> Result<(), DefinitionError> {
    if subnet.trunc() != subnet {
        return Err(DefinitionError::HostBits { subnet, meant: subnet.trunc() });
    }
    let (longest, address) = match subnet {
        IpNet::V4(v4) => (30, IpAddr::V4(v4.network())),
        IpNet::V6(v6) => (126, IpAddr::V6(v6.network())),
    };
    if subnet.prefix_len() > longest {
        return Err(DefinitionError::TooSmall { subnet });
    }
    let what = match address {
        _ if address.is_loopback() => "loopback",
        _ if address.is_multicast() => "multicast",
        IpAddr::V4(v4) if v4.is_link_local() => "link-local",
        IpAddr::V4(v4) if v4.octets()[0] == 0 || v4.octets()[0] >= 240 => "reserved",
        IpAddr::V6(v6) if v6.segments()[0] & 0xffc0 == 0xfe80 => "link-local",
        IpAddr::V6(v6) if v6.segments()[0] == 0 => "reserved",
        _ => return Ok(()),
    };
    Err(DefinitionError::Reserved { subnet, what })
}

/// Neither the subnet's own address nor, with IPv4, its broadcast address.
fn is_host(subnet: IpNet, address: IpAddr) -> bool {
    address != subnet.network() && !(address.is_ipv4() && address == subnet.broadcast())
}

/// The `offset`th address of a subnet, which is in it.
pub(crate) fn at(subnet: IpNet, offset: u128) -> IpAddr {
    match subnet {
        IpNet::V4(v4) => Ipv4Addr::from(u32::from(v4.network()).wrapping_add(offset as u32)).into(),
        IpNet::V6(v6) => Ipv6Addr::from(u128::from(v6.network()).wrapping_add(offset)).into(),
    }
}

/// How many addresses it has.
pub(crate) fn size(subnet: IpNet) -> u128 {
    1_u128.checked_shl(u32::from(subnet.max_prefix_len() - subnet.prefix_len())).unwrap_or(u128::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subnet(text: &str, gateway: Option<&str>, range: Option<&str>) -> Result<Subnet, DefinitionError> {
        let gateway = gateway.map(|text| text.parse().unwrap());
        Subnet::new(text.parse().unwrap(), gateway, range.map(|text| text.parse().unwrap()))
    }

    #[test]
    fn gateways_and_ranges() {
        let plain = subnet("10.89.0.0/24", None, None).unwrap();
        assert_eq!(plain.gateway, "10.89.0.1".parse::<IpAddr>().unwrap());
        let own = subnet("10.89.0.0/24", Some("10.89.0.254"), Some("10.89.0.128/25")).unwrap();
        assert_eq!(own.given_out(), "10.89.0.128/25".parse().unwrap());
        assert!(own.is_free_for_containers("10.89.0.1".parse().unwrap()));
        for no in ["10.89.0.0", "10.89.0.254", "10.89.0.255", "10.89.1.1", "fd00::1"] {
            assert!(!own.is_free_for_containers(no.parse().unwrap()), "{no}");
        }
        assert_eq!(
            subnet("fd00:9::/64", None, None).unwrap().gateway,
            "fd00:9::1".parse::<IpAddr>().unwrap()
        );
    }

    #[test]
    fn what_is_refused() {
        for (text, why) in [
            ("10.89.0.1/24", "did you mean 10.89.0.0/24?"),
            ("10.89.0.0/31", "no room"),
            ("127.0.0.0/8", "loopback"),
            ("224.0.0.0/24", "multicast"),
            ("169.254.0.0/16", "link-local"),
            ("0.0.0.0/8", "reserved"),
            ("fe80::/64", "link-local"),
            ("::/64", "reserved"),
        ] {
            let error = subnet(text, None, None).unwrap_err().to_string();
            assert!(error.contains(why), "{text}: {error}");
        }
        assert!(subnet("10.0.0.0/24", Some("10.0.1.1"), None).is_err());
        assert!(subnet("10.0.0.0/24", Some("10.0.0.255"), None).is_err());
        assert!(subnet("10.0.0.0/24", None, Some("10.0.0.0/16")).is_err());
        assert!(subnet("10.0.0.0/24", None, Some("10.0.1.0/25")).is_err());
    }
}
