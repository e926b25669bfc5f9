//! `linux.netDevices`: devices that move into the container, with their addresses, and back when it cannot be made.

use std::process::Command;

use conex_tests::{Bed, needs_root, skip};
use serde_json::json;

macro_rules! bed {
    ($script:expr) => {{
        needs_root!();
        match Bed::new($script) {
            Some(bed) => bed,
            None => skip!("no busybox image"),
        }
    }};
}

fn ip(arguments: &str) -> String {
    let output = Command::new("ip").args(arguments.split(' ')).output().unwrap();
    assert!(output.status.success(), "ip {arguments}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// Two virtual devices on the host, named after this process.
struct Pair(String, String);

impl Pair {
    fn new(letter: char) -> Option<Self> {
        let id = std::process::id();
        let (one, other) = (format!("cx{letter}{id}a"), format!("cx{letter}{id}b"));
        let mut command = Command::new("ip");
        let made = command.args(["link", "add", &one, "type", "veth", "peer", "name", &other]).output();
        made.is_ok_and(|output| output.status.success()).then_some(Self(one, other))
    }
}

impl Drop for Pair {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["link", "del", &self.0]).output();
    }
}

#[test]
fn move_with_their_addresses() {
    let mut bed = bed!("ip addr show; cat /proc/net/dev");
    let Some(pair) = Pair::new('m') else { skip!("no pair of virtual network devices (ip, module veth)") };
    for line in ["addr add 192.0.2.7/24 brd 192.0.2.255 dev", "addr add 2001:db8::7/64 dev"] {
        ip(&format!("{line} {}", pair.1));
    }
    ip(&format!("addr add 169.254.9.9/16 scope link dev {}", pair.1));
    ip(&format!("link set {} up", pair.0));
    ip(&format!("link set {} up", pair.1));
    bed.linux()["netDevices"] = json!({&pair.1: {"name": "eth%d"}});
    let output = bed.output();
    assert!(output.contains("eth0") && !output.contains(&pair.1), "{output}");
    assert!(output.contains("192.0.2.7/24 brd 192.0.2.255") && output.contains("2001:db8::7/64"), "{output}");
    assert!(!output.contains("169.254.9.9"), "an address of another scope: {output}");
    assert!(output.lines().any(|line| line.contains("eth0") && line.contains(",UP")), "{output}");
}

#[test]
fn keep_their_name_in_a_joined_namespace() {
    let first = bed!("sleep 1000");
    let pid = first.start();
    let mut bed = Bed::new("cat /proc/net/dev").unwrap();
    let Some(pair) = Pair::new('j') else { skip!("no pair of virtual network devices (ip, module veth)") };
    bed.namespace("network", Some(json!(format!("/proc/{pid}/ns/net"))));
    bed.linux()["netDevices"] = json!({&pair.1: {}});
    let output = bed.output();
    assert!(output.contains(&pair.1), "{output}");
    assert!(first.runtime.ok(&["exec", "bed", "cat", "/proc/net/dev"]).contains(&pair.1));
}

#[test]
fn go_back_on_failure() {
    let mut bed = bed!("true");
    let Some(pair) = Pair::new('f') else { skip!("no pair of virtual network devices (ip, module veth)") };
    ip(&format!("addr add 192.0.2.9/24 dev {}", pair.1));
    // The second of them does not exist.
    bed.linux()["netDevices"] = json!({&pair.1: {"name": "moved"}, "zz-none": {"name": "other"}});
    let refusal = bed.refusal();
    assert!(refusal.contains("zz-none") && refusal.contains("find it on the host"), "{refusal}");
    assert!(ip(&format!("addr show {}", pair.1)).contains("192.0.2.9/24"));
    for (name, words) in [("lo", "already"), ("a/b", "no name"), ("sixteen-letters-", "no name")] {
        bed.linux()["netDevices"] = json!({&pair.1: {"name": name}});
        let refusal = bed.refusal();
        assert!(refusal.contains(words), "{refusal}");
        ip(&format!("addr show {}", pair.1));
    }
    bed.namespace("network", None);
    assert!(bed.refusal().contains("linux.netDevices: they need a network namespace"));
}
