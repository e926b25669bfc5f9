//! `-p [HOST:][PORTS:]PORTS[/PROTOCOL]` and `--expose PORTS[/PROTOCOL]`.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::Protocol;
use crate::error::shown;

/// Why a text publishes nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PortError {
    /// No port or range of them.
    #[error("invalid port {0:?}: it takes a number from 1 to 65535, or two of them with a hyphen")]
    Port(String),
    /// Not tcp, udp or sctp.
    #[error("invalid protocol {0:?}: there are tcp, udp and sctp")]
    Protocol(String),
    /// No address of the host.
    #[error("invalid host address {0:?}: it takes an IP address, one of IPv6 in brackets")]
    Host(String),
    /// Nothing in the container.
    #[error("no port of the container in {0:?}")]
    NoContainerPort(String),
    /// Several ports to several others, of which there are not as many.
    #[error("ranges {host} and {container} are not equally long")]
    Lengths {
        /// The host's.
        host: PortRange,
        /// The container's.
        container: PortRange,
    },
}

/// Ports from the first to the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PortRange {
    /// The first.
    pub first: u16,
    /// The last, which is not smaller.
    pub last: u16,
}

impl PortRange {
    /// How many.
    pub fn count(self) -> u32 {
        u32::from(self.last - self.first) + 1
    }
}

impl FromStr for PortRange {
    type Err = PortError;

    fn from_str(text: &str) -> Result<Self, PortError> {
        let refused = || PortError::Port(shown(text, 80));
        let number = |text: &str| {
            let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            text.parse::<u16>().ok().filter(|port| is_number && *port > 0).ok_or_else(refused)
        };
        let (first, last) = match text.split_once('-') {
            Some((first, last)) => (number(first)?, number(last)?),
            None => (number(text)?, number(text)?),
        };
        if first <= last { Ok(Self { first, last }) } else { Err(refused()) }
    }
}

impl fmt::Display for PortRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.first == self.last {
            true => write!(f, "{}", self.first),
            false => write!(f, "{}-{}", self.first, self.last),
        }
    }
}

/// What `-p` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortSpec {
    /// On which of the host's addresses; all, or what the configuration says, without.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<IpAddr>,
    /// The host's ports: as many as the container's, or more of which one is taken for the container's one; any without.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host_ports: Option<PortRange>,
    /// The container's ports.
    pub container_ports: PortRange,
    /// What has the ports.
    pub protocol: Protocol,
}

impl FromStr for PortSpec {
    type Err = PortError;

    fn from_str(text: &str) -> Result<Self, PortError> {
        let (rest, protocol) = match text.rsplit_once('/') {
            Some((rest, name)) => {
                let lower = name.to_ascii_lowercase();
                (rest, lower.parse().map_err(|()| PortError::Protocol(shown(name, 80)))?)
            }
            None => (text, Protocol::Tcp),
        };
        let (front, container) = match rest.rsplit_once(':') {
            Some((front, container)) => (Some(front), container),
            None => (None, rest),
        };
        if container.is_empty() {
            return Err(PortError::NoContainerPort(shown(text, 80)));
        }
        let container_ports: PortRange = container.parse()?;
        let (host, ports) = match front {
            None => (None, ""),
            // The last colon that is not in an address's brackets.
            Some(front) => match front.rsplit_once(':') {
                Some((host, ports)) if !ports.contains(']') => (Some(host), ports),
                _ if front.starts_with('[') => (Some(front), ""),
                _ => (None, front),
            },
        };
        let host = host.filter(|host| !host.is_empty()).map(parse_host).transpose()?;
        let host_ports = if ports.is_empty() { None } else { Some(ports.parse::<PortRange>()?) };
        if let Some(host) = host_ports
            && host.count() != container_ports.count()
            && container_ports.count() > 1
        {
            return Err(PortError::Lengths { host, container: container_ports });
        }
        Ok(Self { host, host_ports, container_ports, protocol })
    }
}

impl fmt::Display for PortSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host {
            Some(IpAddr::V6(host)) => write!(f, "[{host}]:")?,
            Some(IpAddr::V4(host)) => write!(f, "{host}:")?,
            None => {}
        }
        match (self.host, self.host_ports) {
            (_, Some(ports)) => write!(f, "{ports}:")?,
            (Some(_), None) => f.write_str(":")?,
            (None, None) => {}
        }
        write!(f, "{}/{}", self.container_ports, self.protocol)
    }
}

fn parse_host(text: &str) -> Result<IpAddr, PortError> {
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']'));
    match (bare, text.parse::<IpAddr>()) {
        (Some(bare), _) => bare.parse::<std::net::Ipv6Addr>().map(IpAddr::V6).ok(),
        (None, Ok(IpAddr::V4(host))) => Some(IpAddr::V4(host)),
        // Docker takes 0.0.0.0 and the like; a name is none of the host's addresses.
        _ => None,
    }
    .ok_or_else(|| PortError::Host(shown(text, 80)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_understood() {
        for (text, shown) in [
            ("80", "80/tcp"),
            ("8080:80", "8080:80/tcp"),
            ("8080:80/udp", "8080:80/udp"),
            ("127.0.0.1:8080:80/TCP", "127.0.0.1:8080:80/tcp"),
            ("127.0.0.1::80", "127.0.0.1::80/tcp"),
            ("[::1]:8080:80", "[::1]:8080:80/tcp"),
            ("[fd00::1]::80/sctp", "[fd00::1]::80/sctp"),
            ("8000-8010:8000-8010", "8000-8010:8000-8010/tcp"),
            ("8000-8010:80", "8000-8010:80/tcp"),
            ("3000-3002", "3000-3002/tcp"),
            (":80", "80/tcp"),
        ] {
            assert_eq!(text.parse::<PortSpec>().map(|spec| spec.to_string()), Ok(shown.to_owned()), "{text}");
        }
    }

    #[test]
    fn what_is_not() {
        for text in [
            "",
            "0",
            "65536",
            "x",
            "80:",
            "80/icmp",
            "a:80:80",
            "::1:80:80",
            "80-79",
            "1-2:3-5",
            "1-3:2-3",
            "+80",
            "1:2:3:4",
            "[::1:80",
            "[127.0.0.1]:80:80",
        ] {
            assert!(text.parse::<PortSpec>().is_err(), "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn what_is_shown_is_understood(text in "[0-9:./\\[\\]a-z-]{0,24}") {
            if let Ok(spec) = text.parse::<PortSpec>() {
                proptest::prop_assert_eq!(spec.to_string().parse::<PortSpec>(), Ok(spec));
            }
        }
    }
}
