//! Networks of other drivers than bridge, from the command line to the packet: on the host's own network, and across hosts.

#![allow(missing_docs)]

use conex_tests::{eventually, skip, yard};

#[test]
fn macvlan_is_the_hosts_own_network() {
    let yard = yard!();
    let (conex, host) = (&yard.conex, &yard.host);
    host.sh("ip route add default via 192.0.2.2");
    conex.ok(&[
        "network",
        "create",
        "-d",
        "macvlan",
        "-o",
        "parent=eth0",
        "-o",
        "macvlan_mode=bridge",
        "--ip-range",
        "192.0.2.64/26",
        "lan",
    ]);
    assert_eq!(
        conex.ok(&["network", "ls", "--format", "{{.Name}} {{.Driver}}", "--filter", "driver=macvlan"]),
        "lan macvlan\n"
    );
    let lan = yard.inspect("lan");
    assert_eq!(lan["Options"], serde_json::json!({"parent": "eth0", "macvlan_mode": "bridge"}));
    let config = &lan["IPAM"]["Config"][0];
    assert_eq!((&config["Subnet"], &config["Gateway"]), (&"192.0.2.0/24".into(), &"192.0.2.2".into()));
    yard.serve("web", &["--network", "lan", "--mac-address", "02:00:00:00:00:07"]);
    assert_eq!(yard.address("web"), "192.0.2.64");
    assert!(conex.ok(&["exec", "web", "ip", "link", "show", "eth0"]).contains("02:00:00:00:00:07"));
    assert_eq!(yard.host.world_gets("http://192.0.2.64/").as_deref(), Some("web\n"));
    assert_eq!(yard.fetch(&["--network", "lan"], "http://192.0.2.64/").as_deref(), Some("web\n"));
    host.world("busybox httpd -p 8000 -h /usr/share/common-licenses");
    assert!(yard.fetch(&["--network", "lan"], "http://192.0.2.2:8000/GPL-2").is_some());
    let containers = yard.inspect("lan")["Containers"].to_string();
    assert!(containers.contains("192.0.2.64/24"), "{containers}");
    // At once with the same addresses, though the kernel has not taken the old namespace down.
    for _ in 0..3 {
        conex.ok(&["restart", "-t", "0", "web"]);
    }
    eventually("the server", || yard.host.world_gets("http://192.0.2.64/"));
    // A kill leaves nothing: the next has the same addresses.
    yard.kill_supervisor("web");
    eventually("the next command clears it", || conex.ok(&["ps", "-q"]).is_empty().then_some(()));
    conex.ok(&["start", "web"]);
    assert_eq!(yard.address("web"), "192.0.2.64");
    conex.ok(&["rm", "-f", "web"]);

    // Ports are published where there is something to publish, and answered by the same way.
    let refused = conex.fails(125, &["run", "--rm", "--network", "lan", "-p", "8080:80", yard.image, "true"]);
    assert!(
        refused.contains("network lan (macvlan) publishes no ports") && refused.lines().count() == 1,
        "{refused}"
    );
    assert_eq!(conex.ok(&["network", "rm", "lan"]), "lan\n");
    assert!(host.sh("ip -o link").contains("eth0"));
}

#[test]
fn macvlan_is_connected_and_reloaded_while_it_runs() {
    let yard = yard!();
    let (conex, host) = (&yard.conex, &yard.host);
    // A subnet of its own, on a device that has none.
    host.sh("ip link add trunk type veth peer name other && ip link set trunk up && ip link set other up");
    conex.ok(&[
        "network",
        "create",
        "-d",
        "macvlan",
        "-o",
        "parent=trunk",
        "--subnet",
        "10.30.0.0/24",
        "lan",
    ]);
    conex.ok(&["network", "create", "plain"]);
    yard.serve("web", &["--network", "plain"]);
    conex.ok(&["network", "connect", "lan", "web"]);
    let at_lan = ["inspect", "-f", "{{.NetworkSettings.Networks.lan.IPAddress}}", "web"];
    assert_eq!(conex.ok(&at_lan), "10.30.0.2\n");
    let reached = || yard.fetch(&["--network", "lan"], "http://10.30.0.2/").as_deref() == Some("web\n");
    assert!(reached());
    let pid = conex.ok(&["inspect", "-f", "{{.State.Pid}}", "web"]);
    host.sh(&format!("nsenter -t {} -n ip link del eth1", pid.trim()));
    assert!(!reached());
    assert_eq!(conex.ok(&["network", "reload"]), "web\n");
    assert!(reached());
    yard.serve("both", &["--network", "lan", "--network", "bridge", "-p", "8080:80"]);
    assert_eq!(yard.host.world_gets("http://192.0.2.1:8080/").as_deref(), Some("both\n"));
    conex.ok(&["rm", "-f", "both"]);
    conex.ok(&["network", "disconnect", "lan", "web"]);
    assert!(!conex.ok(&["exec", "web", "ip", "-o", "link"]).contains("eth1"));
    conex.ok(&["network", "rm", "lan"]);

    // One container alone, with the parent's MAC address.
    let one = ["network", "create", "-d", "macvlan", "-o", "parent=trunk", "-o", "mode=passthru"];
    conex.ok(&[&one[..], &["--subnet", "10.30.0.0/24", "alone"]].concat());
    conex.ok(&["run", "-d", "--name", "first", "--network", "alone", yard.image, "sleep", "100"]);
    let second = conex.fails(125, &["run", "--rm", "--network", "alone", yard.image, "true"]);
    assert!(second.contains("network alone is for one container alone"), "{second}");
    let mac = conex.fails(
        125,
        &["run", "--rm", "--network", "alone", "--mac-address", "02:00:00:00:00:07", yard.image, "true"],
    );
    assert_eq!(mac.lines().count(), 1, "{mac}");
    let own = host.sh("ip -br link show trunk | awk '{print $3}'");
    assert_eq!(conex.ok(&["exec", "first", "cat", "/sys/class/net/eth0/address"]), own);
}

#[test]
fn ipvlan_where_the_kernel_has_it() {
    let yard = yard!();
    let (conex, host) = (&yard.conex, &yard.host);
    let create = |mode: &str, rest: &[&str]| {
        let (parent, mode) = ("parent=eth0", format!("ipvlan_mode={mode}"));
        conex.run(&[&["network", "create", "-d", "ipvlan", "-o", parent, "-o", &mode], rest].concat())
    };
    // Not the world's address.
    let made = create("l2", &["--ip-range", "192.0.2.64/26", "lan"]);
    if made.code != 0 {
        assert_eq!(
            made.stderr,
            "conex: network driver ipvlan: this kernel has no ipvlan devices (CONFIG_IPVLAN)\n"
        );
        skip!("this kernel has no ipvlan");
    }
    yard.serve("web", &["--network", "lan"]);
    let own = host.sh("ip -br link show eth0 | awk '{print $3}'");
    assert_eq!(conex.ok(&["exec", "web", "cat", "/sys/class/net/eth0/address"]), own);
    let address = yard.address("web");
    assert_eq!(yard.host.world_gets(&format!("http://{address}/")).as_deref(), Some("web\n"));
    assert_eq!(yard.fetch(&["--network", "lan"], &format!("http://{address}/")).as_deref(), Some("web\n"));
    conex.ok(&["restart", "-t", "0", "web"]);
    eventually("the server", || yard.host.world_gets(&format!("http://{address}/")));
    conex.ok(&["rm", "-f", "web"]);
    conex.ok(&["network", "rm", "lan"]);
    for mode in ["l3", "l3s"] {
        let made = create(mode, &["--subnet", "10.30.0.0/24", "routed"]);
        assert_eq!(made.code, 0, "{}", made.stderr);
        yard.serve("web", &["--network", "routed"]);
        let address = yard.address("web");
        let routes = conex.ok(&["exec", "web", "ip", "route"]);
        assert!(routes.contains("default dev eth0"), "{routes}");
        assert_eq!(
            yard.fetch(&["--network", "routed"], &format!("http://{address}/")).as_deref(),
            Some("web\n")
        );
        conex.ok(&["rm", "-f", "web"]);
        conex.ok(&["network", "rm", "routed"]);
    }
}

#[test]
fn an_overlay_joins_two_hosts() {
    let (here, there) = (yard!(), yard!());
    here.host.join(&there.host, "198.51.100.1/24", "198.51.100.2/24");
    let peers = here.conex.run_root().join("peers");
    let file = format!("peers-file={}", peers.display());
    let create = ["network", "create", "-d", "overlay", "--subnet", "10.40.0.0/24"];
    here.conex
        .ok(&[&create[..], &["--ip-range", "10.40.0.0/25", "-o", "peers=198.51.100.2", "mesh"]].concat());
    there.conex.ok(&[&create[..], &["--ip-range", "10.40.0.128/25", "-o", &file, "mesh"]].concat());
    here.serve("web", &["--network", "mesh", "-p", "8080:80"]);
    there.serve("db", &["--network", "mesh"]);
    assert_eq!(
        (here.address("web"), there.address("db")),
        ("10.40.0.2".to_owned(), "10.40.0.128".to_owned())
    );
    let from_there = || there.fetch(&["--network", "mesh"], "http://10.40.0.2/");
    assert_eq!(from_there(), None, "it knows of no peer");
    std::fs::write(&peers, "198.51.100.1\n198.51.100.2\n").expect("the file");
    // Who starts reads it, and so does a reload.
    assert_eq!(from_there().as_deref(), Some("web\n"));
    assert_eq!(here.fetch(&["--network", "mesh"], "http://10.40.0.128/").as_deref(), Some("db\n"));
    assert!(here.conex.ok(&["exec", "web", "ip", "link", "show", "eth0"]).contains("mtu 1450"));
    // Out, by the host that it is on; in, by a published port.
    for yard in [&here, &there] {
        yard.host.world("busybox httpd -p 8000 -h /usr/share/common-licenses");
        assert!(yard.fetch(&["--network", "mesh"], "http://192.0.2.2:8000/GPL-2").is_some());
    }
    assert_eq!(here.host.world_gets("http://192.0.2.1:8080/").as_deref(), Some("web\n"));

    let mesh = there.inspect("mesh");
    let tunnel = &mesh["Host"]["Tunnel"];
    assert_eq!(tunnel["Encrypted"], false, "{tunnel}");
    assert_eq!(
        tunnel["Peers"],
        serde_json::json!([{"Host": "198.51.100.1", "MacAddresses": []}]),
        "{tunnel}"
    );
    assert_eq!((&tunnel["Up"], &tunnel["Port"], &tunnel["Mtu"]), (&true.into(), &4789.into(), &1450.into()));
    let device = tunnel["Device"].as_str().expect("a name").to_owned();
    there.host.sh(&format!("ip link del {device} && nft flush ruleset"));
    std::fs::write(&peers, r#"{"peers": [{"host": "198.51.100.1", "addresses": ["10.40.0.2"]}]}"#)
        .expect("the file");
    assert_eq!(there.conex.ok(&["network", "reload"]), "db\n");
    let peer = &there.inspect("mesh")["Host"]["Tunnel"]["Peers"][0];
    assert_eq!(peer["MacAddresses"], serde_json::json!(["02:42:0a:28:00:02"]));
    let reaches =
        || there.conex.run(&["exec", "db", "wget", "-qO-", "-T2", "http://10.40.0.2/"]).stdout == "web\n";
    assert!(reaches());
    // A file that is none says where, and the others are mended all the same.
    std::fs::write(&peers, "198.51.100.1\nsomebody\n").expect("the file");
    let broken = there.conex.fails(1, &["network", "reload"]);
    assert!(broken.contains("peers:2: \"somebody\": expected the address of a host"), "{broken}");
    let broken = there.conex.fails(125, &["run", "--rm", "--network", "mesh", there.image, "true"]);
    assert!(broken.contains("peers:2:") && broken.lines().count() == 1, "{broken}");
    assert_eq!(there.conex.ok(&["ps", "-q"]).lines().count(), 1);

    there.conex.ok(&["rm", "-f", "db"]);
    assert_eq!(there.conex.ok(&["network", "rm", "mesh"]), "mesh\n");
    let left = there.host.sh("ip -o link; nft list ruleset");
    assert!(!left.contains(&device) && !left.contains("198.51.100.1"), "{left}");
}

#[test]
fn many_at_once() {
    let yard = yard!();
    let conex = &yard.conex;
    // None of them has the network's devices before it.
    let overlay = ["-d", "overlay", "--subnet", "10.40.0.0/24", "-o", "peers=192.0.2.2", "mesh"];
    conex.ok(&[&["network", "create"], &overlay[..]].concat());
    conex.ok(&["network", "create", "-d", "macvlan", "-o", "parent=eth0", "lan"]);
    let outputs = std::thread::scope(|scope| {
        let run = |number: usize| {
            let (yard, network) = (&yard, ["mesh", "lan"][number % 2]);
            let script = "ip -4 -o address show eth0 | sed 's/.*inet //; s/ .*//'";
            move || yard.conex.run(&["run", "--rm", "--network", network, yard.image, "sh", "-c", script])
        };
        let threads: Vec<_> = (0..24).map(|number| scope.spawn(run(number))).collect();
        threads.into_iter().map(|thread| thread.join().expect("a thread")).collect::<Vec<_>>()
    });
    for output in &outputs {
        assert!(output.code == 0 && output.stderr.is_empty(), "{}", output.stderr);
        assert!(
            ["10.40.0.", "192.0.2."].iter().any(|net| output.stdout.starts_with(net)),
            "{}",
            output.stdout
        );
    }
    for network in ["mesh", "lan"] {
        assert_eq!(yard.inspect(network)["Containers"], serde_json::json!({}));
        conex.ok(&["network", "rm", network]);
    }
    // Cables go with their containers' namespaces, a moment later.
    eventually("no device is left", || {
        let left = yard.host.sh("ip -o link");
        (!left.contains(": cx") && !left.contains(": vx")).then_some(())
    });
}

#[test]
fn options_and_drivers_that_are_none() {
    let yard = yard!();
    for (arguments, words) in [
        (
            &["-d", "weave", "x"][..],
            "network driver \"weave\" is unknown; there are bridge, macvlan, ipvlan and overlay",
        ),
        (
            &["-o", "parent=eth0", "x"],
            "option \"parent\" is unknown to the bridge driver; there are mtu, isolate",
        ),
        (
            &["-d", "macvlan", "-o", "isolate=1", "x"],
            "unknown to the macvlan driver; there are parent, macvlan_mode",
        ),
        (&["-d", "macvlan", "-o", "mode=l2", "x"], "it takes bridge, private, vepa or passthru"),
        (&["-d", "macvlan", "-o", "parent=eth7", "x"], "the parent device eth7 is not there"),
        (&["-d", "ipvlan", "-o", "mode=vepa", "x"], "it takes l2, l3 or l3s"),
        (&["-d", "overlay", "x"], "an overlay network needs its --subnet"),
        (
            &["-d", "overlay", "-o", "encrypted", "x"],
            "option encrypted: it needs -o key-file=PATH, a file of 64 hexadecimal digits (openssl rand -hex 32)",
        ),
        (
            &["-d", "overlay", "-o", "what=1", "x"],
            "unknown to the overlay driver; there are peers, peers-file, vni",
        ),
        (
            &["-d", "overlay", "--subnet", "10.40.0.0/24", "-o", "peers=me", "x"],
            "it takes addresses of hosts",
        ),
    ] {
        let output = yard.conex.run(&[&["network", "create"], arguments].concat());
        assert!(
            output.code != 0 && output.stderr.contains(words) && output.stderr.lines().count() == 1,
            "{arguments:?}: {}",
            output.stderr
        );
    }
    assert_eq!(yard.conex.ok(&["network", "ls", "--format", "{{.Name}}"]), "bridge\n");
}
