//! What a user may not ask for.

use std::net::IpAddr;

use ipnet::IpNet;

/// Why a definition is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DefinitionError {
    /// A driver that there is none of.
    #[error("network driver {text:?} is unknown; there are bridge, macvlan, ipvlan and overlay")]
    Driver {
        /// As it was given.
        text: String,
    },
    /// A driver whose networks are files of somebody else's.
    #[error(
        "networks of CNI are not created here: each is a file in /etc/cni/net.d (or cni.config of conex.toml)"
    )]
    Cni,
    /// An option that the driver does not know.
    #[error("network option {name:?} is unknown to the {driver} driver; there are {known}")]
    Option {
        /// Its name.
        name: String,
        /// Which driver.
        driver: &'static str,
        /// All names.
        known: &'static str,
    },
    /// An overlay without its addresses.
    #[error(
        "an overlay network needs its --subnet (one of IPv6, too, with --ipv6): the same on all its hosts"
    )]
    NeedsSubnet,
    /// An overlay that is to be encrypted by nothing.
    #[error(
        "option encrypted: it needs -o key-file=PATH, a file of 64 hexadecimal digits (openssl rand -hex 32) that all hosts have"
    )]
    NeedsKeyFile,
    /// A key for nothing.
    #[error("option key-file: it is of networks with -o encrypted")]
    KeyFile,
    /// An option with a value that it cannot have.
    #[error("network option {name}={value:?}: it takes {takes}")]
    OptionValue {
        /// Its name.
        name: &'static str,
        /// As it was given.
        value: String,
        /// What it takes.
        takes: &'static str,
    },
    /// A subnet that is none.
    #[error("subnet {text:?}: it takes an address and the length of its prefix, as in 10.89.0.0/24")]
    Subnet {
        /// As it was given.
        text: String,
    },
    /// A subnet with bits behind its prefix.
    #[error("subnet {subnet} has host bits set; did you mean {meant}?")]
    HostBits {
        /// As it was given.
        subnet: IpNet,
        /// Without them.
        meant: IpNet,
    },
    /// A subnet for nobody.
    #[error("subnet {subnet} has no room for a gateway and a container")]
    TooSmall {
        /// Which.
        subnet: IpNet,
    },
    /// A subnet that addresses are not given out of: loopback, multicast, link-local.
    #[error("subnet {subnet} is {what}, which containers cannot have addresses of")]
    Reserved {
        /// Which.
        subnet: IpNet,
        /// `loopback`
        what: &'static str,
    },
    /// An address or range that is not of the subnet.
    #[error("{what} {address} is not in the subnet {subnet}")]
    Outside {
        /// `gateway`
        what: &'static str,
        /// As it was given.
        address: String,
        /// The subnet.
        subnet: IpNet,
    },
    /// A gateway or range without a subnet that it could belong to.
    #[error("{what} {address} belongs to no --subnet")]
    NoSubnet {
        /// `--gateway`
        what: &'static str,
        /// As it was given.
        address: String,
    },
    /// More subnets of a kind than one.
    #[error("a network has at most one IPv4 and one IPv6 subnet")]
    TooMany,
    /// An address that no host can have.
    #[error("{what} {address} is the subnet's own or its broadcast address")]
    NotAHost {
        /// `gateway`
        what: &'static str,
        /// Which.
        address: IpAddr,
    },
}
