//! What can go wrong with a network.

use std::io;
use std::net::IpAddr;
use std::path::PathBuf;

use ipnet::IpNet;

/// The result of this crate's calls.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why something could not be done with a network.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A name that is none.
    #[error(
        "network name {name:?} is not valid: letters, digits and _.- behind the first letter or digit, at most 128"
    )]
    Name {
        /// As it was given.
        name: String,
    },
    /// A name that means something else.
    #[error("{name} is a network of its own kind: it cannot be {verb}")]
    Predefined {
        /// `bridge`, `host` or `none`.
        name: String,
        /// `created`, `removed`.
        verb: &'static str,
    },
    /// An ordinary user without a program for it.
    #[error("an ordinary user's container needs pasta or slirp4netns for a network, and neither is in PATH")]
    NoCarrier,
    /// pasta or slirp4netns.
    #[error("{program}: {why}")]
    Carrier {
        /// Its name.
        program: &'static str,
        /// What it says.
        why: String,
    },
    /// pasta or slirp4netns.
    #[error("{program} carries no {protocol}: publish such ports as root")]
    CarriedProtocol {
        /// Its name.
        program: &'static str,
        /// Which.
        protocol: crate::ports::Protocol,
    },
    /// A name that is taken.
    #[error("network with name {name} already exists")]
    Exists {
        /// The name.
        name: String,
    },
    /// No such network.
    #[error("network {name} not found")]
    NotFound {
        /// The name or the beginning of an id.
        name: String,
    },
    /// More than one network has an id that begins so.
    #[error("network {name} is ambiguous: several ids begin so")]
    Ambiguous {
        /// The beginning.
        name: String,
    },
    /// A network that cannot go.
    #[error("network {name} has active endpoints: {containers}")]
    InUse {
        /// The network.
        name: String,
        /// Names of containers, in order.
        containers: String,
    },
    /// A definition that makes no sense.
    #[error("{0}")]
    Definition(#[from] crate::definition::DefinitionError),
    /// A network of CNI.
    #[error(transparent)]
    Cni(#[from] crate::cni::CniError),
    /// No such network, but a file that may be about it.
    #[error("network {name} not found, and a file was not understood: {source}")]
    NotUnderstood {
        /// The name or the beginning of an id.
        name: String,
        /// Which file, and why.
        #[source]
        source: crate::cni::CniError,
    },
    /// A network that is a file of somebody else's.
    #[error("network {name} is one of CNI, defined in {}: {what}", path.display())]
    Foreign {
        /// Its name.
        name: String,
        /// Its file.
        path: PathBuf,
        /// What is to be done with that.
        what: &'static str,
    },
    /// Two networks of the same addresses.
    #[error("subnet {subnet} overlaps with {with}")]
    Overlap {
        /// The one that was asked for.
        subnet: IpNet,
        /// `network db (10.89.0.0/24)`, `the host's route to 10.0.0.0/8`.
        with: String,
    },
    /// All subnets that are given out are taken.
    #[error("no subnet is left for a new network: give one with --subnet, or remove networks")]
    NoSubnet,
    /// All addresses of a network are taken.
    #[error("network {name}: all addresses of {subnet} are taken")]
    NoAddress {
        /// The network.
        name: String,
        /// Its subnet, or the part of it that addresses are given out of.
        subnet: IpNet,
    },
    /// An address that somebody has.
    #[error("network {name}: the address {address} is in use by {holder}")]
    AddressTaken {
        /// The network.
        name: String,
        /// Which.
        address: IpAddr,
        /// A container's id, shortened, or `the gateway`.
        holder: String,
    },
    /// An address that is not of the network.
    #[error("network {name} has no subnet with the address {address}")]
    AddressOutside {
        /// The network.
        name: String,
        /// Which.
        address: IpAddr,
    },
    /// A network that one container has alone.
    #[error("network {name} is for one container alone (macvlan_mode=passthru), and {holder} is on it")]
    Alone {
        /// The network.
        name: String,
        /// A container's id, shortened.
        holder: String,
    },
    /// A MAC address where there is no choice.
    #[error("network {name}: its devices ({driver}) have the parent's MAC address, and can have no other")]
    OneMac {
        /// The network.
        name: String,
        /// `ipvlan`
        driver: &'static str,
    },
    /// Ports where there is nothing to publish.
    #[error(
        "network {name} ({driver}) publishes no ports: its containers are reached at addresses of their own"
    )]
    NoPorts {
        /// The network.
        name: String,
        /// `macvlan`
        driver: &'static str,
    },
    /// The kernel has no such devices.
    #[error("network driver {driver}: this kernel has no {kind} devices (CONFIG_{}){hint}", kind.to_uppercase())]
    NoKind {
        /// Which driver.
        driver: &'static str,
        /// What it needs.
        kind: &'static str,
        /// What else can be done, if anything.
        hint: &'static str,
    },
    /// The host's device cannot be built upon.
    #[error("the parent device {parent} {why}")]
    Parent {
        /// Which.
        parent: String,
        /// `is not there`
        why: &'static str,
    },
    /// Two networks that cannot be on one host.
    #[error("network {other} has {what}")]
    Conflict {
        /// The one that is there.
        other: String,
        /// What it has.
        what: String,
    },
    /// A list of peers that is none.
    #[error("{}:{line}: {why}", path.display())]
    Peers {
        /// The file.
        path: PathBuf,
        /// Its line.
        line: usize,
        /// What is wrong with it.
        why: String,
    },
    /// A file of secrets that is none, or that others can read. Nothing of it is told.
    #[error("{}{}: {why}", path.display(), line_of(*.line))]
    Secret {
        /// The file.
        path: PathBuf,
        /// Its line; zero: none of them.
        line: usize,
        /// What is wrong with it.
        why: String,
    },
    /// The kernel encrypts nothing.
    #[error(
        "option encrypted: this kernel has no ESP with AES-CBC and HMAC-SHA-256 over {family} \
         (CONFIG_XFRM_USER, {}, CONFIG_CRYPTO_AUTHENC, CONFIG_CRYPTO_ECHAINIV)",
        if *.family == "IPv4" { "CONFIG_INET_ESP" } else { "CONFIG_INET6_ESP" }
    )]
    NoEsp {
        /// `IPv4` or `IPv6`.
        family: &'static str,
    },
    /// A port that somebody else has a tunnel or a policy at.
    #[error(
        "network {name}: an encrypted network has its port alone, and {who} UDP port {port}; give another by -o port="
    )]
    PortShared {
        /// The network.
        name: String,
        /// Its port.
        port: u16,
        /// `the device flannel.1 is at`
        who: String,
    },
    /// An SPI that somebody else has.
    #[error(
        "network {name}: the SPI {spi:#010x} to {to} is taken, by another program or by chance: give the network another key"
    )]
    SpiTaken {
        /// The network.
        name: String,
        /// Which.
        spi: u32,
        /// Where packets with it go.
        to: IpAddr,
    },
    /// Peers of both families.
    #[error(
        "network {name}: the peer {peer} is of another family than the others, or than this host's own address"
    )]
    Families {
        /// The network.
        name: String,
        /// The first that is.
        peer: IpAddr,
    },
    /// A port that somebody has.
    #[error("cannot publish port {port}: {source} ({})", port_hint(source))]
    Port {
        /// `0.0.0.0:8080/tcp`
        port: String,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
    /// The kernel refuses something of a network's.
    #[error("network {name}: {source}")]
    Kernel {
        /// The network.
        name: String,
        /// What and why.
        #[source]
        source: conex_netlink::Error,
    },
    /// The packet filter cannot be written.
    #[error("packet filter: {source}")]
    Filter {
        /// What and why.
        #[source]
        source: conex_netlink::Error,
    },
    /// The program that sends packets back cannot be loaded.
    #[error(
        "cannot have connections asked for by the host's input chains (ask_input): BPF program: {source}"
    )]
    Program {
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
    /// A call on a file of ours, or a setting of the kernel's, failed.
    #[error("cannot {what} {}: {source}", path.display())]
    File {
        /// The step that failed.
        what: &'static str,
        /// On what.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A file of ours holds something else.
    #[error("{} is damaged: {source}", path.display())]
    Document {
        /// Which.
        path: PathBuf,
        /// Where and why.
        #[source]
        source: serde_json::Error,
    },
}

/// Text of somebody's as an error shows it: without control characters, and no more of it than this.
pub(crate) fn shown(text: &str, most: usize) -> String {
    text.chars().filter(|c| !c.is_control()).take(most).collect()
}

fn line_of(line: usize) -> String {
    if line == 0 { String::new() } else { format!(":{line}") }
}

impl Error {
    pub(crate) fn file(what: &'static str, path: &std::path::Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::File { what, path, source }
    }

    pub(crate) fn kernel(name: &str) -> impl Fn(conex_netlink::Error) -> Self {
        let name = name.to_owned();
        move |source| Self::Kernel { name: name.clone(), source }
    }
}

fn port_hint(source: &io::Error) -> &'static str {
    match source.kind() {
        io::ErrorKind::PermissionDenied => {
            "an ordinary user has those from net.ipv4.ip_unprivileged_port_start on, 1024 unless the host says otherwise"
        }
        io::ErrorKind::AddrNotAvailable => "this host has no such address",
        _ => "another program, or container, has it",
    }
}
