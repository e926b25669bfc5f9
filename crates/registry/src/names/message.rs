//! DNS messages (RFC 1035 section 4): one question out, its addresses in. Pure, and never panics on what comes in.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// IPv4 addresses.
    A = 1,
    /// IPv6 addresses (RFC 3596).
    Aaaa = 28,
}

/// What a server says.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answer {
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
const INTERNET: u16 = 1;

/// A recursive question; `None` for what is no name.
pub(super) fn question(id: u16, name: &str, kind: Kind) -> Option<Vec<u8>> {
    let mut message = Vec::with_capacity(HEADER + name.len() + 6);
    message.extend(id.to_be_bytes());
    // Recursion desired; one question.
    message.extend([1, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    let name = name.trim_end_matches('.');
    if name.is_empty() || name.len() > 253 {
        return None;
    }
    for label in name.split('.') {
        if label.is_empty() || label.len() > 63 {
            return None;
        }
        message.push(u8::try_from(label.len()).ok()?);
        message.extend(label.bytes());
    }
    message.push(0);
    message.extend((kind as u16).to_be_bytes());
    message.extend(INTERNET.to_be_bytes());
    Some(message)
}

/// Reads the answer to `question`; `None` for what is none: another id or question, or a malformed message.
pub(super) fn answer(question: &[u8], message: &[u8]) -> Option<Answer> {
    let is_response = message.get(2)? & 0x80 != 0;
    let asked = message.get(HEADER..question.len())?;
    // Servers keep the case of a name, and a guesser does not know the id.
    if message[..2] != question[..2] || !is_response || !asked.eq_ignore_ascii_case(&question[HEADER..]) {
        return None;
    }
    if message[2] & 0x02 != 0 {
        return Some(Answer::Truncated);
    }
    match message[3] & 0x0f {
        0 => {}
        3 => return Some(Answer::NoName),
        _ => return Some(Answer::Failed),
    }
    let mut at = question.len();
    let mut addresses = Vec::new();
    for _ in 0..short(message, 6)? {
        at = skip_name(message, at)?;
        let (kind, class) = (short(message, at)?, short(message, at + 2)?);
        let length = usize::from(short(message, at + 8)?);
        let data = message.get(at + 10..at + 10 + length)?;
        at += 10 + length;
        // Aliases come with what they lead to; their records are passed over.
        match (class, kind) {
            (INTERNET, 1) => addresses.push(Ipv4Addr::from(<[u8; 4]>::try_from(data).ok()?).into()),
            (INTERNET, 28) => addresses.push(Ipv6Addr::from(<[u8; 16]>::try_from(data).ok()?).into()),
            _ => {}
        }
    }
    Some(Answer::Addresses(addresses))
}

fn short(message: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(message.get(at..at + 2)?.try_into().ok()?))
}

/// Past a name: labels up to an empty one or a pointer, which is not followed.
fn skip_name(message: &[u8], mut at: usize) -> Option<usize> {
    loop {
        match *message.get(at)? {
            0 => return Some(at + 1),
            length if length & 0xc0 == 0xc0 => return Some(at + 2),
            length if length & 0xc0 == 0 => at += 1 + usize::from(length),
            _ => return None,
        }
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
