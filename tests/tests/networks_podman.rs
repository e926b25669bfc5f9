//! The same script of `network` commands with Conex and with podman, each on a host of its own, and who reaches whom afterwards,
//! cell by cell. Where the two differ on purpose [`DIFFERENCES`] says so, and why.

use std::collections::BTreeMap;

use conex_tests::{Conex, Enclosure, NetHost, archive, eventually, installed, lacks, needs_root, skip};

const IMAGE: &str = "busybox:1.38.0-musl";

/// Networks, then containers with the networks and ports that they have; each serves its name at port 80.
const NETWORKS: [&[&str]; 3] = [&["front"], &["back"], &["--internal", "inner"]];
const CONTAINERS: [(&str, &[&str], &[&str]); 6] = [
    ("web", &["front"], &["-p", "8080:80"]),
    ("app", &["front", "back"], &["-p", "127.0.0.1:8081:80"]),
    ("db", &["back"], &[]),
    ("vault", &["inner"], &[]),
    ("both", &["back", "inner"], &[]),
    ("alone", &["none"], &[]),
];

/// Who asks, who is asked, whether Conex gets there, whether podman does, and why they differ.
const DIFFERENCES: [(&str, &str, bool, bool, &str); 14] = [
    ("both", "app on front", false, true, APART),
    ("both", "web on front", false, true, APART),
    ("db", "app on front", false, true, APART),
    ("db", "web on front", false, true, APART),
    ("web", "app on back", false, true, APART),
    ("web", "both on back", false, true, APART),
    ("web", "db on back", false, true, APART),
    ("web", "port 8080 of the host", true, false, HAIRPIN),
    ("world", "app on back", false, true, UNPUBLISHED),
    ("world", "app on front", false, true, UNPUBLISHED),
    ("world", "both on back", false, true, UNPUBLISHED),
    ("world", "both on inner", false, true, UNPUBLISHED),
    ("world", "db on back", false, true, UNPUBLISHED),
    ("world", "web on front", false, true, UNPUBLISHED),
];
const APART: &str = "networks do not reach each other, which podman's netavark has as an option (isolate)";
const HAIRPIN: &str = "a container reaches its own published port, as with Docker's userland proxy";
const UNPUBLISHED: &str =
    "from outside published ports alone are reached, also by who has a route to the containers";

/// An engine on a host at 192.0.2.1, beyond which is a world at 192.0.2.2.
trait Engine: Sync {
    /// A command of the engine's: its code and standard output.
    fn engine(&self, words: &[&str]) -> (i32, String);
    /// A shell's command on the host, and in the world.
    fn host(&self, script: &str) -> (i32, String);
    fn world(&self, script: &str) -> (i32, String);

    fn ok(&self, words: &[&str]) -> String {
        let (code, said) = self.engine(words);
        assert_eq!(code, 0, "{words:?}: {said}");
        said
    }
}

/// Who asks whom, and whether there was an answer.
type Matrix = BTreeMap<(String, String), bool>;

/// Runs the script and asks all for all.
fn matrix(engine: &dyn Engine) -> Matrix {
    for flags in NETWORKS {
        engine.ok(&[&["network", "create"], flags].concat());
    }
    for (name, networks, ports) in CONTAINERS {
        let script = format!("mkdir /w; echo {name} >/w/index.html; exec httpd -f -p 80 -h /w");
        let networks = networks.join(",");
        // Podman takes several networks in one flag, Conex in several.
        let each: Vec<&str> = networks.split(',').flat_map(|network| ["--network", network]).collect();
        engine
            .ok(&[&["run", "-d", "--name", name], &each[..], ports, &[IMAGE, "sh", "-c", &script]].concat());
    }
    let mut targets: Vec<(String, String)> = vec![
        ("world".to_owned(), "http://192.0.2.2:8000/".to_owned()),
        ("port 8080 of the host".to_owned(), "http://192.0.2.1:8080/".to_owned()),
        ("port 8081 of the host".to_owned(), "http://192.0.2.1:8081/".to_owned()),
        ("port 8080 of its loopback".to_owned(), "http://127.0.0.1:8080/".to_owned()),
        ("port 8081 of its loopback".to_owned(), "http://127.0.0.1:8081/".to_owned()),
    ];
    for (name, networks, _) in CONTAINERS {
        for network in networks.iter().filter(|network| **network != "none") {
            let format = format!("{{{{(index .NetworkSettings.Networks \"{network}\").IPAddress}}}}");
            let address = engine.ok(&["inspect", "-f", &format, name]);
            targets.push((format!("{name} on {network}"), format!("http://{}/", address.trim())));
        }
    }
    // A server that is there answers the host, which is on every bridge.
    for (name, url) in targets.iter().skip(5) {
        eventually(name, || {
            (engine.host(&format!("timeout 2 busybox wget -qO- {url}")).0 == 0).then_some(())
        });
    }
    engine.world("busybox httpd -p 8000 -h /usr/share/common-licenses");
    // Who does not get there waits for it: all ask at once, and each one thing after another.
    let ask_all = |asker: &str| -> Vec<((String, String), bool)> {
        let ask = |(name, url): &(String, String)| {
            let url = if name == "world" { &format!("{url}GPL-2") } else { url };
            let script = format!("timeout 1 busybox wget -qO- {url} >/dev/null");
            let (code, _) = match asker {
                "host" => engine.host(&script),
                "world" => engine.world(&script),
                asker => engine.engine(&["exec", asker, "timeout", "1", "wget", "-qO-", url]),
            };
            ((asker.to_owned(), name.clone()), code == 0)
        };
        targets.iter().map(ask).collect()
    };
    let askers = ["host", "world"].into_iter().chain(CONTAINERS.map(|(name, ..)| name));
    std::thread::scope(|scope| {
        let ask_all = &ask_all;
        let threads: Vec<_> = askers.map(|asker| scope.spawn(move || ask_all(asker))).collect();
        threads.into_iter().flat_map(|thread| thread.join().expect("a thread")).collect()
    })
}

struct Ours {
    conex: Conex,
    host: NetHost,
}

impl Engine for Ours {
    fn engine(&self, words: &[&str]) -> (i32, String) {
        let output = self.conex.run(words);
        (output.code, if output.code == 0 { output.stdout } else { output.stderr })
    }

    fn host(&self, script: &str) -> (i32, String) {
        let output = self.host.try_sh(script);
        (output.code, output.stdout)
    }

    fn world(&self, script: &str) -> (i32, String) {
        let output = self.host.try_world(script);
        (output.code, output.stdout)
    }
}

struct Podman {
    enclosure: Enclosure,
}

impl Podman {
    /// With a world beyond: `None`, having said why, where there can be none.
    fn new() -> Option<Self> {
        let enclosure = Enclosure::new("networks")?;
        enclosure.set_up_podman("[network]\nnetwork_backend = \"netavark\"\n");
        let podman = Self { enclosure };
        let ours = "mkdir -p /run/netns && ip netns add world && ip link add eth0 type veth peer name eth0 netns world &&
            ip address add 192.0.2.1/24 dev eth0 && ip link set eth0 up";
        let beyond = "ip link set lo up && ip address add 192.0.2.2/24 dev eth0 && ip link set eth0 up &&
            ip route add default via 192.0.2.1";
        assert_eq!((podman.host(ours).0, podman.world(beyond).0), (0, 0));
        Some(podman)
    }
}

impl Engine for Podman {
    fn engine(&self, words: &[&str]) -> (i32, String) {
        let networks = self.enclosure.at("networks");
        let mut all = vec!["--network-config-dir", &networks];
        let (verb, rest) = words.split_first().expect("a verb");
        all.push(verb);
        if *verb == "run" {
            all.extend(["--cgroup-parent", self.enclosure.cgroup()]);
        }
        all.extend(rest);
        let output = self.enclosure.podman(&all);
        (output.code, if output.code == 0 { output.stdout } else { output.stderr })
    }

    fn host(&self, script: &str) -> (i32, String) {
        let output = self.enclosure.run(&["sh", "-c", script]);
        (output.code, output.stdout)
    }

    fn world(&self, script: &str) -> (i32, String) {
        let output = self.enclosure.run(&["ip", "netns", "exec", "world", "sh", "-c", script]);
        (output.code, output.stdout)
    }
}

#[test]
fn who_reaches_whom() {
    needs_root!();
    if let Some(program) = lacks(&["podman", "conmon", "unshare", "nsenter", "busybox", "ip", "iptables"]) {
        skip!("{program} is not installed");
    }
    if !std::path::Path::new("/usr/lib/podman/netavark").exists() && !installed("netavark") {
        skip!("netavark is not installed");
    }
    let Some(image) = archive("busybox-1.38-musl.oci.tar") else {
        skip!("no busybox image (CONEX_TEST_IMAGES)")
    };
    let Some(host) = NetHost::new() else { return };
    let ours = Ours { conex: host.conex(), host };
    let Some(theirs) = Podman::new() else { skip!("no namespaces here") };
    for engine in [&ours as &dyn Engine, &theirs] {
        engine.ok(&["load", "--quiet", "--input", image.to_str().expect("UTF-8")]);
    }
    let (conex, podman) = (matrix(&ours), matrix(&theirs));
    let known = |(asker, asked, ..): &(&str, &str, bool, bool, &str)| {
        conex.contains_key(&((*asker).to_owned(), (*asked).to_owned()))
    };
    assert!(DIFFERENCES.iter().all(known), "a difference between cells that there are none of");
    let mut wrong = Vec::new();
    for (cell, reached) in &conex {
        let theirs = podman[cell];
        let listed = DIFFERENCES.iter().find(|(asker, asked, ..)| (*asker, &**asked) == (&*cell.0, &*cell.1));
        let as_expected = match listed {
            Some((_, _, ours, others, _)) => (*reached, theirs) == (*ours, *others),
            None => *reached == theirs,
        };
        if !as_expected {
            let why = listed.map_or("", |(.., why)| why);
            wrong.push(format!("{} asks {}: conex {reached}, podman {theirs} {why}", cell.0, cell.1));
        }
    }
    assert!(wrong.is_empty(), "{} of {} cells:\n{}", wrong.len(), conex.len(), wrong.join("\n"));
    // Neither all nor nothing.
    let reached = conex.values().filter(|reached| **reached).count();
    assert!(reached > 20 && conex.len() - reached > 20, "{reached} of {}", conex.len());
    let _ = theirs.engine(&["rm", "--all", "--force", "-t", "0"]);
}
