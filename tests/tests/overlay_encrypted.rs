//! Encrypted overlays: two hosts, and a third between them that reads and forges what it wants.
//!
//! Where the kernel has no ESP, that it says so and leaves nothing.

#![allow(missing_docs)]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use conex_tests::{Yard, eventually, finish, installed, is_root, skip};

const ONE: &str = "4f1d7a60c3b8e29573ad16f80b5ce4921de7a3580f6bc9e2417d9a3f05b6c8e1";
const TWO: &str = "b2e94c07d51f8a6370cd2e9b48f1a5d6093c7e2bf86a41d5c0937e1b4fa28d65";
const WRONG: &str = "0c5e8fd1b7a2943e6d0f81c4b95a27e3f64d0b8c1e7a5932d86f4b0ac17e59d3";

/// Three hosts on one wire: 198.51.100.1 and .2, and the third as the switch between them, at .3; the same with 2001:db8:1::.
struct Wire {
    here: Yard,
    there: Yard,
    switch: Yard,
}

impl Wire {
    /// `None`, having said so, where there is no ESP, or no sniffer.
    fn new() -> Option<Self> {
        if !is_root() {
            println!("skipped: needs root");
            return None;
        }
        let (here, there, switch) = (Yard::new()?, Yard::new()?, Yard::new()?);
        switch.host.sh("ip link add sw type bridge && ip link set sw up");
        let ends = [(&here, "to1", 1), (&there, "to2", 2)];
        for (yard, end, number) in ends {
            switch.host.cable(end, &yard.host, "lan0");
            switch.host.sh(&format!("ip link set {end} master sw up"));
            address(yard, "lan0", number);
        }
        address(&switch, "sw", 3);
        let this = Self { here, there, switch };
        if !this.has_esp() {
            println!("skipped: this kernel has no ESP");
            return None;
        }
        if this.switch.host.try_sh("tcpdump --version").code != 0 {
            println!("skipped: tcpdump is not installed");
            return None;
        }
        Some(this)
    }

    /// Says so in one line, and leaves nothing, if not.
    fn has_esp(&self) -> bool {
        let yard = &self.here;
        let made = create(yard, "probe", "10.41.0.0/24", "10.41.0.0/25", &[ONE], &[]);
        if made.code == 0 {
            yard.conex.ok(&["network", "rm", "probe"]);
            return true;
        }
        assert_eq!(
            made.stderr,
            "conex: option encrypted: this kernel has no ESP with AES-CBC and HMAC-SHA-256 over IPv4 (CONFIG_XFRM_USER, \
             CONFIG_INET_ESP, CONFIG_CRYPTO_AUTHENC, CONFIG_CRYPTO_ECHAINIV)\n"
        );
        assert_eq!(yard.conex.ok(&["network", "ls", "--format", "{{.Name}}"]), "bridge\n");
        assert_nothing(yard);
        false
    }

    /// The network on both, each with the other as its peer, and the third, which has no key.
    fn mesh(&self, secrets: &[&str], options: &[&str]) {
        for (yard, range) in [(&self.here, "10.40.0.0/26"), (&self.there, "10.40.0.64/26")] {
            let made = create(yard, "mesh", "10.40.0.0/24", range, secrets, options);
            assert_eq!(made.code, 0, "{}", made.stderr);
        }
    }

    /// On the first alone.
    fn mesh_again(&self, secrets: &[&str]) {
        let made = create(&self.here, "mesh", "10.40.0.0/24", "10.40.0.0/26", secrets, &[PEERS]);
        assert_eq!(made.code, 0, "{}", made.stderr);
    }

    /// What passes to and from the first host while that is done.
    fn read(&self, work: impl FnOnce()) -> Read {
        let file = self.switch.conex.scratch().join("read");
        let pid = self.switch.host.sh(&format!(
            "rm -f {0}; tcpdump --immediate-mode -Z root -U -i to1 -w {0} >/dev/null 2>&1 & echo $!",
            file.display()
        ));
        eventually("the sniffer", || fs::metadata(&file).is_ok_and(|data| data.len() >= 24).then_some(()));
        work();
        let script = format!("kill -INT {0}; while kill -0 {0} 2>/dev/null; do sleep 0.05; done", pid.trim());
        self.switch.host.sh(&script);
        let count = |filter: &str| {
            let script = format!("tcpdump -nn -r {} '{filter}' 2>/dev/null | wc -l", file.display());
            self.switch.host.sh(&script).trim().parse().expect("a number")
        };
        let (esp, udp) = (count("ip proto 50 or ip6 proto 50"), count("udp port 4789 or udp port 4790"));
        Read { esp, udp, bytes: fs::read(&file).expect("what was read") }
    }
}

struct Read {
    esp: u64,
    udp: u64,
    bytes: Vec<u8>,
}

impl Read {
    fn has(&self, words: &str) -> bool {
        self.bytes.windows(words.len()).any(|window| window == words.as_bytes())
    }
}

fn address(yard: &Yard, device: &str, number: u8) {
    yard.host.sh(&format!(
        "ip address add 198.51.100.{number}/24 dev {device} &&
         ip address add 2001:db8:1::{number}/64 dev {device} nodad && ip link set {device} up"
    ));
}

fn key_file(yard: &Yard) -> PathBuf {
    yard.conex.scratch().join("mesh.key")
}

fn write_secrets(path: &Path, secrets: &[&str]) {
    fs::write(path, secrets.join("\n")).expect("the key file");
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).expect("its mode");
}

fn create(
    yard: &Yard,
    name: &str,
    subnet: &str,
    range: &str,
    secrets: &[&str],
    options: &[&str],
) -> conex_tests::Output {
    let file = key_file(yard);
    write_secrets(&file, secrets);
    let file = format!("key-file={}", file.display());
    let mut words = vec!["network", "create", "-d", "overlay", "--subnet", subnet, "--ip-range", range];
    words.extend(["-o", "encrypted", "-o", &file]);
    options.iter().for_each(|option| words.extend(["-o", option]));
    words.push(name);
    yard.conex.run(&words)
}

/// No association, no policy.
fn assert_nothing(yard: &Yard) {
    assert_eq!(yard.host.sh("ip xfrm state; ip xfrm policy"), "");
}

fn associations(yard: &Yard) -> usize {
    yard.host.sh("ip xfrm state").matches("proto esp").count()
}

/// What a rule of that comment has counted.
fn counted(yard: &Yard, comment: &str) -> u64 {
    let mesh = yard.inspect("mesh");
    let rules = mesh["Host"]["Rules"].as_array().cloned().unwrap_or_default();
    let of = rules.iter().filter(|rule| rule["Comment"] == comment);
    of.filter_map(|rule| rule["Packets"].as_u64()).sum()
}

const PEERS: &str = "peers=198.51.100.1,198.51.100.2,198.51.100.3";
const FROM_HERE: &str = "http://10.40.0.64/";
const FROM_THERE: &str = "http://10.40.0.2/";

fn reaches(yard: &Yard, url: &str) -> bool {
    yard.fetch(&["--network", "mesh"], url).is_some()
}

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
fn nothing_is_left_of_it() {
    let Some(wire) = Wire::new() else { return };
    let yard = &wire.here;
    wire.mesh(&[ONE, TWO], &[PEERS]);
    // Several at once, none of which has anything before it.
    let run = || yard.conex.run(&["run", "--rm", "--network", "mesh", yard.image, "true"]);
    let outputs = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..6).map(|_| scope.spawn(run)).collect();
        threads.into_iter().map(|thread| thread.join().expect("a thread")).collect::<Vec<_>>()
    });
    assert!(outputs.iter().all(|output| output.code == 0 && output.stderr.is_empty()), "{outputs:?}");
    assert_eq!(associations(yard), 6);
    assert_eq!(yard.conex.ok(&["network", "rm", "mesh"]), "mesh\n");
    assert_nothing(yard);
    // Halves, as a start or a removal leaves them that is killed between two steps.
    for loss in [
        "ip xfrm policy deleteall dir in",
        "ip xfrm policy deleteall",
        "ip xfrm state deleteall dst 198.51.100.1",
    ] {
        wire.mesh_again(&[ONE, TWO]);
        assert_eq!(run().code, 0);
        let devices = "ip -o link | grep -oE '(vx|cx)-[0-9a-f]+' | sort -u";
        yard.host.sh(&format!("{devices} | while read device; do ip link del $device; done; {loss}"));
        yard.conex.ok(&["network", "rm", "mesh"]);
        assert_nothing(yard);
    }

    // Another program's stay.
    yard.host.sh(
        "ip xfrm policy add src 198.51.100.7 dst 198.51.100.8 dir out tmpl proto esp reqid 7 mode transport",
    );
    wire.mesh_again(&[ONE, TWO]);
    yard.conex.ok(&["run", "-d", "--name", "web", "--network", "mesh", yard.image, "sleep", "100"]);
    yard.kill_supervisor("web");
    eventually("the next command", || yard.conex.ok(&["ps", "-q"]).is_empty().then_some(()));
    yard.conex.ok(&["rm", "-f", "web"]);
    yard.conex.ok(&["network", "rm", "mesh"]);
    let left = yard.host.sh("ip xfrm state; ip xfrm policy");
    assert!(!left.contains("4789") && left.contains("reqid 7") && associations(yard) == 0, "{left}");
}

/// The process that makes it is killed as it sends one of its netlink messages, each time a later one.
#[test]
fn a_start_that_is_killed_leaves_nothing_of_it() {
    let Some(wire) = Wire::new() else { return };
    if !installed("strace") {
        skip!("strace is not installed");
    }
    let yard = &wire.here;
    let (mut killed, mut halves) = (0, 0);
    for message in (2..48).step_by(3) {
        wire.mesh_again(&[ONE, TWO]);
        let run = yard.conex.command(&["run", "--rm", "--network", "mesh", yard.image, "true"]);
        let mut traced = Command::new("strace");
        traced.args(["-f", "-qq", "-o", "/dev/null", "-e", "trace=sendto", "-e"]);
        traced.arg(format!("inject=sendto:signal=KILL:when={message}"));
        traced.envs(run.get_envs().filter_map(|(name, value)| Some((name, value?))));
        let output = finish(traced.arg(run.get_program()).args(run.get_args()).stdin(Stdio::null()));
        killed += i32::from(output.code != 0);
        let policies = yard.host.sh("ip xfrm policy").matches("proto esp").count();
        halves += i32::from((1..8).contains(&(associations(yard) + policies)));
        eventually("the next command", || {
            yard.conex.run(&["ps", "-a"]);
            (yard.conex.run(&["network", "rm", "mesh"]).code == 0).then_some(())
        });
        assert_nothing(yard);
    }
    assert!(killed > 3 && halves > 1, "{killed} killed, {halves} in the middle of it");
}

#[test]
fn a_port_is_its_own() {
    let Some(wire) = Wire::new() else { return };
    let yard = &wire.here;
    let says = |made: conex_tests::Output, words: &str| {
        assert!(
            made.code != 0 && made.stderr.contains(words) && made.stderr.lines().count() == 1,
            "{}",
            made.stderr
        );
    };
    wire.mesh(&[ONE], &[PEERS]);
    let alone =
        "network mesh has port 4789, and an encrypted network has its port alone; give another by -o port=";
    says(create(yard, "more", "10.41.0.0/24", "10.41.0.0/25", &[ONE], &[]), alone);
    let plain = ["network", "create", "-d", "overlay", "--subnet", "10.41.0.0/24"];
    says(yard.conex.run(&[&plain[..], &["open"]].concat()), alone);
    let made = create(yard, "more", "10.41.0.0/24", "10.41.0.0/25", &[ONE], &["port=4790", PEERS]);
    assert_eq!(made.code, 0, "{}", made.stderr);
    for network in ["mesh", "more"] {
        yard.conex.ok(&["run", "--rm", "--network", network, yard.image, "true"]);
    }
    assert_eq!(associations(yard), 8);
    yard.conex.ok(&["network", "rm", "more"]);
    assert_eq!(associations(yard), 4);
    assert!(!yard.host.sh("ip xfrm policy").contains("dport 4790"));
    // Somebody else's tunnel, and somebody else's policy.
    yard.conex.ok(&["network", "rm", "mesh"]);
    wire.mesh_again(&[ONE]);
    let start = || yard.conex.run(&["run", "--rm", "--network", "mesh", yard.image, "true"]);
    yard.host.sh("ip link add flannel.1 type vxlan id 1 dstport 4789 local 198.51.100.1");
    says(start(), "and the device flannel.1 is at UDP port 4789; give another by -o port=");
    yard.host.sh(
        "ip link del flannel.1 && ip xfrm policy add src 0.0.0.0/0 dst 0.0.0.0/0 proto udp dport 4789 dir in",
    );
    says(start(), "and a policy of another program's is for UDP port 4789");
    assert_eq!(associations(yard), 0, "nothing is left of what cannot be");
    yard.host.sh("ip xfrm policy flush");
    assert_eq!(start().code, 0);
    // And somebody else's SPI.
    let spi =
        yard.host.sh("ip xfrm state list src 198.51.100.1 dst 198.51.100.2 | grep -oE 'spi 0x[0-9a-f]+'");
    yard.conex.ok(&["network", "rm", "mesh"]);
    let keys = format!("enc 'cbc(aes)' 0x{} auth 'hmac(sha256)' 0x{}", &ONE[..32], ONE);
    yard.host.sh(&format!(
        "ip xfrm state add src 198.51.100.9 dst 198.51.100.2 proto esp {} reqid 5 mode transport {keys}",
        spi.trim()
    ));
    wire.mesh_again(&[ONE]);
    says(start(), "to 198.51.100.2 is taken, by another program or by chance: give the network another key");
    assert_eq!((associations(yard), yard.host.sh("ip xfrm policy").as_str()), (1, ""));
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
