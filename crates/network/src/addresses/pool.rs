//! Subnets for networks that ask for none: private ones (RFC 1918) that nobody on this host uses, unique local ones (RFC 4193).

use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use crate::definition::NetworkId;

/// Where subnets are cut from: `10.89.0.0/16:24`, of which /24s are cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pool {
    pool: Ipv4Net,
    length: u8,
}

/// The default network's pool.
const DEFAULT: (Ipv4Addr, u8, u8) = (Ipv4Addr::new(10, 88, 0, 0), 16, 16);
/// The others, in the order in which they are used.
const USUAL: [(Ipv4Addr, u8, u8); 2] =
    [(Ipv4Addr::new(10, 89, 0, 0), 16, 24), (Ipv4Addr::new(10, 90, 0, 0), 15, 24)];

impl Pool {
    fn of((address, prefix, length): (Ipv4Addr, u8, u8)) -> Self {
        Self { pool: Ipv4Net::new_assert(address, prefix), length }
    }

    /// Those that are used when nobody says anything.
    pub fn usual() -> Vec<Self> {
        USUAL.map(Self::of).to_vec()
    }

    fn cut(&self) -> impl Iterator<Item = Ipv4Net> + use<> {
        self.pool.subnets(self.length).ok().into_iter().flatten()
    }
}

impl fmt::Display for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.pool, self.length)
    }
}

impl FromStr for Pool {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let read = || {
            let (pool, length) = text.split_once(':')?;
            Some((pool.parse::<Ipv4Net>().ok()?, length.parse::<u8>().ok()?))
        };
        let Some((pool, length)) = read() else {
            return Err(format!("invalid pool {text:?}: expected SUBNET:LENGTH, as 10.89.0.0/16:24"));
        };
        if pool.trunc() != pool {
            return Err(format!("invalid pool {text:?}: did you mean {}?", pool.trunc()));
        }
        // A network has a gateway and at least one container.
        if !(pool.prefix_len()..=29).contains(&length) || pool.prefix_len() < 8 {
            return Err(format!(
                "invalid pool {text:?}: a subnet's prefix is as long as the pool's, up to 29"
            ));
        }
        Ok(Self { pool, length })
    }
}

/// The first subnet that overlaps with none of `taken`.
pub(crate) fn free_v4(pools: &[Pool], taken: &[(IpNet, String)], is_default: bool) -> Option<IpNet> {
    let taken: Vec<Ipv4Net> = taken
        .iter()
        .filter_map(|(net, _)| match net {
            // A default route is everybody's.
            IpNet::V4(v4) if v4.prefix_len() > 0 => Some(*v4),
            _ => None,
        })
        .collect();
    let free = |net: &Ipv4Net| !taken.iter().any(|other| other.contains(net) || net.contains(other));
    let own = is_default.then(|| Pool::of(DEFAULT));
    own.iter().chain(pools).flat_map(Pool::cut).find(free).map(IpNet::V4)
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
        let usual = Pool::usual();
        let free_v4 = |taken: &[(IpNet, String)], is_default| free_v4(&usual, taken, is_default);
        assert_eq!(free_v4(&[], true), Some(net("10.88.0.0/16").0));
        assert_eq!(free_v4(&[], false), Some(net("10.89.0.0/24").0));
        assert_eq!(free_v4(&[net("0.0.0.0/0"), net("10.88.3.0/24")], true), Some(net("10.89.0.0/24").0));
        assert_eq!(free_v4(&[net("10.89.0.0/24")], false), Some(net("10.89.1.0/24").0));
        assert_eq!(free_v4(&[net("10.0.0.0/8")], true), None);
        let other: Pool = "192.168.0.0/16:28".parse().unwrap();
        assert_eq!(other.to_string(), "192.168.0.0/16:28");
        assert_eq!(super::free_v4(&[other], &[], false), Some(net("192.168.0.0/28").0));
        for bad in [
            "",
            "10.0.0.0/16",
            "10.0.0.1/16:24",
            "10.0.0.0/16:8",
            "10.0.0.0/16:30",
            "0.0.0.0/0:24",
            "fd00::/8:64",
        ] {
            assert!(bad.parse::<Pool>().is_err(), "{bad}");
        }
        let id = NetworkId::random().unwrap();
        let IpNet::V6(v6) = unique_v6(&id) else { panic!() };
        assert_eq!((v6.network().octets()[0], v6.prefix_len(), v6.trunc()), (0xfd, 64, v6));
    }
}
