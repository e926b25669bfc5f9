//! Hosts on one wire, and who reads it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use conex_tests::{Output, Yard, eventually, is_root};

pub(crate) const ONE: &str = "4f1d7a60c3b8e29573ad16f80b5ce4921de7a3580f6bc9e2417d9a3f05b6c8e1";
pub(crate) const TWO: &str = "b2e94c07d51f8a6370cd2e9b48f1a5d6093c7e2bf86a41d5c0937e1b4fa28d65";
pub(crate) const WRONG: &str = "0c5e8fd1b7a2943e6d0f81c4b95a27e3f64d0b8c1e7a5932d86f4b0ac17e59d3";

/// Three hosts on one wire: 198.51.100.1 and .2, and the third as the switch between them, at .3; the same with 2001:db8:1::.
pub(crate) struct Wire {
    pub(crate) here: Yard,
    pub(crate) there: Yard,
    pub(crate) switch: Yard,
}

impl Wire {
    /// `None`, having said so, where there is no ESP, or no sniffer.
    pub(crate) fn new() -> Option<Self> {
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
        let says = "conex: option encrypted: this kernel has no ESP with AES-CBC and HMAC-SHA-256 over IPv4 \
            (CONFIG_XFRM_USER, CONFIG_INET_ESP, CONFIG_CRYPTO_AUTHENC, CONFIG_CRYPTO_ECHAINIV)\n";
        assert_eq!(made.stderr, says);
        assert_eq!(yard.conex.ok(&["network", "ls", "--format", "{{.Name}}"]), "bridge\n");
        // One that was made under another kernel.
        let plain = ["network", "create", "-d", "overlay", "--subnet", "10.41.0.0/24", "-o", PEERS, "probe"];
        yard.conex.ok(&plain);
        let file = yard.conex.root().join("networks/probe.json");
        let text = fs::read_to_string(&file).expect("the definition");
        let key = serde_json::to_string(&key_file(yard)).expect("a path");
        let encrypted = format!("\"options\": {{\n\"encrypted\": true, \"key_file\": {key},");
        let changed = text.replacen("\"options\": {", &encrypted, 1);
        assert_ne!(changed, text);
        fs::write(&file, changed).expect("the definition");
        assert_eq!(yard.conex.fails(125, &["run", "--rm", "--network", "probe", yard.image, "true"]), says);
        let links = yard.host.sh("ip -o link");
        assert!(!links.contains("vx-") && !links.contains("cx-"), "{links}");
        yard.conex.ok(&["network", "rm", "probe"]);
        assert_nothing(yard);
        false
    }

    /// The network on both, each with the other as its peer, and the third, which has no key.
    pub(crate) fn mesh(&self, secrets: &[&str], options: &[&str]) {
        for (yard, range) in [(&self.here, "10.40.0.0/26"), (&self.there, "10.40.0.64/26")] {
            let made = create(yard, "mesh", "10.40.0.0/24", range, secrets, options);
            assert_eq!(made.code, 0, "{}", made.stderr);
        }
    }

    /// On the first alone.
    pub(crate) fn mesh_again(&self, secrets: &[&str]) {
        let made = create(&self.here, "mesh", "10.40.0.0/24", "10.40.0.0/26", secrets, &[PEERS]);
        assert_eq!(made.code, 0, "{}", made.stderr);
    }

    /// What passes to and from the first host while that is done.
    pub(crate) fn read(&self, work: impl FnOnce()) -> Read {
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

pub(crate) struct Read {
    pub(crate) esp: u64,
    pub(crate) udp: u64,
    bytes: Vec<u8>,
}

impl Read {
    pub(crate) fn has(&self, words: &str) -> bool {
        self.bytes.windows(words.len()).any(|window| window == words.as_bytes())
    }
}

fn address(yard: &Yard, device: &str, number: u8) {
    yard.host.sh(&format!(
        "ip address add 198.51.100.{number}/24 dev {device} &&
         ip address add 2001:db8:1::{number}/64 dev {device} nodad && ip link set {device} up"
    ));
}

pub(crate) fn key_file(yard: &Yard) -> PathBuf {
    yard.conex.scratch().join("mesh.key")
}

pub(crate) fn write_secrets(path: &Path, secrets: &[&str]) {
    fs::write(path, secrets.join("\n")).expect("the key file");
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).expect("its mode");
}

pub(crate) fn create(
    yard: &Yard,
    name: &str,
    subnet: &str,
    range: &str,
    secrets: &[&str],
    options: &[&str],
) -> Output {
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
pub(crate) fn assert_nothing(yard: &Yard) {
    assert_eq!(yard.host.sh("ip xfrm state; ip xfrm policy"), "");
}

pub(crate) fn associations(yard: &Yard) -> usize {
    yard.host.sh("ip xfrm state").matches("proto esp").count()
}

/// What a rule of that comment has counted.
pub(crate) fn counted(yard: &Yard, comment: &str) -> u64 {
    let mesh = yard.inspect("mesh");
    let rules = mesh["Host"]["Rules"].as_array().cloned().unwrap_or_default();
    let of = rules.iter().filter(|rule| rule["Comment"] == comment);
    of.filter_map(|rule| rule["Packets"].as_u64()).sum()
}

pub(crate) const PEERS: &str = "peers=198.51.100.1,198.51.100.2,198.51.100.3";
pub(crate) const FROM_HERE: &str = "http://10.40.0.64/";
pub(crate) const FROM_THERE: &str = "http://10.40.0.2/";

pub(crate) fn reaches(yard: &Yard, url: &str) -> bool {
    yard.fetch(&["--network", "mesh"], url).is_some()
}
