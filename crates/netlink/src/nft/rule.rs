//! Rules: what a packet has to be, and what becomes of it then.

use super::field::Field;
use super::{Family, NFTA_LIST_ELEM};
use crate::message::Message;

const NFTA_RULE_EXPRESSIONS: u16 = 4;
const NFTA_RULE_USERDATA: u16 = 7;
const NFTA_EXPR_NAME: u16 = 1;
const NFTA_EXPR_DATA: u16 = 2;
const NFTA_DATA_VALUE: u16 = 1;
const NFTA_DATA_VERDICT: u16 = 2;
const NFTA_VERDICT_CODE: u16 = 1;
const NFTA_VERDICT_CHAIN: u16 = 2;
const NFTA_CMP_SREG: u16 = 1;
const NFTA_CMP_OP: u16 = 2;
const NFTA_CMP_DATA: u16 = 3;
const NFTA_BITWISE_SREG: u16 = 1;
const NFTA_BITWISE_DREG: u16 = 2;
const NFTA_BITWISE_LEN: u16 = 3;
const NFTA_BITWISE_MASK: u16 = 4;
const NFTA_BITWISE_XOR: u16 = 5;
const NFTA_LOOKUP_SET: u16 = 1;
const NFTA_LOOKUP_SREG: u16 = 2;
const NFTA_LOOKUP_DREG: u16 = 3;
const NFTA_LOOKUP_FLAGS: u16 = 5;
const NFTA_IMMEDIATE_DREG: u16 = 1;
const NFTA_IMMEDIATE_DATA: u16 = 2;
const NFTA_NAT_TYPE: u16 = 1;
const NFTA_NAT_FAMILY: u16 = 2;
const NFTA_NAT_REG_ADDR_MIN: u16 = 3;
const NFTA_NAT_REG_PROTO_MIN: u16 = 5;
const NFTA_META_KEY: u16 = 2;
const NFTA_META_SREG: u16 = 3;
const NFTA_DYNSET_SET_NAME: u16 = 1;
const NFTA_DYNSET_OP: u16 = 3;
const NFTA_DYNSET_SREG_KEY: u16 = 4;
const NFTA_DUP_SREG_ADDR: u16 = 1;
const NFTA_DUP_SREG_DEV: u16 = 2;
const NFTA_REJECT_TYPE: u16 = 1;
const NFTA_REJECT_ICMP_CODE: u16 = 2;

const NFT_REG_VERDICT: u32 = 0;
/// NFT_REG32_00: the first of sixteen registers of four bytes.
const FIRST: u32 = 8;
const NFT_CMP_EQ: u32 = 0;
const NFT_CMP_NEQ: u32 = 1;
const NFT_LOOKUP_F_INV: u32 = 1;

/// What becomes of a packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It may pass this chain.
    Accept,
    /// It is gone.
    Drop,
    /// That chain is asked, and then the next rule.
    Jump(String),
    /// The chain that jumped here goes on.
    Return,
}

impl Verdict {
    pub(super) fn put(&self, data: &mut Message, kind: u16) {
        let code = match self {
            Self::Drop => 0,
            Self::Accept => 1,
            Self::Jump(_) => -3_i32,
            Self::Return => -5,
        };
        data.nest(kind, |value| {
            value.nest(NFTA_DATA_VERDICT, |verdict| {
                verdict.put_be32(NFTA_VERDICT_CODE, code.cast_unsigned());
                if let Self::Jump(chain) = self {
                    verdict.put_text(NFTA_VERDICT_CHAIN, chain);
                }
            });
        });
    }
}

/// A rule in the making.
#[derive(Debug, Clone, Default)]
pub struct Rule {
    expressions: Vec<(&'static str, Message)>,
    comment: Option<String>,
}

impl Rule {
    /// For every packet, with no consequence.
    pub fn new() -> Self {
        Self::default()
    }

    /// A note for who lists it, at most 128 bytes.
    #[must_use]
    pub fn comment(mut self, text: &str) -> Self {
        self.comment = Some(text.chars().take(100).collect());
        self
    }

    /// If the field is that. A name is filled up with NULs.
    #[must_use]
    pub fn is(self, field: Field, value: &[u8]) -> Self {
        self.compare(field, NFT_CMP_EQ, value)
    }

    /// If the field is not that.
    #[must_use]
    pub fn is_not(self, field: Field, value: &[u8]) -> Self {
        self.compare(field, NFT_CMP_NEQ, value)
    }

    /// If one of these bits is set.
    #[must_use]
    pub fn has(self, field: Field, bits: u32) -> Self {
        let mut masked = self.load(field, FIRST);
        masked.mask(field, &bits.to_ne_bytes());
        masked.expression("cmp", |data| compare(data, FIRST, NFT_CMP_NEQ, &[0; 4]))
    }

    /// If the address is in that network.
    #[must_use]
    pub fn is_within(self, field: Field, network: &[u8], prefix: u8) -> Self {
        let mask: Vec<u8> = (0..field.length())
            .map(|byte| {
                let bits = usize::from(prefix).saturating_sub(byte * 8).min(8);
                (0xff00_u16 >> bits) as u8
            })
            .collect();
        let value: Vec<u8> = network.iter().zip(&mask).map(|(byte, mask)| byte & mask).collect();
        let mut masked = self.load(field, FIRST);
        masked.mask(field, &mask);
        masked.expression("cmp", |data| compare(data, FIRST, NFT_CMP_EQ, &value))
    }

    /// If the fields, together, are in that set.
    #[must_use]
    pub fn is_in(self, fields: &[Field], set: &str) -> Self {
        self.lookup(fields, set, None, 0)
    }

    /// If they are not.
    #[must_use]
    pub fn is_not_in(self, fields: &[Field], set: &str) -> Self {
        self.lookup(fields, set, None, NFT_LOOKUP_F_INV)
    }

    /// If the fields are in that map, whatever it says.
    #[must_use]
    pub fn is_mapped(self, fields: &[Field], map: &str) -> Self {
        self.lookup(fields, map, Some(FIRST), 0)
    }

    /// Puts the fields into a set of [`Value::Remembered`](super::Value::Remembered), anew if they are there. If it is full the rule ends here.
    #[must_use]
    pub fn remember(mut self, fields: &[Field], set: &str) -> Self {
        const NFT_DYNSET_OP_UPDATE: u32 = 1;
        self = self.load_all(fields);
        self.expression("dynset", |data| {
            data.put_text(NFTA_DYNSET_SET_NAME, set);
            data.put_be32(NFTA_DYNSET_OP, NFT_DYNSET_OP_UPDATE);
            data.put_be32(NFTA_DYNSET_SREG_KEY, FIRST);
        })
    }

    /// Gives the packet that mark.
    #[must_use]
    pub fn mark(self, mark: u32) -> Self {
        const NFT_META_MARK: u32 = 3;
        self.set_meta(NFT_META_MARK, &mark.to_ne_bytes())
    }

    /// The frame counts as one for this host alone, though it was for all. At prerouting only.
    #[must_use]
    pub fn for_this_host(self) -> Self {
        const NFT_META_PKTTYPE: u32 = 19;
        const PACKET_HOST: u8 = 0;
        self.set_meta(NFT_META_PKTTYPE, &[PACKET_HOST])
    }

    /// Sends a copy by the device with that number, to that neighbour. In tables of the address' own family only.
    #[must_use]
    pub fn copy_to(self, neighbour: std::net::IpAddr, device: u32) -> Self {
        let address = crate::attributes::octets(neighbour);
        let second = FIRST + address.len() as u32 / 4;
        self.immediate(FIRST, &address).immediate(second, &device.to_ne_bytes()).expression("dup", |data| {
            data.put_be32(NFTA_DUP_SREG_ADDR, FIRST);
            data.put_be32(NFTA_DUP_SREG_DEV, second);
        })
    }

    fn set_meta(self, key: u32, value: &[u8]) -> Self {
        self.immediate(FIRST, value).expression("meta", |data| {
            data.put_be32(NFTA_META_KEY, key);
            data.put_be32(NFTA_META_SREG, FIRST);
        })
    }

    fn immediate(self, register: u32, value: &[u8]) -> Self {
        self.expression("immediate", |data| {
            data.put_be32(NFTA_IMMEDIATE_DREG, register);
            data.nest(NFTA_IMMEDIATE_DATA, |inner| inner.put(NFTA_DATA_VALUE, value));
        })
    }

    /// If the fields are in that map of verdicts, what it says.
    #[must_use]
    pub fn verdict_of(self, fields: &[Field], map: &str) -> Self {
        self.lookup(fields, map, Some(NFT_REG_VERDICT), 0)
    }

    /// If the fields are in that map, the connection goes to the address and port that it says. `family` is IPv4 or IPv6.
    #[must_use]
    pub fn translate_to(self, fields: &[Field], map: &str, family: Family) -> Self {
        const NFT_NAT_DNAT: u32 = 1;
        let port = FIRST + if family == Family::Ip6 { 4 } else { 1 };
        self.lookup(fields, map, Some(FIRST), 0).expression("nat", |data| {
            data.put_be32(NFTA_NAT_TYPE, NFT_NAT_DNAT);
            data.put_be32(NFTA_NAT_FAMILY, family as u32);
            data.put_be32(NFTA_NAT_REG_ADDR_MIN, FIRST);
            data.put_be32(NFTA_NAT_REG_PROTO_MIN, port);
        })
    }

    /// The port of a packet, which has to be one of that transport (6: TCP, 17: UDP), becomes that, without any memory of what it was; its checksum follows.
    #[must_use]
    pub fn change_port(self, transport: u8, field: Field, port: u16) -> Self {
        // RFC 9293, section 3.1; RFC 768.
        let checksum = if transport == 6 { 16 } else { 6 };
        let mut rule = self.immediate(FIRST, &port.to_be_bytes());
        rule.expressions.extend(field.put_back(FIRST, checksum).map(|data| ("payload", data)));
        rule
    }

    /// The connection comes from the address of the device that it leaves by.
    #[must_use]
    pub fn masquerade(self) -> Self {
        self.expression("masq", |_| ())
    }

    /// Counts.
    #[must_use]
    pub fn counter(self) -> Self {
        self.expression("counter", |_| ())
    }

    /// Says no to the sender: administratively prohibited.
    #[must_use]
    pub fn reject(self) -> Self {
        const NFT_REJECT_ICMPX_UNREACH: u32 = 2;
        const NFT_REJECT_ICMPX_ADMIN_PROHIBITED: u8 = 3;
        self.expression("reject", |data| {
            data.put_be32(NFTA_REJECT_TYPE, NFT_REJECT_ICMPX_UNREACH);
            data.put_u8(NFTA_REJECT_ICMP_CODE, NFT_REJECT_ICMPX_ADMIN_PROHIBITED);
        })
    }

    /// Lets it pass.
    #[must_use]
    pub fn accept(self) -> Self {
        self.verdict(&Verdict::Accept)
    }

    /// Drops it.
    #[must_use]
    pub fn drop(self) -> Self {
        self.verdict(&Verdict::Drop)
    }

    /// What becomes of it.
    #[must_use]
    pub fn verdict(self, verdict: &Verdict) -> Self {
        self.expression("immediate", |data| {
            data.put_be32(NFTA_IMMEDIATE_DREG, NFT_REG_VERDICT);
            verdict.put(data, NFTA_IMMEDIATE_DATA);
        })
    }

    fn compare(self, field: Field, operation: u32, value: &[u8]) -> Self {
        let mut value = value.to_vec();
        value.resize(field.length(), 0);
        self.load(field, FIRST).expression("cmp", |data| compare(data, FIRST, operation, &value))
    }

    fn lookup(self, fields: &[Field], set: &str, into: Option<u32>, flags: u32) -> Self {
        self.load_all(fields).expression("lookup", |data| {
            data.put_text(NFTA_LOOKUP_SET, set);
            data.put_be32(NFTA_LOOKUP_SREG, FIRST);
            if let Some(into) = into {
                data.put_be32(NFTA_LOOKUP_DREG, into);
            }
            if flags != 0 {
                data.put_be32(NFTA_LOOKUP_FLAGS, flags);
            }
        })
    }

    /// One after another.
    fn load_all(mut self, fields: &[Field]) -> Self {
        let mut register = FIRST;
        for field in fields {
            self = self.load(*field, register);
            register += field.registers();
        }
        self
    }

    fn load(mut self, field: Field, register: u32) -> Self {
        self.expressions.push(field.put(register));
        self
    }

    fn mask(&mut self, field: Field, mask: &[u8]) {
        let mut data = Message::new(0, 0, &[]);
        data.put_be32(NFTA_BITWISE_SREG, FIRST);
        data.put_be32(NFTA_BITWISE_DREG, FIRST);
        data.put_be32(NFTA_BITWISE_LEN, field.length() as u32);
        data.nest(NFTA_BITWISE_MASK, |value| value.put(NFTA_DATA_VALUE, mask));
        data.nest(NFTA_BITWISE_XOR, |value| value.put(NFTA_DATA_VALUE, &vec![0; mask.len()]));
        self.expressions.push(("bitwise", data));
    }

    fn expression(mut self, name: &'static str, fill: impl FnOnce(&mut Message)) -> Self {
        let mut data = Message::new(0, 0, &[]);
        fill(&mut data);
        self.expressions.push((name, data));
        self
    }

    pub(super) fn put(&self, message: &mut Message) {
        message.nest(NFTA_RULE_EXPRESSIONS, |list| {
            for (name, data) in &self.expressions {
                list.nest(NFTA_LIST_ELEM, |expression| {
                    expression.put_text(NFTA_EXPR_NAME, name);
                    expression.nest(NFTA_EXPR_DATA, |inner| inner.payload.extend_from_slice(&data.payload));
                });
            }
        });
        if let Some(comment) = &self.comment {
            // libnftnl's own form: type 0, length, text with its NUL.
            let text = [comment.as_bytes(), &[0]].concat();
            let length = u8::try_from(text.len()).unwrap_or(u8::MAX);
            message.put(NFTA_RULE_USERDATA, &[&[0, length], &text[..usize::from(length)]].concat());
        }
    }
}

fn compare(data: &mut Message, register: u32, operation: u32, value: &[u8]) {
    data.put_be32(NFTA_CMP_SREG, register);
    data.put_be32(NFTA_CMP_OP, operation);
    data.nest(NFTA_CMP_DATA, |inner| inner.put(NFTA_DATA_VALUE, value));
}
