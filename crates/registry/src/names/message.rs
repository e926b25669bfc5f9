//! DNS messages (RFC 1035 section 4): one question out, its addresses in. Pure, and never panics on what comes in.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use simple_dns::rdata::RData;
use simple_dns::{CLASS, Name, Packet, PacketFlag, QCLASS, QTYPE, Question, RCODE, ResourceRecord, TYPE};

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// IPv4 addresses.
    A,
    /// IPv6 addresses (RFC 3596).
    Aaaa,
}

/// What a server says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// The addresses, maybe none.
    Addresses(Vec<IpAddr>),
    /// There is no such name.
    NoName,
    /// More than fits a datagram: ask again over TCP.
    Truncated,
    /// The server cannot or will not.
    Failed,
}

const HEADER: usize = 12;

/// A recursive question; `None` for what is no name.
pub(crate) fn question(id: u16, name: &str, kind: Kind) -> Option<Vec<u8>> {
    let name = name.trim_end_matches('.');
    // The library takes empty labels for none.
    if name.split('.').any(|label| label.is_empty() || label.len() > 63) {
        return None;
    }
    let name = Name::new(name).ok()?;
    let kind = match kind {
        Kind::A => TYPE::A,
        Kind::Aaaa => TYPE::AAAA,
    };
    let mut packet = Packet::new_query(id);
    packet.set_flags(PacketFlag::RECURSION_DESIRED);
    packet.questions.push(Question::new(name, QTYPE::TYPE(kind), QCLASS::CLASS(CLASS::IN), false));
    packet.build_bytes_vec().ok()
}

/// Reads the answer to `question`; `None` for what is none: another id or question, or a malformed message.
pub(crate) fn answer(question: &[u8], message: &[u8]) -> Option<Answer> {
    let asked = message.get(HEADER..question.len())?;
    // Servers keep the case of a name, and a guesser does not know the id.
    if message[..2] != question[..2] || !asked.eq_ignore_ascii_case(&question[HEADER..]) {
        return None;
    }
    // A truncated message may end in the middle of a record.
    let header = Header::parse(message)?;
    if !header.response {
        return None;
    }
    if header.truncated {
        return Some(Answer::Truncated);
    }
    let packet = Packet::parse(message).ok()?;
    Some(match packet.rcode() {
        RCODE::NoError => {
            // Aliases come with what they lead to; their records are passed over.
            let address = |record: &ResourceRecord<'_>| match &record.rdata {
                RData::A(a) => Some(Ipv4Addr::from(a.address).into()),
                RData::AAAA(aaaa) => Some(Ipv6Addr::from(aaaa.address).into()),
                _ => None,
            };
            Answer::Addresses(packet.answers.iter().filter_map(address).collect())
        }
        RCODE::NameError => Answer::NoName,
        _ => Answer::Failed,
    })
}

/// The flags that are looked at before the rest.
struct Header {
    response: bool,
    truncated: bool,
}

impl Header {
    fn parse(message: &[u8]) -> Option<Self> {
        let has = |flag| simple_dns::header_buffer::has_flags(message, flag).ok();
        Some(Self { response: has(PacketFlag::RESPONSE)?, truncated: has(PacketFlag::TRUNCATION)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn respond(question: &[u8], flags: [u8; 2], records: &[&[u8]]) -> Vec<u8> {
        let mut message = question.to_vec();
        message[2..4].copy_from_slice(&flags);
        message[7] = u8::try_from(records.len()).unwrap();
        message.extend(records.concat());
        message
    }

    const ALIAS: &[u8] = &[0xc0, 12, 0, 5, 0, 1, 0, 0, 0, 9, 0, 4, 1, b'x', 0xc0, 12];
    const FOUR: &[u8] = &[0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 9, 0, 4, 10, 0, 0, 7];

    #[test]
    fn addresses_behind_an_alias() {
        let question = question(7, "Reg.example.", Kind::A).unwrap();
        let message = respond(&question, [0x81, 0x80], &[ALIAS, FOUR]);
        let expected = Answer::Addresses(vec!["10.0.0.7".parse().unwrap()]);
        assert_eq!(answer(&question, &message), Some(expected));
        assert_eq!(answer(&question, &respond(&question, [0x81, 0x83], &[])), Some(Answer::NoName));
        assert_eq!(answer(&question, &respond(&question, [0x81, 0x82], &[])), Some(Answer::Failed));
        assert_eq!(answer(&question, &respond(&question, [0x83, 0x80], &[])), Some(Answer::Truncated));
    }

    #[test]
    fn answers_to_somebody_else_are_none() {
        let ours = question(7, "reg.example", Kind::A).unwrap();
        for other in [
            question(8, "reg.example", Kind::A),
            question(7, "evil.example", Kind::A),
            question(7, "reg.example", Kind::Aaaa),
        ] {
            assert_eq!(answer(&ours, &respond(&other.unwrap(), [0x81, 0x80], &[FOUR])), None);
        }
        assert_eq!(answer(&ours, &ours), None, "an echo");
        assert!(question(1, "a..b", Kind::A).is_none() && question(1, &"a".repeat(64), Kind::A).is_none());
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_end(tail in proptest::collection::vec(proptest::num::u8::ANY, 0..200), cut in 0usize..60) {
            let question = question(7, "reg.example", Kind::A).unwrap();
            let mut message = respond(&question, [0x81, 0x80], &[ALIAS, FOUR]);
            message[7] = 200;
            message.extend(tail);
            let _ = answer(&question, &message);
            message.truncate(cut);
            let _ = answer(&question, &message);
        }
    }
}
