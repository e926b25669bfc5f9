use std::net::{Ipv4Addr, Ipv6Addr};

use proptest::prelude::*;
use simple_dns::rdata::RData;
use simple_dns::{CLASS, Name, Packet, PacketFlag, QCLASS, QTYPE, RCODE, TYPE};

use super::*;

fn query(name: &str, kind: TYPE, payload: Option<u16>) -> Vec<u8> {
    let mut packet = Packet::new_query(0x1234);
    packet.set_flags(PacketFlag::RECURSION_DESIRED);
    let name = Name::new_unchecked(name);
    packet.questions.push(simple_dns::Question::new(
        name,
        QTYPE::TYPE(kind),
        QCLASS::CLASS(CLASS::IN),
        false,
    ));
    if let Some(udp_packet_size) = payload {
        *packet.opt_mut() =
            Some(simple_dns::rdata::OPT { opt_codes: Vec::new(), udp_packet_size, version: 0 });
    }
    packet.build_bytes_vec().unwrap()
}

fn addresses(packet: &Packet<'_>) -> Vec<IpAddr> {
    let of = |record: &simple_dns::ResourceRecord<'_>| match &record.rdata {
        RData::A(a) => IpAddr::V4(a.address.into()),
        RData::AAAA(a) => IpAddr::V6(a.address.into()),
        other => panic!("{other:?}"),
    };
    packet.answers.iter().map(of).collect()
}

#[test]
fn what_is_asked_in_any_letters() {
    let ask = |name: &str, kind| read_query(&query(name, kind, None)).unwrap().asked;
    assert_eq!(ask("Web.DB", TYPE::A), Asked::Name("web.db".into()));
    assert_eq!(ask("2.0.20.10.in-addr.arpa", TYPE::PTR), Asked::Address([10, 20, 0, 2].into()));
    assert_eq!(ask("2.0.20.10.in-addr.arpa", TYPE::A), Asked::Name("2.0.20.10.in-addr.arpa".into()));
    let v6: Ipv6Addr = "fd00::12ab".parse().unwrap();
    let nibbles: Vec<String> = u128::from(v6)
        .to_be_bytes()
        .iter()
        .rev()
        .flat_map(|b| [b & 15, b >> 4])
        .map(|n| format!("{n:X}"))
        .collect();
    assert_eq!(ask(&format!("{}.IP6.arpa", nibbles.join(".")), TYPE::PTR), Asked::Address(v6.into()));
    // A dot within a label.
    let mut odd = query("a-b", TYPE::A, None);
    odd[14] = b'.';
    assert_eq!(read_query(&odd).unwrap().asked, Asked::Other);
}

#[test]
fn what_is_no_query() {
    let mut response = query("a", TYPE::A, None);
    response[2] |= 0x80;
    assert_eq!(read_query(&response), Err(Refusal::Silent));
    assert_eq!(read_query(&[0; 11]), Err(Refusal::Silent));
    for (at, value, code) in
        [(2, 0x28, RCODE::NotImplemented), (5, 2, RCODE::FormatError), (12, 0xc0, RCODE::FormatError)]
    {
        let mut message = query("a", TYPE::A, None);
        message[at] = value;
        let Err(Refusal::Reply(reply)) = read_query(&message) else { panic!("{at}") };
        assert_eq!(Packet::parse(&reply).unwrap().rcode(), code);
    }
}

#[test]
fn answers_as_another_reads_them() {
    let both = Reply::Addresses(vec![[10, 0, 0, 1].into(), "fd00::1".parse().unwrap(), [10, 0, 0, 2].into()]);
    for (kind, expected) in [(TYPE::A, 2), (TYPE::AAAA, 1), (TYPE::MX, 0)] {
        let message = query("web", kind, Some(1232));
        let bytes = answer(&message, &read_query(&message).unwrap(), &both, false);
        let packet = Packet::parse(&bytes).unwrap();
        assert_eq!(
            (packet.id(), packet.rcode(), addresses(&packet).len()),
            (0x1234, RCODE::NoError, expected)
        );
        assert!(
            packet.opt().is_some() && packet.has_flags(PacketFlag::RESPONSE | PacketFlag::RECURSION_DESIRED)
        );
        assert!(is_answer_to(&message, &bytes));
    }
    let message = query("1.0.0.10.in-addr.arpa", TYPE::PTR, None);
    let bytes = answer(&message, &read_query(&message).unwrap(), &Reply::Pointer("web.db".into()), false);
    let packet = Packet::parse(&bytes).unwrap();
    assert!(matches!(&packet.answers[0].rdata, RData::PTR(name) if name.to_string() == "web.db"));
    let unknown = answer(&message, &read_query(&message).unwrap(), &Reply::NoSuchName, false);
    assert_eq!(Packet::parse(&unknown).unwrap().rcode(), RCODE::NameError);
}

#[test]
fn many_addresses_are_cut_over_udp_and_whole_over_tcp() {
    let many = Reply::Addresses((0..200).map(|n| Ipv4Addr::new(10, 0, 0, n).into()).collect());
    let message = query("web", TYPE::A, None);
    let parsed = read_query(&message).unwrap();
    let cut = answer(&message, &parsed, &many, false);
    let packet = Packet::parse(&cut).unwrap();
    assert!(
        cut.len() <= 512 && packet.has_flags(PacketFlag::TRUNCATION) && addresses(&packet).len() == 30,
        "{packet:?}"
    );
    let whole = answer(&message, &parsed, &many, true);
    assert_eq!(addresses(&Packet::parse(&whole).unwrap()).len(), 200);
}

#[test]
fn only_the_answer_is_one() {
    let sent = query("Web.example", TYPE::A, None);
    let parsed = read_query(&sent).unwrap();
    let good = answer(&sent, &parsed, &Reply::Addresses(vec![[1, 2, 3, 4].into()]), false);
    assert!(is_answer_to(&sent, &good));
    let mut small = good.clone();
    small[13] = b'w';
    assert!(is_answer_to(&sent, &small), "letters");
    for at in [0, 1, 2, 5, 14, 26, 28] {
        let mut bad = good.clone();
        bad[at] ^= 0x83;
        assert!(!is_answer_to(&sent, &bad), "byte {at}");
    }
    assert!(is_answer_to(&sent, &bare(&sent, FORMERR)) && !is_answer_to(&sent, &bare(&sent, NOERROR)));
}

proptest! {
    #[test]
    fn any_bytes_are_read(bytes in prop::collection::vec(any::<u8>(), 0..600), over_tcp: bool,
                          addresses in prop::collection::vec(any::<IpAddr>(), 0..80)) {
        let mut bytes = bytes;
        // As often as not something like a query.
        if bytes.len() > 12 && bytes[0] & 1 == 0 {
            bytes[2..12].copy_from_slice(&[1, 0, 0, 1, 0, 0, 0, 0, 0, 1]);
        }
        match read_query(&bytes) {
            Ok(query) => {
                for reply in [Reply::Addresses(addresses.clone()), Reply::Pointer("a.b".into()), Reply::Failure] {
                    let out = answer(&bytes, &query, &reply, over_tcp);
                    prop_assert!(is_answer_to(&bytes, &out) && (over_tcp || out.len() <= 4096));
                }
            }
            Err(Refusal::Reply(reply)) => prop_assert_eq!(reply.len(), 12),
            Err(Refusal::Silent) => {}
        }
        let _ = is_answer_to(&bytes, &bytes);
    }

    #[test]
    fn names_are_read_as_another_writes_them(name in "[a-zA-Z0-9_]([a-zA-Z0-9_-]{0,20}[a-zA-Z0-9])?(\\.[a-z0-9]{1,10}){0,5}") {
        let message = query(&name, TYPE::A, None);
        prop_assert_eq!(read_query(&message).unwrap().asked, Asked::Name(name.to_ascii_lowercase()));
    }
}
