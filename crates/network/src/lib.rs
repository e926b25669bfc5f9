//! Networks: what connects containers with each other, the host and the world.
//!
//! A network is a definition on disk ([`Network`]), a device on the host made by its driver, and elements of one table of the
//! packet filter. A container's place on it is an [`Endpoint`]: addresses that are leased, a device in the container's network
//! namespace, ports that are published. There is no daemon: whoever starts a container sets its endpoints up, and whoever sees
//! that it has ended takes them down.
//!
//! ```text
//! ROOT/networks/<name>.json         definitions, which survive a reboot
//! ROOT/networks/.lock               held (flock) by who makes or removes one
//! RUN/networks/<name>/<address>     leases: symbolic links that name the container
//! RUN/networks/<name>/.lock         held shared by who leases, alone by who removes the network
//! RUN/networks/.lock                held shared by who adds to the packet filter, alone by who writes it anew
//! ```
//!
//! What can be lost (a device, the table, all of it at a reboot) is made again by the next start that misses it.

mod addresses;
pub mod cni;
mod definition;
mod driver;
mod endpoint;
mod error;
mod firewall;
mod ports;
mod store;
pub mod usermode;

pub use addresses::{Lease, Pool};
pub use definition::{
    DEFAULT, DEFAULT_DEVICE, DefinitionError, Network, NetworkId, NetworkName, NewNetwork, Subnet, Unplaced,
    parse_subnet,
};
pub use driver::{
    Bridge, Driver, Ipvlan, IpvlanMode, Lan, Macvlan, MacvlanMode, Overlay, Peer, Wire, routes_of_the_host,
};
pub use endpoint::{Endpoint, mac_text};
pub use error::{Error, Result};
pub use firewall::{Firewall, Settings, refuse_metadata, translate_port};
pub use ports::{PortError, PortRange, PortSpec, Protocol, Published, Reserved, find_free, reserve};
pub use store::{Gate, Networks};
