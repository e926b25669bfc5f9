//! rtnetlink(7): devices, addresses, routes and neighbours of one network namespace.

mod address;
mod control;
mod kind;
mod link;
mod neighbour;
mod port;
mod routing;

use std::os::fd::BorrowedFd;

pub use self::address::{Address, LastingAddress};
pub use self::kind::{IpvlanMode, Kind, LinkDetails, MacvlanMode, Peer, Vxlan};
pub use self::link::{Change, Link, NewLink, Place};
pub use self::neighbour::Neighbour;
pub use self::port::BridgePort;
pub use self::routing::{NewRoute, RouteEntry};
use crate::error::Result;
use crate::socket::Socket;

pub(crate) const RTM_NEWLINK: u16 = 16;
pub(crate) const RTM_DELLINK: u16 = 17;
pub(crate) const RTM_GETLINK: u16 = 18;
pub(crate) const RTM_NEWADDR: u16 = 20;
pub(crate) const RTM_GETADDR: u16 = 22;
pub(crate) const RTM_NEWROUTE: u16 = 24;
pub(crate) const RTM_DELROUTE: u16 = 25;
pub(crate) const RTM_GETROUTE: u16 = 26;
pub(crate) const RTM_NEWNEIGH: u16 = 28;
pub(crate) const RTM_DELNEIGH: u16 = 29;
pub(crate) const RTM_GETNEIGH: u16 = 30;

pub(crate) const AF_INET: u8 = 2;
pub(crate) const AF_BRIDGE: u8 = 7;
pub(crate) const AF_INET6: u8 = 10;

/// The number of the first device of every network namespace, `lo`.
pub const LOOPBACK: u32 = 1;

/// A way to the devices of one network namespace.
#[derive(Debug)]
pub struct Route {
    pub(crate) socket: Socket,
}

impl Route {
    /// To the namespace of the calling thread.
    ///
    /// # Errors
    /// [`Error::Open`](crate::Error::Open).
    pub fn open() -> Result<Self> {
        // No protocol is NETLINK_ROUTE, which is zero.
        Ok(Self { socket: Socket::open(None)? })
    }

    /// To another one, which the calling thread enters for a moment.
    ///
    /// # Errors
    /// [`Error::Open`](crate::Error::Open).
    pub fn open_in(namespace: BorrowedFd<'_>) -> Result<Self> {
        Ok(Self { socket: Socket::open_in(namespace, None)? })
    }
}

/// AF_INET or AF_INET6.
fn family(address: std::net::IpAddr) -> u8 {
    if address.is_ipv4() { AF_INET } else { AF_INET6 }
}
