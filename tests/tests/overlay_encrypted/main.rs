//! Encrypted overlays: two hosts, and a third between them that reads and forges what it wants.
//!
//! Where the kernel has no ESP, that it says so and leaves nothing.

#![allow(missing_docs)]

mod ends;
mod wire;

use std::fs;
use std::os::unix::fs::PermissionsExt;

use conex_tests::{Yard, eventually};

use self::wire::{
    FROM_HERE, FROM_THERE, ONE, PEERS, TWO, WRONG, Wire, assert_nothing, associations, counted, key_file,
    reaches, write_secrets,
};

#[test]
fn a_wire_that_is_read_tells_nothing() {
    let Some(wire) = Wire::new() else { return };
    let (here, there) = (&wire.here, &wire.there);
    wire.mesh(&[ONE], &[PEERS]);
    // From the first packet on.
    let read = wire.read(|| {
        here.serve("plainwords", &["--network", "mesh"]);
        there.serve("otherwords", &["--network", "mesh"]);
        assert_eq!(there.fetch(&["--network", "mesh"], FROM_THERE).as_deref(), Some("plainwords\n"));
        assert_eq!(here.fetch(&["--network", "mesh"], FROM_HERE).as_deref(), Some("otherwords\n"));
    });
    assert!(read.esp > 10 && read.udp == 0, "{} of ESP, {} of UDP", read.esp, read.udp);
    for words in ["plainwords", "otherwords", "GET /"] {
        assert!(!read.has(words), "{words}");
    }
    // The whole of a frame fits into one packet, and not more.
    assert!(here.conex.ok(&["exec", "plainwords", "ip", "link", "show", "eth0"]).contains("mtu 1408"));
    let large = wire.read(|| {
        here.conex.ok(&["exec", "plainwords", "ping", "-c1", "-W5", "-s", "1380", "10.40.0.64"]);
    });
    assert!(large.esp >= 2, "{}", large.esp);
    let longest = wire.switch.host.sh(&format!(
        "tcpdump -nn -r {} 'ip proto 50 and greater 1500' 2>/dev/null | wc -l; tcpdump -nn -r {0} 'ip[6:2] & 0x3fff != 0' 2>/dev/null | wc -l",
        wire.switch.conex.scratch().join("read").display()
    ));
    assert_eq!(longest, "2\n0\n", "whole, both ways");

    // Much at once, in segments that the kernel would cut for a plain tunnel.
    let sum = here.conex.ok(&[
        "exec",
        "plainwords",
        "sh",
        "-c",
        "head -c 4194304 /dev/urandom >/w/much; sha256sum </w/much",
    ]);
    let script = format!("wget -qO- {FROM_THERE}much | sha256sum");
    assert_eq!(there.conex.ok(&["exec", "otherwords", "sh", "-c", &script]), sum);

    // The key is in its file only.
    let mesh = here.inspect("mesh");
    assert_eq!(
        (&mesh["Options"]["encrypted"], &mesh["Host"]["Tunnel"]["Encrypted"]),
        (&"true".into(), &true.into())
    );
    let definition =
        fs::read_to_string(here.conex.root().join("networks/mesh.json")).expect("the definition");
    let told = here.conex.run(&["--debug", "network", "reload"]);
    assert_eq!(told.code, 0, "{}", told.stderr);
    for text in [mesh.to_string(), definition, told.stdout + &told.stderr] {
        assert!(!text.to_lowercase().contains(&ONE[..16]), "{text}");
    }

    // The sniffer sees what is not encrypted.
    for (yard, range) in [(here, "10.42.0.0/26"), (there, "10.42.0.64/26")] {
        let net = ["network", "create", "-d", "overlay", "--subnet", "10.42.0.0/24", "--ip-range", range];
        yard.conex.ok(&[&net[..], &["-o", PEERS, "-o", "port=4790", "open"]].concat());
    }
    here.serve("openwords", &["--network", "open"]);
    let read = wire.read(|| {
        assert_eq!(there.fetch(&["--network", "open"], "http://10.42.0.2/").as_deref(), Some("openwords\n"));
    });
    assert!(read.udp > 10 && read.has("openwords"), "{} of UDP", read.udp);
}

#[test]
fn what_is_not_encrypted_is_dropped() {
    let Some(wire) = Wire::new() else { return };
    let (here, there, switch) = (&wire.here, &wire.there, &wire.switch);
    wire.mesh(&[ONE], &[PEERS]);
    here.serve("web", &["--network", "mesh"]);
    there.serve("db", &["--network", "mesh"]);
    assert!(reaches(there, FROM_THERE));
    // A host that is a peer by its address, and has the same network, but not encrypted.
    let plain =
        ["network", "create", "-d", "overlay", "--subnet", "10.40.0.0/24", "--ip-range", "10.40.0.128/26"];
    switch.conex.ok(&[&plain[..], &["-o", PEERS, "mesh"]].concat());
    let before = counted(here, "a tunnel's, not encrypted");
    assert!(!reaches(switch, FROM_THERE));
    assert!(counted(here, "a tunnel's, not encrypted") > before);
    assert!(reaches(there, FROM_THERE));
    // A host's own firewall that drops has to let ESP in, and what was in it.
    let drops = |rules: &str| {
        let chain =
            "type filter hook input priority 0; policy drop; iif lo accept; meta l4proto icmpv6 accept;";
        here.host.sh(&format!("nft 'table inet own {{ chain input {{ {chain} {rules} }}; }}'"));
        let reached = reaches(there, FROM_THERE);
        here.host.sh("nft delete table inet own");
        reached
    };
    assert!(!drops("meta l4proto esp accept;") && !drops("udp dport 4789 accept;"));
    assert!(drops("meta l4proto esp accept; udp dport 4789 meta ipsec exists accept;"));
    // Without our rules the kernel's policy drops it as well.
    let refused = || {
        let text = here.host.sh("cat /proc/net/xfrm_stat");
        let value = |name| {
            let line = text.lines().find(|line: &&str| line.starts_with(name)).expect("a counter");
            line.split_whitespace().nth(1).and_then(|text| text.parse::<u64>().ok()).expect("a number")
        };
        value("XfrmInTmplMismatch") + value("XfrmInNoPols")
    };
    let before = refused();
    here.host.sh("nft delete table inet conex");
    assert!(!reaches(switch, FROM_THERE));
    assert!(refused() > before, "by the policy");
    // Without the policies our rules do, and nothing leaves as it is.
    here.conex.ok(&["network", "reload"]);
    here.host.sh("ip xfrm policy flush");
    let leaving = "a tunnel's, about to leave as it is";
    let read = wire.read(|| {
        assert!(!reaches(switch, FROM_THERE));
        let asked = here.conex.run(&["exec", "web", "wget", "-qO-", "-T2", FROM_HERE]);
        assert_ne!(asked.code, 0);
    });
    assert!(counted(here, leaving) > 0 && !read.has("GET /"));
    // Mended by a reload, as associations are.
    here.host.sh("ip xfrm state flush");
    here.conex.ok(&["network", "reload"]);
    assert_eq!((associations(here), here.host.sh("ip xfrm policy | grep -c 'proto esp'").trim()), (4, "2"));
    let asked = || here.conex.run(&["exec", "web", "wget", "-qO-", "-T2", FROM_HERE]).stdout;
    eventually("the way back", || (asked() == "db\n").then_some(()));
}

#[test]
fn secrets_are_wrong_and_are_changed() {
    let Some(wire) = Wire::new() else { return };
    let (here, there) = (&wire.here, &wire.there);
    wire.mesh(&[ONE], &["peers=198.51.100.1,198.51.100.2"]);
    here.serve("web", &["--network", "mesh"]);
    assert_eq!(associations(here), 2);
    there.serve("db", &["--network", "mesh"]);
    let files = [key_file(here), key_file(there)];
    let reload = |secrets: &[(usize, &[&str])]| {
        for (at, secrets) in secrets {
            write_secrets(&files[*at], secrets);
            [here, there][*at].conex.ok(&["network", "reload"]);
        }
    };
    let both = || {
        let asked =
            |yard: &Yard, name, url| yard.conex.run(&["exec", name, "wget", "-qO-", "-T3", url]).stdout;
        asked(here, "web", FROM_HERE) == "db\n" && asked(there, "db", FROM_THERE) == "web\n"
    };
    assert!(both());
    reload(&[(1, &[WRONG])]);
    assert!(!both() && !reaches(there, FROM_THERE));
    // From one to the next without a moment when nobody is understood: known everywhere, then sent with, then the old one forgotten.
    let steps: [&[&str]; 4] = [&[ONE], &[ONE, TWO], &[TWO, ONE], &[TWO]];
    for secrets in steps {
        for at in [1, 0] {
            reload(&[(at, secrets)]);
            if secrets != [ONE] || at == 0 {
                eventually("both", || both().then_some(()));
            }
            assert_eq!(associations([here, there][at]), 1 + secrets.len());
        }
    }
    assert!(here.host.sh("ip xfrm state").contains("mode transport"));

    // A file that is none changes nothing, says where, and not what is in it.
    let start = || here.conex.fails(125, &["run", "--rm", "--network", "mesh", here.image, "true"]);
    for (text, mode, words) in [
        (format!("{TWO}\n{}\n", &ONE[1..]), 0o600, "mesh.key:2: expected 64 hexadecimal digits"),
        (String::new(), 0o600, "mesh.key: there is no key in it"),
        (TWO.to_owned(), 0o644, "mesh.key: it may be read by others than its owner: chmod 600"),
    ] {
        fs::write(&files[0], text).expect("the file");
        fs::set_permissions(&files[0], fs::Permissions::from_mode(mode)).expect("its mode");
        let error = start();
        assert!(
            error.contains(words) && error.lines().count() == 1 && !error.contains(&ONE[1..9]),
            "{error}"
        );
    }
    fs::remove_file(&files[0]).expect("the file");
    assert!(start().contains("mesh.key: No such file"), "{}", start());
    assert!(both());
}

#[test]
fn over_ipv6() {
    let Some(wire) = Wire::new() else { return };
    let (here, there) = (&wire.here, &wire.there);
    wire.mesh(&[ONE], &["peers=2001:db8:1::1,2001:db8:1::2"]);
    here.serve("plainwords", &["--network", "mesh"]);
    there.serve("db", &["--network", "mesh"]);
    let read = wire.read(|| {
        assert_eq!(there.fetch(&["--network", "mesh"], FROM_THERE).as_deref(), Some("plainwords\n"));
    });
    assert!(
        read.esp > 5 && read.udp == 0 && !read.has("plainwords"),
        "{} of ESP, {} of UDP",
        read.esp,
        read.udp
    );
    assert!(here.conex.ok(&["exec", "plainwords", "ip", "link", "show", "eth0"]).contains("mtu 1376"));
    here.conex.ok(&["exec", "plainwords", "ping", "-c1", "-W5", "-s", "1348", "10.40.0.64"]);
    here.conex.ok(&["rm", "-f", "plainwords"]);
    here.conex.ok(&["network", "rm", "mesh"]);
    assert_nothing(here);
}
