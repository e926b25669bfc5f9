//! Containers on the host's own network: who reaches whom, whose addresses are given out, what is left.

mod host;

use std::net::IpAddr;
use std::os::fd::AsFd;
use std::time::Duration;

use conex_netlink::Route;
use conex_network::{Driver, Error, NetworkName, NewNetwork, Subnet, Wire};
use host::{Host, ask, sh};

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn driver(name: &str, options: &[(&str, &str)]) -> Driver {
    let mut driver: Driver = name.parse().unwrap();
    options.iter().for_each(|(name, value)| driver.set(name, value).unwrap());
    driver
}

fn on_eth0(mode: &str) -> NewNetwork {
    let driver = driver("macvlan", &[("parent", "eth0"), ("macvlan_mode", mode)]);
    NewNetwork { driver, ..NewNetwork::default() }
}

fn create(host: &Host, name: &str, asked: &NewNetwork) -> Result<conex_network::Network, Error> {
    host.networks.create(&name.parse::<NetworkName>().unwrap(), asked, &[])
}

/// A host whose gateway is the world, which says who asks.
fn yard() -> Option<Host> {
    let host = Host::new()?;
    sh("ip route add default via 192.0.2.2 && ip -6 route add default via 2001:db8::2");
    host.world.serve("192.0.2.2:80".parse().unwrap(), "world");
    host.world.serve("[2001:db8::2]:80".parse().unwrap(), "world");
    Some(host)
}

#[test]
fn containers_are_hosts_of_the_parents_network() {
    let Some(mut host) = yard() else { return };
    let lan = host.network("lan", &NewNetwork { v6: true, ..on_eth0("bridge") });
    // All of it is the parent's.
    let subnet =
        |net: &str, gateway: &str| Subnet::new(net.parse().unwrap(), Some(ip(gateway)), None).unwrap();
    assert_eq!(lan.subnets, [subnet("192.0.2.0/24", "192.0.2.2"), subnet("2001:db8::/64", "2001:db8::2")]);
    let (a, b) = (host.container("a", &lan, &[]), host.container("b", &lan, &[]));
    // Neither the host's own address, nor the gateway's.
    assert_eq!((a.v4(), b.v4()), (ip("192.0.2.3"), ip("192.0.2.4")));
    let taken = host.networks.lease(&lan, "c", &[ip("192.0.2.1")]).unwrap_err().to_string();
    assert!(taken.contains("192.0.2.1 is in use by this host"), "{taken}");
    for (from, to) in [(&a, &b), (&b, &a)] {
        assert!(from.space.ask(to.v4(), 80).is_some() && from.space.ask(to.v6(), 80).is_some());
    }
    // The world sees who it is, and reaches him.
    assert_eq!(a.space.ask(ip("192.0.2.2"), 80), Some(format!("world {}", a.v4())));
    assert_eq!(b.space.ask(ip("2001:db8::2"), 80), Some(format!("world {}", b.v6())));
    assert!(host.world.ask(a.v4(), 80).is_some_and(|text| text.starts_with("a ")));
    assert!(a.space.sh("ip route").contains("default via 192.0.2.2 dev eth0"));
    // The host does not, and nothing of the packet filter is about it.
    assert_eq!(ask(a.v4(), 80), None);
    assert!(!sh("nft list ruleset").contains("conex"));
    // Taken from a container that runs, and its namespace.
    let mut inside = Route::open_in(a.space.as_fd()).unwrap();
    let wire = Wire { network: &lan, endpoint: &a.endpoint, note: "a", is_default: true };
    assert!(wire.is_whole(&mut host.route, &mut inside).unwrap());
    for _ in 0..2 {
        Wire::disconnect(&lan, &a.endpoint, &mut host.route, Some(&mut inside)).unwrap();
        assert!(!wire.is_whole(&mut host.route, &mut inside).unwrap());
    }
    assert!(!a.space.sh("ip -o link").contains("eth0"));
    lan.lower(&mut host.route).unwrap();
    assert!(sh("ip -o link").contains("eth0"), "the parent is the host's");
}

#[test]
fn private_and_vepa_keep_containers_apart() {
    let Some(mut host) = yard() else { return };
    for mode in ["private", "vepa"] {
        let lan = host.network(mode, &on_eth0(mode));
        let (a, b) = (host.container("a", &lan, &[]), host.container("b", &lan, &[]));
        assert_eq!(a.space.ask(b.v4(), 80), None, "{mode}");
        assert!(b.space.ask(ip("192.0.2.2"), 80).is_some(), "{mode}");
        // One after the other: both would give the same addresses out.
        for (name, container) in [("a", &a), ("b", &b)] {
            host.networks.give_back(&lan, &container.id, &[container.v4()]);
            let mut inside = Route::open_in(container.space.as_fd()).unwrap();
            Wire::disconnect(&lan, &container.endpoint, &mut host.route, Some(&mut inside)).expect(name);
        }
        host.networks.remove(&lan, str::to_owned, || Ok(())).unwrap();
    }
}

#[test]
fn passthru_is_for_one() {
    let Some(mut host) = yard() else { return };
    let lan = host.network("lan", &on_eth0("passthru"));
    let parent = host.route.link("eth0").unwrap().unwrap().mac.unwrap();
    let a = host.container("a", &lan, &[]);
    assert_eq!(a.endpoint.mac, parent);
    assert!(a.space.sh("ip link show eth0").contains(&parent.map(|byte| format!("{byte:02x}")).join(":")));
    let alone = host.networks.lease(&lan, "b", &[]).unwrap_err().to_string();
    assert!(alone.contains("for one container alone") && alone.contains(&a.id[..12]), "{alone}");
    assert!(matches!(lan.mac_for(Some([2, 0, 0, 0, 0, 1]), a.v4()), Err(Error::OneMac { .. })));
    // One that has ended leaves room a moment later, which the next waits for.
    host.networks.give_back(&lan, &a.id, &[a.v4()]);
    let (network, endpoint) = (lan.clone(), a.endpoint.clone());
    let mut inside = Route::open_in(a.space.as_fd()).unwrap();
    let goes = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(100));
        Wire::disconnect(&network, &endpoint, &mut Route::open().unwrap(), Some(&mut inside)).unwrap();
    });
    assert_eq!(host.container("b", &lan, &[]).endpoint.mac, parent);
    goes.join().unwrap();
}

#[test]
fn what_cannot_be_says_so() {
    let Some(mut host) = yard() else { return };
    let says = |result: Result<conex_network::Network, Error>, words: &str| {
        let error = result.unwrap_err().to_string();
        assert!(error.contains(words) && error.lines().count() == 1, "{error}");
    };
    let parent = |parent: &str| NewNetwork {
        driver: driver("macvlan", &[("parent", parent)]),
        ..NewNetwork::default()
    };
    says(create(&host, "x", &parent("eth7")), "the parent device eth7 is not there");
    sh("ip link add bare type veth peer name other");
    says(create(&host, "x", &parent("bare")), "has no IPv4 address: give the network's subnet by --subnet");
    // Two that give the same addresses out.
    let lan = host.network("lan", &on_eth0("bridge"));
    says(create(&host, "x", &on_eth0("bridge")), "overlaps with network lan (192.0.2.0/24)");
    let subnets = vec![Subnet::new("198.51.100.0/24".parse().unwrap(), None, None).unwrap()];
    host.network("more", &NewNetwork { subnets: subnets.clone(), ..on_eth0("bridge") });
    let down = host.network(
        "down",
        &NewNetwork {
            subnets: vec![Subnet::new("203.0.113.0/24".parse().unwrap(), None, None).unwrap()],
            ..parent("bare")
        },
    );
    let error = down.raise(&mut host.route).unwrap_err().to_string();
    assert_eq!(error, "the parent device bare is down");
    // Devices of the network's own, where the kernel has such.
    let apart =
        create(&host, "apart", &NewNetwork { driver: driver("macvlan", &[]), ..NewNetwork::default() });
    match host.route.has_kind("dummy").unwrap() {
        false => {
            says(apart, "network driver macvlan: this kernel has no dummy devices (CONFIG_DUMMY); give one");
        }
        true => {
            let apart = apart.unwrap();
            let (a, b) = (host.container("a", &apart, &[]), host.container("b", &apart, &[]));
            assert!(a.space.ask(b.v4(), 80).is_some());
            assert!(apart.internal && !a.space.sh("ip route").contains("default"));
            apart.lower(&mut host.route).unwrap();
            assert_eq!(host.route.link(&apart.device).unwrap(), None);
        }
    }
    assert_eq!(lan.gateways(), [ip("192.0.2.2")]);
}

#[test]
fn ipvlan_where_the_kernel_has_it() {
    let Some(mut host) = yard() else { return };
    let asked = |mode: &str| NewNetwork {
        driver: driver("ipvlan", &[("parent", "eth0"), ("ipvlan_mode", mode)]),
        ..NewNetwork::default()
    };
    if !host.route.has_kind("ipvlan").unwrap() {
        let error = create(&host, "lan", &asked("l2")).unwrap_err().to_string();
        assert_eq!(error, "network driver ipvlan: this kernel has no ipvlan devices (CONFIG_IPVLAN)");
        return;
    }
    let parent = host.route.link("eth0").unwrap().unwrap().mac.unwrap();
    let lan = host.network("lan", &asked("l2"));
    let (a, b) = (host.container("a", &lan, &[]), host.container("b", &lan, &[]));
    assert_eq!((a.endpoint.mac, b.endpoint.mac), (parent, parent));
    assert!(a.space.ask(b.v4(), 80).is_some() && a.space.ask(ip("192.0.2.2"), 80).is_some());
}
