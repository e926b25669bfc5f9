//! What a network is: the document that is kept of it, and what a user may ask for.

mod error;
mod id;
mod name;
mod subnet;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use self::error::DefinitionError;
pub use self::id::NetworkId;
pub use self::name::NetworkName;
pub use self::subnet::{Subnet, Unplaced, parse_subnet};
pub(crate) use self::subnet::{at, size};
use crate::driver::Driver;

/// A network, as it is kept in `ROOT/networks/<name>.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Network {
    /// What people call it.
    pub name: NetworkName,
    /// What never changes.
    pub id: NetworkId,
    /// Its kind, and what that was told (`-o`).
    #[serde(flatten)]
    pub driver: Driver,
    /// When it was made (RFC 3339).
    pub created: jiff::Timestamp,
    /// Its subnets: of IPv4, of IPv6, or both.
    pub subnets: Vec<Subnet>,
    /// Whether nothing outside is reached from it.
    #[serde(default)]
    pub internal: bool,
    /// The device on this host that containers' devices are on: the network's own, or of macvlan and ipvlan the parent.
    pub device: String,
    /// For people and programs.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
}

impl Network {
    /// Whether it has IPv6 addresses.
    pub fn has_v6(&self) -> bool {
        self.subnets.iter().any(|subnet| subnet.subnet.addr().is_ipv6())
    }

    /// Whether it is the one that containers are on without being asked, where names are not resolved (as with Docker).
    pub fn is_default(&self) -> bool {
        self.name.as_str() == DEFAULT
    }
}

/// The network that containers are on without being asked.
pub const DEFAULT: &str = "bridge";
/// Its device.
pub const DEFAULT_DEVICE: &str = "conex0";

/// What a user asks for.
#[derive(Debug, Clone, Default)]
pub struct NewNetwork {
    /// `-d` and `-o`
    pub driver: Driver,
    /// `--subnet`, with the `--gateway` and `--ip-range` of each.
    pub subnets: Vec<Subnet>,
    /// Those that are of no `--subnet`: of macvlan and ipvlan they may be of the parent's.
    pub unplaced: Unplaced,
    /// `--ipv6`
    pub v6: bool,
    /// `--internal`
    pub internal: bool,
    /// `--label`
    pub labels: BTreeMap<String, String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is on disk stays readable.
    #[test]
    fn a_definition_on_disk() {
        let text = r#"{"name": "db", "id": "ID", "driver": "bridge", "created": "2026-11-26T00:00:00Z",
            "subnets": [{"subnet": "10.20.0.0/24", "gateway": "10.20.0.1"}], "internal": false, "device": "cx-db",
            "options": {"mtu": 1400, "isolate": true, "routed": false}}"#;
        let network: Network = serde_json::from_str(&text.replace("ID", &"a".repeat(64))).unwrap();
        assert_eq!(network.driver.options(), [("mtu", "1400".to_owned()), ("isolate", "true".to_owned())]);
        for (driver, options) in [
            ("macvlan", &[("parent", "eth0"), ("mode", "vepa")][..]),
            ("ipvlan", &[("parent", "eth0"), ("mode", "l3s")]),
            ("overlay", &[("peers", "192.0.2.2"), ("vni", "7"), ("isolate", "true")]),
        ] {
            let mut driver: Driver = driver.parse().unwrap();
            options.iter().for_each(|(name, value)| driver.set(name, value).unwrap());
            let network = Network { driver, ..network.clone() };
            let text = serde_json::to_string(&network).unwrap();
            assert!(text.contains(&format!(r#""driver":"{}""#, network.driver)), "{text}");
            assert_eq!(serde_json::from_str::<Network>(&text).unwrap(), network);
        }
    }
}
