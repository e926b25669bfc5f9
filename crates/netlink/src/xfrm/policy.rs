//! Policies: packets that may pass in one way only.

use super::selector::{LENGTH, Selector};
use super::{ESP, TRANSPORT_MODE, Xfrm, family, for_ever};
use crate::attributes::{find, u32_of};
use crate::error::Result;
use crate::message::Message;

const XFRM_MSG_NEWPOLICY: u16 = 0x13;
const XFRM_MSG_DELPOLICY: u16 = 0x14;
const XFRM_MSG_GETPOLICY: u16 = 0x15;
const XFRM_MSG_UPDPOLICY: u16 = 0x19;
const XFRMA_TMPL: u16 = 5;
/// Bytes of `struct xfrm_userpolicy_info`, `struct xfrm_userpolicy_id`, `struct xfrm_user_tmpl`.
const INFO: usize = 168;
const ID: usize = 64;
const TEMPLATE: usize = 64;
/// Where a template has its `reqid`.
const REQID: usize = 44;
/// Before those that key daemons have for a whole host; 0 is what ip(8) writes when it is not told.
const PRIORITY: u32 = 1;

/// Which way packets go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Direction {
    /// To this host.
    In = 0,
    /// From it.
    Out = 1,
}

/// Packets of that selector pass by ESP in transport mode only, with an association of that number; all others are dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// Which way.
    pub direction: Direction,
    /// Which packets.
    pub selector: Selector,
    /// `reqid`: what the associations that will do have in common.
    pub reqid: u32,
}

impl Xfrm {
    /// Sets it, or changes the one that is there of the same direction and selector.
    ///
    /// # Errors
    /// [`Error::Refused`](crate::Error::Refused): EAFNOSUPPORT without that family.
    pub fn set_policy(&mut self, policy: &Policy) -> Result<()> {
        // Zeros at the end: ALLOW, no flags, shared by all.
        let mut info = [0; INFO];
        info[..LENGTH].copy_from_slice(&policy.selector.bytes());
        info[56..120].copy_from_slice(&for_ever());
        info[152..156].copy_from_slice(&PRIORITY.to_ne_bytes());
        info[160] = policy.direction as u8;
        let mut message = Message::new(XFRM_MSG_UPDPOLICY, 0, &info);
        message.put(XFRMA_TMPL, &template(policy));
        self.socket.request(&message, &|| format!("have {} encrypted", policy.selector))
    }

    /// The `reqid` of the policy of that direction and selector, anybody's; zero of one that asks for nothing. `None`: there is none.
    ///
    /// # Errors
    /// [`Error::Refused`](crate::Error::Refused).
    pub fn policy(&mut self, direction: Direction, selector: Selector) -> Result<Option<u32>> {
        let message = Message::new(XFRM_MSG_GETPOLICY, 0, &id(direction, selector));
        let found = self.socket.get(&message, &|| format!("look for the policy of {selector}"))?;
        Ok(found.filter(|(kind, _)| *kind == XFRM_MSG_NEWPOLICY).map(|(_, payload)| {
            let template = payload.get(INFO..).and_then(|rest| find(rest, XFRMA_TMPL)).unwrap_or_default();
            template.get(REQID..).map_or(0, u32_of)
        }))
    }

    /// Removes the one of that direction and selector.
    ///
    /// # Errors
    /// [`Error::Refused`](crate::Error::Refused): ENOENT.
    pub fn delete_policy(&mut self, direction: Direction, selector: Selector) -> Result<()> {
        let message = Message::new(XFRM_MSG_DELPOLICY, 0, &id(direction, selector));
        self.socket.request(&message, &|| format!("remove the policy of {selector}"))
    }
}

/// `struct xfrm_userpolicy_id`
fn id(direction: Direction, selector: Selector) -> [u8; ID] {
    let mut id = [0; ID];
    id[..LENGTH].copy_from_slice(&selector.bytes());
    id[60] = direction as u8;
    id
}

/// `struct xfrm_user_tmpl`: no addresses, which in transport mode are those of the packet, and all algorithms, as associations of that
/// number are of one maker. It is not optional.
fn template(policy: &Policy) -> [u8; TEMPLATE] {
    let mut bytes = [0; TEMPLATE];
    bytes[20] = ESP;
    bytes[24..26].copy_from_slice(&family(policy.selector.is_v4).to_ne_bytes());
    bytes[REQID..REQID + 4].copy_from_slice(&policy.reqid.to_ne_bytes());
    bytes[48] = TRANSPORT_MODE;
    bytes[52..].fill(0xff);
    bytes
}
