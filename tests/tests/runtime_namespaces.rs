//! `linux.namespaces`: made or joined by path, in every combination; the names, kernel parameters and clocks in them.

use std::fs;
use std::path::Path;
use std::process::Command;

use conex_tests::{Bed, eventually, needs_root, skip};
use serde_json::{Value, json};

macro_rules! bed {
    ($script:expr) => {{
        needs_root!();
        match Bed::new($script) {
            Some(bed) => bed,
            None => skip!("no busybox image"),
        }
    }};
}

/// The specification's name of a kind and the file's in /proc.
const KINDS: [(&str, &str); 7] = [
    ("pid", "pid"),
    ("network", "net"),
    ("ipc", "ipc"),
    ("uts", "uts"),
    ("cgroup", "cgroup"),
    ("time", "time"),
    ("user", "user"),
];

const SHOW: &str =
    "for n in cgroup ipc net pid time user uts mnt; do echo $n $(readlink /proc/self/ns/$n); done";

fn namespace_of(process: u64, file: &str) -> String {
    fs::read_link(format!("/proc/{process}/ns/{file}")).unwrap().display().to_string()
}

#[test]
fn all_eight_are_made() {
    let mut bed = bed!(SHOW);
    bed.map_users();
    bed.namespace("time", Some(Value::Null));
    let output = bed.output();
    assert_eq!(output.lines().count(), 8);
    for line in output.lines() {
        let (name, link) = line.split_once(' ').unwrap();
        assert_ne!(link, namespace_of(std::process::id().into(), name), "{name} is the host's");
    }
}

#[test]
fn what_is_not_named_is_the_hosts() {
    let mut bed = bed!(SHOW);
    for kind in ["network", "ipc", "uts", "cgroup", "pid"] {
        bed.namespace(kind, None);
    }
    bed.config["hostname"] = Value::Null;
    for line in bed.output().lines() {
        let (name, link) = line.split_once(' ').unwrap();
        let host = namespace_of(std::process::id().into(), name);
        assert_eq!(link == host, name != "mnt", "{name}");
    }
}

/// Each kind alone, each pair, and nearly all of them.
#[test]
fn joined_by_path_in_every_combination() {
    let mut first = bed!("sleep 1000");
    first.map_users();
    first.namespace("time", Some(Value::Null));
    let pid = first.start();
    let mut bed = Bed::new(SHOW).unwrap();
    bed.map_users();
    bed.config["hostname"] = Value::Null;
    bed.linux().as_object_mut().unwrap().remove("uidMappings");
    bed.linux().as_object_mut().unwrap().remove("gidMappings");
    let original = bed.config.clone();
    for mask in 1_u32..1 << KINDS.len() {
        if (3..6).contains(&mask.count_ones()) {
            continue;
        }
        bed.config = original.clone();
        let joined = |kind: &str| mask & 1 << KINDS.iter().position(|(name, _)| *name == kind).unwrap() != 0;
        for (kind, file) in KINDS {
            let path = json!(format!("/proc/{pid}/ns/{file}"));
            let made = (!matches!(kind, "time" | "user")).then_some(Value::Null);
            bed.namespace(kind, if joined(kind) { Some(path) } else { made });
        }
        if joined("user") {
            // These take rights over a namespace that is joined.
            bed.without_mounts(&["/sys", "/sys/fs/cgroup", "/dev/mqueue"]);
        }
        for line in bed.output().lines() {
            let (file, link) = line.split_once(' ').unwrap();
            let Some((kind, _)) = KINDS.iter().find(|(_, name)| *name == file) else { continue };
            assert_eq!(link == namespace_of(pid, file), joined(kind), "{mask:b}: {line}");
        }
    }
}

#[test]
fn a_mount_namespace_joined_by_path() {
    let mut bed = bed!("readlink /proc/self/ns/mnt; ls -d /proc/self /boot 2>/dev/null");
    // Kept by a process that has no use for its root.
    let mut holder =
        Command::new("unshare").args(["-m", "--propagation", "private", "sleep", "1000"]).spawn().unwrap();
    let pid = holder.id().into();
    let own = namespace_of(std::process::id().into(), "mnt");
    eventually("the namespace is there", || (namespace_of(pid, "mnt") != own).then_some(()));
    bed.namespace("mount", Some(json!(format!("/proc/{pid}/ns/mnt"))));
    let output = bed.run().stdout;
    let theirs = namespace_of(pid, "mnt");
    holder.kill().unwrap();
    holder.wait().unwrap();
    assert_eq!(output, format!("{theirs}\n/proc/self\n"));
}

#[test]
fn a_new_user_namespace_with_joined_ones() {
    let first = bed!("sleep 1000");
    let pid = first.start();
    let mut bed =
        Bed::new("readlink /proc/self/ns/net; readlink /proc/self/ns/ipc; cat /proc/self/uid_map").unwrap();
    bed.map_users();
    for (kind, file) in [("network", "net"), ("ipc", "ipc")] {
        bed.namespace(kind, Some(json!(format!("/proc/{pid}/ns/{file}"))));
    }
    // A file system of message queues takes rights over their namespace.
    bed.without_mounts(&["/dev/mqueue"]);
    let output = bed.output();
    let lines: Vec<_> = output.lines().collect();
    assert_eq!(lines[..2], [namespace_of(pid, "net"), namespace_of(pid, "ipc")]);
    assert!(lines[2].contains("200000"), "{output}");
}

#[test]
fn what_cannot_be_is_told_by_field() {
    let bed = bed!("true");
    for (path, words) in [
        ("/proc/self/ns/net", "of another kind than \"ipc\""),
        ("/etc/passwd", "is no namespace"),
        ("/not/there", "/not/there"),
        ("relative", "is not absolute"),
    ] {
        let mut other = Bed { config: bed.config.clone(), runtime: conex_tests::Runtime::new().unwrap() };
        other.namespace("ipc", Some(json!(path)));
        assert!(other.refusal().contains(words), "{path}");
    }
    let refuse = |change: &dyn Fn(&mut Value), words: &str| {
        let mut other = Bed { config: bed.config.clone(), runtime: conex_tests::Runtime::new().unwrap() };
        change(&mut other.config);
        let refusal = other.refusal();
        assert!(refusal.contains(words), "{words}: {refusal}");
    };
    let twice = |config: &mut Value| {
        config["linux"]["namespaces"].as_array_mut().unwrap().push(json!({"type": "ipc"}));
    };
    refuse(&twice, "twice");
    refuse(
        &|config| config["linux"]["namespaces"][0]["type"] = json!("moon"),
        "linux.namespaces[0].type: unknown",
    );
    let map = json!([{"containerID": 0, "hostID": 0, "size": 1}]);
    refuse(&|config| config["linux"]["uidMappings"] = map.clone(), "linux.uidMappings");
    refuse(&|config| config["linux"]["timeOffsets"] = json!({"boottime": {"secs": 1}}), "linux.timeOffsets");
    refuse(&|config| config["linux"]["namespaces"] = json!([{"type": "pid"}]), "needs a mount namespace");
    let user = |config: &mut Value| {
        config["linux"]["namespaces"].as_array_mut().unwrap().push(json!({"type": "user"}));
    };
    refuse(&user, "linux.uidMappings: a new user namespace needs them");
}

#[test]
fn clocks_are_offset() {
    let mut bed = bed!("cat /proc/uptime");
    bed.namespace("time", Some(Value::Null));
    bed.linux()["timeOffsets"] =
        json!({"boottime": {"secs": 1_000_000_000}, "monotonic": {"secs": -1, "nanosecs": 5}});
    let uptime: f64 = bed.output().split_whitespace().next().unwrap().parse().unwrap();
    assert!(uptime > 1e9);
    bed.linux()["timeOffsets"] = json!({"wall": {"secs": 1}});
    assert!(bed.refusal().contains("\"wall\""));
}

#[test]
fn names_and_sysctls() {
    let script = "hostname; cat /proc/sys/kernel/domainname /proc/sys/net/ipv4/ip_forward /proc/sys/kernel/msgmax \
        /proc/sys/fs/mqueue/msg_max";
    let mut bed = bed!(script);
    bed.config["domainname"] = json!("example.test");
    bed.linux()["sysctl"] =
        json!({"net.ipv4.ip_forward": "1", "kernel/msgmax": "4096", "fs.mqueue.msg_max": "5"});
    assert_eq!(bed.output(), "box\nexample.test\n1\n4096\n5\n");
    // Without a /proc of its own, too.
    bed.without_mounts(&["/proc"]);
    bed.script("true");
    bed.output();
    bed.linux()["sysctl"] = json!({"net.ipv4.ip_forward": "many"});
    assert!(bed.refusal().contains("net.ipv4.ip_forward=many"));
}

/// CVE-2025-52881: a write to /proc/sys caught by what a volume puts there.
#[test]
fn a_sysctl_is_written_to_the_kernel_alone() {
    let mut bed = bed!("cat /proc/sys/net/ipv4/ip_forward");
    let trap = tempfile::tempdir().unwrap();
    fs::write(trap.path().join("ip_forward"), "trap\n").unwrap();
    bed.linux()["sysctl"] = json!({"net.ipv4.ip_forward": "1"});
    bed.mount("/proc/sys/net/ipv4", "none", trap.path(), "bind");
    assert!(bed.refusal().contains("/proc"));
    assert_eq!(fs::read_to_string(trap.path().join("ip_forward")).unwrap(), "trap\n");
}

#[test]
fn the_hosts_names_and_sysctls_stay() {
    let mut bed = bed!("true");
    let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    bed.namespace("uts", None);
    assert!(bed.refusal().contains("hostname: it needs a uts namespace"));
    // Named by path, the host's are the host's as well.
    bed.namespace("uts", Some(json!("/proc/self/ns/uts")));
    assert!(bed.refusal().contains("hostname: it needs a uts namespace"));
    bed.config["hostname"] = Value::Null;
    bed.config["domainname"] = json!("changed");
    assert!(bed.refusal().contains("domainname: it needs a uts namespace"));
    bed.config["domainname"] = Value::Null;
    for (kind, name) in [
        ("network", "net.ipv4.ip_forward"),
        ("ipc", "kernel.shmmax"),
        ("user", "user.max_user_namespaces"),
        ("uts", "kernel.core_pattern"),
    ] {
        bed.namespace(kind, None);
        bed.linux()["sysctl"] = json!({name: "0"});
        assert!(bed.refusal().contains(name), "{name}");
    }
    assert_eq!(fs::read_to_string("/proc/sys/kernel/hostname").unwrap(), host);
    assert!(Path::new("/proc/self/ns/uts").exists());
}

/// As in a nested container: no nodes can be made, and the mounts of the host have flags that are locked.
#[test]
fn the_runtime_itself_in_a_user_namespace() {
    let mut bed = bed!("stat -c %t:%T /dev/null /dev/tty; grep ' /locked ' /proc/self/mountinfo; id -u");
    let run = |bed: &Bed| {
        let bundle = bed.runtime.bundle("bed", &bed.config);
        let script = "mount -t tmpfs -o nosuid,nodev tmpfs $1 && exec unshare -Ur -m --propagation private \
            $0 --root $2 run --bundle $3 bed";
        let output = Command::new("unshare")
            .args(["-m", "--propagation", "private", "sh", "-c", script])
            .arg(conex_tests::Runtime::binary())
            .args([bed.runtime.scratch().join("locked"), bed.runtime.scratch().join("inner"), bundle])
            .output()
            .unwrap();
        (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap())
    };
    let source = bed.runtime.scratch().join("locked");
    fs::create_dir(&source).unwrap();
    bed.linux().as_object_mut().unwrap().remove("resources");
    bed.linux()["cgroupsPath"] = json!("");
    bed.without_mounts(&["/sys/fs/cgroup"]);
    bed.mount("/locked", "none", &source, "rbind,ro");
    let (output, error) = run(&bed);
    let lines: Vec<_> = output.lines().collect();
    assert!(lines.len() == 4, "{output} {error}");
    assert_eq!((lines[0], lines[1], lines[3]), ("1:3", "5:0", "0"), "{output}");
    for flag in ["ro", "nosuid", "nodev"] {
        assert!(lines[2].split([' ', ',']).any(|word| word == flag), "{flag}: {output}");
    }
    bed.without_mounts(&["/locked"]);
    bed.mount("/locked", "none", &source, "rbind,suid");
    let (_, error) = run(&bed);
    assert!(error.contains("lift a restriction"), "{error}");
}
