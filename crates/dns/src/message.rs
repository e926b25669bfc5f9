//! DNS messages (RFC 1035, section 4), as much of them as a server needs that knows addresses: the question of a query, answers with
//! addresses or a name, and whether a message answers a question. What is forwarded goes as it came, so nothing else is read.
//!
//! Pure: bytes in, bytes out; no input makes it panic, recurse or allocate more than the message's size.

use std::net::IpAddr;

const HEADER: usize = 12;
/// RFC 1035, section 3.1.
const LONGEST_NAME: usize = 255;
/// What a resolver without EDNS takes over UDP (RFC 1035, section 4.2.1).
const PLAIN: u16 = 512;
/// What we send over UDP at most, whatever the resolver says: nothing on the way cuts it, the socket is in the container.
const LARGEST_DATAGRAM: u16 = 4096;
/// Seconds that an address may be remembered: none, since a container may be somewhere else in a moment.
const TTL: u32 = 0;
const IN: u16 = 1;
const ANY_CLASS: u16 = 255;
const A: u16 = 1;
const PTR: u16 = 12;
const AAAA: u16 = 28;
const OPT: u16 = 41;
const ANY: u16 = 255;
const NOERROR: u8 = 0;
const FORMERR: u8 = 1;
const SERVFAIL: u8 = 2;
const NXDOMAIN: u8 = 3;
const NOTIMP: u8 = 4;
const REFUSED: u8 = 5;

/// What is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asked {
    /// About a name, in small letters and without the last dot.
    Name(String),
    /// Who has an address: `2.0.20.10.in-addr.arpa`.
    Address(IpAddr),
    /// What no container can be called, or of another class.
    Other,
}

/// A query, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    /// What is asked.
    pub asked: Asked,
    kind: u16,
    /// Where the question ends.
    end: usize,
    /// How much the resolver takes, if it says so (EDNS, RFC 6891).
    payload: Option<u16>,
}

/// Why a message is no query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// Not one that anybody expects an answer to: it is dropped.
    Silent,
    /// One with this answer.
    Reply(Vec<u8>),
}

/// What is said to a query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// Addresses; of which those are sent that are asked for. None at all: the name is there, without any.
    Addresses(Vec<IpAddr>),
    /// The name of who has the address.
    Pointer(String),
    /// We have no means to say.
    Failure,
    /// There is no such name for who asks. (To say REFUSED is to be asked again: musl's resolver waits five seconds for a better answer.)
    NoSuchName,
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes([*bytes.get(at)?, *bytes.get(at + 1)?]))
}

/// The bytes of a message's answer that has a header only.
fn bare(query: &[u8], code: u8) -> Vec<u8> {
    let mut reply = vec![0; HEADER];
    reply[..2].copy_from_slice(&query[..2]);
    reply[2] = 0x80 | query[2] & 0x79;
    reply[3] = 0x80 | code;
    reply
}

/// Reads a query.
///
/// # Errors
/// What it is instead.
pub fn read_query(message: &[u8]) -> Result<Query, Refusal> {
    // A response would be answered by its sender in turn.
    if message.len() < HEADER || message[2] & 0x80 != 0 {
        return Err(Refusal::Silent);
    }
    if message[2] & 0x78 != 0 {
        return Err(Refusal::Reply(bare(message, NOTIMP)));
    }
    question(message).ok_or_else(|| Refusal::Reply(bare(message, FORMERR)))
}

fn question(message: &[u8]) -> Option<Query> {
    if u16_at(message, 4)? != 1 || u16_at(message, 6)? != 0 {
        return None;
    }
    let (labels, after) = labels(message, HEADER)?;
    let (kind, class) = (u16_at(message, after)?, u16_at(message, after + 2)?);
    let end = after + 4;
    let payload = payload(message, end);
    let asked = match class {
        IN | ANY_CLASS => asked(&labels, kind),
        _ => Asked::Other,
    };
    Some(Query { asked, kind, end, payload })
}

/// The labels of a name that is written out, and where it ends.
fn labels(message: &[u8], start: usize) -> Option<(Vec<&[u8]>, usize)> {
    let (mut labels, mut at) = (Vec::new(), start);
    loop {
        let length = usize::from(*message.get(at)?);
        at += 1;
        match length {
            0 => return Some((labels, at)),
            // A pointer: in a question there is nothing before it to point to.
            64.. => return None,
            _ => labels.push(message.get(at..at + length)?),
        }
        at += length;
        if at - start >= LONGEST_NAME {
            return None;
        }
    }
}

fn asked(labels: &[&[u8]], kind: u16) -> Asked {
    // A dot within a label is not one between two.
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    if labels.is_empty() || !labels.iter().all(|label| label.iter().all(is_plain)) {
        return Asked::Other;
    }
    let text: Vec<String> =
        labels.iter().map(|label| String::from_utf8_lossy(label).to_ascii_lowercase()).collect();
    match reversed(&text) {
        Some(address) if matches!(kind, PTR | ANY) => Asked::Address(address),
        _ => Asked::Name(text.join(".")),
    }
}

/// The address whose name under in-addr.arpa (RFC 1035, section 3.5) or ip6.arpa (RFC 3596, section 2.5) it is.
fn reversed(labels: &[String]) -> Option<IpAddr> {
    let [parts @ .., zone, arpa] = labels else { return None };
    if arpa != "arpa" {
        return None;
    }
    match (zone.as_str(), parts) {
        ("in-addr", [d, c, b, a]) => format!("{a}.{b}.{c}.{d}").parse().ok().map(IpAddr::V4),
        ("ip6", nibbles) if nibbles.len() == 32 => {
            let mut value = 0u128;
            for nibble in nibbles.iter().rev() {
                let digit =
                    if nibble.len() == 1 { u128::from_str_radix(nibble, 16).ok()? } else { return None };
                value = value << 4 | digit;
            }
            Some(IpAddr::V6(value.into()))
        }
        _ => None,
    }
}

/// The size that an OPT record among what follows the question gives (RFC 6891, section 6.1.2). Only one in its usual place is seen.
fn payload(message: &[u8], end: usize) -> Option<u16> {
    let opt = message.get(end..)?;
    let is_one = u16_at(message, 8)? == 0 && u16_at(message, 10)? > 0;
    (is_one && *opt.first()? == 0 && u16_at(opt, 1)? == OPT).then(|| u16_at(opt, 3)).flatten()
}

/// The answer to a query, which `query` was read from.
pub fn answer(message: &[u8], query: &Query, reply: &Reply, over_tcp: bool) -> Vec<u8> {
    let code = match reply {
        Reply::Addresses(_) | Reply::Pointer(_) => NOERROR,
        Reply::Failure => SERVFAIL,
        Reply::NoSuchName => NXDOMAIN,
    };
    let mut out = bare(message, code);
    // Names of containers are ours to give.
    out[2] |= if code == NOERROR { 0x04 } else { 0 };
    out[5] = 1;
    out.extend_from_slice(&message[HEADER..query.end]);
    let limit = match over_tcp {
        true => u16::MAX,
        false => query.payload.unwrap_or(PLAIN).clamp(PLAIN, LARGEST_DATAGRAM),
    };
    let reserved = if query.payload.is_some() { 11 } else { 0 };
    let mut count = 0u16;
    let mut add = |out: &mut Vec<u8>, kind: u16, data: &[u8]| {
        if out.len() + HEADER + data.len() + reserved > limit.into() {
            // Truncated: the resolver asks again over TCP.
            out[2] |= 0x02;
            return;
        }
        // The name: as in the question.
        out.extend_from_slice(&[0xc0, 0x0c]);
        out.extend_from_slice(&kind.to_be_bytes());
        out.extend_from_slice(&IN.to_be_bytes());
        out.extend_from_slice(&TTL.to_be_bytes());
        out.extend_from_slice(&u16::try_from(data.len()).unwrap_or_default().to_be_bytes());
        out.extend_from_slice(data);
        count += 1;
    };
    match reply {
        Reply::Addresses(addresses) => {
            for address in addresses {
                match address {
                    IpAddr::V4(v4) if matches!(query.kind, A | ANY) => add(&mut out, A, &v4.octets()),
                    IpAddr::V6(v6) if matches!(query.kind, AAAA | ANY) => add(&mut out, AAAA, &v6.octets()),
                    _ => {}
                }
            }
        }
        Reply::Pointer(name) => add(&mut out, PTR, &encoded(name)),
        Reply::Failure | Reply::NoSuchName => {}
    }
    out[6..8].copy_from_slice(&count.to_be_bytes());
    if query.payload.is_some() {
        out[11] = 1;
        let [high, low] = LARGEST_DATAGRAM.to_be_bytes();
        out.extend_from_slice(&[0, 0, 41, high, low, 0, 0, 0, 0, 0, 0]);
    }
    out
}

/// A name in labels; what does not fit in one is left out.
fn encoded(name: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(name.len() + 2);
    for label in name.split('.').filter(|label| !label.is_empty() && label.len() < 64) {
        if out.len() + label.len() + 2 > LONGEST_NAME {
            break;
        }
        out.push(u8::try_from(label.len()).unwrap_or_default());
        out.extend_from_slice(label.as_bytes());
    }
    out.push(0);
    out
}

/// Whether a message is the answer to what was sent: the same number, the same question (letters may change their size), or an error
/// with a header only, as servers send that could not read the question.
pub fn is_answer_to(sent: &[u8], message: &[u8]) -> bool {
    let (Some(head), Some(sent_head)) = (message.get(..HEADER), sent.get(..HEADER)) else { return false };
    if head[..2] != sent_head[..2] || head[2] & 0x80 == 0 {
        return false;
    }
    if message.len() == HEADER {
        return head[3] & 0x0f != NOERROR && head[4..6] == [0, 0];
    }
    let Some((_, after)) = labels(sent, HEADER) else { return false };
    let end = after + 4;
    match (sent.get(HEADER..end), message.get(HEADER..end)) {
        (Some(asked), Some(answered)) => {
            let (names, rest) = (after - HEADER, after - HEADER..);
            head[4..6] == [0, 1]
                && asked[..names].eq_ignore_ascii_case(&answered[..names])
                && asked[rest.clone()] == answered[rest]
        }
        _ => false,
    }
}

/// Whether another server may know better: SERVFAIL, NOTIMP, REFUSED.
pub(crate) fn is_useless(answer: &[u8]) -> bool {
    answer.get(3).is_some_and(|byte| matches!(byte & 0x0f, SERVFAIL | NOTIMP | REFUSED))
}

#[cfg(test)]
mod tests;
