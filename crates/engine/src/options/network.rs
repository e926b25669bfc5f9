//! `--network`, `-p`, `--expose`: what a container is connected to, and which of its ports are.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use conex_network::{PortRange, PortSpec, Protocol};
use serde::{Deserialize, Serialize};

use super::OptionError;
use super::error::conflict;
use super::namespace::container;

const WHAT: &str = "--network";

/// `--network`
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NetworkMode {
    /// A namespace with only a loopback device, up.
    #[default]
    None,
    /// The host's.
    Host,
    /// Another container's, by name or id as typed.
    Container(String),
    /// A namespace of its own on these networks, at least one.
    Networks(Vec<Connection>),
}

impl NetworkMode {
    /// What several `--network` flags say together.
    ///
    /// # Errors
    /// A mode of its own beside another one, a network twice.
    pub fn of(texts: &[&str]) -> Result<Option<Self>, OptionError> {
        let mut connections: Vec<Connection> = Vec::new();
        for text in texts {
            match (text.parse::<Self>()?, texts.len()) {
                (Self::Networks(one), _) => {
                    for new in one {
                        if connections.iter().any(|old| old.network == new.network) {
                            let why = "the network is given twice";
                            return Err(OptionError::syntax(WHAT, text, why));
                        }
                        connections.push(new);
                    }
                }
                (mode, 1) => return Ok(Some(mode)),
                (mode, _) => {
                    return conflict(format!("{mode} and another network (--network {mode} stands alone)"));
                }
            }
        }
        Ok((!connections.is_empty()).then_some(Self::Networks(connections)))
    }

    /// The networks.
    pub fn connections(&self) -> &[Connection] {
        match self {
            Self::Networks(connections) => connections,
            Self::None | Self::Host | Self::Container(_) => &[],
        }
    }
}

impl FromStr for NetworkMode {
    type Err = OptionError;

    fn from_str(text: &str) -> Result<Self, OptionError> {
        if let Some(name) = container(WHAT, text)? {
            return Ok(Self::Container(name));
        }
        match text {
            "none" => Ok(Self::None),
            "host" => Ok(Self::Host),
            "" => Err(OptionError::syntax(WHAT, text, "expected none, host, container:NAME or a network")),
            _ => Ok(Self::Networks(vec![text.parse()?])),
        }
    }
}

impl fmt::Display for NetworkMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("none"),
            Self::Host => f.write_str("host"),
            Self::Container(name) => write!(f, "container:{name}"),
            Self::Networks(connections) => {
                let names: Vec<_> = connections.iter().map(|one| one.network.as_str()).collect();
                f.write_str(&names.join(","))
            }
        }
    }
}

/// One network, and what the container wants there.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Connection {
    /// Its name, or the beginning of its id, as typed.
    pub network: String,
    /// `ip=`, `--ip`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ip: Option<Ipv4Addr>,
    /// `ip6=`, `--ip6`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ip6: Option<Ipv6Addr>,
    /// `mac=`, `--mac-address`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mac: Option<[u8; 6]>,
    /// `alias=`, `--network-alias`
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub aliases: Vec<String>,
    /// `interface=`: the device's name in the container.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interface: Option<String>,
}

impl Connection {
    /// The addresses that are wanted.
    pub fn wishes(&self) -> Vec<IpAddr> {
        self.ip.map(IpAddr::V4).into_iter().chain(self.ip6.map(IpAddr::V6)).collect()
    }
}

impl FromStr for Connection {
    type Err = OptionError;

    /// `NAME`, `NAME:ip=10.0.0.2,alias=db`, or Docker's `name=NAME,ip=10.0.0.2`.
    fn from_str(text: &str) -> Result<Self, OptionError> {
        let bad = |why: &str| OptionError::syntax(WHAT, text, why);
        let (name, options) = match text.split_once(':') {
            _ if text.starts_with("name=") => ("", text),
            Some((name, options)) => (name, options),
            None => (text, ""),
        };
        let mut connection = Self { network: name.to_owned(), ..Self::default() };
        for option in options.split(',').filter(|option| !option.is_empty()) {
            let (key, value) = option.split_once('=').ok_or_else(|| bad("expected NAME[:key=value,…]"))?;
            match key {
                "name" => connection.network = value.to_owned(),
                "ip" | "ip4" => {
                    connection.ip = Some(value.parse().map_err(|_| bad("ip= takes an IPv4 address"))?);
                }
                "ip6" => connection.ip6 = Some(value.parse().map_err(|_| bad("ip6= takes an IPv6 address"))?),
                "mac" | "mac-address" => connection.mac = Some(parse_mac(value)?),
                "alias" => {
                    super::hosts::check_name("alias", value)?;
                    connection.aliases.push(value.to_owned());
                }
                "interface" | "interface_name" => {
                    let bytes = value.as_bytes();
                    let plain =
                        bytes.iter().all(|b| b.is_ascii_graphic() && !matches!(b, b'/' | b':' | b'%'));
                    if bytes.is_empty() || bytes.len() > 15 || !plain || matches!(value, "." | ".." | "lo") {
                        return Err(bad("interface= takes a device's name, at most 15 bytes"));
                    }
                    connection.interface = Some(value.to_owned());
                }
                _ => return Err(bad("there are ip=, ip6=, mac=, alias= and interface=")),
            }
        }
        if connection.network.is_empty() {
            return Err(bad("the network's name is missing"));
        }
        Ok(connection)
    }
}

/// `--mac-address`: six bytes of a single device.
///
/// # Errors
/// Another form, or an address of many.
pub fn parse_mac(text: &str) -> Result<[u8; 6], OptionError> {
    let bytes: Vec<u8> = text
        .split([':', '-'])
        .filter(|part| part.len() == 2)
        .filter_map(|part| u8::from_str_radix(part, 16).ok())
        .collect();
    let mac: Option<[u8; 6]> = bytes.try_into().ok().filter(|_| text.len() == 17);
    mac.filter(|mac| mac[0] & 1 == 0 && *mac != [0; 6]).ok_or_else(|| {
        OptionError::syntax("--mac-address", text, "expected six bytes of one device, as 02:42:0a:59:00:02")
    })
}

/// A port that a container says it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Exposed {
    /// From the first to the last.
    pub ports: PortRange,
    /// What has them.
    pub protocol: Protocol,
}

impl FromStr for Exposed {
    type Err = OptionError;

    fn from_str(text: &str) -> Result<Self, OptionError> {
        let bad = |error: conex_network::PortError| OptionError::syntax("--expose", text, error.to_string());
        if text.contains(':') {
            return Err(OptionError::syntax("--expose", text, "expected PORT[-PORT][/PROTOCOL]"));
        }
        let spec: PortSpec = text.parse().map_err(bad)?;
        Ok(Self { ports: spec.container_ports, protocol: spec.protocol })
    }
}

/// Which ports lead where.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct PortOptions {
    /// `-p`
    pub publish: Vec<PortSpec>,
    /// `-P`: all that are exposed, on any of the host's ports.
    pub publish_all: bool,
    /// `--expose`
    pub expose: Vec<Exposed>,
}

/// `-p`
///
/// # Errors
/// What does not parse.
pub fn parse_publish(text: &str) -> Result<PortSpec, OptionError> {
    text.parse().map_err(|error: conex_network::PortError| OptionError::syntax("-p", text, error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks() {
        assert_eq!("none".parse::<NetworkMode>().unwrap(), NetworkMode::None);
        assert_eq!("host".parse::<NetworkMode>().unwrap(), NetworkMode::Host);
        for text in [
            "db:ip=10.0.0.2,ip6=fd00::2,mac=02:00:00:00:00:01,alias=a,alias=b,interface=net0",
            "name=db,ip=10.0.0.2,ip6=fd00::2,mac-address=02-00-00-00-00-01,alias=a,alias=b,interface=net0",
        ] {
            let one: Connection = text.parse().unwrap();
            let expected = Connection {
                network: "db".to_owned(),
                ip: Some([10, 0, 0, 2].into()),
                ip6: Some("fd00::2".parse().unwrap()),
                mac: Some([2, 0, 0, 0, 0, 1]),
                aliases: vec!["a".to_owned(), "b".to_owned()],
                interface: Some("net0".to_owned()),
            };
            assert_eq!(one, expected, "{text}");
        }
        for bad in [
            "",
            "db:ip",
            "db:ip=x",
            "db:mac=01:00:00:00:00:00",
            "db:what=1",
            ":ip=10.0.0.2",
            "db:interface=a/b",
        ] {
            assert!(bad.parse::<NetworkMode>().is_err(), "{bad}");
        }
        assert!(NetworkMode::of(&["a", "none"]).is_err() && NetworkMode::of(&["a", "a"]).is_err());
        let two = NetworkMode::of(&["a", "b"]).unwrap().unwrap();
        assert_eq!((two.to_string().as_str(), two.connections().len()), ("a,b", 2));
        assert_eq!(NetworkMode::of(&[]).unwrap(), None);
    }

    #[test]
    fn exposed() {
        let one: Exposed = "8000-8001/udp".parse().unwrap();
        assert_eq!((one.ports.count(), one.protocol), (2, Protocol::Udp));
        assert!("80:80".parse::<Exposed>().is_err() && "x".parse::<Exposed>().is_err());
    }

    #[test]
    fn macs() {
        assert_eq!(parse_mac("02:42:0a:59:00:02").unwrap(), [2, 0x42, 10, 0x59, 0, 2]);
        for bad in [
            "",
            "02:42:0a:59:00",
            "01:00:5e:00:00:01",
            "00:00:00:00:00:00",
            "02:42:0a:59:00:0g",
            "02:42:0a:59:00:02:",
        ] {
            assert!(parse_mac(bad).is_err(), "{bad}");
        }
    }
}
