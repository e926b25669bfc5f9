//! What is done with DNS messages of containers and of name servers: a query is read or refused in a header, what is answered can be
//! read and fits where it goes, and no message counts as the answer to another question.

use std::net::IpAddr;

use conex_dns::{Asked, Query, Refusal, Reply, answer, is_answer_to, read_query};

const HEADER: usize = 12;

/// The first byte says what is answered, the next two how long the query is; what follows that is what a server says to it. Gives
/// whether it was a query.
pub(crate) fn dns(bytes: &[u8]) -> bool {
    let Some((&[choice, high, low], rest)) = bytes.split_first_chunk() else { return false };
    let (message, said) = rest.split_at(usize::from(u16::from_be_bytes([high, low])).min(rest.len()));
    if is_answer_to(message, said) {
        assert!(said[..2] == message[..2] && said[2] & 0x80 != 0, "not the answer to this");
        assert!(said.len() == HEADER || said[4..6] == [0, 1], "an answer to no question, or to several");
    }
    let query = match read_query(message) {
        Ok(query) => query,
        Err(Refusal::Silent) => {
            assert!(message.len() < HEADER || message[2] & 0x80 != 0, "a query that is not answered");
            return false;
        }
        Err(Refusal::Reply(reply)) => {
            assert_eq!((reply.len(), &reply[..2], reply[2] & 0x80), (HEADER, &message[..2], 0x80));
            assert!(is_answer_to(message, &reply), "who asked does not see that it is refused");
            return false;
        }
    };
    asked(&query.asked);
    let many = usize::from(choice) * 16;
    let addresses = |number: usize| match number % 2 {
        0 => IpAddr::V4((number as u32).into()),
        _ => IpAddr::V6((number as u128).into()),
    };
    let reply = match choice % 5 {
        0 => Reply::Failure,
        1 => Reply::NoSuchName,
        2 => Reply::Pointer(String::from_utf8_lossy(said).into_owned()),
        _ => Reply::Addresses((0..many).map(addresses).collect()),
    };
    for over_tcp in [false, true] {
        read(message, &query, &answer(message, &query, &reply, over_tcp), over_tcp);
    }
    true
}

/// What is looked up has no byte that has a meaning elsewhere.
fn asked(asked: &Asked) {
    if let Asked::Name(name) = asked {
        assert!((1..=253).contains(&name.len()), "{name}");
        let is_plain = |c: char| matches!(c, 'a'..='z' | '0'..='9' | '-' | '_' | '.');
        assert!(name.chars().all(is_plain) && !name.contains(".."), "{name}");
    }
}

/// Reads an answer from its beginning to its end.
fn read(message: &[u8], query: &Query, reply: &[u8], over_tcp: bool) {
    assert!(is_answer_to(message, reply), "{query:?}");
    assert!(over_tcp || reply.len() <= 4096, "{} bytes over UDP", reply.len());
    let number = |at: usize| usize::from(u16::from_be_bytes([reply[at], reply[at + 1]]));
    let mut at = HEADER;
    while reply[at] != 0 {
        at += usize::from(reply[at]) + 1;
    }
    at += 5;
    assert_eq!(reply[HEADER..at], message[HEADER..at]);
    for _ in 0..number(6) {
        assert_eq!(reply[at..at + 2], [0xc0, 0x0c]);
        at += 12 + number(at + 10);
    }
    assert_eq!(number(8), 0);
    at += number(10) * 11;
    assert_eq!(at, reply.len(), "{query:?}");
}
