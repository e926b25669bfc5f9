//! What plugins of CNI are asked, and what becomes of it when they fail, hang, babble or lie: plugins that are scripts, and record.

#![allow(missing_docs)]

use std::time::{Duration, Instant};

use conex_tests::{CniYard, cni_yard, eventually, processes};
use serde_json::{Value, json};

/// A device of its own in the container would be more than a script can do: a result is all that counts here.
const RESULT: &str = r#"
[ "$CNI_COMMAND" = ADD ] || exit 0
printf '{"cniVersion":"1.0.0","interfaces":[{"name":"%s","mac":"02:00:00:00:00:01","sandbox":"%s"}],"ips":[{"address":"10.90.0.5/24","interface":0}],"dns":{"nameservers":["10.90.0.1"],"options":["rotate"]}}' \
    "$CNI_IFNAME" "$CNI_NETNS"
"#;

fn list(cni: &CniYard, name: &str, version: &str, plugins: Value) {
    let document = json!({ "cniVersion": version, "name": name, "plugins": plugins });
    cni.define(&format!("{name}.conflist"), &document);
}

#[test]
fn what_plugins_are_asked() {
    let cni = cni_yard!();
    let (yard, conex) = (&cni.yard, &cni.yard.conex);
    cni.plugin("first", RESULT);
    cni.plugin("second", RESULT);
    let capabilities = json!({"portMappings": true, "ips": true, "mac": true, "dns": true, "aliases": true, "bandwidth": true});
    list(
        &cni,
        "net",
        "1.0.0",
        json!([
            {"type": "first", "number": 7, "args": {"x": [1, null]}},
            {"type": "second", "capabilities": capabilities},
        ]),
    );
    conex.ok(&[
        "run",
        "-d",
        "--name",
        "one",
        "--network",
        "net:ip=10.90.0.5,mac=02:00:00:00:00:01,alias=db,interface=net0",
        "-p",
        "8080:80",
        "-p",
        "127.0.0.1:5353:53/udp",
        "--dns",
        "10.0.0.1",
        "--dns-search",
        "a.example",
        yard.image,
        "sleep",
        "1000",
    ]);
    let id = conex.ok(&["inspect", "-f", "{{.Id}}", "one"]).trim().to_owned();
    let netns = conex.run_root().join("netns").join(&id).display().to_string();
    let path = format!("{}:/usr/lib/cni", cni.plugins().display());
    let result = json!({
        "cniVersion": "1.0.0", "interfaces": [{"name": "net0", "mac": "02:00:00:00:00:01", "sandbox": netns}],
        "ips": [{"address": "10.90.0.5/24", "interface": 0}],
        "dns": {"nameservers": ["10.90.0.1"], "options": ["rotate"]},
    });
    let asked = |command: &str, config: Value| {
        json!({
            "command": command, "container": id, "netns": netns, "ifname": "net0",
            "args": "IgnoreUnknown=1;K8S_POD_NAME=one", "path": path, "config": config,
        })
    };
    let with = |mut config: Value, result: Option<&Value>| {
        if let Some(result) = result {
            config["prevResult"] = result.clone();
        }
        config
    };
    let first =
        json!({"cniVersion": "1.0.0", "name": "net", "type": "first", "number": 7, "args": {"x": [1, null]}});
    let second = json!({
        "cniVersion": "1.0.0", "name": "net", "type": "second",
        "runtimeConfig": {
            "ips": ["10.90.0.5"], "mac": "02:00:00:00:00:01", "aliases": ["db", &id[..12]],
            "dns": {"servers": ["10.0.0.1"], "searches": ["a.example"]},
            "portMappings": [
                {"hostPort": 8080, "containerPort": 80, "protocol": "tcp"},
                {"hostPort": 5353, "containerPort": 53, "protocol": "udp", "hostIP": "127.0.0.1"},
            ],
        },
    });
    assert_eq!(cni.asked("first"), [asked("ADD", first.clone())]);
    assert_eq!(cni.asked("second"), [asked("ADD", with(second.clone(), Some(&result)))]);
    assert_eq!(yard.address("one"), "10.90.0.5");
    // What the user has given comes first, and what the plugins say fills the rest.
    let resolv = conex.ok(&["exec", "one", "cat", "/etc/resolv.conf"]);
    assert!(resolv.contains("nameserver 10.0.0.1\n") && resolv.contains("search a.example\n"), "{resolv}");
    assert!(resolv.contains("options rotate\n") && !resolv.contains("10.90.0.1"), "{resolv}");
    assert_eq!(conex.ok(&["network", "reload"]), "one\n");
    conex.ok(&["stop", "-t", "0", "one"]);
    for (plugin, config) in [("first", &first), ("second", &second)] {
        let all = cni.asked(plugin);
        assert_eq!(
            all[1..],
            [
                asked("CHECK", with(config.clone(), Some(&result))),
                asked("DEL", with(config.clone(), Some(&result))),
            ]
        );
    }
    cni.assert_clear("net");
}

#[test]
fn versions_decide_what_is_asked() {
    let cni = cni_yard!();
    let (yard, conex) = (&cni.yard, &cni.yard.conex);
    cni.plugin("old", RESULT);
    cni.plugin("unchecked", RESULT);
    cni.plugin("new", &format!("[ $CNI_COMMAND != STATUS ] || {{ printf '{{\"code\": 50, \"msg\": \"no pool\"}}'; exit 1; }}\n{RESULT}"));
    list(&cni, "old", "0.3.1", json!([{"type": "old"}]));
    cni.define("unchecked.conflist", &json!({
        "cniVersion": "1.0.0", "name": "unchecked", "disableCheck": true, "plugins": [{"type": "unchecked"}],
    }));
    // The highest that is spoken here, of those that it allows; its plugins in files of their own.
    cni.define(
        "new.conflist",
        &json!({
            "cniVersion": "1.0.0", "cniVersions": ["0.4.0", "1.1.0", "1.9.0"], "name": "new",
        }),
    );
    let beside = conex.cni_networks().join("new");
    std::fs::create_dir(&beside).expect("a directory");
    std::fs::write(beside.join("10-new.conf"), r#"{"type": "new"}"#).expect("a plugin's file");
    cni.define(
        "shared.conflist",
        &json!({
            "cniVersion": "1.1.0", "name": "shared", "disableGC": true, "plugins": [{"type": "new"}],
        }),
    );
    for network in ["old", "unchecked", "new"] {
        conex.ok(&["run", "-d", "--name", network, "--network", network, yard.image, "sleep", "1000"]);
    }
    assert!(conex.ok(&["network", "reload"]).contains("new\nold\nunchecked\n"));
    conex.ok(&["rm", "-f", "old", "unchecked"]);
    assert_eq!(cni.commands("old"), ["ADD", "DEL"]);
    assert!(cni.asked("old")[1]["config"].get("prevResult").is_none());
    assert_eq!(cni.commands("unchecked"), ["ADD", "DEL"]);
    assert_eq!(cni.asked("new")[0]["config"]["cniVersion"], "1.1.0");
    assert_eq!(
        yard.inspect("new")["CNI"]["Status"],
        "network new: CNI plugin new, STATUS: no pool (code 50)"
    );
    assert_eq!(yard.inspect("old")["CNI"]["Status"], "ready");

    // GC: who is valid, and of a network that nobody of ours was on nothing.
    conex.ok(&["run", "--rm", "--network", "shared", yard.image, "true"]);
    cni.define(
        "never.conflist",
        &json!({"cniVersion": "1.1.0", "name": "never", "plugins": [{"type": "new"}]}),
    );
    let before = cni.asked("new").len();
    conex.ok(&["network", "prune", "-f"]);
    conex.ok(&["rm", "-f", "new"]);
    conex.ok(&["system", "prune", "-f"]);
    let asked = cni.asked("new");
    let collected: Vec<_> = asked[before..].iter().filter(|one| one["command"] == "GC").collect();
    assert_eq!(collected.len(), 2, "{asked:?}");
    let valid = &collected[0]["config"]["cni.dev/valid-attachments"];
    assert_eq!(valid[0]["ifname"], "eth0");
    assert_eq!(valid[0]["containerID"].as_str().map(str::len), Some(64));
    assert_eq!(collected[1]["config"]["cni.dev/valid-attachments"], json!([]));
    assert_eq!((&collected[0]["container"], &collected[0]["netns"]), (&json!(""), &json!("")));
}

#[test]
fn a_plugin_that_fails_in_the_middle() {
    let cni = cni_yard!();
    let (yard, conex) = (&cni.yard, &cni.yard.conex);
    let failing = |script: &str| cni.plugin("odd", script);
    cni.plugin("after", RESULT);
    cni.bridge("net", "10.77.0.0/24", &[json!({"type": "odd"}), json!({"type": "after"})]);
    cni.configure(1);
    let begun = Instant::now();
    for (script, words) in [
        (
            r#"[ $CNI_COMMAND != ADD ] || { printf '{"code": 120, "msg": "no more\nroom", "details": "7 left"}'; exit 1; }"#,
            "network net: CNI plugin odd, ADD: ",
        ),
        (
            r#"[ $CNI_COMMAND != ADD ] || { printf '{"code": 120, "msg": "no room", "details": "7 left"}'; exit 1; }"#,
            "CNI plugin odd, ADD: no room; 7 left (code 120)\n",
        ),
        (
            "[ $CNI_COMMAND != ADD ] || { echo one >&2; echo last words >&2; exit 3; }",
            "ADD: it ended with exit status: 3: last words\n",
        ),
        ("[ $CNI_COMMAND != ADD ] || kill -9 $$", "ADD: it ended with signal: 9 (SIGKILL)\n"),
        (
            "[ $CNI_COMMAND != ADD ] || echo hello",
            "ADD: its result is not valid: expected value at line 1 column 1\n",
        ),
        ("true", "ADD: its result is not valid: there is none\n"),
        (
            r#"[ $CNI_COMMAND != ADD ] || echo '{"ips": [{"address": "everywhere"}]}'"#,
            "ADD: its result is not valid: invalid IP address syntax",
        ),
        (
            "[ $CNI_COMMAND != ADD ] || { sleep 98761 & sleep 98762; }",
            "ADD: it has not ended within 1 s and was killed\n",
        ),
        (
            "[ $CNI_COMMAND != ADD ] || head -c 3000000 /dev/zero",
            "ADD: it has written more than 1048576 bytes and was killed\n",
        ),
    ] {
        failing(script);
        let refused = conex.fails(125, &["run", "--rm", "--network", "net", yard.image, "true"]);
        assert!(refused.contains(words) && refused.lines().count() == 1, "{script}: {refused}");
        cni.assert_clear("net");
        // A container that is kept is as it was.
        assert_eq!(conex.ok(&["ps", "-aq"]), "");
    }
    assert!(begun.elapsed() < Duration::from_secs(50));
    // What it had started is killed, too.
    let is_theirs = |words: &str| ["sleep\098761\0", "sleep\098762\0"].contains(&words);
    eventually("their end", || (processes(is_theirs) == 0).then_some(()));
    // All are told to delete, the last first, though it was never asked to add.
    assert!(cni.commands("after").iter().all(|command| command == "DEL"));
    assert_eq!(cni.commands("odd")[..2], ["ADD", "DEL"]);

    // One that is not there keeps all from being added, and one that has gone since keeps nobody.
    failing(RESULT);
    conex.ok(&["run", "-d", "--name", "one", "--network", "net", yard.image, "sleep", "1000"]);
    let before = cni.commands("after").len();
    std::fs::remove_file(cni.plugins().join("odd")).expect("the plugin");
    let refused = conex.fails(125, &["run", "--rm", "--network", "net", yard.image, "true"]);
    assert!(
        refused.contains("CNI plugin odd, ADD: it is in none of ") && refused.contains("cni.plugins"),
        "{refused}"
    );
    assert_eq!((cni.commands("after").len(), cni.leases("net").len()), (before, 1));
    assert!(yard.inspect("net")["CNI"]["Plugins"][1]["Error"].to_string().contains("it is in none of"));
    conex.ok(&["rm", "-f", "one"]);
    // On record, until it is there again.
    assert_eq!(cni.attachments("net").len(), 1);
    assert!(cni.leases("net").is_empty(), "the others were told");
    let warned = conex.run(&["network", "prune", "-f"]);
    assert!(
        warned.code == 0 && warned.stderr.contains("CNI plugin odd, DEL: it is in none of"),
        "{}",
        warned.stderr
    );
    failing("true");
    assert_eq!(conex.run(&["network", "prune", "-f"]).stderr, "");
    cni.assert_clear("net");
}

#[test]
fn a_plugin_that_cannot_delete_keeps_nobody() {
    let cni = cni_yard!();
    let (yard, conex) = (&cni.yard, &cni.yard.conex);
    let stuck = format!(
        "[ $CNI_COMMAND != DEL ] || {{ printf '{{\"code\": 100, \"msg\": \"stuck\"}}'; exit 1; }}\n{RESULT}"
    );
    cni.plugin("odd", &stuck);
    cni.bridge("net", "10.77.0.0/24", &[json!({"type": "odd"})]);
    assert_eq!(conex.run(&["run", "--rm", "--network", "net", yard.image, "true"]).code, 0);
    conex.ok(&["run", "-d", "--name", "kept", "--network", "net", yard.image, "sleep", "1000"]);
    conex.ok(&["stop", "-t", "0", "kept"]);
    assert!(cni.leases("net").is_empty());
    assert_eq!(cni.attachments("net").len(), 2);
    // It could be added twice: no start before it is deleted.
    let refused = conex.fails(1, &["start", "kept"]);
    assert!(
        refused.contains("CNI plugin odd, DEL: stuck (code 100)") && refused.lines().count() == 1,
        "{refused}"
    );
    let refused = conex.fails(1, &["network", "reload"]);
    assert!(refused.contains("DEL: stuck (code 100)"), "{refused}");
    cni.plugin("odd", RESULT);
    conex.ok(&["start", "kept"]);
    conex.ok(&["rm", "-f", "kept"]);
    conex.ok(&["network", "reload"]);
    cni.assert_clear("net");
}

#[test]
fn what_is_lost_is_added_again() {
    let cni = cni_yard!();
    let (yard, conex) = (&cni.yard, &cni.yard.conex);
    let portmap = json!({"type": "portmap", "capabilities": {"portMappings": true}});
    cni.bridge("net", "10.77.0.0/24", std::slice::from_ref(&portmap));
    // Of a device that is gone Debian's plugin leaves the rules of the masquerade.
    let bare = json!({"type": "bridge", "bridge": "br-bare", "isGateway": true, "ipam": cni.host_local("10.78.0.0/24")});
    list(&cni, "bare", "1.0.0", json!([bare, portmap]));
    let cable = "ip link del $(ip -o link show master br-bare | sed 's/^[0-9]*: //; s/@.*//')";
    for (network, broken) in [("net", "nft flush ruleset"), ("bare", cable)] {
        yard.serve("web", &["--network", network, "-p", "8080:80"]);
        let reached =
            || yard.host.try_world("timeout 2 busybox wget -qO- http://192.0.2.1:8080/").stdout == "web\n";
        assert!(reached());
        yard.host.sh(broken);
        eventually("the loss", || (!reached()).then_some(()));
        assert_eq!(conex.ok(&["network", "reload"]), "web\n");
        assert!(reached(), "{broken}");
        assert_eq!(cni.leases(network).len(), 1);
        // One that cannot be added again is not forgotten.
        let file = conex.cni_networks().join(format!("{network}.conflist"));
        let _ = std::fs::rename(conex.cni_networks().join(format!("10-{network}.conflist")), &file);
        let good = std::fs::read_to_string(&file).expect("the file");
        yard.host.sh("nft flush ruleset");
        std::fs::write(&file, good.replace("\"host-local\"", "\"absent\"")).expect("the file");
        let refused = conex.fails(1, &["network", "reload"]);
        assert!(refused.contains("CNI plugin bridge, ADD: ") && refused.lines().count() == 1, "{refused}");
        std::fs::write(&file, good).expect("the file");
        assert_eq!(conex.ok(&["network", "reload"]), "web\n");
        assert!(reached());
        let hosts = conex.ok(&["exec", "web", "cat", "/etc/hosts"]);
        assert!(hosts.contains(&format!("{}\t", yard.address("web"))), "{hosts}");
        conex.ok(&["rm", "-f", "web"]);
        cni.assert_clear(network);
    }
}

#[test]
fn a_wish_that_nobody_grants() {
    let cni = cni_yard!();
    let (yard, conex) = (&cni.yard, &cni.yard.conex);
    cni.plugin("fixed", RESULT);
    list(&cni, "net", "1.0.0", json!([{"type": "fixed"}]));
    for (wish, words) in [
        ("ip=10.90.0.6", "the address 10.90.0.6"),
        ("mac=02:00:00:00:00:07", "the MAC address 02:00:00:00:00:07"),
    ] {
        let refused =
            conex.fails(125, &["run", "--rm", "--network", &format!("net:{wish}"), yard.image, "true"]);
        let words = format!("network net (cni): its plugins have not given {words}, which was asked for");
        assert!(refused.contains(&words) && refused.lines().count() == 1, "{refused}");
        cni.assert_clear("net");
    }
    conex.ok(&["run", "--rm", "--network", "net:ip=10.90.0.5", yard.image, "true"]);
    let args: Vec<_> =
        cni.asked("fixed").iter().map(|one| one["args"].as_str().unwrap_or_default().to_owned()).collect();
    assert!(args[0].ends_with(";IP=10.90.0.6") && args[2].ends_with(";MAC=02:00:00:00:00:07"), "{args:?}");
}
