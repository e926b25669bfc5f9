//! Two hosts with a network between them, over real VXLAN.

mod host;

use std::net::IpAddr;
use std::path::PathBuf;

use conex_network::{Driver, Error, Network, NetworkName, NewNetwork, Subnet, Wire};
use host::{Container, Host, Machine, ask, sh};

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// 10.77.0.0/24 and fd77::/64 on both, of which each gives out a half.
fn mesh(ranges: [&str; 2], options: &[(&str, &str)]) -> NewNetwork {
    let mut driver: Driver = "overlay".parse().unwrap();
    options.iter().for_each(|(name, value)| driver.set(name, value).unwrap());
    let subnet = |net: &str, range: &str| {
        Subnet::new(net.parse().unwrap(), None, Some(range.parse().unwrap())).unwrap()
    };
    let subnets = vec![subnet("10.77.0.0/24", ranges[0]), subnet("fd77::/64", ranges[1])];
    NewNetwork { driver, subnets, v6: true, ..NewNetwork::default() }
}

const LOW: [&str; 2] = ["10.77.0.0/25", "fd77::/80"];
const HIGH: [&str; 2] = ["10.77.0.128/25", "fd77::1:0:0:0/80"];

struct Two {
    a: Machine,
    b: Machine,
}

impl Two {
    /// 198.51.100.1 and 198.51.100.2, and their worlds.
    fn new() -> Option<Self> {
        let (a, b) = (Machine::new()?, Machine::new()?);
        a.join(&b, "198.51.100.1/24", "198.51.100.2/24");
        for machine in [&a, &b] {
            machine.on(|host| host.world.serve("192.0.2.2:80".parse().unwrap(), "world"));
        }
        Some(Self { a, b })
    }

    fn networks(&self, of_a: &[(&str, &str)], of_b: &[(&str, &str)]) -> (Network, Network) {
        let (one, two) = (mesh(LOW, of_a), mesh(HIGH, of_b));
        (self.a.on(move |host| host.network("mesh", &one)), self.b.on(move |host| host.network("mesh", &two)))
    }
}

fn container(machine: &Machine, name: &'static str, network: &Network) -> Container {
    let network = network.clone();
    machine.on(move |host| host.container(name, &network, &[]))
}

/// Reads the peers anew, as `network reload` does.
fn reload(machine: &Machine, network: &Network) {
    let network = network.clone();
    machine.on(move |host| {
        network.raise(&mut host.route).unwrap();
        let networks = host.networks.list().unwrap();
        let all = host.endpoints.iter().map(|(network, endpoint)| (network, endpoint));
        host.firewall.restore(&networks, all).unwrap();
    });
}

fn counted(machine: &Machine, comment: &'static str) -> u64 {
    machine.on(move |host| {
        let rules = host.firewall.rules().unwrap();
        let of = rules.iter().filter(|rule| rule.comment.as_deref() == Some(comment));
        of.filter_map(|rule| rule.counted).map(|(packets, _)| packets).sum()
    })
}

fn reaches(from: &Container, to: IpAddr, word: &str) -> bool {
    from.space.ask(to, 80).is_some_and(|text| text.starts_with(word))
}

#[test]
fn containers_of_two_hosts_reach_each_other() {
    let Some(two) = Two::new() else { return };
    let (on_a, on_b) = two.networks(&[("peers", "198.51.100.2")], &[("peers", "198.51.100.1")]);
    let (a, b) = (container(&two.a, "a", &on_a), container(&two.b, "b", &on_b));
    let tunnel = |network: &Network| {
        let device = network.tunnel_device();
        two.a.on(move |host| host.route.link(&device).unwrap().unwrap().index)
    };
    let before = tunnel(&on_a);
    let near = container(&two.a, "near", &on_a);
    assert_eq!(tunnel(&on_a), before, "it is not made anew");
    assert_eq!((a.v4(), b.v4()), (ip("10.77.0.2"), ip("10.77.0.128")));
    assert!(reaches(&a, b.v4(), "b") && reaches(&b, a.v4(), "a") && reaches(&near, a.v4(), "a"));
    assert!(reaches(&a, b.v6(), "b") && reaches(&b, a.v6(), "a"));
    // The whole of a frame, and not more, fits into the tunnel.
    assert!(a.space.sh("ip link show eth0").contains("mtu 1450"));
    a.space.sh(&format!("busybox ping -c1 -W2 -s {} {}", 1450 - 28, b.v4()));
    // Each host has the same gateway, and it is that host's: out, and the host itself, both ways.
    for (machine, own, other) in [(&two.a, &a, &b), (&two.b, &b, &a)] {
        assert_eq!(own.space.ask(ip("192.0.2.2"), 80).as_deref(), Some("world 192.0.2.1"));
        assert!(own.space.sh("ip neigh show 10.77.0.1").contains("02:42:0a:4d:00:01"));
        let (address, word) = (own.v4(), own.endpoint.network.to_string());
        assert!(machine.on(move |_| ask(address, 80)).is_some(), "{word}");
        // Not the other's containers: their answer would go to their own gateway.
        let address = other.v4();
        assert_eq!(machine.on(move |_| ask(address, 80)), None);
        assert!(counted(machine, "a gateway's, by a tunnel") > 0);
    }
    // Nothing of it has arrived at the other end: all of it is dropped where it leaves.
    let arrived = two.b.on(|_| sh("nft list chain bridge conex prerouting"));
    let lines = arrived.lines().filter(|line| line.contains("a gateway's, by a tunnel"));
    assert!(lines.clone().count() == 5 && lines.clone().all(|line| line.contains("packets 0")), "{arrived}");
    // Who is on one host cannot be somebody of the other.
    a.space.sh("ip address add 10.77.0.200/32 dev eth0");
    a.space.enter(move || {
        let socket = std::net::UdpSocket::bind("10.77.0.200:0").unwrap();
        socket.send_to(b"x", (b.v4(), 80)).unwrap();
    });
    assert!(counted(&two.a, "another's address") + counted(&two.a, "another's address by ARP") > 0);
}

#[test]
fn peers_of_a_file_come_and_go() {
    let Some(two) = Two::new() else { return };
    let path: PathBuf = two.a.on(|host| host.directory.path().join("peers"));
    let (on_a, on_b) = two.networks(&[("peers-file", path.to_str().unwrap())], &[("peers", "198.51.100.1")]);
    let (a, b) = (container(&two.a, "a", &on_a), container(&two.b, "b", &on_b));
    // There is no file yet; what a stranger sends is dropped.
    assert!(!reaches(&a, b.v4(), "b") && !reaches(&b, a.v4(), "a"));
    let strangers = counted(&two.a, "a tunnel's, of no peer");
    assert!(strangers > 0);
    // One list for all hosts; this one is in it, too.
    std::fs::write(&path, "198.51.100.1\n198.51.100.2 10.77.0.129 # soon\n").unwrap();
    reload(&two.a, &on_a);
    // Who asked before for an address that nobody answered for gives up on that first, after three seconds.
    let soon = |from: &Container, to: IpAddr, word: &str| (0..6).any(|_| reaches(from, to, word));
    assert!(soon(&a, b.v4(), "b") && soon(&b, a.v4(), "a"));
    let table = |network: &Network| {
        let device = network.tunnel_device();
        two.a.on(move |_| sh(&format!("bridge fdb show dev {device}")))
    };
    let known = table(&on_a);
    assert!(known.contains("02:42:0a:4d:00:81 dst 198.51.100.2 self permanent"), "{known}");
    assert!(
        known.contains("00:00:00:00:00:00 dst 198.51.100.2") && !known.contains("198.51.100.1"),
        "{known}"
    );
    assert!(known.contains("02:42:0a:4d:00:80 dst 198.51.100.2 self \n"), "learnt of b: {known}");
    // Whoever starts looks, too, and takes away who is gone; from JSON.
    std::fs::write(&path, r#"{"peers": [{"host": "198.51.100.9"}]}"#).unwrap();
    let strangers = counted(&two.a, "a tunnel's, of no peer");
    let c = container(&two.a, "c", &on_a);
    let known = table(&on_a);
    assert!(known.contains("dst 198.51.100.9") && !known.contains("198.51.100.2 "), "{known}");
    assert!(!reaches(&b, c.v4(), "c") && counted(&two.a, "a tunnel's, of no peer") > strangers);
    let peers = two.a.on(|_| sh("nft list set inet conex peers4"));
    assert!(peers.contains("198.51.100.9") && !peers.contains("198.51.100.2"), "{peers}");
    // A file that is none is a line, and changes nothing.
    std::fs::write(&path, "198.51.100.2\nsomebody\n").unwrap();
    let network = on_a.clone();
    let error = two.a.on(move |host| network.raise(&mut host.route).unwrap_err().to_string());
    assert!(error.ends_with("peers:2: \"somebody\": expected the address of a host"), "{error}");
    assert!(table(&on_a).contains("dst 198.51.100.9"));
}

#[test]
fn a_tunnel_is_mended_and_goes_with_its_network() {
    let Some(two) = Two::new() else { return };
    let (on_a, on_b) = two.networks(
        &[("peers", "198.51.100.2"), ("mtu", "1400"), ("isolate", "true")],
        &[("peers", "198.51.100.1"), ("mtu", "1400")],
    );
    let (a, b) = (container(&two.a, "a", &on_a), container(&two.b, "b", &on_b));
    assert!(a.space.sh("ip link show eth0").contains("mtu 1400"));
    assert!(!reaches(&a, b.v4(), "b"), "isolated from everybody");
    let (tunnel, bridge) = (on_b.tunnel_device(), on_b.device.clone());
    let c = container(&two.b, "c", &on_b);
    assert!(reaches(&c, b.v4(), "b"));
    for loss in [
        format!("ip link del {tunnel}"),
        format!("ip link set {tunnel} down"),
        format!("ip link set {tunnel} nomaster"),
        format!("bridge fdb del 00:00:00:00:00:00 dev {tunnel} dst 198.51.100.1"),
        // Somebody's idea of it.
        format!("ip link del {tunnel} && ip link add {tunnel} type vxlan id 5 dstport 4790"),
    ] {
        let script = loss.clone();
        two.b.on(move |_| sh(&script));
        reload(&two.b, &on_b);
        let (tunnel, bridge) = (tunnel.clone(), bridge.clone());
        let shown =
            two.b.on(move |_| sh(&format!("ip -d -o link show {tunnel} && bridge fdb show dev {tunnel}")));
        for part in ["UP", &format!("master {bridge}"), "dstport 4789", "00:00:00:00:00:00 dst 198.51.100.1"]
        {
            assert!(shown.contains(part), "{loss}: {part}: {shown}");
        }
    }
    let network = on_b.clone();
    two.b.on(move |host| {
        for (own, endpoint) in std::mem::take(&mut host.endpoints) {
            host.firewall.dismiss(&own, &endpoint).unwrap();
            Wire::disconnect(&own, &endpoint, &mut host.route, None).unwrap();
        }
        for _ in 0..2 {
            network.lower(&mut host.route).unwrap();
            host.firewall.forget(&network, false).unwrap();
        }
    });
    let left = two.b.on(|_| sh("ip -o link; nft list ruleset"));
    assert!(!left.contains(&tunnel) && !left.contains(&bridge), "{left}");
    assert!(!left.contains("198.51.100") && !left.contains("10.77."), "{left}");
}

/// What the packet filter says of an encrypted network, also where the kernel could not encrypt it.
#[test]
fn nothing_passes_an_encrypted_port_as_it_is() {
    let Some(mut host) = Host::new() else { return };
    let mut network = host.network("mesh", &mesh(LOW, &[("peers", "192.0.2.2")]));
    let received = |host: &mut Host, from: &'static str, to: &'static str, own: bool| {
        let of_world = &host.world;
        let server = std::net::UdpSocket::bind((to, 4789));
        let server =
            if own { server } else { of_world.enter(move || std::net::UdpSocket::bind((to, 4789))) }.unwrap();
        server.set_read_timeout(Some(std::time::Duration::from_millis(300))).unwrap();
        let send = move || std::net::UdpSocket::bind((from, 0)).unwrap().send_to(b"x", (to, 4789)).is_ok();
        let _ = if own { of_world.enter(send) } else { send() };
        server.recv(&mut [0; 8]).is_ok()
    };
    host.firewall.restore(std::slice::from_ref(&network), []).unwrap();
    assert!(received(&mut host, "192.0.2.2", "192.0.2.1", true));
    assert!(!sh("nft list table inet conex").contains("ipsec"), "not every kernel can ask for it");
    network.driver.set("encrypted", "").unwrap();
    network.driver.set("key-file", "/nowhere").unwrap();
    host.firewall.restore(std::slice::from_ref(&network), []).unwrap();
    let listed = sh("nft list table inet conex");
    for part in ["meta ipsec missing", "rt ipsec missing", "elements = { 4789 }"] {
        assert!(listed.contains(part), "{part}: {listed}");
    }
    assert!(!received(&mut host, "192.0.2.2", "192.0.2.1", true));
    assert!(!received(&mut host, "192.0.2.1", "192.0.2.2", false));
    assert!(!received(&mut host, "2001:db8::2", "2001:db8::1", true));
    let rules = host.firewall.rules().unwrap();
    for (comment, packets) in [("a tunnel's, not encrypted", 2), ("a tunnel's, about to leave as it is", 1)] {
        let rule = rules.iter().find(|rule| rule.comment.as_deref() == Some(comment)).unwrap();
        assert_eq!(rule.counted.map(|(packets, _)| packets), Some(packets), "{comment}");
    }
    host.firewall.forget(&network, false).unwrap();
    assert!(received(&mut host, "192.0.2.2", "192.0.2.1", true));
}

#[test]
fn over_ipv6() {
    let Some(two) = Two::new() else { return };
    for (machine, address) in [(&two.a, "2001:db8:1::1"), (&two.b, "2001:db8:1::2")] {
        machine.on(move |_| sh(&format!("ip address add {address}/64 dev lan0 nodad")));
    }
    let (on_a, on_b) = two.networks(&[("peers", "2001:db8:1::2")], &[("peers", "2001:db8:1::1")]);
    let (a, b) = (container(&two.a, "a", &on_a), container(&two.b, "b", &on_b));
    assert!(reaches(&a, b.v4(), "b") && reaches(&b, a.v6(), "a"));
    assert!(a.space.sh("ip link show eth0").contains("mtu 1430"));
    let device = on_a.tunnel_device();
    let index = move |host: &mut Host| host.route.link(&device).unwrap().unwrap().index;
    let before = two.a.on(index.clone());
    reload(&two.a, &on_a);
    assert_eq!(two.a.on(index), before, "it is not made anew");
}

#[test]
fn what_cannot_be_says_so() {
    let Some(mut host) = Host::new() else { return };
    let says = |asked: &NewNetwork, words: &str| {
        let name: NetworkName = "other".parse().unwrap();
        let error = host.networks.create(&name, asked, &[]).unwrap_err().to_string();
        assert!(error.contains(words) && error.lines().count() == 1, "{error}");
    };
    says(&NewNetwork { subnets: vec![], ..mesh(LOW, &[]) }, "needs its --subnet");
    let first = host.network("mesh", &mesh(LOW, &[("vni", "7")]));
    let subnets = vec![Subnet::new("10.78.0.0/24".parse().unwrap(), None, None).unwrap()];
    let same = NewNetwork { v6: false, subnets, ..mesh(LOW, &[("vni", "7")]) };
    says(&same, "network mesh has the tunnel's number 7 at port 4789; give another by -o vni=");
    let mut driver = same.driver.clone();
    driver.set("port", "4790").unwrap();
    driver.set("peers", "198.51.100.2,2001:db8::2").unwrap();
    let mixed = host.network("mixed", &NewNetwork { driver, ..same });
    let error = mixed.raise(&mut host.route).unwrap_err();
    assert!(matches!(error, Error::Families { .. }), "{error}");
    // With nobody else, it is a bridge.
    let (a, b) = (host.container("a", &first, &[]), host.container("b", &first, &[]));
    assert!(reaches(&a, b.v4(), "b"));
}
