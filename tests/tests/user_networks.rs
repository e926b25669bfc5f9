//! Networks of an ordinary user: pasta, slirp4netns, and bridges of his own.

#![allow(missing_docs)]

use conex_tests::{Yard, eventually, user_yard};

/// The user's host has no pasta.
fn without_pasta(yard: &Yard) {
    yard.host
        .sh("for file in /usr/bin/pasta /bin/pasta; do [ ! -e $file ] || mount --bind /dev/null $file; done");
}

#[test]
fn pasta_carries() {
    let yard = user_yard!();
    let conex = &yard.conex;
    yard.host.world("busybox httpd -p 8000 -h /usr/share/common-licenses");
    assert!(yard.fetch(&[], "http://192.0.2.2:8000/GPL-2").is_some());
    let shown = conex.ok(&["run", "--rm", yard.image, "ip", "address", "show", "eth0"]);
    assert!(shown.contains("192.0.2.1/24") && shown.contains("2001:db8::1/64"), "{shown}");
    yard.serve("web", &["-p", "8080:80"]);
    assert_eq!(conex.ok(&["port", "web", "80"]).lines().next(), Some("0.0.0.0:8080"));
    for url in ["http://192.0.2.1:8080/", "http://[2001:db8::1]:8080/"] {
        assert_eq!(yard.host.world_gets(url).as_deref(), Some("web\n"), "{url}");
    }
    assert_eq!(yard.host.sh("timeout 3 busybox wget -qO- http://127.0.0.1:8080/"), "web\n");
    // The world, as it is.
    eventually("the server's log", || {
        let log = conex.run(&["logs", "web"]);
        let log = log.stdout + &log.stderr;
        (log.contains("192.0.2.2]:") && log.contains("[2001:db8::2]:")).then_some(())
    });
    let address = conex.ok(&["inspect", "-f", "{{.NetworkSettings.IPAddress}}", "web"]);
    assert_eq!(address.trim(), "192.0.2.1");
    // Of the host's own loopback nothing is reached.
    yard.host.sh("busybox httpd -p 127.0.0.1:8001 -h /usr/share/common-licenses");
    assert_eq!(yard.fetch(&[], "http://127.0.0.1:8001/GPL-2"), None);
    assert_eq!(yard.fetch(&[], "http://192.0.2.2:8001/GPL-2"), None);
    // Clouds tell a machine who it is there; not its containers.
    yard.host.world("ip address add 169.254.169.254/32 dev lo && busybox httpd -p 169.254.169.254:80 -h /usr/share/common-licenses");
    let metadata = "http://169.254.169.254/GPL-2";
    assert!(yard.fetch(&[], metadata).is_some());
    let config = conex.scratch().join("conex.toml");
    std::fs::write(&config, "[ports]\nblock_metadata = true\n").expect("the configuration");
    let blocked = conex
        .command(&["run", "--rm", yard.image, "wget", "-qO-", "-T2", metadata])
        .env("CONEX_CONFIG", &config)
        .output();
    assert!(!blocked.expect("conex").status.success());
    // Somebody has it.
    let taken = conex.fails(125, &["run", "--rm", "-p", "8080:80", yard.image, "true"]);
    assert!(taken.contains("0.0.0.0:8080/tcp: Address already in use"), "{taken}");
    conex.ok(&["rm", "-f", "web"]);
    eventually("the port to be free", || {
        (conex.run(&["run", "--rm", "-p", "8080:80", yard.image, "true"]).code == 0).then_some(())
    });
}

#[test]
fn slirp4netns_carries() {
    let yard = user_yard!();
    let conex = &yard.conex;
    without_pasta(&yard);
    yard.host.world("busybox httpd -p 8000 -h /usr/share/common-licenses");
    assert!(yard.fetch(&[], "http://192.0.2.2:8000/GPL-2").is_some());
    yard.serve("web", &["-p", "8080:80", "-p", "127.0.0.1:8081:80"]);
    let address = conex.ok(&["inspect", "-f", "{{.NetworkSettings.IPAddress}}", "web"]);
    assert_eq!(address.trim(), "10.0.2.100");
    assert_eq!(yard.host.world_gets("http://192.0.2.1:8080/").as_deref(), Some("web\n"));
    assert_eq!(yard.host.world_gets("http://192.0.2.1:8081/"), None);
    assert_eq!(yard.host.sh("timeout 3 busybox wget -qO- http://127.0.0.1:8081/"), "web\n");
    eventually("the server's log", || {
        let log = conex.run(&["logs", "web"]);
        (log.stdout + &log.stderr).contains("192.0.2.2]:").then_some(())
    });
    yard.host.sh("busybox httpd -p 127.0.0.1:8001 -h /usr/share/common-licenses");
    assert_eq!(yard.fetch(&[], "http://10.0.2.2:8001/GPL-2"), None);
    // With its owner it goes.
    let pids = "ps -e -o pid=,args= | grep '[s]lirp4netns --configure' || true";
    assert!(!yard.host.sh(pids).is_empty());
    conex.ok(&["rm", "-f", "web"]);
    yard.host.sh("mount --bind /dev/null /usr/bin/slirp4netns");
    let neither = conex.fails(125, &["run", "--rm", yard.image, "true"]);
    assert!(neither.contains("pasta or slirp4netns") && neither.contains("passt"), "{neither}");
    conex.ok(&["run", "--rm", "--network", "none", yard.image, "true"]);
}

#[test]
fn names_on_networks_of_his_own() {
    let yard = user_yard!();
    let conex = &yard.conex;
    yard.host.world("busybox httpd -p 8000 -h /usr/share/common-licenses");
    conex.ok(&["network", "create", "front"]);
    conex.ok(&["network", "create", "--internal", "back"]);
    yard.serve("web", &["--network", "front", "--network-alias", "site", "-p", "8080:80"]);
    yard.serve("db", &["--network", "back"]);
    // By name and alias; the world by the way out, and the published port by it, too.
    assert_eq!(yard.fetch(&["--network", "front"], "http://web/").as_deref(), Some("web\n"));
    assert_eq!(yard.fetch(&["--network", "front"], "http://site/").as_deref(), Some("web\n"));
    assert!(yard.fetch(&["--network", "front"], "http://192.0.2.2:8000/GPL-2").is_some());
    assert_eq!(yard.host.world_gets("http://192.0.2.1:8080/").as_deref(), Some("web\n"));
    // An internal one has none, and no network reaches another.
    assert_eq!(yard.fetch(&["--network", "back"], "http://db/").as_deref(), Some("db\n"));
    assert_eq!(yard.fetch(&["--network", "back"], "http://192.0.2.2:8000/GPL-2"), None);
    assert_eq!(yard.fetch(&["--network", "front"], &format!("http://{}/", yard.address("db"))), None);
    assert_eq!(yard.fetch(&[], &format!("http://{}/", yard.address("db"))), None);
    // While it runs.
    conex.ok(&["network", "connect", "--alias", "shop", "back", "web"]);
    assert_eq!(yard.fetch(&["--network", "back"], "http://shop/").as_deref(), Some("web\n"));
    assert_eq!(conex.ok(&["exec", "web", "wget", "-qO-", "http://db/"]), "db\n");
    conex.ok(&["network", "disconnect", "back", "web"]);
    assert_eq!(yard.fetch(&["--network", "back"], "http://shop/"), None);
    let inspected = yard.inspect("back");
    assert_eq!(inspected["Containers"].as_object().map(serde_json::Map::len), Some(1), "{inspected}");
    assert_eq!(inspected["Host"]["Up"], true);
    // What goes is made again.
    let device = inspected["Host"]["Device"].as_str().expect("a device").to_owned();
    let netns = conex.run_root().join("host.netns");
    let netns = netns.to_str().expect("UTF-8");
    conex.ok(&["unshare", "nsenter", &format!("--net={netns}"), "ip", "link", "del", &device]);
    conex.ok(&["network", "reload"]);
    assert_eq!(yard.fetch(&["--network", "back"], "http://db/").as_deref(), Some("db\n"));
    // Nothing of it is on the host.
    let links = yard.host.sh("ip -br link; nft list ruleset");
    assert!(!links.contains("cx") && !links.contains("conex"), "{links}");
    conex.ok(&["rm", "-f", "web", "db"]);
    conex.ok(&["network", "rm", "front", "back"]);
}
