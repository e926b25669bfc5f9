//! IPsec as the kernel does it: security associations ([`State`], what is done to a packet, with which key) and policies ([`Policy`],
//! which packets it has to be done to), by NETLINK_XFRM (`<linux/xfrm.h>`). As much of it as host-to-host encryption of one UDP port
//! takes: ESP (RFC 4303) in transport mode, with AES-256-CBC (RFC 3602) and HMAC-SHA-256-128 (RFC 4868).
//!
//! An integer is in the machine's order here but for addresses, ports and SPIs. Keys are in [`Keys`], which shows them to nobody.

mod policy;
mod selector;
mod state;

use std::net::IpAddr;

use rustix::net::netlink;

pub use self::policy::{Direction, Policy};
pub use self::selector::Selector;
pub use self::state::{Keys, NewState, State};
use crate::attributes::octets;
use crate::error::Result;
use crate::socket::Socket;

const ESP: u8 = 50;
const TRANSPORT_MODE: u8 = 0;

/// A way to the associations and policies of one network namespace.
#[derive(Debug)]
pub struct Xfrm {
    socket: Socket,
}

impl Xfrm {
    /// To the namespace of the calling thread.
    ///
    /// # Errors
    /// [`Error::Open`](crate::Error::Open): EPROTONOSUPPORT of a kernel without it (CONFIG_XFRM_USER).
    pub fn open() -> Result<Self> {
        Ok(Self { socket: Socket::open(Some(netlink::XFRM))? })
    }
}

/// `xfrm_address_t`: four bytes or sixteen, in sixteen.
fn place(address: IpAddr) -> [u8; 16] {
    let (mut bytes, octets) = ([0; 16], octets(address));
    bytes[..octets.len()].copy_from_slice(&octets);
    bytes
}

/// AF_INET or AF_INET6.
fn family(is_v4: bool) -> u16 {
    if is_v4 { 2 } else { 10 }
}

/// `struct xfrm_lifetime_cfg` of what never ends: neither bytes nor packets (XFRM_INF), nor seconds (zero).
fn for_ever() -> [u8; 64] {
    let mut bytes = [0; 64];
    bytes[..32].fill(0xff);
    bytes
}
