//! `ports.ask_input`: published ports are open to whom the host's own `input` chains let in, and closed to others, whichever way.

#![allow(missing_docs)]

use std::net::UdpSocket;
use std::time::{Duration, Instant};

use conex_tests::{Killat, Points, Yard, eventually, inside, skip, yard};

/// A host that lets nobody in who did not come before.
const CLOSED: &str = "nft -f - <<'END'
table inet host {
  chain input {
    type filter hook input priority 0; policy drop;
    ct state established,related accept
    icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept
    iifname lo accept
    counter comment \"asked\"
  }
  chain forward { type filter hook forward priority 0; }
}
END";

/// Whether the world gets through to a port of the host's, at once or not at all.
fn comes_in(yard: &Yard, address: &str) -> bool {
    let asked = Instant::now();
    let output = yard.host.try_world(&format!("timeout 2 busybox wget -qO- http://{address}/"));
    let is_in = output.stdout == "web\n";
    // A packet that is sent again is so after a second.
    assert!(!is_in || asked.elapsed() < Duration::from_millis(900), "{:?}", asked.elapsed());
    is_in
}

/// Whether a datagram gets there.
fn comes_in_over_udp(yard: &Yard, what: &str) -> bool {
    let bound = inside(&yard.host.world_namespace(), || UdpSocket::bind("192.0.2.2:0").expect("a socket"));
    bound.send_to(format!("{what}\n").as_bytes(), "192.0.2.1:5353").expect("sent");
    (0..20).any(|_| {
        std::thread::sleep(Duration::from_millis(20));
        yard.conex.ok(&["exec", "web", "cat", "/got"]).contains(what)
    })
}

const V4: &str = "192.0.2.1:8080";
const V6: &str = "[2001:db8::1]:8080";

#[test]
fn what_the_host_s_input_drops_is_dropped() {
    let yard = yard!();
    let (conex, host) = (&yard.conex, &yard.host);
    conex.ok(&["network", "create", "--ipv6", "site"]);
    let ports = ["--network", "site", "-p", "8080:80", "-p", "192.0.2.1:8081:80", "-p", "5353:53/udp"];
    let script = "mkdir /w; echo web >/w/index.html; nc -l -u -p 53 >/got & exec httpd -f -v -p 80 -h /w";
    conex.ok(&[&["run", "-d", "--name", "web"], &ports[..], &[yard.image, "sh", "-c", script]].concat());
    host.sh(CLOSED);
    // As everywhere: the host's input is not asked for what is not the host's.
    eventually("the server", || comes_in(&yard, V4).then_some(()));
    let asked = || {
        let listed = host.sh("nft list chain inet host input");
        let line = listed.lines().find(|line| line.contains("asked")).expect("the counter").to_owned();
        line.split_whitespace().nth(2).and_then(|count| count.parse::<u32>().ok()).expect("a number")
    };
    assert_eq!(asked(), 0);

    conex.configure("[ports]\nask_input = true\n");
    conex.ok(&["network", "reload"]);
    assert!(
        ![V4, V6, "192.0.2.1:8081"].iter().any(|at| comes_in(&yard, at))
            && !comes_in_over_udp(&yard, "dropped")
    );
    assert!(asked() > 0);
    // The host itself, which its own output chains are asked about; ::1 is refused as ever.
    assert_eq!(host.sh("timeout 2 busybox wget -qO- http://127.0.0.1:8080/"), "web\n");
    assert_eq!(host.sh("timeout 2 busybox wget -qO- http://192.0.2.1:8080/"), "web\n");
    assert!(host.try_sh("timeout 2 busybox wget -qO- http://[::1]:8080/").stderr.contains("refused"));
    assert_eq!(yard.fetch(&[], "http://192.0.2.1:8080/"), None, "a container is nobody else");

    // By the device and the port that were asked for, once a connection; who it is is kept.
    host.sh(
        "nft insert rule inet host input iifname eth0 tcp dport { 8080, 8081 } counter accept comment own",
    );
    for (at, from) in
        [(V4, "[::ffff:192.0.2.2]"), (V6, "[2001:db8::2]"), ("192.0.2.1:8081", "[::ffff:192.0.2.2]")]
    {
        let lines = || conex.run(&["logs", "web"]).stderr.matches(from).count();
        let before = lines();
        assert!(comes_in(&yard, at), "{at}");
        eventually("its address in the log", || (lines() > before).then_some(()));
    }
    let listed = host.sh("nft list chain inet host input");
    assert!(listed.contains("counter packets 3 "), "{listed}");
    assert!(!comes_in_over_udp(&yard, "refused"));
    host.sh("nft insert rule inet host input udp dport 5353 accept");
    assert!(comes_in_over_udp(&yard, "let in"));
    // Many at once, none of them a second late.
    let many = "for n in 1 2 3 4 5 6 7 8; do for m in 1 2 3 4 5; do timeout 2 busybox wget -qO- http://192.0.2.1:8080/; done & done; wait";
    let begun = Instant::now();
    assert_eq!(host.world(many).matches("web").count(), 40);
    assert!(begun.elapsed() < Duration::from_millis(900), "{:?}", begun.elapsed());

    // Its forward chains are asked as before, with the device that it came in by.
    let refuse = "nft add rule inet host forward iifname eth0 ct state new meta l4proto tcp ct original proto-dst 8080 drop";
    host.sh(refuse);
    assert!(!comes_in(&yard, V4) && !comes_in(&yard, V6) && comes_in(&yard, "192.0.2.1:8081"));
    host.sh("nft flush chain inet host forward");
    assert!(comes_in(&yard, V4) && comes_in(&yard, V6));
    // A host whose output lets nothing pass has to let it pass.
    host.sh("nft add chain inet host output '{ type filter hook output priority 0; policy drop; }'");
    assert_eq!(
        host.try_world("timeout 5 busybox wget -qO- http://192.0.2.1:8080/").stdout,
        "web\n",
        "a second later"
    );
    host.sh("nft add rule inet host output oifname conex-again accept");
    assert!(comes_in(&yard, V4));
    host.sh("nft flush chain inet host output; nft delete chain inet host output");
    // Shut again for who is new.
    host.sh("nft flush chain inet host input");
    assert!(!comes_in(&yard, V4));
    host.sh("nft delete table inet host");
    assert!(comes_in(&yard, V4) && comes_in(&yard, V6));
}

#[test]
fn what_is_open_stays_and_what_is_lost_is_made_again() {
    let yard = yard!();
    let (conex, host) = (&yard.conex, &yard.host);
    conex.configure("[ports]\nask_input = true\n");
    yard.serve("web", &["-p", "8080:80"]);
    assert!(comes_in(&yard, V4));
    // What runs is not asked about again.
    let again = || {
        let format = "{{range .Host.Rules}}{{println .Comment .Packets}}{{end}}";
        let rules = conex.ok(&["network", "inspect", "-f", format, "bridge"]);
        let count = |line: &str| line.strip_prefix("comes in once more ")?.trim().parse::<u32>().ok();
        rules.lines().filter_map(count).sum::<u32>()
    };
    let before = again();
    assert!(comes_in(&yard, V4));
    assert_eq!(again(), before + 1);
    let parts = |host: &conex_tests::NetHost| {
        (
            host.sh("nft list tables").matches("conex").count(),
            host.sh("ip -o link").matches("conex-again:").count(),
        )
    };
    assert_eq!(parts(host).0, 4);
    // Without its device the same packet, sent again, is known.
    host.sh("ip link del conex-again");
    assert_eq!(host.world("timeout 5 busybox wget -qO- http://192.0.2.1:8080/"), "web\n");
    conex.ok(&["run", "--rm", yard.image, "true"]);
    assert!(comes_in(&yard, V4));
    for lost in ["nft delete table ip conex", "nft flush ruleset"] {
        host.sh(lost);
        assert!(!comes_in(&yard, V4), "{lost}");
        conex.ok(&["run", "--rm", yard.image, "true"]);
        assert!(comes_in(&yard, V4), "{lost}");
    }
    // Taken back: by the next start.
    host.sh(CLOSED);
    assert!(!comes_in(&yard, V4));
    conex.configure("");
    conex.ok(&["run", "--rm", yard.image, "true"]);
    assert!(comes_in(&yard, V4));
    conex.ok(&["network", "reload"]);
    assert!(comes_in(&yard, V4));
    assert_eq!(host.sh("nft list tables").matches("conex").count(), 2);
    assert!(!host.sh("ip -o link").contains("conex-again"));
    // And all goes with the last network.
    conex.configure("[ports]\nask_input = true\n");
    conex.ok(&["network", "create", "one"]);
    conex.ok(&["network", "reload"]);
    assert!(host.sh("ip -o link").contains("conex-again"));
}

#[test]
fn a_reload_that_is_killed_is_made_good_by_the_next_start() {
    let yard = yard!();
    let (conex, host) = (&yard.conex, &yard.host);
    let Some(killat) = Killat::new(conex.scratch()) else { skip!("no C compiler") };
    conex.configure("[ports]\nask_input = true\n");
    yard.serve("web", &["-p", "8080:80"]);
    let reload = ["network", "reload"];
    // What is lost differs: the device alone, a table that names it, all.
    let losses = ["ip link del conex-again", "nft delete table ip6 conex", "nft flush ruleset"];
    let lose = |round: usize| {
        host.try_sh(losses[round % 3]);
    };
    let is_made_good = |_: usize, after: &str| {
        conex.ok(&["run", "--rm", yard.image, "true"]);
        assert!(comes_in(&yard, V4), "{after}");
    };
    killat.each(conex, &reload, Points { some: 30, every: 7, kills: 15 }, lose, is_made_good);
}
