//! Networks where they take parts of the kernel that a build machine may lack: SCTP, dummy devices. `cargo xtask test --vm` has them.

#![allow(missing_docs)]

use conex_tests::{Yard, eventually, installed, skip, yard};
use rustix::net::{AddressFamily, SocketFlags, SocketType, ipproto, socket_with};

/// What an SCTP server says to who asks from the world, or from the host itself.
fn said(yard: &Yard, from_world: bool, address: &str) -> Option<String> {
    let script = format!("timeout 5 socat -u SCTP-CONNECT:{address},connect-timeout=3 STDOUT");
    let output = if from_world { yard.host.try_world(&script) } else { yard.host.try_sh(&script) };
    (output.code == 0 && !output.stdout.is_empty()).then_some(output.stdout)
}

#[test]
fn a_port_of_sctp_is_published() {
    let yard = yard!();
    let (conex, host) = (&yard.conex, &yard.host);
    if socket_with(AddressFamily::INET, SocketType::STREAM, SocketFlags::CLOEXEC, Some(ipproto::SCTP))
        .is_err()
    {
        skip!("this kernel has no SCTP");
    }
    if !installed("socat") {
        skip!("socat is not installed");
    }
    conex.ok(&["network", "create", "--ipv6", "both"]);
    let run = ["run", "-d", "--name", "web", "--network", "both", "-p", "9999:9999/sctp"];
    conex.ok(&[&run[..], &["-p", "192.0.2.1:9998:9999/sctp", yard.image, "sleep", "1000"]].concat());
    assert_eq!(
        conex.ok(&["port", "web"]),
        "9999/sctp -> 0.0.0.0:9999\n9999/sctp -> 192.0.2.1:9998\n9999/sctp -> [::]:9999\n"
    );
    // One server a family: what a socket of both has of addresses it would tell, and the peer would try them all.
    let mut servers = Vec::new();
    for listen in ["SCTP4-LISTEN:9999", "SCTP6-LISTEN:9999,ipv6-v6only=1"] {
        let listen = format!("{listen},fork,reuseaddr");
        let answer = "SYSTEM:echo web of $SOCAT_PEERADDR";
        servers.push(conex.background(&["netns", "exec", "web", "--", "socat", "-U", &listen, answer]));
    }
    // From outside, with the client's own address.
    let at = eventually("the server", || said(&yard, true, "192.0.2.1:9999"));
    assert_eq!(at, "web of 192.0.2.2\n");
    assert_eq!(said(&yard, true, "192.0.2.1:9998").as_deref(), Some("web of 192.0.2.2\n"));
    let at = eventually("the server of IPv6", || said(&yard, true, "[2001:db8::1]:9999"));
    assert!(at.contains("2001:0db8:0000:0000:0000:0000:0000:0002"), "{at}");
    // From the host itself.
    assert!(said(&yard, false, "192.0.2.1:9999").is_some());
    // TCP at the same port is another one.
    assert_ne!(host.try_world("timeout 5 socat -u TCP:192.0.2.1:9999,connect-timeout=3 STDOUT").code, 0);
    // Somebody has it; and nobody when the container has ended.
    let taken = conex.fails(125, &["run", "--rm", "-p", "9999:1/sctp", yard.image, "true"]);
    assert!(taken.contains("cannot publish port 0.0.0.0:9999/sctp") && taken.lines().count() == 1, "{taken}");
    let rules = host.sh("nft list table inet conex");
    assert!(rules.contains("sctp . 9999 :"), "{rules}");
    conex.ok(&["rm", "-f", "web"]);
    assert_eq!(said(&yard, true, "192.0.2.1:9999"), None);
    assert!(!host.sh("nft list table inet conex").contains("9999"));
}

#[test]
fn networks_on_nothing_are_of_their_containers_only() {
    let yard = yard!();
    let (conex, host) = (&yard.conex, &yard.host);
    for driver in ["macvlan", "ipvlan"] {
        let made = conex.run(&["network", "create", "-d", driver, "apart"]);
        if made.code != 0 {
            let kinds = ["dummy devices (CONFIG_DUMMY)", "ipvlan devices (CONFIG_IPVLAN)"];
            let says = |kind: &&str| {
                made.stderr.starts_with(&format!("conex: network driver {driver}: this kernel has no {kind}"))
            };
            assert!(kinds.iter().any(says) && made.stderr.lines().count() == 1, "{}", made.stderr);
            skip!("{}", made.stderr.trim());
        }
        let apart = yard.inspect("apart");
        assert_eq!(apart["Internal"], true);
        yard.serve("web", &["--network", "apart"]);
        let device = apart["Host"]["Device"].as_str().expect("a name").to_owned();
        let shown = host.sh(&format!("ip -d -o link show {device}"));
        assert!(
            shown.contains("dummy") && shown.contains(",UP") && shown.contains("conex network apart"),
            "{shown}"
        );
        let url = format!("http://{}/", yard.address("web"));
        assert_eq!(yard.fetch(&["--network", "apart"], &url).as_deref(), Some("web\n"));
        // It leads nowhere: neither out, nor to the host.
        assert!(!conex.ok(&["exec", "web", "ip", "route"]).contains("default"));
        host.world("busybox httpd -p 8000 -h /usr/share/common-licenses || true");
        assert_eq!(yard.fetch(&["--network", "apart"], "http://192.0.2.2:8000/GPL-2"), None);
        assert_ne!(host.try_sh(&format!("timeout 2 busybox wget -qO- {url}")).code, 0);
        // A device that is lost takes its containers' with it, and is made again.
        host.sh(&format!("ip link del {device}"));
        assert_eq!(conex.ok(&["network", "reload"]), "web\n");
        assert_eq!(yard.fetch(&["--network", "apart"], &url).as_deref(), Some("web\n"));
        conex.ok(&["restart", "-t", "0", "web"]);
        conex.ok(&["rm", "-f", "web"]);
        assert_eq!(conex.ok(&["network", "rm", "apart"]), "apart\n");
        assert!(!host.sh("ip -o link").contains(&device));
    }
}
