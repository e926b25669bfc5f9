//! Networks of CNI with Debian's plugins, from the command line to the packet.

#![allow(missing_docs)]

use conex_tests::{cni_yard, eventually, skip};
use serde_json::json;

fn portmap() -> serde_json::Value {
    json!({ "type": "portmap", "capabilities": { "portMappings": true } })
}

#[test]
fn a_network_of_plugins() {
    let cni = cni_yard!();
    let (yard, conex) = (&cni.yard, &cni.yard.conex);
    cni.bridge("web", "10.77.0.0/24", &[portmap(), json!({"type": "firewall"})]);
    assert_eq!(
        conex.ok(&[
            "network",
            "ls",
            "--format",
            "{{.Name}} {{.Driver}} {{.Subnets}}",
            "--filter",
            "driver=cni"
        ]),
        "web cni 10.77.0.0/24\n"
    );
    let web = yard.inspect("web");
    assert_eq!(web["IPAM"]["Config"][0]["Subnet"], "10.77.0.0/24");
    assert_eq!(web["CNI"]["Plugins"][1]["Path"], "/usr/lib/cni/portmap");
    assert!(web["CNI"]["Plugins"][1]["Versions"].to_string().contains("1.0.0"), "{web}");
    assert_eq!(yard.inspect(web["Id"].as_str().expect("an id"))["Name"], "web");

    yard.serve("web", &["--network", "web", "-p", "8080:80"]);
    assert_eq!(yard.address("web"), "10.77.0.2");
    assert_eq!(cni.leases("web"), ["10.77.0.2"]);
    assert_eq!(conex.ok(&["port", "web"]), "80/tcp -> 0.0.0.0:8080\n");
    assert!(yard.inspect("web")["Containers"].to_string().contains("10.77.0.2/24"));
    // From the world, the host and another container; and out.
    assert_eq!(cni.yard.host.world_gets("http://192.0.2.1:8080/").as_deref(), Some("web\n"));
    assert_eq!(yard.host.sh("timeout 2 busybox wget -qO- http://10.77.0.2/"), "web\n");
    assert_eq!(yard.host.sh("timeout 2 busybox wget -qO- http://192.0.2.1:8080/"), "web\n");
    assert_eq!(yard.fetch(&["--network", "web"], "http://10.77.0.2/").as_deref(), Some("web\n"));
    assert_eq!(yard.fetch(&["--network", "bridge"], "http://192.0.2.1:8080/").as_deref(), Some("web\n"));
    yard.host.world("busybox httpd -p 8000 -h /usr/share/common-licenses");
    assert!(yard.fetch(&["--network", "web"], "http://192.0.2.2:8000/GPL-2").is_some());
    let hosts = conex.ok(&["exec", "web", "cat", "/etc/hosts"]);
    assert!(hosts.lines().last().is_some_and(|line| line.starts_with("10.77.0.2\t")), "{hosts}");
    // A port that somebody has.
    let taken = conex.fails(125, &["run", "--rm", "--network", "web", "-p", "8080:80", yard.image, "true"]);
    assert!(taken.contains("cannot publish port 0.0.0.0:8080/tcp") && taken.lines().count() == 1, "{taken}");

    // Each run has its own; the end of the last gives all back.
    conex.ok(&["restart", "-t", "0", "web"]);
    assert_eq!(cni.leases("web").len(), 1);
    eventually("the server", || cni.yard.host.world_gets("http://192.0.2.1:8080/"));
    conex.ok(&["stop", "-t", "0", "web"]);
    cni.assert_clear("web");
    conex.ok(&["start", "web"]);
    conex.ok(&["rm", "-f", "web"]);
    cni.assert_clear("web");
}

#[test]
fn what_is_asked_for_is_given_or_refused() {
    let cni = cni_yard!();
    let (yard, conex) = (&cni.yard, &cni.yard.conex);
    // By capabilities, and by CNI_ARGS where there are none.
    cni.bridge("plain", "10.77.0.0/24", &[]);
    let able =
        json!({"type": "tuning", "capabilities": {"mac": true}, "dataDir": conex.scratch().join("tuning")});
    let ranges = json!([[{"subnet": "10.78.0.0/24"}], [{"subnet": "fd78::/64"}]]);
    let mut ipam = cni.host_local("10.78.0.0/24");
    ipam["ranges"] = ranges;
    let bridge = json!({"type": "bridge", "bridge": "br-able", "capabilities": {"ips": true}, "ipam": ipam});
    cni.define(
        "20-able.conflist",
        &json!({"cniVersion": "1.0.0", "name": "able", "plugins": [bridge, able]}),
    );
    let show = |flags: &[&str]| {
        let script = "ip -o address show; ip -o link show";
        conex.ok(&[&["run", "--rm"], flags, &[yard.image, "sh", "-c", script]].concat())
    };
    let shown = show(&["--network", "plain:ip=10.77.0.9,mac=02:00:00:00:00:07,interface=net0"]);
    assert!(shown.contains("net0    inet 10.77.0.9/24") && shown.contains("02:00:00:00:00:07"), "{shown}");
    let shown = show(&[
        "--network",
        "able",
        "--ip",
        "10.78.0.9",
        "--ip6",
        "fd78::9",
        "--mac-address",
        "02:00:00:00:00:08",
    ]);
    for words in ["inet 10.78.0.9/24", "inet6 fd78::9/64", "02:00:00:00:00:08"] {
        assert!(shown.contains(words), "{words}: {shown}");
    }
    yard.serve("holder", &["--network", "plain:ip=10.77.0.9"]);
    let no_portmap = "publishes no ports: no plugin of ";
    for (flags, words) in [
        (&["--network", "plain:ip=10.77.0.9"][..], "network plain: CNI plugin bridge, ADD: "),
        (&["--network", "plain:ip=10.99.0.9"], "network plain: CNI plugin bridge, ADD: "),
        (&["--network", "plain:ip=10.77.0.8,ip6=fd00::8"], "takes one address"),
        (&["--network", "plain", "-p", "8080:80"], no_portmap),
        (&["--network", "plain", "-p", "8080:80", "--network", "able"], no_portmap),
        (&["--network", "absent"], "network absent not found"),
    ] {
        let refused = conex.fails(125, &[&["run", "--rm"], flags, &[yard.image, "true"]].concat());
        assert!(refused.contains(words) && refused.lines().count() == 1, "{flags:?}: {refused}");
    }
    conex.ok(&["rm", "-f", "holder"]);
    cni.assert_clear("plain");
    // One plugin, by an older version.
    let fixed = json!({"type": "static", "addresses": [{"address": "10.79.0.5/24"}]});
    let one = json!({"cniVersion": "0.4.0", "name": "fixed", "type": "bridge", "bridge": "br-fixed", "ipam": fixed});
    cni.define("30-fixed.conf", &one);
    assert!(show(&["--network", "fixed"]).contains("10.79.0.5/24"));
}

#[test]
fn files_are_their_administrators() {
    let cni = cni_yard!();
    let (yard, conex) = (&cni.yard, &cni.yard.conex);
    cni.bridge("web", "10.77.0.0/24", &[]);
    cni.bridge("bridge", "10.78.0.0/24", &[]);
    let file = conex.cni_networks().join("10-web.conflist").display().to_string();
    for (arguments, words) in [
        (
            &["network", "rm", "web"][..],
            format!("network web is one of CNI, defined in {file}: to remove it, remove that file"),
        ),
        (
            &["network", "create", "web"],
            format!("network web is one of CNI, defined in {file}: there can be no other"),
        ),
        (&["network", "create", "-d", "cni", "x"], "networks of CNI are not created here".to_owned()),
    ] {
        let output = conex.run(arguments);
        assert!(output.code != 0 && output.stderr.contains(&words), "{arguments:?}: {}", output.stderr);
        assert_eq!(output.stderr.lines().count(), 1, "{}", output.stderr);
    }
    // Ours is meant by a name of both.
    assert_eq!(conex.ok(&["network", "ls", "--format", "{{.Name}} {{.Driver}}"]), "bridge bridge\nweb cni\n");
    assert!(
        conex
            .ok(&["run", "--rm", "--network", "bridge", yard.image, "ip", "address"])
            .contains("10.88.0.2/16")
    );
    assert_eq!(conex.ok(&["network", "prune", "-f"]), "");
    // A file that is wrong is in nobody's way, but of who may mean it.
    std::fs::write(conex.cni_networks().join("05-bad.conflist"), "{\"name\": \"bad\", \"plugins\": [")
        .expect("a file");
    assert_eq!(conex.ok(&["network", "ls", "-q"]).lines().count(), 2);
    let refused = conex.fails(125, &["run", "--rm", "--network", "bad", yard.image, "true"]);
    assert!(
        refused.contains("network bad not found, and a file was not understood: ")
            && refused.lines().count() == 1,
        "{refused}"
    );
    // A network whose file has gone since keeps nobody on it.
    yard.serve("one", &["--network", "web"]);
    std::fs::remove_file(&file).expect("the file");
    conex.ok(&["network", "disconnect", "web", "one"]);
    cni.assert_clear("web");
    conex.ok(&["rm", "-f", "one"]);
}

#[test]
fn beside_networks_of_ones_own() {
    let cni = cni_yard!();
    let (yard, conex) = (&cni.yard, &cni.yard.conex);
    cni.bridge("front", "10.77.0.0/24", &[portmap()]);
    cni.bridge("back", "10.78.0.0/24", &[]);
    conex.ok(&["network", "create", "own"]);
    // The first leads on, whosever it is; a port of ours is answered by the way it came.
    for (flags, way) in [
        (&["--network", "front", "--network", "own"][..], "via 10.77.0.1 dev eth0"),
        (&["--network", "own", "--network", "front"], "via 10.89.0.1 dev eth0"),
        (&["--network", "back", "--network", "own", "-p", "8081:80"], "via 10.89.0.1 dev eth1"),
        (&["--network", "back", "--network", "front", "-p", "8081:80"], "via 10.77.0.1 dev eth1"),
        (&["--network", "front", "--network", "back", "--network", "own"], "via 10.77.0.1 dev eth0"),
    ] {
        let shown =
            conex.ok(&[&["run", "--rm"], flags, &[yard.image, "ip", "route", "get", "192.0.2.2"]].concat());
        assert!(shown.contains(way), "{flags:?}: {shown}");
    }
    yard.serve("both", &["--network", "back", "--network", "own", "-p", "8080:80"]);
    assert_eq!(cni.yard.host.world_gets("http://192.0.2.1:8080/").as_deref(), Some("both\n"));
    assert_eq!(yard.fetch(&["--network", "own"], "http://both/").as_deref(), Some("both\n"));
    assert_eq!(yard.fetch(&["--network", "back"], "http://10.78.0.2/"), None, "not this one's address");
    let address = conex.ok(&["inspect", "-f", "{{.NetworkSettings.Networks.back.IPAddress}}", "both"]);
    assert_eq!(
        yard.fetch(&["--network", "back"], &format!("http://{}/", address.trim())).as_deref(),
        Some("both\n")
    );

    // Connected and disconnected while it runs.
    yard.serve("live", &["--network", "own"]);
    conex.ok(&["network", "connect", "--ip", "10.77.0.7", "front", "live"]);
    assert!(conex.ok(&["exec", "live", "ip", "-o", "address"]).contains("eth1    inet 10.77.0.7/24"));
    assert!(conex.ok(&["exec", "live", "cat", "/etc/hosts"]).contains("10.77.0.7\t"));
    assert_eq!(yard.fetch(&["--network", "front"], "http://10.77.0.7/").as_deref(), Some("live\n"));
    let way = conex.ok(&["exec", "live", "ip", "route", "get", "192.0.2.2"]);
    assert!(way.contains("dev eth0"), "it leads where it led: {way}");
    let twice = conex.fails(1, &["network", "connect", "front", "live"]);
    assert!(twice.contains("container live is on network front already"), "{twice}");
    let taken = conex.fails(1, &["network", "connect", "--ip", "10.77.0.7", "front", "both"]);
    assert!(taken.contains("network front: CNI plugin bridge, ADD: "), "{taken}");
    assert!(!conex.ok(&["exec", "both", "ip", "-o", "link"]).contains("eth2"));
    conex.ok(&["network", "disconnect", "front", "live"]);
    assert!(!conex.ok(&["exec", "live", "ip", "-o", "link"]).contains("eth1"));
    cni.assert_clear_but(&["back"], "front");
    // On record for the next start.
    conex.ok(&["network", "connect", "front", "live"]);
    conex.ok(&["restart", "-t", "0", "live"]);
    assert_eq!(cni.leases("front").len(), 1);
    conex.ok(&["rm", "-f", "live", "both"]);
    cni.assert_clear("front");
    cni.assert_clear("back");
    assert_eq!(yard.leases("own").len(), 0);
}

#[test]
fn other_plugins() {
    let cni = cni_yard!();
    let (yard, conex) = (&cni.yard, &cni.yard.conex);
    let list = |name: &str, version: &str, plugins: serde_json::Value| {
        cni.define(
            &format!("{name}.conflist"),
            &json!({"cniVersion": version, "name": name, "plugins": plugins}),
        );
    };
    list(
        "pair",
        "1.0.0",
        json!([
            {"type": "ptp", "ipMasq": true, "ipam": cni.host_local("10.80.0.0/24"), "dns": {"nameservers": ["10.80.0.1"], "search": ["pair.example"]}},
            portmap(),
        ]),
    );
    yard.serve("pair", &["--network", "pair", "-p", "8080:80"]);
    assert_eq!(cni.yard.host.world_gets("http://192.0.2.1:8080/").as_deref(), Some("pair\n"));
    let resolv = conex.ok(&["exec", "pair", "cat", "/etc/resolv.conf"]);
    assert!(
        resolv.contains("nameserver 10.80.0.1\n") && resolv.contains("search pair.example\n"),
        "{resolv}"
    );
    assert_eq!(resolv.matches("nameserver").count(), 1, "{resolv}");
    conex.ok(&["rm", "-f", "pair"]);
    cni.assert_clear("pair");

    list(
        "lan",
        "0.3.1",
        json!([
            {"type": "macvlan", "master": "eth0", "ipam": {"type": "static", "addresses": [{"address": "192.0.2.64/24"}]}},
        ]),
    );
    yard.serve("lan", &["--network", "lan"]);
    assert_eq!(cni.yard.host.world_gets("http://192.0.2.64/").as_deref(), Some("lan\n"));
    conex.ok(&["rm", "-f", "lan"]);

    // A device of the host's that comes back, which plugins can see to only while there is the namespace.
    yard.host
        .sh("ip link add spare type veth peer name other && ip link set spare up && ip link set other up");
    list(
        "device",
        "0.4.0",
        json!([
            {"type": "host-device", "device": "spare", "ipam": {"type": "static", "addresses": [{"address": "10.81.0.2/24"}]}},
        ]),
    );
    assert!(
        conex
            .ok(&["run", "--rm", "--network", "device", yard.image, "ip", "address"])
            .contains("10.81.0.2/24")
    );
    assert!(yard.host.sh("ip -o link").contains("spare"));
    yard.serve("device", &["--network", "device"]);
    yard.kill_supervisor("device");
    eventually("the device", || {
        conex.ok(&["ps", "-a"]);
        yard.host.sh("ip -o link").contains("spare").then_some(())
    });
    conex.ok(&["rm", "-f", "device"]);

    cni.bridge(
        "slow",
        "10.82.0.0/24",
        &[json!({"type": "bandwidth", "ingressRate": 8_000_000, "ingressBurst": 8_000_000})],
    );
    let limited = conex.run(&["run", "--rm", "--network", "slow", yard.image, "true"]);
    cni.assert_clear("slow");
    if limited.code != 0 {
        assert!(
            limited.stderr.contains("CNI plugin bandwidth, ADD: ") && limited.stderr.lines().count() == 1,
            "{}",
            limited.stderr
        );
        skip!("this kernel has no tbf: {}", limited.stderr.trim());
    }
}
