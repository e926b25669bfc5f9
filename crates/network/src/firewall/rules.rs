//! The rules. They never change while networks and containers come and go.

use conex_netlink::nft::{Base, Batch, Chain, Family, Field, Hook, Rule, Set, Table, Value, Verdict};

use super::{BRIDGE, INET, input};

/// The connection is new.
pub(super) const NEW: u32 = 8;
/// The connection's destination was translated.
const TRANSLATED: u32 = 0x20;
pub(super) const IPV4: &[u8] = &[2];
pub(super) const IPV6: &[u8] = &[10];
const TYPE_ARP: &[u8] = &[0x08, 0x06];
const TYPE_IPV4: &[u8] = &[0x08, 0x00];
const TYPE_IPV6: &[u8] = &[0x86, 0xdd];
const UDP: &[u8] = &[17];
const ICMPV6: &[u8] = &[58];
const NEIGHBOUR_SOLICITATION: &[u8] = &[135];
const NEIGHBOUR_ADVERTISEMENT: &[u8] = &[136];

pub(super) const IN: Field = Field::InputName;
const OUT: Field = Field::OutputName;
pub(super) const PORT: [Field; 2] = [Field::Transport, Field::DestinationPort];
pub(super) const PORT_AT_4: [Field; 3] = [Field::Destination4, Field::Transport, Field::DestinationPort];
pub(super) const PORT_AT_6: [Field; 3] = [Field::Destination6, Field::Transport, Field::DestinationPort];
const TUNNEL: [Field; 2] = [Field::DestinationPort, Field::VxlanNetwork];
const TARGET_4: [Field; 2] = [Field::Destination4, Field::DestinationPort];
const TARGET_6: [Field; 2] = [Field::Destination6, Field::DestinationPort];

/// Both tables, which are not there. What is about encrypted tunnels is left out without one, as not every kernel can ask for it.
pub(super) fn write(batch: &mut Batch, is_encrypted: bool) {
    inet(batch);
    bridge(batch);
    if is_encrypted {
        encrypted(batch);
    }
}

/// That what belongs to an encrypted tunnel neither comes nor goes as it is. The kernel's policies say so already; who flushes these
/// (`ip xfrm policy flush`, a key daemon that starts) opens nothing.
fn encrypted(batch: &mut Batch) {
    set(batch, INET, "encrypted", &[Field::DestinationPort]);
    batch.add_chain(INET, &Chain { name: "leave", base: Some(Base::filter(Hook::Output, 0)) });
    let of_a_tunnel = |comment: &str| {
        Rule::new().comment(comment).is(Field::Transport, UDP).is_in(&[Field::DestinationPort], "encrypted")
    };
    // What came encrypted passes here once more when it is not any longer.
    let comes = of_a_tunnel("a tunnel's, not encrypted").is(Field::DestinationKind, &Field::LOCAL);
    batch.add_rule(INET, "guard", comes.is(Field::CameByIpsec, &[0]).counter().drop());
    let goes = of_a_tunnel("a tunnel's, about to leave as it is");
    batch.add_rule(INET, "leave", goes.is(Field::GoesByIpsec, &[0]).counter().drop());
}

pub(super) fn set(batch: &mut Batch, table: Table<'_>, name: &str, key: &[Field]) {
    batch.add_set(table, &Set { name, key, value: Value::None });
}

fn map(batch: &mut Batch, name: &str, key: &[Field], value: &[Field]) {
    batch.add_set(INET, &Set { name, key, value: Value::Fields(value) });
}

fn inet(batch: &mut Batch) {
    batch.add_table(INET);
    for name in ["bridges", "internal", "masqueraded"] {
        set(batch, INET, name, &[IN]);
    }
    set(batch, INET, "refused4", &[Field::Destination4]);
    set(batch, INET, "refused6", &[Field::Destination6]);
    // Each bridge with itself.
    set(batch, INET, "within", &[IN, OUT]);
    // Tunnels, and who may send by them.
    set(batch, INET, "tunnels", &TUNNEL);
    set(batch, INET, "peers4", &[Field::DestinationPort, Field::VxlanNetwork, Field::Source4]);
    set(batch, INET, "peers6", &[Field::DestinationPort, Field::VxlanNetwork, Field::Source6]);
    // Each container with itself.
    set(batch, INET, "selves4", &[Field::Source4, Field::Destination4]);
    set(batch, INET, "selves6", &[Field::Source6, Field::Destination6]);
    map(batch, "ports4", &PORT, &TARGET_4);
    map(batch, "ports6", &PORT, &TARGET_6);
    map(batch, "bound4", &PORT_AT_4, &TARGET_4);
    map(batch, "bound6", &PORT_AT_6, &TARGET_6);
    for (name, base) in [
        ("publish", None),
        ("guard", Some(Base::filter(Hook::Prerouting, -300))),
        ("prerouting", Some(Base::nat(Hook::Prerouting, -100))),
        ("output", Some(Base::nat(Hook::Output, -100))),
        ("forward", Some(Base::filter(Hook::Forward, 0))),
        ("postrouting", Some(Base::nat(Hook::Postrouting, 100))),
    ] {
        batch.add_chain(INET, &Chain { name, base });
    }
    input::write(batch);
    input::guard(batch);
    input::prerouting(batch);
    let mut rule = |chain: &str, rule: Rule| batch.add_rule(INET, chain, rule);

    // Loopback is reached over bridges (route_localnet) by published ports only, never by containers (CVE-2020-8558).
    let own = Rule::new().comment("loopback is not for containers").is(Field::Protocol, IPV4);
    let own = own.is_within(Field::Destination4, &[127, 0, 0, 0], 8);
    rule("guard", own.is_in(&[IN], "bridges").counter().drop());

    // Before it is decided whether it is the host's: some have a server of their own for it.
    let metadata = || Rule::new().comment("metadata is not for containers").is_in(&[IN], "bridges");
    rule(
        "guard",
        metadata().is(Field::Protocol, IPV4).is_in(&[Field::Destination4], "refused4").counter().drop(),
    );
    rule(
        "guard",
        metadata().is(Field::Protocol, IPV6).is_in(&[Field::Destination6], "refused6").counter().drop(),
    );
    // VXLAN itself asks nobody who he is.
    for (family, source, peers) in [(IPV4, Field::Source4, "peers4"), (IPV6, Field::Source6, "peers6")] {
        let stranger = Rule::new().comment("a tunnel's, of no peer").is(Field::Protocol, family);
        let stranger = stranger.is(Field::Transport, UDP).is(Field::DestinationKind, &Field::LOCAL);
        let [port, number] = TUNNEL;
        rule(
            "guard",
            stranger.is_in(&TUNNEL, "tunnels").is_not_in(&[port, number, source], peers).counter().drop(),
        );
    }

    // Published ports, for who comes from outside, from a container, and from this host.
    let local = || Rule::new().is(Field::DestinationKind, &Field::LOCAL);
    rule("prerouting", local().verdict(&Verdict::Jump("publish".to_owned())));
    rule("output", local().verdict(&Verdict::Jump("publish".to_owned())));
    let v4 = || Rule::new().comment("published ports").is(Field::Protocol, IPV4);
    let v6 = || Rule::new().comment("published ports").is(Field::Protocol, IPV6);
    rule("publish", v4().translate_to(&PORT_AT_4, "bound4", Family::Ip));
    rule("publish", v4().translate_to(&PORT, "ports4", Family::Ip));
    // What is translated from ::1 never finds back (the kernel drops ::1 from another device): refused at once is better, since
    // whoever asked for localhost goes on to 127.0.0.1.
    let loopback = Rule::new().is(Field::Protocol, IPV6);
    let loopback = loopback.is(Field::Destination6, &std::net::Ipv6Addr::LOCALHOST.octets());
    rule("publish", loopback.verdict(&Verdict::Return));
    rule("publish", v6().translate_to(&PORT_AT_6, "bound6", Family::Ip6));
    rule("publish", v6().translate_to(&PORT, "ports6", Family::Ip6));

    // Who is on one network reaches each other (this is asked where bridged packets are filtered as routed ones).
    rule("forward", Rule::new().is_in(&[IN, OUT], "within").accept());
    let internal = || Rule::new().comment("an internal network");
    rule("forward", internal().is_in(&[IN], "internal").counter().drop());
    rule("forward", internal().is_in(&[OUT], "internal").counter().drop());
    // What is published is so for other networks, too.
    rule("forward", Rule::new().has(Field::ConnectionStatus, TRANSLATED).accept());
    let between = Rule::new().comment("between networks").is_in(&[IN], "bridges").is_in(&[OUT], "bridges");
    rule("forward", between.counter().drop());
    // Only published ports are reached from outside, also by who has a route to containers' addresses.
    let outside = Rule::new().comment("not published").is_in(&[OUT], "bridges");
    rule("forward", outside.has(Field::ConnectionState, NEW).counter().drop());

    // A container that reaches a published port of its own network, or its own, has to be answered through here. What is bridged is
    // asked here without the device that it came in by, hence the second and third.
    let hairpin = Rule::new().is_in(&[IN, OUT], "within").has(Field::ConnectionStatus, TRANSLATED);
    rule("postrouting", hairpin.masquerade());
    let self4 = Rule::new().is(Field::Protocol, IPV4);
    rule("postrouting", self4.is_in(&[Field::Source4, Field::Destination4], "selves4").masquerade());
    let self6 = Rule::new().is(Field::Protocol, IPV6);
    rule("postrouting", self6.is_in(&[Field::Source6, Field::Destination6], "selves6").masquerade());
    let loopback4 = Rule::new().is(Field::Protocol, IPV4).is_within(Field::Source4, &[127, 0, 0, 0], 8);
    rule("postrouting", loopback4.is_in(&[OUT], "bridges").masquerade());
    rule("postrouting", Rule::new().is_in(&[IN], "masqueraded").is_not_in(&[OUT], "bridges").masquerade());
}

/// What comes out of a container has its MAC and its addresses.
fn bridge(batch: &mut Batch) {
    batch.add_table(BRIDGE);
    set(batch, BRIDGE, "ports", &[IN]);
    set(batch, BRIDGE, "macs", &[IN, Field::EtherSource]);
    set(batch, BRIDGE, "addresses4", &[IN, Field::Source4]);
    set(batch, BRIDGE, "addresses6", &[IN, Field::Source6]);
    set(batch, BRIDGE, "senders4", &[IN, Field::EtherSource, Field::Source4]);
    set(batch, BRIDGE, "senders6", &[IN, Field::EtherSource, Field::Source6]);
    batch.add_chain(BRIDGE, &Chain { name: "prerouting", base: Some(Base::filter(Hook::Prerouting, -300)) });
    batch.add_chain(BRIDGE, &Chain { name: "postrouting", base: Some(Base::filter(Hook::Postrouting, 0)) });
    // Nearly all there is: one question for it. Neighbour advertisements are looked at further.
    let mut rule = |rule: Rule| batch.add_rule(BRIDGE, "prerouting", rule);
    let v4 = Rule::new().is(Field::EtherType, TYPE_IPV4);
    rule(v4.is_in(&[IN, Field::EtherSource, Field::Source4], "senders4").accept());
    let v6 = Rule::new().is(Field::EtherType, TYPE_IPV6).is_not(Field::Transport, ICMPV6);
    rule(v6.is_in(&[IN, Field::EtherSource, Field::Source6], "senders6").accept());
    gateways(batch);
    let mut rule = |rule: Rule| batch.add_rule(BRIDGE, "prerouting", rule);
    rule(Rule::new().is_not_in(&[IN], "ports").accept());
    let spoofed = |what: &str| Rule::new().comment(what);
    rule(spoofed("another's MAC").is_not_in(&[IN, Field::EtherSource], "macs").counter().drop());
    let arp = || spoofed("another's address by ARP").is(Field::EtherType, TYPE_ARP);
    rule(arp().is_not_in(&[IN, Field::ArpSourceMac], "macs").counter().drop());
    // Who asks whether an address is free has none yet (RFC 5227).
    rule(
        arp()
            .is_not(Field::ArpSource4, &[0; 4])
            .is_not_in(&[IN, Field::ArpSource4], "addresses4")
            .counter()
            .drop(),
    );
    let v4 = spoofed("another's address").is(Field::EtherType, TYPE_IPV4);
    rule(v4.is_not_in(&[IN, Field::Source4], "addresses4").counter().drop());
    let v6 = || Rule::new().is(Field::EtherType, TYPE_IPV6);
    let advertised = v6().comment("another's address by NDP").is(Field::Transport, ICMPV6);
    let advertised = advertised.is(Field::IcmpType, NEIGHBOUR_ADVERTISEMENT);
    rule(advertised.is_not_in(&[IN, Field::NeighbourTarget6], "addresses6").counter().drop());
    let source = v6().comment("another's address").is_not(Field::Source6, &[0; 16]);
    rule(source.is_not_in(&[IN, Field::Source6], "addresses6").counter().drop());
}

/// Every host of an overlay has the same gateway for its own containers. What is of it, or asks for it, crosses no tunnel.
fn gateways(batch: &mut Batch) {
    set(batch, BRIDGE, "tunnels", &[IN]);
    set(batch, BRIDGE, "gateway_macs", &[IN, Field::EtherSource]);
    set(batch, BRIDGE, "gateways4", &[IN, Field::ArpTarget4]);
    set(batch, BRIDGE, "gateways6", &[IN, Field::NeighbourTarget6]);
    for (chain, device) in [("prerouting", IN), ("postrouting", OUT)] {
        if device == OUT {
            batch.add_rule(BRIDGE, chain, Rule::new().is_not_in(&[OUT], "tunnels").accept());
        }
        let mut rule = |rule: Rule| batch.add_rule(BRIDGE, chain, rule.counter().drop());
        let gateway = || Rule::new().comment("a gateway's, by a tunnel");
        rule(gateway().is_in(&[device, Field::EtherSource], "gateway_macs"));
        for field in [Field::ArpSource4, Field::ArpTarget4] {
            rule(gateway().is(Field::EtherType, TYPE_ARP).is_in(&[device, field], "gateways4"));
        }
        for kind in [NEIGHBOUR_SOLICITATION, NEIGHBOUR_ADVERTISEMENT] {
            let neighbour = gateway().is(Field::EtherType, TYPE_IPV6).is(Field::Transport, ICMPV6);
            let neighbour = neighbour.is(Field::IcmpType, kind);
            rule(neighbour.is_in(&[device, Field::NeighbourTarget6], "gateways6"));
        }
    }
}
