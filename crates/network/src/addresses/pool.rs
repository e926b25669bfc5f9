//! Subnets for networks that ask for none: private ones (RFC 1918) that nobody on this host uses, unique local ones (RFC 4193).

use std::net::Ipv4Addr;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use crate::definition::NetworkId;

/// The default network's pool.
const DEFAULT: [(Ipv4Addr, u8, u8); 1] = [(Ipv4Addr::new(10, 88, 0, 0), 16, 16)];
/// Pools and the length of the prefixes that are cut from them, in the order in which they are used.
const POOLS: [(Ipv4Addr, u8, u8); 2] =
    [(Ipv4Addr::new(10, 89, 0, 0), 16, 24), (Ipv4Addr::new(10, 90, 0, 0), 15, 24)];

/// The first subnet that overlaps with none of `taken`.
pub(crate) fn free_v4(taken: &[(IpNet, String)], is_default: bool) -> Option<IpNet> {
    let taken: Vec<Ipv4Net> = taken
        .iter()
        .filter_map(|(net, _)| match net {
            // A default route is everybody's.
            IpNet::V4(v4) if v4.prefix_len() > 0 => Some(*v4),
            _ => None,
        })
        .collect();
    let cut = |&(address, prefix, length): &(Ipv4Addr, u8, u8)| {
        Ipv4Net::new(address, prefix).ok().and_then(|pool| pool.subnets(length).ok()).into_iter().flatten()
    };
    let free = |net: &Ipv4Net| !taken.iter().any(|other| other.contains(net) || net.contains(other));
    let own = if is_default { &DEFAULT[..] } else { &[] };
    own.iter().chain(&POOLS).flat_map(cut).find(free).map(IpNet::V4)
}

/// A subnet of its own, made of the network's id: 40 bits of it make the global id, 16 the subnet's.
pub(crate) fn unique_v6(id: &NetworkId) -> IpNet {
    let mut segments = [0; 8];
    let digits = id.as_str().as_bytes();
    for (segment, four) in segments.iter_mut().zip(digits.chunks_exact(4)).take(4) {
        let text = std::str::from_utf8(four).unwrap_or_default();
        *segment = u16::from_str_radix(text, 16).unwrap_or_default();
    }
    segments[0] = 0xfd00 | segments[0] & 0xff;
    let net = Ipv6Net::new(segments.into(), 64).unwrap_or_else(|_| unreachable!("64 is a prefix"));
    IpNet::V6(net)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_that_is_free() {
        let net = |text: &str| (text.parse::<IpNet>().unwrap(), String::new());
        assert_eq!(free_v4(&[], true), Some(net("10.88.0.0/16").0));
        assert_eq!(free_v4(&[], false), Some(net("10.89.0.0/24").0));
        assert_eq!(free_v4(&[net("0.0.0.0/0"), net("10.88.3.0/24")], true), Some(net("10.89.0.0/24").0));
        assert_eq!(free_v4(&[net("10.89.0.0/24")], false), Some(net("10.89.1.0/24").0));
        assert_eq!(free_v4(&[net("10.0.0.0/8")], true), None);
        let id = NetworkId::random().unwrap();
        let IpNet::V6(v6) = unique_v6(&id) else { panic!() };
        assert_eq!((v6.network().octets()[0], v6.prefix_len(), v6.trunc()), (0xfd, 64, v6));
    }
}
