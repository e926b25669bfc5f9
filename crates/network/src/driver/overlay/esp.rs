//! An encrypted tunnel: ESP in transport mode (RFC 4303) around all UDP datagrams to its port, by the kernel.
//!
//! Two policies a family say so, one a direction, between whomever: what is not encrypted neither leaves nor gets in, also when no peer
//! is known. They see the port only, not a tunnel's number, so the network has the port alone on its host. Who the peers are is said by
//! security associations, two for each: one that sends, by the first secret, and for each secret one that receives. All of them have a
//! `reqid` that is made of the port, which is how they are found again. The packet filter says the same once more
//! (`firewall/rules.rs`), for a host whose policies somebody has flushed.

use std::net::IpAddr;

use conex_netlink::xfrm::{Direction, NewState, Policy, Selector, State, Xfrm};
use conex_netlink::{Error as Netlink, Link, LinkDetails, unless_gone};

use super::secret::{Secret, Way};
use crate::definition::Network;
use crate::{Error, Result};

/// What a packet gets: ESP's header, an initialisation vector, and a tag; a trailer of two bytes with what is encrypted, in blocks.
const HEADER: u32 = 8;
const VECTOR: u32 = 16;
const TAG: u32 = 16;
const TRAILER: u32 = 2;
const BLOCK: u32 = 16;
/// Which associations are of an overlay's port: `cx`, and the port.
const REQID: u32 = 0x6378_0000;

/// Bytes that are left of so many for what ESP encrypts: the datagram with its header.
pub(super) fn room(bytes: u32) -> u32 {
    let encrypted = bytes.saturating_sub(HEADER + VECTOR + TAG);
    (encrypted - encrypted % BLOCK).saturating_sub(TRAILER)
}

/// The own address and a peer's, of each.
pub(super) type Pairs = Vec<(IpAddr, IpAddr)>;

/// An encrypted network's port, at which there is nobody else.
#[derive(Debug)]
pub(super) struct Sealed<'a> {
    pub(super) network: &'a Network,
    pub(super) vni: u32,
    pub(super) port: u16,
}

/// Whether the kernel can do it.
pub(super) fn need(is_v4: bool) -> Result<()> {
    let has = Xfrm::open().and_then(|mut xfrm| xfrm.has_esp(is_v4));
    match has {
        Ok(true) => Ok(()),
        Ok(false) => Err(none(is_v4)),
        Err(error) if error.is_unsupported() => Err(none(is_v4)),
        Err(error) => Err(Error::kernel("overlay")(error)),
    }
}

fn none(is_v4: bool) -> Error {
    Error::NoEsp { family: if is_v4 { "IPv4" } else { "IPv6" } }
}

impl Sealed<'_> {
    fn reqid(&self) -> u32 {
        REQID | u32::from(self.port)
    }

    fn kernel(&self) -> impl Fn(Netlink) -> Error {
        Error::kernel(self.network.name.as_str())
    }

    fn shared(&self, who: String) -> Error {
        Error::PortShared { name: self.network.name.to_string(), port: self.port, who }
    }

    /// Makes associations and policies what the peers and secrets are now. `links` are the host's devices. The tunnel comes after it: so
    /// no packet is ever sent, or let in, that is not encrypted.
    pub(super) fn raise(&self, pairs: &Pairs, is_v4: bool, secrets: &[Secret], links: &[Link]) -> Result<()> {
        let is_there = |link: &&Link| {
            matches!(&link.details, LinkDetails::Vxlan(vxlan) if vxlan.port == self.port)
                && link.name != self.network.tunnel_device()
        };
        if let Some(other) = links.iter().find(is_there) {
            return Err(self.shared(format!("the device {} is at", other.name)));
        }
        let mut xfrm = Xfrm::open().map_err(|error| match error.is_unsupported() {
            true => none(is_v4),
            false => self.kernel()(error),
        })?;
        let selector = Selector { is_v4, port: self.port };
        let missing = self.missing(&mut xfrm, selector)?;
        let wanted = self.wanted(pairs, secrets, selector);
        let there = self.own(&mut xfrm)?;
        let mut added = Vec::new();
        for new in wanted.iter().filter(|new| !there.contains(&new.state)) {
            match self.add(&mut xfrm, new, is_v4) {
                Ok(()) => added.push(new.state),
                Err(error) => {
                    added.iter().for_each(|state| drop(xfrm.delete_state(state)));
                    return Err(error);
                }
            }
        }
        for direction in missing {
            let policy = Policy { direction, selector, reqid: self.reqid() };
            xfrm.set_policy(&policy).map_err(self.kernel())?;
        }
        for old in there.iter().filter(|old| wanted.iter().all(|new| new.state != **old)) {
            unless_gone(xfrm.delete_state(old)).map_err(self.kernel())?;
        }
        Ok(())
    }

    fn wanted(&self, pairs: &Pairs, secrets: &[Secret], selector: Selector) -> Vec<NewState> {
        let association = |secret: &Secret, source, destination| {
            let way = Way { from: source, to: destination, vni: self.vni, port: self.port };
            let (spi, keys) = secret.keys(way);
            let state = State { source, destination, spi, reqid: self.reqid() };
            NewState { state, selector, keys }
        };
        let mut wanted = Vec::new();
        for (own, peer) in pairs {
            wanted.extend(secrets.first().map(|secret| association(secret, *own, *peer)));
            wanted.extend(secrets.iter().map(|secret| association(secret, *peer, *own)));
        }
        wanted
    }

    fn add(&self, xfrm: &mut Xfrm, new: &NewState, is_v4: bool) -> Result<()> {
        match xfrm.add_state(new) {
            Ok(()) => Ok(()),
            // Somebody else is at it; or it is another's.
            Err(error) if error.is_there() => match self.own(xfrm)?.contains(&new.state) {
                true => Ok(()),
                false => {
                    let (spi, to) = (new.state.spi, new.state.destination);
                    Err(Error::SpiTaken { name: self.network.name.to_string(), spi, to })
                }
            },
            // What of it is missing it does not say; it was there when the network was made.
            Err(error) => match xfrm.has_esp(is_v4) {
                Ok(false) => Err(none(is_v4)),
                _ => Err(self.kernel()(error)),
            },
        }
    }

    /// The directions that have no policy yet; ours is enough.
    fn missing(&self, xfrm: &mut Xfrm, selector: Selector) -> Result<Vec<Direction>> {
        let mut missing = Vec::new();
        for direction in [Direction::In, Direction::Out] {
            match xfrm.policy(direction, selector).map_err(self.kernel())? {
                Some(reqid) if reqid == self.reqid() => {}
                Some(_) => return Err(self.shared("a policy of another program's is for".to_owned())),
                None => missing.push(direction),
            }
        }
        Ok(missing)
    }

    /// Takes all of it away, after the tunnel; nothing there is success.
    pub(super) fn lower(&self) -> Result<()> {
        let mut xfrm = match Xfrm::open() {
            Err(error) if error.is_unsupported() => return Ok(()),
            opened => opened.map_err(self.kernel())?,
        };
        for is_v4 in [true, false] {
            let selector = Selector { is_v4, port: self.port };
            for direction in [Direction::In, Direction::Out] {
                if xfrm.policy(direction, selector).map_err(self.kernel())? == Some(self.reqid()) {
                    unless_gone(xfrm.delete_policy(direction, selector)).map_err(self.kernel())?;
                }
            }
        }
        for state in self.own(&mut xfrm)? {
            unless_gone(xfrm.delete_state(&state)).map_err(self.kernel())?;
        }
        Ok(())
    }

    fn own(&self, xfrm: &mut Xfrm) -> Result<Vec<State>> {
        let mut all = xfrm.states().map_err(self.kernel())?;
        all.retain(|state| state.reqid == self.reqid());
        Ok(all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_encrypted_comes_in_blocks() {
        // Of 1480 bytes behind IPv4's header: 90 blocks.
        assert_eq!(room(1480), 90 * 16 - 2);
        for bytes in 100..3000 {
            let room = room(bytes);
            let whole = |payload: u32| HEADER + VECTOR + (payload + TRAILER).next_multiple_of(BLOCK) + TAG;
            assert!(whole(room) <= bytes && whole(room + 1) > bytes, "{bytes}");
        }
        assert_eq!(room(10), 0);
    }
}
