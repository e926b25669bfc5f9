//! A message in the making: its fixed part, then attributes, which may hold attributes.

/// Says that an attribute holds attributes (`<linux/netlink.h>`).
const NLA_F_NESTED: u16 = 1 << 15;

/// A request: `struct nlmsghdr` less what the socket fills in, and the payload.
#[derive(Debug, Clone)]
pub(crate) struct Message {
    pub(crate) kind: u16,
    pub(crate) flags: u16,
    pub(crate) payload: Vec<u8>,
}

impl Message {
    /// With its fixed part.
    pub(crate) fn new(kind: u16, flags: u16, fixed: &[u8]) -> Self {
        let mut payload = fixed.to_vec();
        payload.resize(payload.len().next_multiple_of(4), 0);
        Self { kind, flags, payload }
    }

    pub(crate) fn put(&mut self, kind: u16, value: &[u8]) {
        // Nothing that is put here comes near 64 KiB: names are bounded and lists are cut by their makers.
        let length = u16::try_from(value.len() + 4).expect("an attribute has less than 64 KiB");
        self.payload.extend_from_slice(&length.to_ne_bytes());
        self.payload.extend_from_slice(&kind.to_ne_bytes());
        self.payload.extend_from_slice(value);
        self.payload.resize(self.payload.len().next_multiple_of(4), 0);
    }

    pub(crate) fn put_u8(&mut self, kind: u16, value: u8) {
        self.put(kind, &[value]);
    }

    pub(crate) fn put_u16(&mut self, kind: u16, value: u16) {
        self.put(kind, &value.to_ne_bytes());
    }

    pub(crate) fn put_u32(&mut self, kind: u16, value: u32) {
        self.put(kind, &value.to_ne_bytes());
    }

    /// In the network's order, as nftables has all numbers.
    pub(crate) fn put_be32(&mut self, kind: u16, value: u32) {
        self.put(kind, &value.to_be_bytes());
    }

    /// With a NUL at its end.
    pub(crate) fn put_text(&mut self, kind: u16, value: &str) {
        self.put(kind, &[value.as_bytes(), &[0]].concat());
    }

    /// An attribute that holds what `fill` puts.
    pub(crate) fn nest(&mut self, kind: u16, fill: impl FnOnce(&mut Self)) {
        let start = self.payload.len();
        self.put(kind | NLA_F_NESTED, &[]);
        fill(self);
        let length = u16::try_from(self.payload.len() - start).expect("an attribute has less than 64 KiB");
        self.payload[start..start + 2].copy_from_slice(&length.to_ne_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attributes::{attributes, text, u32_of};

    #[test]
    fn attributes_are_padded_and_nested() {
        let mut message = Message::new(1, 0, &[9; 4]);
        message.put_text(3, "eth0");
        message.nest(18, |inner| {
            inner.put_u8(1, 7);
            inner.put_u32(2, 5);
        });
        assert_eq!(message.payload.len(), 4 + 12 + 4 + 8 + 8);
        let all: Vec<_> = attributes(&message.payload[4..]).collect();
        assert_eq!(all.iter().map(|(kind, _)| *kind).collect::<Vec<_>>(), [3, 18]);
        assert_eq!(text(all[0].1), "eth0");
        let inner: Vec<_> = attributes(all[1].1).collect();
        assert_eq!((inner[0].1, u32_of(inner[1].1)), (&[7][..], 5));
    }
}
