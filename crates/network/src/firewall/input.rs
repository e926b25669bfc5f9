//! `ask_input`: who connects to a published port has to be let in by the host's own `input` chains, too.
//!
//! nftables asks those for what is delivered to the host, and a published port is translated before that is decided. So the first
//! packet of a connection is not translated: it is delivered like one for a server of the host's, and all `input` chains are asked, with
//! the device and the port that the client used. A chain of ours is the last of them. What it sees was let in by all others: it
//! remembers the connection's addresses and ports for a moment and has the packet come in once more, by the same device; then it is
//! translated, and from there on all is as without. Packets of connections that are there are not concerned.
//!
//! To come in once more: a copy (nftables' `dup`) goes out by [`DEVICE`], where a BPF program of a few instructions turns it round to
//! the device that it came in by. That is a broadcast to the kernel, as nobody knows that device's MAC address here, until [`guard`]
//! says that it is not. The original is dropped, and with it its entry in the connection tracking, which was never confirmed.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::AsFd;

use conex_netlink::nft::{Base, Batch, Chain, Element, Family, Field, Hook, Rule, Set, Table, Value};
use conex_netlink::{Change, Kind, NewLink, Peer, Place as LinkPlace, Route};
use conex_sys::bpf::Instruction;

use super::INET;
use super::elements::Place;
use super::rules::{IN, IPV4, IPV6, NEW, PORT, PORT_AT_4, PORT_AT_6, set};
use crate::driver::wait_until_running;
use crate::{Error, Result};

/// What is sent by it comes in by the device that it came in by before.
pub(super) const DEVICE: &str = "conex-again";
/// The other end of the cable, by which nothing ever comes.
const OTHER_END: &str = "conex-again1";

const IP: Table<'_> = Table { family: Family::Ip, name: "conex" };
const IP6: Table<'_> = Table { family: Family::Ip6, name: "conex" };
/// `dup` is for tables of one family, the maps of ports are in that of both.
pub(super) const TABLES: [Table<'_>; 2] = [IP, IP6];

/// Between two chains that are asked one after the other, the mark says which packets are meant. Nobody else ever sees it.
const MARK: u32 = 0x636f_6e78;
/// Behind everybody's, before the connection is confirmed (NF_IP_PRI_CONNTRACK_CONFIRM is the largest number).
const LAST: i32 = i32::MAX - 1;

/// A connection is let in for as long, in milliseconds: its second coming takes some ten microseconds. Of more than the set holds
/// within that the rest is refused.
const MOMENT: u64 = 2000;

const CONNECTION_4: [Field; 5] =
    [Field::Source4, Field::SourcePort, Field::Destination4, Field::Transport, Field::DestinationPort];
const CONNECTION_6: [Field; 5] =
    [Field::Source6, Field::SourcePort, Field::Destination6, Field::Transport, Field::DestinationPort];

/// A family, its number, what tells connections apart, where those that were let in are, and the maps of published ports.
type Of = (&'static [u8], &'static [Field], &'static str, [(&'static [Field], &'static str); 2]);
const FAMILIES: [Of; 2] = [
    (IPV4, &CONNECTION_4, "let_in4", [(&PORT_AT_4, "bound4"), (&PORT, "ports4")]),
    (IPV6, &CONNECTION_6, "let_in6", [(&PORT_AT_6, "bound6"), (&PORT, "ports6")]),
];

/// That it is so, for both families.
pub(super) fn elements() -> Vec<(Place, Element)> {
    let one = |family: &[u8]| (Place { table: INET, set: "ask_input" }, Element::new(&[family]));
    vec![one(IPV4), one(IPV6)]
}

/// The sets, and the chain that is the last of `input`, in the table of both families; they do nothing until [`elements`] are there.
pub(super) fn write(batch: &mut Batch) {
    set(batch, INET, "ask_input", &[Field::Protocol]);
    for (_, key, name, _) in FAMILIES {
        batch.add_set(INET, &Set { name, key, value: Value::Remembered(MOMENT) });
    }
    batch.add_chain(INET, &Chain { name: "input", base: Some(Base::filter(Hook::Input, LAST - 1)) });
    for (family, connection, let_in, maps) in FAMILIES {
        for (key, map) in maps {
            let rule = Rule::new().comment("let in to published ports").has(Field::ConnectionState, NEW);
            // What the host asks of itself is translated on its way out, or not at all.
            let rule =
                rule.is(Field::Protocol, family).is_not(IN, b"lo").is_in(&[Field::Protocol], "ask_input");
            let rule = rule.is_not_in(connection, let_in).is_mapped(key, map);
            batch.add_rule(INET, "input", rule.remember(connection, let_in).counter().mark(MARK));
        }
    }
}

/// Before anything else: it came as a broadcast, for want of the device's MAC address.
pub(super) fn guard(batch: &mut Batch) {
    for (family, connection, let_in, _) in FAMILIES {
        let rule = Rule::new().is(Field::FrameKind, &Field::FOR_ALL).is(Field::Protocol, family);
        batch.add_rule(INET, "guard", rule.is_in(connection, let_in).for_this_host());
    }
}

/// Before it is translated: it is not yet.
pub(super) fn prerouting(batch: &mut Batch) {
    for (family, connection, let_in, _) in FAMILIES {
        let rule = Rule::new().comment("to be let in first").is(Field::Protocol, family);
        let rule = rule.is_in(&[Field::Protocol], "ask_input").is_not_in(connection, let_in);
        batch.add_rule(INET, "prerouting", rule.accept());
    }
}

/// The tables of one family each, which are not there: what is marked comes in once more by the device with that number.
pub(super) fn write_tables(batch: &mut Batch, device: u32) {
    // Nobody is there to have an address: the device asks for none.
    let link_local = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);
    let neighbours = [IpAddr::V4(Ipv4Addr::new(169, 254, 0, 1)), IpAddr::V6(link_local)];
    for (table, neighbour) in TABLES.into_iter().zip(neighbours) {
        batch.add_table(table);
        batch.add_chain(table, &Chain { name: "input", base: Some(Base::filter(Hook::Input, LAST)) });
        let rule = Rule::new().comment("comes in once more").is(Field::Mark, &MARK.to_ne_bytes());
        batch.add_rule(table, "input", rule.counter().mark(0).copy_to(neighbour, device).drop());
    }
}

/// The device's number, if it is there and whole: it is set up last of all.
pub(super) fn device() -> Result<Option<u32>> {
    let kernel = Error::kernel("host");
    let mut route = Route::open().map_err(&kernel)?;
    let link = route.link(DEVICE).map_err(&kernel)?;
    Ok(link.filter(|link| link.is_running).map(|link| link.index))
}

/// Makes the device, in place of what there is of it; its number.
pub(super) fn raise() -> Result<u32> {
    let kernel = Error::kernel("host");
    let mut route = Route::open().map_err(&kernel)?;
    route.delete_named(DEVICE).map_err(&kernel)?;
    let peer = Peer { name: OTHER_END, mac: None, place: LinkPlace::Here };
    let link = NewLink {
        mtu: Some(65535),
        alias: Some("connections that the host's input chains let in come in by it once more"),
        ..NewLink::new(DEVICE, Kind::Veth(peer))
    };
    let device = route.add_link(&link).map_err(&kernel)?;
    if let Some(other) = route.link(OTHER_END).map_err(&kernel)? {
        // There is a carrier only with both ends up.
        let up = Change { up: Some(true), bare: true, ..Change::default() };
        route.change_link(other.index, &up).map_err(&kernel)?;
    }
    let program = conex_sys::bpf::load_classifier(&program(), b"conex_again")
        .map_err(|errno| Error::Program { source: errno.into() })?;
    route.ask_on_egress(device, program.as_fd(), DEVICE).map_err(&kernel)?;
    route.set_up_without_arp(device).map_err(&kernel)?;
    wait_until_running(&mut route, DEVICE).map_err(&kernel)?;
    Ok(device)
}

/// Removes the device.
pub(super) fn lower() -> Result<()> {
    Route::open().and_then(|mut route| route.delete_named(DEVICE)).map_err(Error::kernel("host"))
}

/// ```text
/// memset(skb's destination MAC address, 0xff, 6);
/// return bpf_redirect(skb->ingress_ifindex, BPF_F_INGRESS);
/// ```
fn program() -> [Instruction; 14] {
    const BPF_FUNC_SKB_STORE_BYTES: i32 = 9;
    const BPF_FUNC_REDIRECT: i32 = 23;
    const BPF_F_INGRESS: i32 = 1;
    /// In `struct __sk_buff` (`<linux/bpf.h>`): the device that the packet came in by. A copy has it, too.
    const INGRESS_IFINDEX: i16 = 36;
    let set = |register, value| Instruction::new(0xb7, register, 0, 0, value);
    let copy = |to, from| Instruction::new(0xbf, to, from, 0, 0);
    let call = |function| Instruction::new(0x85, 0, 0, 0, function);
    [
        copy(6, 1),
        set(1, -1),
        // Eight bytes of it to the stack.
        Instruction::new(0x7b, 10, 1, -8, 0),
        copy(1, 6),
        set(2, 0),
        copy(3, 10),
        Instruction::new(0x07, 3, 0, 0, -8),
        set(4, 6),
        set(5, 0),
        call(BPF_FUNC_SKB_STORE_BYTES),
        Instruction::new(0x61, 1, 6, INGRESS_IFINDEX, 0),
        set(2, BPF_F_INGRESS),
        call(BPF_FUNC_REDIRECT),
        Instruction::new(0x95, 0, 0, 0, 0),
    ]
}
