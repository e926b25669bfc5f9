//! Which packets are meant.

use super::family;

/// Bytes of `struct xfrm_selector`.
pub(super) const LENGTH: usize = 56;
const UDP: u8 = 17;

/// UDP datagrams to a port, between whomever.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Selector {
    /// Over IPv4; over IPv6 if not.
    pub is_v4: bool,
    /// The destination's.
    pub port: u16,
}

impl Selector {
    /// `struct xfrm_selector`
    pub(super) fn bytes(self) -> [u8; LENGTH] {
        let mut bytes = [0; LENGTH];
        // The prefixes of both addresses are empty.
        bytes[32..34].copy_from_slice(&self.port.to_be_bytes());
        bytes[34..36].copy_from_slice(&[0xff; 2]);
        bytes[40..42].copy_from_slice(&family(self.is_v4).to_ne_bytes());
        bytes[44] = UDP;
        bytes
    }
}

impl std::fmt::Display for Selector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "UDP port {} over IPv{}", self.port, if self.is_v4 { 4 } else { 6 })
    }
}
