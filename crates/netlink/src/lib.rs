//! Netlink, as much of it as networks take: what the kernel has of devices, addresses, routes and neighbours is listed and changed
//! ([`Route`], rtnetlink(7)), packet filters are written ([`nft`], Documentation/netlink/specs/nftables.yaml), and packets between hosts
//! are encrypted ([`xfrm`]).
//!
//! A socket belongs to the network namespace that it was opened in, and stays there; so one thread holds sockets to several, and
//! enters none of them but to open them. Every call is one message and the kernel's answer. The kernel's own words are kept in
//! the error, where it says any (extended acknowledgements, Linux 4.12).
//!
//! ```no_run
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use conex_netlink::{Kind, NewLink, Route};
//! let mut host = Route::open()?;
//! let bridge = host.add_link(&NewLink::new("conex0", Kind::Bridge))?;
//! host.add_address(bridge, "10.88.0.1".parse()?, 16)?;
//! host.set_up(bridge)?;
//! # Ok(()) }
//! ```

mod attributes;
mod error;
mod message;
pub mod nft;
mod route;
mod socket;
pub mod xfrm;

pub use error::{Error, Result, unless_gone};
pub use route::{
    Address, BridgePort, Change, IpvlanMode, Kind, LOOPBACK, LastingAddress, Link, LinkDetails, MacvlanMode,
    Neighbour, NewLink, NewRoute, Peer, Place, Route, RouteEntry, Vxlan,
};
