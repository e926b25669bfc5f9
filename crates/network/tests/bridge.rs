//! Who reaches whom: real packets between containers, the host, and the world outside.

mod host;

use std::net::IpAddr;

use conex_network::{Bridge, Driver, NewNetwork, Wire};
use host::{Host, ask, sh};

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn says(answer: Option<String>, word: &str) -> bool {
    answer.is_some_and(|text| text.starts_with(word))
}

#[test]
fn networks_reach_themselves_and_the_world_but_not_each_other() {
    let Some(mut host) = Host::new() else { return };
    let asked = NewNetwork { v6: true, ..NewNetwork::default() };
    let (one, two) = (host.network("one", &asked), host.network("two", &asked));
    let (a, b, c) =
        (host.container("a", &one, &[]), host.container("b", &one, &[]), host.container("c", &two, &[]));
    host.world.serve("192.0.2.2:80".parse().unwrap(), "world");
    host.world.serve("[2001:db8::2]:80".parse().unwrap(), "world");
    for (from, to) in [(&a, &b), (&b, &a)] {
        assert!(from.space.ask(to.v4(), 80).is_some() && from.space.ask(to.v6(), 80).is_some());
    }
    for (from, to) in [(&a, &c), (&c, &a)] {
        assert_eq!((from.space.ask(to.v4(), 80), from.space.ask(to.v6(), 80)), (None, None));
    }
    // The world sees the host's address, and cannot come in, even by a route.
    assert_eq!(a.space.ask(ip("192.0.2.2"), 80).as_deref(), Some("world 192.0.2.1"));
    assert_eq!(a.space.ask(ip("2001:db8::2"), 80).as_deref(), Some("world 2001:db8::1"));
    host.world.sh("ip route add 10.88.0.0/14 via 192.0.2.1 && ip route add fd00::/8 via 2001:db8::1");
    assert_eq!((host.world.ask(a.v4(), 80), host.world.ask(a.v6(), 80)), (None, None));
    // The host itself reaches all.
    assert!(says(ask(a.v4(), 80), "a") && says(ask(c.v6(), 80), "c"));
}

#[test]
fn internal_and_isolated_networks() {
    let Some(mut host) = Host::new() else { return };
    let inner = host.network("inner", &NewNetwork { internal: true, ..NewNetwork::default() });
    let driver = Driver::Bridge(Bridge { isolate: true, ..Bridge::default() });
    let apart = host.network("apart", &NewNetwork { driver, ..NewNetwork::default() });
    host.world.serve("192.0.2.2:80".parse().unwrap(), "world");
    let (a, b) = (host.container("a", &inner, &[]), host.container("b", &inner, &[]));
    let (c, d) = (host.container("c", &apart, &[]), host.container("d", &apart, &[]));
    assert!(says(a.space.ask(b.v4(), 80), "b"));
    assert_eq!(a.space.ask(ip("192.0.2.2"), 80), None);
    // Not even by a route of its own making.
    a.space.sh("ip route add default via 10.89.0.1");
    assert_eq!(a.space.ask(ip("192.0.2.2"), 80), None);
    assert_eq!(c.space.ask(d.v4(), 80), None);
    assert!(says(c.space.ask(ip("192.0.2.2"), 80), "world"));
}

#[test]
fn published_ports_are_reached_from_everywhere() {
    let Some(mut host) = Host::new() else { return };
    let asked = NewNetwork { v6: true, ..NewNetwork::default() };
    let (one, two) = (host.network("one", &asked), host.network("two", &asked));
    let web =
        host.container("web", &one, &["8080:80", "192.0.2.1:8081:80", "127.0.0.1:8082:80", "9000-9002:80"]);
    let (near, far) = (host.container("near", &one, &[]), host.container("far", &two, &[]));
    assert_eq!(web.endpoint.ports.len(), 2 + 1 + 1 + 2, "{:?}", web.endpoint.ports);
    // The world's own address is kept.
    assert_eq!(host.world.ask(ip("192.0.2.1"), 8080).as_deref(), Some("web 192.0.2.2"));
    assert_eq!(host.world.ask(ip("2001:db8::1"), 8080).as_deref(), Some("web 2001:db8::2"));
    assert!(says(host.world.ask(ip("192.0.2.1"), 8081), "web"));
    assert_eq!(host.world.ask(ip("192.0.2.1"), 8082), None);
    assert!(says(host.world.ask(ip("192.0.2.1"), 9000), "web"));
    // The host.
    for address in ["127.0.0.1", "192.0.2.1", "10.89.0.1", "2001:db8::1"] {
        assert!(says(ask(ip(address), 8080), "web"), "{address}");
    }
    assert!(says(ask(ip("127.0.0.1"), 8082), "web"));
    assert_eq!(ask(ip("127.0.0.1"), 8081), None);
    // Containers: on the same network, the very one, on another network.
    for space in [&near.space, &web.space, &far.space] {
        assert!(says(space.ask(ip("192.0.2.1"), 8080), "web"));
        assert!(says(space.ask(ip("2001:db8::1"), 8080), "web"));
    }
    // Gone with the container.
    host.firewall.dismiss(&one, &web.endpoint).unwrap();
    host.firewall.dismiss(&one, &web.endpoint).unwrap();
    assert_eq!(host.world.ask(ip("192.0.2.1"), 8080), None);
}

#[test]
fn ipv6_loopback_refuses_at_once() {
    let Some(mut host) = Host::new() else { return };
    let one = host.network("one", &NewNetwork { v6: true, ..NewNetwork::default() });
    host.container("web", &one, &["8080:80"]);
    // There is no way back to ::1 through the kernel; who asks for localhost then asks 127.0.0.1.
    let began = std::time::Instant::now();
    assert_eq!(ask(ip("::1"), 8080), None);
    assert!(began.elapsed() < std::time::Duration::from_millis(300), "it was not refused");
    assert!(says(ask(ip("127.0.0.1"), 8080), "web"));
}

#[test]
fn loopback_of_the_host_is_not_for_containers() {
    let Some(mut host) = Host::new() else { return };
    let one = host.network("one", &NewNetwork::default());
    let a = host.container("a", &one, &["8080:80"]);
    let listener = std::net::TcpListener::bind("127.0.0.1:7777").unwrap();
    std::thread::spawn(move || listener.accept());
    // CVE-2020-8558: sent to the bridge's MAC address.
    a.space.sh("ip address del 127.0.0.1/8 dev lo && ip route add 127.0.0.1/32 via 10.89.0.1 dev eth0 && echo 1 > /proc/sys/net/ipv4/conf/eth0/route_localnet");
    assert_eq!(a.space.ask(ip("127.0.0.1"), 7777), None);
    assert!(host.firewall.rules().unwrap().iter().any(|rule| {
        rule.comment.as_deref() == Some("loopback is not for containers")
            && rule.counted.is_some_and(|count| count.0 > 0)
    }));
}

#[test]
fn nobody_is_somebody_else() {
    let Some(mut host) = Host::new() else { return };
    let one = host.network("one", &NewNetwork { v6: true, ..NewNetwork::default() });
    let (evil, victim, user) = (
        host.container("evil", &one, &[]),
        host.container("victim", &one, &[]),
        host.container("user", &one, &[]),
    );
    assert!(says(evil.space.ask(victim.v4(), 80), "victim"));
    assert!(says(user.space.ask(victim.v4(), 80), "victim"));
    let stays = |what: &str| {
        assert!(says(user.space.ask(victim.v4(), 80), "victim"), "{what}");
        assert!(says(user.space.ask(victim.v6(), 80), "victim"), "{what}");
    };
    // Another's addresses beside its own.
    evil.space.sh(&format!(
        "ip address add {}/32 dev eth0 && ip -6 address add {}/128 dev eth0 nodad",
        victim.v4(),
        victim.v6()
    ));
    evil.space.serve(std::net::SocketAddr::new(victim.v4(), 81), "evil");
    let claim = format!("busybox arping -c2 -w2 -U -I eth0 -s {} {} || true", victim.v4(), user.v4());
    evil.space.sh(&claim);
    user.space.sh("ip neigh flush all");
    stays("addresses");
    assert_eq!(user.space.ask(victim.v4(), 81), None);
    let source = format!("busybox ping -c1 -W1 -I {} {} || true", victim.v4(), user.v4());
    evil.space.sh(&source);
    // Another's MAC address.
    let mac = victim.endpoint.mac.map(|byte| format!("{byte:02x}")).join(":");
    evil.space.sh(&format!("ip link set eth0 address {mac}"));
    evil.space.sh(&claim);
    assert_eq!(evil.space.ask(user.v4(), 80), None);
    stays("MAC");
    let counted: u64 = host
        .firewall
        .rules()
        .unwrap()
        .iter()
        .filter(|rule| rule.comment.as_deref().is_some_and(|text| text.starts_with("another's")))
        .filter_map(|rule| rule.counted)
        .map(|(packets, _)| packets)
        .sum();
    assert!(counted > 0);
}

#[test]
fn the_hosts_own_firewall_stays_in_charge() {
    let Some(mut host) = Host::new() else { return };
    let one = host.network("one", &NewNetwork::default());
    host.container("web", &one, &["8080:80", "8081:80"]);
    assert!(says(host.world.ask(ip("192.0.2.1"), 8080), "web"));
    // One rule of the host's.
    sh("nft add table inet own && nft add chain inet own forward '{ type filter hook forward priority 0; policy accept; }' &&
        nft add rule inet own forward meta l4proto tcp ct original proto-dst 8080 drop");
    assert_eq!(host.world.ask(ip("192.0.2.1"), 8080), None);
    assert!(says(host.world.ask(ip("192.0.2.1"), 8081), "web"));
    // A policy, as ufw's.
    sh("nft flush ruleset && nft add table inet own &&
        nft add chain inet own forward '{ type filter hook forward priority 0; policy drop; }'");
    let networks = host.networks.list().unwrap();
    let all = host.endpoints.iter().map(|(network, endpoint)| (network, endpoint));
    host.firewall.restore(&networks, all).unwrap();
    assert_eq!(host.world.ask(ip("192.0.2.1"), 8081), None);
    sh(
        "nft add rule inet own forward ct state established,related accept && nft add rule inet own forward ct status dnat accept",
    );
    assert!(says(host.world.ask(ip("192.0.2.1"), 8081), "web"));
    // Ours was written without touching theirs, and goes without.
    host.firewall.remove().unwrap();
    host.firewall.remove().unwrap();
    let left = sh("nft list ruleset");
    assert!(left.contains("table inet own") && !left.contains("conex"), "{left}");
}

#[test]
fn what_was_lost_is_made_again() {
    let Some(mut host) = Host::new() else { return };
    let one = host.network("one", &NewNetwork::default());
    let a = host.container("a", &one, &["8080:80"]);
    sh("nft flush ruleset");
    // The next start notices.
    let b = host.container("b", &one, &[]);
    assert!(says(b.space.ask(a.v4(), 80), "a") && says(host.world.ask(ip("192.0.2.1"), 8080), "a"));
    sh(&format!("ip link del {}", one.device));
    let c = host.container("c", &one, &[]);
    assert!(says(ask(c.v4(), 80), "c"));
    // A start that died half-way has left a device of the same name.
    Wire::disconnect(&one, &c.endpoint, &mut host.route, None).unwrap();
    Wire::disconnect(&one, &c.endpoint, &mut host.route, None).unwrap();
    one.lower(&mut host.route).unwrap();
    one.lower(&mut host.route).unwrap();
    assert!(!sh("ip -o link").contains(&one.device), "{}", sh("ip -o link"));
}
