//! What a network is: the document that is kept of it, and what a user may ask for.

mod error;
mod id;
mod name;
mod options;
mod subnet;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use self::error::DefinitionError;
pub use self::id::NetworkId;
pub use self::name::NetworkName;
pub use self::options::Options;
pub use self::subnet::{Subnet, parse_subnet};
pub(crate) use self::subnet::{at, size};

/// Which kind of network it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Driver {
    /// A switch on this host.
    Bridge,
}

impl Driver {
    /// As it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Bridge => "bridge",
        }
    }
}

impl std::fmt::Display for Driver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

impl std::str::FromStr for Driver {
    type Err = DefinitionError;

    fn from_str(text: &str) -> Result<Self, DefinitionError> {
        match text {
            "bridge" => Ok(Self::Bridge),
            _ => Err(DefinitionError::Driver { text: text.to_owned() }),
        }
    }
}

/// A network, as it is kept in `ROOT/networks/<name>.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Network {
    /// What people call it.
    pub name: NetworkName,
    /// What never changes.
    pub id: NetworkId,
    /// Its kind.
    pub driver: Driver,
    /// When it was made (RFC 3339).
    pub created: jiff::Timestamp,
    /// Its subnets: of IPv4, of IPv6, or both.
    pub subnets: Vec<Subnet>,
    /// Whether nothing outside is reached from it.
    #[serde(default)]
    pub internal: bool,
    /// The device's name on this host.
    pub device: String,
    /// The driver's options (`-o`).
    #[serde(default)]
    pub options: Options,
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
    /// Its kind.
    pub driver: Option<Driver>,
    /// `--subnet`, `--gateway`, `--ip-range`.
    pub subnets: Vec<Subnet>,
    /// `--ipv6`
    pub v6: bool,
    /// `--internal`
    pub internal: bool,
    /// `-o`
    pub options: Options,
    /// `--label`
    pub labels: BTreeMap<String, String>,
}
