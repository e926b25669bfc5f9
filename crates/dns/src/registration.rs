//! What a supervisor tells of its container.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

/// No registration is longer, in bytes: it goes in one packet.
pub(crate) const LARGEST: usize = 60 << 10;

/// A container: what it is called, where, and what it may ask.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Registration {
    /// Its id.
    pub id: String,
    /// What it is called on every network: its name first, then its hostname and short id.
    pub names: Vec<String>,
    /// The networks on which names resolve.
    pub networks: Vec<Membership>,
    /// The host, as it is reached from the container: `host.conex.internal`.
    pub host: Vec<IpAddr>,
    /// Name servers in place of the host's (`--dns`), as addresses; empty for the host's.
    pub servers: Vec<String>,
    /// Whether anything outside is reached: without, other names are refused (`--internal`).
    pub forwards: bool,
}

/// A container's place on a network.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Membership {
    /// The network's id.
    pub id: String,
    /// The network's name: `web.NETWORK` is a name, too.
    pub network: String,
    /// Its addresses there.
    pub addresses: Vec<IpAddr>,
    /// What else it is called there (`--network-alias`).
    pub aliases: Vec<String>,
}
