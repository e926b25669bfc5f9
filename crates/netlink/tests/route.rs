//! Devices, addresses, routes and neighbours, made here and read back by ip(8) and bridge(8); and the other way round.

mod own;

use std::net::IpAddr;
use std::os::fd::AsFd;

use conex_netlink::{
    BridgePort, Change, Kind, LinkDetails, MacvlanMode, Neighbour, NewLink, NewRoute, Peer, Place, Route,
    Vxlan,
};
use own::{Other, json, sh};

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

#[test]
fn a_container_is_wired_to_a_bridge() {
    if !own::enter() {
        return;
    }
    let other = Other::new();
    let mut host = Route::open().unwrap();
    let bridge = host
        .add_link(&NewLink { mac: Some([2, 0x42, 0, 0, 0, 1]), ..NewLink::new("br", Kind::Bridge) })
        .unwrap();
    host.add_address(bridge, ip("10.88.0.1"), 16).unwrap();
    host.add_address(bridge, ip("fd00:88::1"), 64).unwrap();
    host.set_up(bridge).unwrap();
    let peer =
        Peer { name: "eth0", mac: Some([2, 0x42, 10, 88, 0, 2]), place: Place::Namespace(other.as_fd()) };
    let veth = NewLink {
        mtu: Some(1400),
        master: Some(bridge),
        up: true,
        alias: Some("container web"),
        ..NewLink::new("veth1", Kind::Veth(peer))
    };
    let port = host.add_link(&veth).unwrap();
    let options = BridgePort { hairpin: Some(true), isolated: Some(true), ..BridgePort::default() };
    host.set_bridge_port(port, &options).unwrap();

    let mut container = Route::open_in(other.as_fd()).unwrap();
    let eth0 = container.link("eth0").unwrap().expect("the other end is there");
    assert_eq!((eth0.mac, eth0.mtu, eth0.is_up), (Some([2, 0x42, 10, 88, 0, 2]), 1400, false));
    container.add_address(eth0.index, ip("10.88.0.2"), 16).unwrap();
    container.add_address(eth0.index, ip("fd00:88::2"), 64).unwrap();
    container.change_link(eth0.index, &Change { up: Some(true), ..Change::default() }).unwrap();
    let default = |gateway: &str, any: &str| NewRoute {
        destination: (ip(any), 0),
        gateway: Some(ip(gateway)),
        index: eth0.index,
        metric: None,
    };
    container.put_route(&default("10.88.0.1", "0.0.0.0")).unwrap();
    container.put_route(&default("fd00:88::1", "::")).unwrap();

    let links = json("ip -j -d link show veth1");
    let link = &links[0];
    assert_eq!(
        (&link["master"], &link["mtu"], &link["ifalias"]),
        (&"br".into(), &1400.into(), &"container web".into())
    );
    let slave = &link["linkinfo"]["info_slave_data"];
    assert_eq!((&slave["hairpin"], &slave["isolated"]), (&true.into(), &true.into()));
    let addresses = json("ip -j -4 address show br");
    let address = &addresses[0]["addr_info"][0];
    assert_eq!((&address["local"], &address["broadcast"]), (&"10.88.0.1".into(), &"10.88.255.255".into()));
    sh("busybox ping -c1 -W2 10.88.0.2");
    sh("busybox ping -c1 -W2 fd00:88::2");

    let back = container.routes().unwrap();
    assert!(
        back.iter().any(|route| route.destination.is_none() && route.gateway == Some(ip("10.88.0.1"))),
        "{back:?}"
    );
    assert!(
        back.iter().any(|route| route.destination.is_none() && route.gateway == Some(ip("fd00:88::1"))),
        "{back:?}"
    );
    let seen = host.link("veth1").unwrap().unwrap();
    assert_eq!((seen.master, seen.alias.as_deref()), (Some(bridge), Some("container web")));
    assert!(seen.traffic.iter().all(|count| *count > 0), "{:?}", seen.traffic);
    assert_eq!(seen.details, LinkDetails::Other("veth".to_owned()));

    host.delete_link(port).unwrap();
    assert_eq!(host.link("veth1").unwrap(), None);
    assert_eq!(container.link("eth0").unwrap(), None);
}

#[test]
fn what_the_kernel_refuses_it_explains() {
    if !own::enter() {
        return;
    }
    let mut host = Route::open().unwrap();
    host.add_link(&NewLink::new("one", Kind::Bridge)).unwrap();
    let again = host.add_link(&NewLink::new("one", Kind::Bridge)).unwrap_err();
    assert!(again.is_there(), "{again}");
    assert!(again.to_string().starts_with("cannot create the bridge device one: File exists"), "{again}");
    let gone = host.change_link(4711, &Change { up: Some(true), ..Change::default() }).unwrap_err();
    assert!(gone.is_gone(), "{gone}");
    let one = host.link("one").unwrap().unwrap().index;
    let route =
        NewRoute { destination: (ip("0.0.0.0"), 0), gateway: Some(ip("10.9.9.9")), index: one, metric: None };
    let unreachable = host.put_route(&route).unwrap_err();
    // Its words come by extended acknowledgement.
    assert!(
        unreachable.to_string().contains("(Nexthop has invalid gateway")
            || unreachable.to_string().contains("(Device for nexthop is not up"),
        "{unreachable}"
    );
    assert_eq!(host.link("none").unwrap(), None);
    let before = host.links().unwrap();
    for kind in ["bridge", "veth", "macvlan", "vxlan"] {
        assert!(host.has_kind(kind).unwrap(), "{kind}");
    }
    assert!(!host.has_kind("nonesuch").unwrap());
    assert_eq!(host.links().unwrap().len(), before.len());
    let long = host.add_link(&NewLink::new("sixteen-letters!", Kind::Bridge)).unwrap_err();
    assert!(long.errno().is_some(), "{long}");
}

#[test]
fn many_devices_are_listed_and_moved() {
    if !own::enter() {
        return;
    }
    let other = Other::new();
    let mut host = Route::open().unwrap();
    for number in 0..200 {
        host.create_link(&NewLink::new(&format!("b{number}"), Kind::Bridge)).unwrap();
    }
    let links = host.links().unwrap();
    assert_eq!(links.iter().filter(|link| link.details.kind() == "bridge").count(), 200);
    assert_eq!(json("ip -j link").as_array().unwrap().len(), links.len());
    let peer = Peer { name: "v1", mac: None, place: Place::Here };
    let v0 = host.add_link(&NewLink::new("v0", Kind::Veth(peer))).unwrap();
    let change =
        Change { name: Some("moved"), place: Some(Place::Namespace(other.as_fd())), ..Change::default() };
    host.change_link(v0, &change).unwrap();
    assert!(Route::open_in(other.as_fd()).unwrap().link("moved").unwrap().is_some());
}

#[test]
fn tunnels_and_their_neighbours() {
    if !own::enter() {
        return;
    }
    let mut host = Route::open().unwrap();
    let bridge = host.add_link(&NewLink::new("br", Kind::Bridge)).unwrap();
    let vxlan = Vxlan { vni: 7, local: Some(ip("192.0.2.1")), port: 4789, learning: false };
    let tunnel = host
        .add_link(&NewLink { master: Some(bridge), up: true, ..NewLink::new("vx", Kind::Vxlan(vxlan)) })
        .unwrap();
    assert_eq!(host.link("vx").unwrap().unwrap().details, LinkDetails::Vxlan(vxlan));
    let data = &json("ip -j -d link show vx")[0]["linkinfo"]["info_data"];
    assert_eq!((&data["id"], &data["port"], &data["local"]), (&7.into(), &4789.into(), &"192.0.2.1".into()));
    assert_eq!(data["learning"], false);
    let known = [
        Neighbour::Tunnel { index: tunnel, mac: [0; 6], host: ip("192.0.2.2") },
        Neighbour::Tunnel { index: tunnel, mac: [0; 6], host: ip("192.0.2.3") },
        Neighbour::Tunnel { index: tunnel, mac: [2, 0, 0, 0, 0, 9], host: ip("192.0.2.3") },
        Neighbour::Port { index: tunnel, mac: [2, 0, 0, 0, 0, 8] },
    ];
    for neighbour in &known {
        host.add_neighbour(neighbour).unwrap();
    }
    let address = Neighbour::Address { index: bridge, address: ip("10.0.0.9"), mac: [2, 0, 0, 0, 0, 9] };
    host.set_up(bridge).unwrap();
    host.add_neighbour(&address).unwrap();
    assert!(sh("ip neigh show dev br").contains("10.0.0.9 lladdr 02:00:00:00:00:09 PERMANENT"));
    let listed = sh("bridge fdb show dev vx");
    for line in [
        "00:00:00:00:00:00 dst 192.0.2.2",
        "00:00:00:00:00:00 dst 192.0.2.3",
        "02:00:00:00:00:09 dst 192.0.2.3",
        "02:00:00:00:00:08 master br",
    ] {
        assert!(listed.contains(line), "{line}: {listed}");
    }
    let back = host.forwarding().unwrap();
    for neighbour in &known {
        assert!(back.contains(neighbour), "{neighbour:?}: {back:?}");
    }
    host.delete_neighbour(&known[1]).unwrap();
    assert!(!host.forwarding().unwrap().contains(&known[1]));
}

#[test]
fn a_device_on_a_device() {
    if !own::enter() {
        return;
    }
    let mut host = Route::open().unwrap();
    let peer = Peer { name: "wire", mac: None, place: Place::Here };
    let parent = host.add_link(&NewLink { up: true, ..NewLink::new("eth9", Kind::Veth(peer)) }).unwrap();
    for (name, mode, word) in [
        ("m1", MacvlanMode::Bridge, "bridge"),
        ("m2", MacvlanMode::Private, "private"),
        ("m3", MacvlanMode::Vepa, "vepa"),
    ] {
        host.add_link(&NewLink::new(name, Kind::Macvlan { parent, mode })).unwrap();
        let link = &json(&format!("ip -j -d link show {name}"))[0];
        assert_eq!((&link["link"], &link["linkinfo"]["info_data"]["mode"]), (&"eth9".into(), &word.into()));
        assert_eq!(host.link(name).unwrap().unwrap().parent, Some(parent));
    }
    // In another namespace, on the parent that is here.
    let other = Other::new();
    let place = Place::Namespace(other.as_fd());
    let kind = Kind::Macvlan { parent, mode: MacvlanMode::Bridge };
    host.create_link(&NewLink { place, ..NewLink::new("eth0", kind) }).unwrap();
    let made = Route::open_in(other.as_fd()).unwrap().link("eth0").unwrap().unwrap();
    assert_eq!((made.details, made.parent), (LinkDetails::Macvlan(MacvlanMode::Bridge as u32), Some(parent)));
}
