//! Tables, sets and rules, listed by nft(8), and what they do to real packets.

mod own;

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::time::Duration;

use conex_netlink::nft::{
    Base, Batch, Chain, Element, Family, Field, Hook, Nft, Rule, Set, Table, Value, Verdict,
};
use conex_netlink::{Kind, NewLink, NewRoute, Peer, Place, Route};
use own::{Other, sh};

const TABLE: Table<'_> = Table { family: Family::Inet, name: "conex" };
const PORTS: [Field; 2] = [Field::Transport, Field::DestinationPort];
const TARGET: [Field; 2] = [Field::Destination4, Field::DestinationPort];

fn tcp(port: u16, to: Ipv4Addr, there: u16) -> Element {
    Element::mapped(&[&[6], &port.to_be_bytes()], &[&to.octets(), &there.to_be_bytes()])
}

/// A table that sends connections on by a map.
fn publish() -> Batch {
    let mut batch = Batch::new();
    batch.add_table(TABLE);
    batch.add_set(TABLE, &Set { name: "ports", key: &PORTS, value: Value::Fields(&TARGET) });
    batch.add_set(TABLE, &Set { name: "bridges", key: &[Field::InputName], value: Value::None });
    for (name, base) in [
        ("prerouting", Base::nat(Hook::Prerouting, -100)),
        ("output", Base::nat(Hook::Output, -100)),
        ("postrouting", Base::nat(Hook::Postrouting, 100)),
        ("forward", Base::filter(Hook::Forward, 0)),
    ] {
        batch.add_chain(TABLE, &Chain { name, base: Some(base) });
    }
    for chain in ["prerouting", "output"] {
        let rule = Rule::new()
            .comment("published ports")
            .is(Field::DestinationKind, &Field::LOCAL)
            .is(Field::Protocol, &[2])
            .translate_to(&PORTS, "ports", Family::Ip);
        batch.add_rule(TABLE, chain, rule);
    }
    let own =
        Rule::new().is(Field::Protocol, &[2]).is_within(Field::Source4, &[127, 0, 0, 0], 8).masquerade();
    batch.add_rule(TABLE, "postrouting", own);
    let between = Rule::new()
        .comment("between networks")
        .is_in(&[Field::InputName], "bridges")
        .is_in(&[Field::OutputName], "bridges")
        .has(Field::ConnectionState, 8)
        .counter()
        .drop();
    batch.add_rule(TABLE, "forward", between);
    batch
}

#[test]
fn nft_reads_what_is_written() {
    if !own::enter() {
        return;
    }
    let mut nft = Nft::open().unwrap();
    let mut batch = publish();
    let to = Ipv4Addr::new(10, 88, 0, 2);
    batch.add_elements(TABLE, "ports", &[tcp(8080, to, 80), tcp(8081, to, 81)]);
    batch.add_elements(TABLE, "bridges", &[Element::new(&[&own::name("conex0")])]);
    nft.run(&batch).unwrap();
    let listed = sh("nft list table inet conex");
    for line in [
        "type inet_proto . inet_service : ipv4_addr . inet_service",
        "tcp . 8080 : 10.88.0.2 . 80",
        "elements = { \"conex0\" }",
        "type nat hook prerouting priority dstnat; policy accept;",
        "type nat hook output priority -100; policy accept;",
        "type nat hook postrouting priority srcnat; policy accept;",
        "fib daddr type local meta nfproto ipv4 dnat ip to meta l4proto . th dport map @ports comment \"published ports\"",
        "ip saddr 127.0.0.0/8 masquerade",
        "iifname @bridges oifname @bridges ct state new counter packets 0 bytes 0 drop comment \"between networks\"",
    ] {
        assert!(listed.contains(line), "{line}:\n{listed}");
    }
    // What is there already is there; what is wrong undoes all of its batch.
    nft.run(&{
        let mut batch = Batch::new();
        batch.add_table(TABLE);
        batch.add_elements(TABLE, "ports", &[tcp(8080, to, 80)]);
        batch
    })
    .unwrap();
    let mut batch = Batch::new();
    batch.create_elements(TABLE, "ports", &[tcp(9000, to, 80)]);
    batch.create_elements(TABLE, "ports", &[tcp(8080, to, 80)]);
    batch.add_elements(TABLE, "ports", &[tcp(9001, to, 80)]);
    let error = nft.run(&batch).unwrap_err();
    assert!(error.is_there() && error.to_string().contains("set conex ports"), "{error}");
    let mut keys: Vec<_> =
        nft.elements(TABLE, "ports").unwrap().iter().map(|one| one.key().to_vec()).collect();
    keys.sort();
    let key = |port: u16| [&[6, 0, 0, 0][..], &port.to_be_bytes(), &[0, 0]].concat();
    assert_eq!(keys, [key(8080), key(8081)]);
    let value = nft.elements(TABLE, "ports").unwrap()[0].value().unwrap().to_vec();
    assert_eq!(&value[..4], &[10, 88, 0, 2]);

    let mut batch = Batch::new();
    batch.delete_elements(TABLE, "ports", &[tcp(8080, to, 80)]);
    nft.run(&batch).unwrap();
    assert_eq!(nft.elements(TABLE, "ports").unwrap().len(), 1);
    assert!(nft.has_table(TABLE).unwrap());
    assert!(nft.tables().unwrap().iter().any(|table| table.name == "conex" && table.family == 1));
    let mut batch = Batch::new();
    batch.delete_table(TABLE);
    nft.run(&batch).unwrap();
    assert!(!nft.has_table(TABLE).unwrap());
    assert_eq!(nft.elements(TABLE, "ports").unwrap(), []);
    assert_eq!(nft.rules(TABLE).unwrap(), []);
    let gone = nft.run(&batch).unwrap_err();
    assert!(gone.is_gone() && gone.to_string().starts_with("cannot remove the table conex:"), "{gone}");
}

#[test]
fn thousands_of_elements_in_one_batch() {
    if !own::enter() {
        return;
    }
    let mut nft = Nft::open().unwrap();
    let mut batch = publish();
    let to = Ipv4Addr::new(10, 88, 0, 2);
    let all: Vec<_> = (1..=5000).map(|port| tcp(port, to, port)).collect();
    batch.add_elements(TABLE, "ports", &all);
    nft.run(&batch).unwrap();
    assert_eq!(nft.elements(TABLE, "ports").unwrap().len(), 5000);
}

#[test]
fn every_kind_of_rule_is_taken() {
    if !own::enter() {
        return;
    }
    let mut nft = Nft::open().unwrap();
    let bridge = Table { family: Family::Bridge, name: "conex" };
    let mut batch = Batch::new();
    batch.add_table(bridge);
    let key = [Field::InputName, Field::EtherSource];
    batch.add_set(bridge, &Set { name: "senders", key: &key, value: Value::None });
    batch.add_chain(bridge, &Chain { name: "prerouting", base: Some(Base::filter(Hook::Prerouting, -300)) });
    batch.add_chain(bridge, &Chain { name: "spoofed", base: None });
    batch.add_rule(
        bridge,
        "prerouting",
        Rule::new().is_not_in(&key, "senders").verdict(&Verdict::Jump("spoofed".into())),
    );
    let arp = Rule::new()
        .is(Field::EtherType, &[0x08, 0x06])
        .is_not(Field::ArpSource4, &[10, 0, 0, 2])
        .counter()
        .drop();
    batch.add_rule(bridge, "spoofed", arp);
    batch.add_table(TABLE);
    batch.add_set(TABLE, &Set { name: "judged", key: &[Field::InputName], value: Value::Verdict });
    batch.add_chain(TABLE, &Chain { name: "forward", base: Some(Base::filter(Hook::Forward, 0)) });
    batch.add_chain(TABLE, &Chain { name: "one", base: None });
    batch.add_elements(
        TABLE,
        "judged",
        &[Element::judged(&[&own::name("br1")], Verdict::Jump("one".into()))],
    );
    batch.add_rule(TABLE, "forward", Rule::new().verdict_of(&[Field::InputName], "judged"));
    batch.add_rule(
        TABLE,
        "one",
        Rule::new().is(Field::Protocol, &[10]).is_within(Field::Destination6, &[0xfd; 16], 8).accept(),
    );
    batch.add_rule(
        TABLE,
        "one",
        Rule::new()
            .has(Field::ConnectionStatus, 0x20)
            .is(Field::OriginalPort, &80_u16.to_be_bytes())
            .reject(),
    );
    nft.run(&batch).unwrap();
    let listed = sh("nft list ruleset");
    for line in [
        "iifname . ether saddr != @senders jump spoofed",
        "arp saddr ip != 10.0.0.2 counter packets 0 bytes 0 drop",
        "elements = { \"br1\" : jump one }",
        "iifname vmap @judged",
        "ip6 daddr fd00::/8 accept",
        "ct status dnat ct original proto-dst 0x50 [invalid type] reject with icmpx admin-prohibited",
    ] {
        assert!(listed.contains(line), "{line}:\n{listed}");
    }
}

/// A server that says a word to each who connects.
fn greet(listener: TcpListener) {
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let _ = stream.write_all(b"hello");
        }
    });
}

fn ask(address: (&str, u16)) -> std::io::Result<String> {
    let address = std::net::ToSocketAddrs::to_socket_addrs(&address)?.next().unwrap();
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_millis(1500))?;
    stream.set_read_timeout(Some(Duration::from_secs(2)))?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    Ok(text)
}

#[test]
fn a_published_port_answers_from_the_host_and_over_loopback() {
    if !own::enter() {
        return;
    }
    let other = Other::new();
    let mut host = Route::open().unwrap();
    let bridge = host.add_link(&NewLink { up: true, ..NewLink::new("br", Kind::Bridge) }).unwrap();
    host.add_address(bridge, [10, 88, 0, 1].into(), 24).unwrap();
    let peer = Peer { name: "eth0", mac: None, place: Place::Namespace(other.as_fd()) };
    let veth = NewLink { master: Some(bridge), up: true, ..NewLink::new("v0", Kind::Veth(peer)) };
    host.add_link(&veth).unwrap();
    let mut container = Route::open_in(other.as_fd()).unwrap();
    let eth0 = container.link("eth0").unwrap().unwrap().index;
    container.add_address(eth0, [10, 88, 0, 2].into(), 24).unwrap();
    container.set_up(eth0).unwrap();
    let default = NewRoute {
        destination: ([0, 0, 0, 0].into(), 0),
        gateway: Some([10, 88, 0, 1].into()),
        index: eth0,
        metric: None,
    };
    container.put_route(&default).unwrap();
    // In the other namespace.
    let listener = std::thread::spawn({
        let namespace = std::os::fd::AsFd::as_fd(&other).try_clone_to_owned().unwrap();
        move || {
            conex_sys::namespace::join(namespace.as_fd(), conex_sys::namespace::NETWORK).unwrap();
            TcpListener::bind("10.88.0.2:80").unwrap()
        }
    });
    greet(listener.join().unwrap());

    let mut batch = publish();
    batch.add_elements(TABLE, "ports", &[tcp(8080, Ipv4Addr::new(10, 88, 0, 2), 80)]);
    Nft::open().unwrap().run(&batch).unwrap();
    sh("echo 1 > /proc/sys/net/ipv4/conf/br/route_localnet");
    assert_eq!(ask(("10.88.0.1", 8080)).unwrap(), "hello");
    assert_eq!(ask(("127.0.0.1", 8080)).unwrap(), "hello");
    assert!(ask(("127.0.0.1", 8081)).is_err());
}

#[test]
fn what_rules_remember_copy_and_change() {
    if !own::enter() {
        return;
    }
    let mut nft = Nft::open().unwrap();
    let mut batch = Batch::new();
    batch.add_table(TABLE);
    let connection = [Field::Source4, Field::SourcePort];
    batch.add_set(TABLE, &Set { name: "seen", key: &connection, value: Value::Remembered(2000) });
    batch.add_chain(TABLE, &Chain { name: "prerouting", base: Some(Base::filter(Hook::Prerouting, 0)) });
    batch.add_chain(TABLE, &Chain { name: "output", base: Some(Base::filter(Hook::Output, 0)) });
    let remembered =
        Rule::new().is(Field::Protocol, &[2]).is(Field::Transport, &[6]).remember(&connection, "seen");
    batch.add_rule(TABLE, "prerouting", remembered.mark(7));
    let frame = Rule::new().is(Field::FrameKind, &Field::FOR_ALL).for_this_host();
    batch.add_rule(TABLE, "prerouting", frame);
    let changed = Rule::new().is(Field::Transport, &[17]).is(Field::DestinationPort, &[0, 53]);
    batch.add_rule(TABLE, "output", changed.change_port(17, Field::DestinationPort, 5353));
    let ip = Table { family: Family::Ip, name: "conex" };
    batch.add_table(ip);
    batch.add_chain(ip, &Chain { name: "input", base: Some(Base::filter(Hook::Input, i32::MAX - 1)) });
    batch.add_rule(ip, "input", Rule::new().copy_to(Ipv4Addr::new(169, 254, 0, 1).into(), 1).drop());
    nft.run(&batch).unwrap();
    let listed = sh("nft list ruleset");
    for line in [
        "flags dynamic,timeout",
        "timeout 2s",
        "update @seen { ip saddr . tcp sport }",
        "meta mark set 0x00000007",
        "meta pkttype broadcast meta pkttype set host",
        "udp dport 53 udp dport set 5353",
        "dup to 169.254.0.1 device \"lo\" drop",
    ] {
        assert!(listed.contains(line), "{line}\n{listed}");
    }
}
