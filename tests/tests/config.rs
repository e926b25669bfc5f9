//! conex.toml: each key does what it says, from whichever file; `info --config` says who said what.

use conex_tests::{Conex, NetHost, Pty, alpine, needs_root};
use serde_json::{Value, json};

fn row(conex: &Conex, key: &str) -> (String, String) {
    let rows = conex.ok(&["info", "--config", "--format", "json"]);
    let row = rows
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).expect("JSON"))
        .find(|row| row["Key"] == key);
    let row = row.unwrap_or_else(|| panic!("no {key}"));
    let text = |name: &str| row[name].as_str().expect("a text").to_owned();
    (text("Value"), text("From"))
}

#[test]
fn every_key_is_shown_with_where_it_comes_from() {
    let conex = Conex::new();
    let path = conex.scratch().join("home/.config/conex/conex.toml").display().to_string();
    let default = |value: &str| (value.to_owned(), "default".to_owned());
    assert_eq!(row(&conex, "log.driver"), default("\"json-file\""));
    assert_eq!(row(&conex, "run.network"), ("\"none\"".to_owned(), "environment (CONEX_NETWORK)".to_owned()));
    conex.configure("[log]\ndriver = \"none\" # quiet\n[run]\nnetwork = \"host\"\npids_limit = 5\n");
    assert_eq!(row(&conex, "log.driver"), ("\"none\"".to_owned(), path.clone()));
    assert_eq!(row(&conex, "run.pids_limit"), ("5".to_owned(), path.clone()));
    // The environment goes over files.
    assert_eq!(row(&conex, "run.network").1, "environment (CONEX_NETWORK)");
    let table = conex.ok(&["info", "--config"]);
    assert!(table.starts_with("KEY ") && table.contains(&path) && table.contains("cdi.spec_dirs"), "{table}");
    // The file with all keys is the one in docs/.
    let shipped = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/conex.toml");
    let shipped = std::fs::read_to_string(shipped).expect("docs/conex.toml");
    assert_eq!(conex.ok(&["info", "--config", "--format", "toml"]), shipped);
    conex.configure(&shipped);
    assert_eq!(row(&conex, "log.driver"), default("\"json-file\""));
}

#[test]
fn what_is_wrong_is_one_line_with_the_nearest_key() {
    let conex = Conex::new();
    for (text, words) in [
        (
            "[run]\npid_limit = 5\n",
            "conex.toml: line 2: unknown key run.pid_limit; did you mean run.pids_limit?",
        ),
        ("\n[rnu]\n", "conex.toml: line 2: unknown section [rnu]; did you mean [run]?"),
        ("[run]\ninit = 1\n", "conex.toml: line 2: run.init: expected true or false, found integer"),
        ("[run]\nstop_timeout = -2\n", "conex.toml: line 2: run.stop_timeout: expected seconds, or -1"),
        ("[dns]\nservers = [\"here\"]\n", "conex.toml: line 2: dns.servers: "),
    ] {
        conex.configure(text);
        for verb in [&["info", "--config"][..], &["ps"], &["run", "alpine"]] {
            let output = conex.run(verb);
            let told =
                output.code != 0 && output.stderr.contains(words) && output.stderr.lines().count() == 1;
            assert!(told, "{verb:?}: {} {}", output.code, output.stderr);
        }
    }
    let path = conex.scratch().join("home/.config/conex/conex.toml");
    std::fs::write(&path, b"[run]\n# \xff\n").expect("conex.toml");
    let error = conex.fails(1, &["ps"]);
    assert!(error.contains("conex.toml: line 2: it is not valid UTF-8"), "{error}");
    conex.configure("[log]\ndriver = \"none\"\noptions = [\"max-size=1m\"]\n");
    let error = conex.fails(125, &["run", "alpine"]);
    assert!(error.contains("conex.toml: line 3: log.options: ") && error.lines().count() == 1, "{error}");
    conex.configure("");
    let output = conex_tests::finish(conex.command(&["ps"]).env("CONEX_CONFIG", "/nowhere.toml"));
    assert!(output.stderr.contains("/nowhere.toml") && output.code == 1, "{}", output.stderr);
}

#[test]
fn defaults_of_run() {
    let (conex, alpine) = alpine!();
    let text = "[run]\ninit = true\nulimits = [\"nofile=100:200\", \"core=0\"]\npids_limit = 33\nshm_size = \"1m\"\n\
        stop_timeout = 3\ncapabilities = [\"CHOWN\", \"KILL\"]\n";
    conex.configure(text);
    let script = "cat /proc/1/comm; ulimit -n; ulimit -Hn; df -k /dev/shm | awk 'NR>1{print $2}'; grep CapBnd /proc/self/status";
    let run =
        |flags: &[&str]| conex.ok(&[&["run", "--rm"][..], flags, &[alpine, "sh", "-c", script]].concat());
    let output = run(&[]);
    let lines: Vec<&str> = output.lines().collect();
    assert_eq!(lines[1..], ["100", "200", "1024", "CapBnd:\t0000000000000021"], "{output}");
    assert!(lines[0].contains("conex-ini"), "{output}");
    // Flags go over it.
    let flags = [
        "--init=false",
        "--ulimit",
        "nofile=50",
        "--shm-size",
        "2m",
        "--cap-add",
        "SYS_CHROOT",
        "--cap-drop",
        "KILL",
    ];
    assert_eq!(run(&flags), "sh\n50\n50\n2048\nCapBnd:\t0000000000040001\n");
    assert!(run(&["--cap-drop", "ALL"]).contains("CapBnd:\t0000000000000000"));
    conex.ok(&["create", "--name", "box", alpine]);
    let host = &conex.inspect("box")["HostConfig"];
    assert_eq!(
        (&host["PidsLimit"], &host["ShmSize"], &host["Init"]),
        (&json!(33), &json!(1 << 20), &json!(true))
    );
    assert_eq!(conex.inspect("box")["Config"]["StopTimeout"], 3);
    conex.ok(&["create", "--name", "other", "--pids-limit", "44", "--stop-timeout", "7", alpine]);
    assert_eq!(conex.inspect("other")["HostConfig"]["PidsLimit"], 44);
    assert_eq!(conex.inspect("other")["Config"]["StopTimeout"], 7);
}

/// Whoever gives containers less keeps their user namespaces; what only the host's root may is asked for by the configuration, too.
#[test]
fn usual_capabilities_are_no_wishes() {
    let (conex, alpine) = alpine!();
    conex.configure("[run]\ncapabilities = [\"CHOWN\", \"MKNOD\", \"KILL\"]\n");
    let map = conex.ok(&["run", "--rm", alpine, "cat", "/proc/self/uid_map"]);
    conex.configure("");
    assert_eq!(map, conex.ok(&["run", "--rm", alpine, "cat", "/proc/self/uid_map"]));
    conex.configure("[run]\ncapabilities = [\"CHOWN\", \"SYS_TIME\"]\n");
    conex.ok(&["create", "--name", "clock", alpine]);
    conex.ok(&["create", "--name", "none", "--cap-drop", "SYS_TIME", alpine]);
    let notice = |name| conex.inspect(name)["UserNamespace"]["Notice"].to_string();
    assert!(notice("clock").contains("CAP_SYS_TIME"), "{}", notice("clock"));
    assert!(!notice("none").contains("CAP_SYS_TIME"), "{}", notice("none"));
    assert_eq!(conex.inspect("clock")["HostConfig"]["CapAdd"], Value::Null);
}

#[test]
fn logs_and_name_servers() {
    let (conex, alpine) = alpine!();
    conex.configure("[log]\noptions = [\"max-size=1m\", \"max-file=2\"]\n[dns]\nservers = [\"192.0.2.7\"]\nsearch = [\"example.com\"]\noptions = [\"ndots:2\"]\n");
    conex.ok(&["create", "--name", "box", alpine, "echo", "x"]);
    let config = &conex.inspect("box")["HostConfig"]["LogConfig"];
    assert_eq!(config["Config"], json!({"max-size": "1048576", "max-file": "2"}));
    let resolv = |flags: &[&str]| {
        conex.ok(&[&["run", "--rm"][..], flags, &[alpine, "cat", "/etc/resolv.conf"]].concat())
    };
    let text = resolv(&[]);
    for line in ["nameserver 192.0.2.7", "search example.com", "options ndots:2"] {
        assert!(text.contains(line), "{text}");
    }
    let text = resolv(&["--dns", "192.0.2.9"]);
    assert!(text.contains("192.0.2.9") && !text.contains("192.0.2.7"), "{text}");
    // Who shares another's network has that one's.
    conex.ok(&["run", "-d", "--name", "first", alpine, "sleep", "600"]);
    resolv(&["--network", "container:first"]);
    conex.ok(&["rm", "-f", "first"]);
    conex.configure("[log]\ndriver = \"none\"\n");
    conex.ok(&["run", "--name", "quiet", alpine, "echo", "x"]);
    assert_eq!(conex.inspect("quiet")["HostConfig"]["LogConfig"]["Type"], "none");
    conex.ok(&["run", "--name", "loud", "--log-driver", "json-file", alpine, "echo", "x"]);
    assert_eq!(conex.ok(&["logs", "loud"]), "x\n");
}

#[test]
fn subnets_are_cut_from_pools() {
    needs_root!();
    let Some(host) = NetHost::new() else { return };
    let conex = host.conex();
    conex.configure("[network]\npools = [\"192.168.128.0/25:26\"]\n");
    let mut subnets = Vec::new();
    for name in ["one", "two"] {
        conex.ok(&["network", "create", name]);
        subnets.push(conex.ok(&["network", "inspect", "-f", "{{(index .IPAM.Config 0).Subnet}}", name]));
    }
    assert_eq!(subnets, ["192.168.128.0/26\n", "192.168.128.64/26\n"]);
    let error = conex.fails(1, &["network", "create", "three"]);
    assert!(error.contains("subnet") && error.lines().count() == 1, "{error}");
}

#[test]
fn keys_that_leave_a_container() {
    let (conex, alpine) = alpine!();
    conex.configure("[terminal]\ndetach_keys = \"ctrl-x\"\n");
    let mut pty: Pty = conex.pty(&["run", "-it", "--name", "box", alpine, "sh"]);
    pty.expect("# ");
    pty.send(b"\x18");
    assert_eq!(pty.finish().0, 0);
    assert_eq!(conex.ok(&["inspect", "-f", "{{.State.Running}}", "box"]), "true\n");
    conex.ok(&["rm", "-f", "box"]);
}
