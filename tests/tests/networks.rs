//! Networks, from the command line to the packet: who reaches whom, ports, names in tables, what a kill or a flush leaves.

#![allow(missing_docs)]

use conex_tests::{Yard, eventually, yard};

/// A web server that the host reaches, too.
#[track_caller]
fn serve(yard: &Yard, name: &str, flags: &[&str]) {
    yard.serve(name, flags);
    let url = format!("http://{}/", yard.address(name));
    eventually("the host to reach the server", || {
        (yard.host.try_sh(&format!("timeout 1 busybox wget -qO- {url}")).code == 0).then_some(())
    });
}

#[test]
fn the_default_bridge() {
    let yard = yard!();
    let shown = yard.conex.ok(&["run", "--rm", yard.image, "ip", "-4", "address", "show", "eth0"]);
    assert!(shown.contains("inet 10.88.0.2/16"), "{shown}");
    serve(&yard, "web", &[]);
    assert_eq!(yard.fetch(&[], &format!("http://{}/", yard.address("web"))).as_deref(), Some("web\n"));
    // The world, by the host's address.
    yard.host.world("busybox httpd -p 8000 -h /usr/share/common-licenses");
    assert!(yard.fetch(&[], "http://192.0.2.2:8000/GPL-2").is_some());
    assert_eq!(yard.fetch(&["--network", "none"], "http://192.0.2.2:8000/GPL-2"), None);
    assert!(yard.fetch(&["--network", "container:web"], "http://127.0.0.1/").is_some());
    // Names that the container knows of itself.
    let hosts = yard.conex.ok(&["exec", "web", "cat", "/etc/hosts"]);
    assert!(hosts.lines().last().is_some_and(|line| line.starts_with(&yard.address("web"))), "{hosts}");
    let gateway = yard.conex.ok(&[
        "run",
        "--rm",
        "--add-host",
        "host.docker.internal:host-gateway",
        yard.image,
        "cat",
        "/etc/hosts",
    ]);
    assert!(gateway.contains("10.88.0.1\thost.docker.internal"), "{gateway}");
    let full = [
        "run",
        "--rm",
        "--hostname",
        "h1",
        "--domainname",
        "d.e",
        yard.image,
        "sh",
        "-c",
        "hostname -f; tail -n 1 /etc/hosts",
    ];
    let shown = yard.conex.ok(&full);
    assert!(shown.starts_with("h1.d.e\n") && shown.ends_with("\th1.d.e h1\n"), "{shown}");
    yard.conex.ok(&["rm", "-f", "web"]);
    assert_eq!(yard.inspect("bridge")["Containers"], serde_json::json!({}));
}

#[test]
fn networks_of_ones_own() {
    let yard = yard!();
    let conex = &yard.conex;
    let id = conex.ok(&[
        "network",
        "create",
        "--subnet",
        "10.20.0.0/24",
        "--gateway",
        "10.20.0.254",
        "--ip-range",
        "10.20.0.128/25",
        "--label",
        "stage=test",
        "-o",
        "mtu=1400",
        "db",
    ]);
    assert_eq!(id.trim().len(), 64);
    conex.ok(&["network", "create", "--ipv6", "web"]);
    conex.ok(&["network", "create", "--internal", "inner"]);
    assert_eq!(
        conex.ok(&["network", "ls", "--format", "{{.Name}} {{.Driver}} {{.Scope}}"]),
        "bridge bridge local\ndb bridge local\ninner bridge local\nweb bridge local\n"
    );
    assert_eq!(conex.ok(&["network", "ls", "-q", "--no-trunc", "--filter", "label=stage=test"]), id);
    let db = yard.inspect("db");
    assert_eq!(
        db["IPAM"]["Config"][0],
        serde_json::json!({"Subnet": "10.20.0.0/24", "Gateway": "10.20.0.254", "IPRange": "10.20.0.128/25"})
    );
    serve(&yard, "a", &["--network", "db"]);
    assert_eq!(yard.address("a"), "10.20.0.128");
    let device = conex.ok(&["exec", "a", "ip", "link", "show", "eth0"]);
    assert!(device.contains("mtu 1400"), "{device}");
    serve(&yard, "b", &["--network", "db", "--ip", "10.20.0.7", "--mac-address", "02:00:00:00:00:07"]);
    assert_eq!(yard.address("b"), "10.20.0.7");
    assert!(conex.ok(&["exec", "b", "ip", "link", "show", "eth0"]).contains("02:00:00:00:00:07"));
    let taken = conex.fails(125, &["run", "--rm", "--network", "db:ip=10.20.0.7", yard.image, "true"]);
    assert!(taken.contains("10.20.0.7 is in use") && taken.lines().count() == 1, "{taken}");
    // By the other network nobody comes in; by both both are reached.
    let url = "http://10.20.0.128/";
    assert_eq!(yard.fetch(&["--network", "db"], url).as_deref(), Some("a\n"));
    assert_eq!(yard.fetch(&["--network", "web"], url), None);
    assert_eq!(yard.fetch(&["--network", "web", "--network", "db"], url).as_deref(), Some("a\n"));
    let shown = conex.ok(&[
        "run",
        "--rm",
        "--network",
        "web:interface=net0",
        "--network",
        "inner",
        yard.image,
        "ip",
        "-o",
        "address",
    ]);
    assert!(shown.contains("net0") && shown.contains("eth1") && shown.contains("inet6 fd"), "{shown}");

    let busy = conex.fails(1, &["network", "rm", "db"]);
    assert!(busy.contains("network db has active endpoints: a, b"), "{busy}");
    conex.ok(&["rm", "-f", "a", "b"]);
    assert_eq!(conex.ok(&["network", "rm", "db"]), "db\n");
    assert_eq!(conex.ok(&["network", "prune", "-f"]), "Deleted Networks:\ninner\nweb\n");
    for (arguments, words) in [
        (&["network", "rm", "db"][..], "network db not found"),
        (&["network", "rm", "bridge"], "cannot be removed"),
        (&["network", "create", "host"], "cannot be created"),
        (&["network", "create", "a/b"], "is not valid"),
        (&["network", "create", "--subnet", "10.20.0.1/24", "x"], "did you mean 10.20.0.0/24?"),
        (
            &["network", "create", "--subnet", "192.0.2.0/25", "x"],
            "overlaps with the host's route to 192.0.2.0/24",
        ),
        (&["network", "create", "--gateway", "10.9.0.1", "x"], "belongs to no --subnet"),
        (&["network", "create", "-o", "what=1", "x"], "network option \"what\" is unknown"),
        (&["network", "inspect", "nope"], "network nope not found"),
    ] {
        let output = conex.run(arguments);
        assert!(output.code != 0 && output.stderr.contains(words), "{arguments:?}: {}", output.stderr);
    }
    let missing = conex.fails(125, &["run", "--rm", "--network", "nope", yard.image, "true"]);
    assert!(missing.contains("network nope not found"), "{missing}");
    assert_eq!(conex.ok(&["ps", "-aq"]), "");
}

#[test]
fn ranges_of_ports_are_one_text() {
    let yard = yard!();
    let conex = &yard.conex;
    let shown = |name: &str| {
        conex.ok(&["ps", "--filter", &format!("name={name}"), "--format", "{{.Ports}}"]).trim_end().to_owned()
    };
    let run = |name: &str, flags: &[&str]| {
        conex.ok(&[&["run", "-d", "--name", name], flags, &[yard.image, "sleep", "1000"]].concat());
    };
    run("same", &["-p", "127.0.0.1:9000-9002:9000-9002", "--expose", "7000-7002", "--expose", "9001"]);
    assert_eq!(shown("same"), "7000-7002/tcp, 127.0.0.1:9000-9002->9000-9002/tcp");
    run("shifted", &["-p", "127.0.0.1:8000-8001:6000-6001/udp"]);
    assert_eq!(shown("shifted"), "127.0.0.1:8000->6000/udp, 127.0.0.1:8001->6001/udp");
    conex.ok(&["create", "--name", "plain", yard.image]);
    conex.ok(&["commit", "-c", "EXPOSE 5000/udp", "plain", "exposes:1"]);
    conex.ok(&["run", "-d", "--name", "image", "exposes:1", "sleep", "1000"]);
    assert_eq!(shown("image"), "5000/udp");
    assert!(conex.ok(&["ps"]).contains(" 5000/udp "));
    conex.ok(&["stop", "-t", "0", "image"]);
    assert_eq!(conex.ok(&["ps", "-a", "--filter", "name=image", "--format", "{{.Ports}}"]), "\n");
}

#[test]
fn published_ports() {
    let yard = yard!();
    let (conex, host) = (&yard.conex, &yard.host);
    serve(&yard, "web", &["-p", "8080:80", "-p", "127.0.0.1:8081:80/tcp", "-p", "5353:53/udp"]);
    assert_eq!(host.world("timeout 2 busybox wget -qO- http://192.0.2.1:8080/"), "web\n");
    assert_ne!(host.try_world("timeout 2 busybox wget -qO- http://192.0.2.1:8081/").code, 0);
    assert_eq!(host.sh("timeout 2 busybox wget -qO- http://127.0.0.1:8081/"), "web\n");
    assert_eq!(yard.fetch(&[], "http://192.0.2.1:8080/").as_deref(), Some("web\n"));
    assert_eq!(
        conex.ok(&["port", "web"]),
        "53/udp -> 0.0.0.0:5353\n80/tcp -> 0.0.0.0:8080\n80/tcp -> 127.0.0.1:8081\n"
    );
    assert_eq!(conex.ok(&["port", "web", "53/udp"]), "0.0.0.0:5353\n");
    for bad in ["x", "80/foo"] {
        let error = conex.fails(1, &["port", "web", bad]);
        assert!(error.contains("invalid ") && error.lines().count() == 1, "{error}");
    }
    assert!(conex.fails(1, &["port", "web", "81"]).contains("no public port '81/tcp' published for web"));
    let ports = conex.ok(&["ps", "--format", "{{.Ports}}"]);
    assert!(ports.contains("0.0.0.0:8080->80/tcp"), "{ports}");
    let bound = conex.ok(&[
        "inspect",
        "-f",
        "{{json .NetworkSettings.Ports}} {{json .HostConfig.PortBindings}}",
        "web",
    ]);
    assert!(bound.contains(r#""80/tcp":[{"HostIp":"0.0.0.0","HostPort":"8080"}"#), "{bound}");
    // Taken: by a container, by another program.
    for port in ["8080:80", "0.0.0.0:8080:81"] {
        let taken = conex.fails(125, &["run", "--rm", "-p", port, yard.image, "true"]);
        assert!(
            taken.contains("cannot publish port 0.0.0.0:8080/tcp") && taken.lines().count() == 1,
            "{taken}"
        );
    }
    host.sh("busybox httpd -p 7000 -h /");
    assert!(conex.fails(125, &["run", "--rm", "-p", "7000:80", yard.image, "true"]).contains("7000/tcp"));
    assert!(conex.fails(125, &["run", "--rm", "-p", "80:x", yard.image, "true"]).contains("invalid port"));
    // -P: any port of the host, for what is exposed.
    conex.ok(&["run", "-d", "--name", "any", "-P", "--expose", "90-91", yard.image, "sleep", "60"]);
    let any = conex.ok(&["port", "any"]);
    assert_eq!(
        any.lines()
            .filter(|line| line.starts_with("90/tcp -> 0.0.0.0:") || line.starts_with("91/tcp -> "))
            .count(),
        2,
        "{any}"
    );
    // Gone with the container, back with it.
    conex.ok(&["stop", "-t", "0", "web"]);
    assert_ne!(host.try_world("timeout 1 busybox wget -qO- http://192.0.2.1:8080/").code, 0);
    assert_eq!(conex.ok(&["port", "web"]), "");
    conex.ok(&["start", "web"]);
    eventually("the server", || {
        host.try_world("timeout 2 busybox wget -qO- http://192.0.2.1:8080/").stdout.eq("web\n").then_some(())
    });
}

#[test]
fn connected_and_disconnected_while_it_runs() {
    let yard = yard!();
    let conex = &yard.conex;
    for name in ["one", "two"] {
        conex.ok(&["network", "create", name]);
    }
    serve(&yard, "web", &["--network", "one"]);
    let first = yard.address("web");
    conex.ok(&["network", "connect", "--alias", "site", "two", "web"]);
    assert!(conex.fails(1, &["network", "connect", "two", "web"]).contains("is on network two already"));
    let format = "{{.NetworkSettings.Networks.two.IPAddress}}";
    let second = conex.ok(&["inspect", "-f", format, "web"]);
    assert_eq!(
        yard.fetch(&["--network", "two"], &format!("http://{}/", second.trim())).as_deref(),
        Some("web\n")
    );
    assert!(conex.ok(&["exec", "web", "cat", "/etc/hosts"]).contains(second.trim()));
    conex.ok(&["network", "disconnect", "one", "web"]);
    assert_eq!(yard.fetch(&["--network", "one"], &format!("http://{first}/")), None);
    assert!(
        conex.fails(1, &["network", "disconnect", "one", "web"]).contains("is not connected to network one")
    );
    conex.ok(&["network", "rm", "one"]);
    // It stays so.
    conex.ok(&["restart", "-t", "0", "web"]);
    let networks = conex.ok(&[
        "inspect",
        "-f",
        "{{range $name, $one := .NetworkSettings.Networks}}{{$name}} {{end}}",
        "web",
    ]);
    assert_eq!(networks.trim(), "two");
    conex.ok(&["create", "--name", "idle", "--network", "none", yard.image, "true"]);
    assert!(conex.fails(1, &["network", "connect", "two", "idle"]).contains("--network none"));
}

#[test]
fn what_is_lost_is_noticed_or_reloaded() {
    let yard = yard!();
    let (conex, host) = (&yard.conex, &yard.host);
    serve(&yard, "web", &["-p", "8080:80"]);
    let reached = || host.try_world("timeout 1 busybox wget -qO- http://192.0.2.1:8080/").stdout == "web\n";
    assert!(reached());
    host.sh("nft flush ruleset");
    assert!(!reached());
    assert_eq!(conex.ok(&["network", "reload"]), "web\n");
    assert!(reached());
    host.sh("nft flush ruleset");
    conex.ok(&["run", "--rm", yard.image, "true"]);
    assert!(reached(), "the next run has noticed");
    host.sh("ip link del conex0");
    conex.ok(&["network", "reload"]);
    assert!(reached());
    // Another program's table is not touched.
    host.sh("nft add table inet own && nft add chain inet own c");
    conex.ok(&["network", "reload"]);
    assert!(host.sh("nft list ruleset").contains("table inet own"));
}

#[test]
fn a_kill_leaves_nothing() {
    let yard = yard!();
    let (conex, host) = (&yard.conex, &yard.host);
    conex.ok(&["network", "create", "one"]);
    for round in 0..6 {
        serve(&yard, "web", &["--network", "one", "-p", "8080:80"]);
        yard.kill_supervisor("web");
        // The next command clears it.
        eventually(&format!("the end of the killed (round {round})"), || {
            conex.ok(&["ps", "-q"]).is_empty().then_some(())
        });
        assert!(conex.run_root().join("networks/one").is_dir());
        assert_eq!(yard.leases("one"), [""; 0]);
        let rules = host.sh("nft list ruleset");
        assert!(!rules.contains("8080") && !rules.contains("cx0"), "{rules}");
        eventually("the cable is gone", || (!host.sh("ip -o link").contains("alias web")).then_some(()));
        conex.ok(&["rm", "web"]);
    }
    conex.ok(&["network", "rm", "one"]);
}

#[test]
fn many_at_once() {
    let yard = yard!();
    let conex = &yard.conex;
    conex.ok(&["network", "create", "many"]);
    let started = std::thread::scope(|scope| {
        let run = |number: usize| {
            let port = format!("{}:80", 20000 + number);
            let (yard, name) = (&yard, format!("c{number}"));
            move || {
                yard.conex.run(&[
                    "run",
                    "-d",
                    "--name",
                    &name,
                    "--network",
                    "many",
                    "-p",
                    &port,
                    yard.image,
                    "sleep",
                    "60",
                ])
            }
        };
        let threads: Vec<_> = (0..24).map(|number| scope.spawn(run(number))).collect();
        threads.into_iter().map(|thread| thread.join().expect("a thread")).collect::<Vec<_>>()
    });
    for output in &started {
        assert_eq!(output.code, 0, "{}", output.stderr);
    }
    let network = yard.inspect("many");
    let addresses: std::collections::BTreeSet<_> = network["Containers"]
        .as_object()
        .expect("an object")
        .values()
        .map(|one| one["IPv4Address"].as_str().unwrap_or_default().to_owned())
        .collect();
    assert_eq!(addresses.len(), 24, "{network}");
    assert_eq!(yard.host.sh("nft list map inet conex ports4").matches("10.89.").count(), 24);
}

#[test]
fn the_configuration_has_the_last_word_on_ports() {
    let yard = yard!();
    let (conex, host) = (&yard.conex, &yard.host);
    host.sh("ip address add 169.254.169.254/32 dev lo && busybox httpd -p 169.254.169.254:80 -h /usr/share/common-licenses");
    let metadata = || yard.fetch(&[], "http://169.254.169.254/GPL-2").is_some();
    assert!(metadata());
    conex.configure("[ports]\naddress = \"127.0.0.1\"\nblock_metadata = true\n");
    assert!(!metadata());
    let blocked = conex.ok(&[
        "network",
        "inspect",
        "-f",
        "{{range .Host.Rules}}{{.Comment}} {{.Packets}}\n{{end}}",
        "bridge",
    ]);
    let counted =
        blocked.lines().filter(|line| line.starts_with("metadata is not")).any(|line| !line.ends_with(" 0"));
    assert!(counted, "{blocked}");
    serve(&yard, "web", &["-p", "8080:80", "-p", "0.0.0.0:8081:80"]);
    assert_eq!(conex.ok(&["port", "web", "80"]), "0.0.0.0:8081\n127.0.0.1:8080\n");
    assert_ne!(host.try_world("timeout 1 busybox wget -qO- http://192.0.2.1:8080/").code, 0);
    assert_eq!(host.world("timeout 2 busybox wget -qO- http://192.0.2.1:8081/"), "web\n");
    // Taken back by the next start, as it was made.
    conex.configure("[ports]\naddress = \"127.0.0.1\"\n");
    assert!(metadata());
    conex.configure("[ports]\nadress = \"127.0.0.1\"\n");
    let error = conex.fails(125, &["run", "--rm", yard.image, "true"]);
    assert!(
        error.contains("conex.toml: line 2: unknown key ports.adress; did you mean ports.address?")
            && error.lines().count() == 1,
        "{error}"
    );
    conex.configure("");
    let warned = conex.run(&["run", "--rm", "--network", "none", "-p", "80:80", yard.image, "true"]);
    assert!(warned.code == 0 && warned.stderr.contains("Published ports are discarded"), "{}", warned.stderr);
}
