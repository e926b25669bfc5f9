//! Reports of containers that are files in a folder.

use std::fs;
use std::path::PathBuf;

use super::*;
use crate::cgroup::Limit;
use crate::identity::Mapping;

/// A folder with a file tree like a container's; gone with the value.
struct Tree(PathBuf);

impl Tree {
    fn new(name: &str, files: &[(&str, &str)]) -> Self {
        let path = std::env::temp_dir().join(format!("conex-hello-{}-{name}", std::process::id()));
        let tree = Self(path);
        for (file, content) in files {
            let file = tree.0.join(file);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, content).unwrap();
        }
        for (name, id) in
            [("pid", 4026532300u64), ("uts", 0xefff_fffe), ("mnt", 4026532301), ("net", 4026531840)]
        {
            let folder = tree.0.join("proc/self/ns");
            fs::create_dir_all(&folder).unwrap();
            std::os::unix::fs::symlink(format!("{name}:[{id}]"), folder.join(name)).unwrap();
        }
        tree
    }

    fn report(&self) -> Report {
        Report::gather(&Root::at(&self.0))
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

const STATUS: &str = "Name:\thello\nPid:\t1\nUid:\t0\t0\t0\t0\nGid:\t0\t0\t0\t0\nGroups:\t10 20 \n\
    CapInh:\t0000000000000000\nCapPrm:\t00000000a80425fb\nCapEff:\t00000000a80425fb\nCapBnd:\t00000000a80425fb\n\
    CapAmb:\t0000000000000000\nNoNewPrivs:\t0\nSeccomp:\t2\nSeccomp_filters:\t1\n";

const HASH: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

fn mountinfo(cgroup: &str) -> String {
    format!(
        "30 1 0:40 / / rw,relatime - overlay overlay rw,lowerdir=/r/layers/{HASH}/fs:/r/a\\134:b:/,upperdir=/r/u\\040p,workdir=/r/w\n\
         31 30 0:41 / /proc rw,nosuid - proc proc rw\n\
         32 31 0:41 /sys /proc/sys ro,nosuid - proc proc rw\n\
         33 31 0:42 /null /proc/kcore rw - tmpfs tmpfs rw\n\
         34 31 0:43 / /proc/acpi ro - tmpfs tmpfs ro\n\
         35 30 0:44 / /sys ro - sysfs sysfs ro\n\
         36 35 0:44 /x /sys/firmware ro - tmpfs tmpfs ro\n{cgroup}"
    )
}

#[test]
fn a_container_on_cgroup_v2() {
    let tree = Tree::new(
        "v2",
        &[
            ("proc/self/status", STATUS),
            ("proc/self/mountinfo", &mountinfo("37 35 0:45 / /sys/fs/cgroup ro - cgroup2 cgroup rw\n")),
            ("proc/self/cgroup", "0::/\n"),
            ("proc/self/uid_map", "         0     100000      65536\n"),
            ("sys/fs/cgroup/memory.max", "52428800\n"),
            ("sys/fs/cgroup/memory.swap.max", "max\n"),
            ("sys/fs/cgroup/memory.current", "1048576\n"),
            ("sys/fs/cgroup/cpu.max", "50000 100000\n"),
            ("sys/fs/cgroup/pids.max", "max\n"),
            ("sys/fs/cgroup/pids.current", "1\n"),
            ("proc/sys/kernel/hostname", "box\n"),
        ],
    );
    let report = tree.report();
    assert_eq!(report.cgroup.version, Some("v2"));
    assert_eq!(report.cgroup.memory, Limit::At(52428800));
    assert_eq!(report.cgroup.swap, Limit::None);
    assert_eq!(report.cgroup.cpus, Limit::At(0.5));
    assert_eq!(report.cgroup.pids, Limit::None);
    assert_eq!(report.identity.uid_map, [Mapping { inside: 0, outside: 100000, count: 65536 }]);
    assert_eq!(report.identity.groups, [10, 20]);
    let root = report.filesystem.root.as_ref().unwrap();
    assert_eq!(root.lower, [format!("/r/layers/{HASH}/fs"), "/r/a:b".to_owned(), "/".to_owned()]);
    assert_eq!(root.upper.as_deref(), Some("/r/u p"));
    assert_eq!(report.filesystem.masked, ["/proc/kcore", "/proc/acpi", "/sys/firmware"]);
    assert_eq!(report.filesystem.read_only, ["/proc/sys"]);

    let page = page::render(&report, false);
    for part in [
        "the first process of a container",
        "at most 50 MiB (52428800 bytes), 1 MiB in use",
        "at most 0.5 processors' time",
        "no limit, 1 in use",
        "0-65535 here is 100000-165535 outside",
        "14 of 41: CHOWN DAC_OVERRIDE",
        "inheritable, ambient: none",
        "on, 1 filter looks",
        "overlay of 3 layers of the image, writable",
        "layer 3      sha256:0123456789ab\n",
        "layer 1      a mount of its own, which has no path\n",
        "/proc/kcore /proc/acpi",
    ] {
        assert!(page.contains(part), "{part}\n{page}");
    }
    let json = json::render(&report);
    for part in
        ["\"memory_bytes\": 52428800", "\"cpus\": 0.5", "\"pids\": null", "\"CAP_CHOWN\"", "\"pid\": 1,"]
    {
        assert!(json.contains(part), "{part}\n{json}");
    }
}

#[test]
fn a_container_on_cgroup_v1_sees_the_limit_of_its_ancestors() {
    let mounts = "40 39 0:50 /conex/x /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n\
        41 39 0:51 / /sys/fs/cgroup/cpu ro - cgroup cgroup rw,cpu,cpuacct\n\
        42 39 0:52 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n";
    let tree = Tree::new(
        "v1",
        &[
            ("proc/self/mountinfo", &mountinfo(mounts)),
            ("proc/self/cgroup", "4:memory:/conex/x\n2:cpu,cpuacct:/\n3:pids:/\n1:name=systemd:/\n0::/\n"),
            ("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n"),
            ("sys/fs/cgroup/memory/memory.stat", "cache 0\nhierarchical_memory_limit 1073741824\n"),
            ("sys/fs/cgroup/memory/cgroup.procs", "1\n"),
            ("sys/fs/cgroup/cpu/cpu.cfs_quota_us", "-1\n"),
            ("sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n"),
        ],
    );
    let report = tree.report();
    assert_eq!(report.cgroup.version, Some("hybrid"));
    assert_eq!(report.cgroup.memory, Limit::At(1 << 30));
    assert_eq!(report.cgroup.swap, Limit::None, "there is a group, and no such file in it");
    assert_eq!(report.cgroup.cpus, Limit::None);
    assert_eq!(report.cgroup.pids, Limit::None, "its hierarchy is not mounted, and others are");
    let page = page::render(&report, false);
    assert!(page.contains("path         /conex/x\n               of memory\n               /\n"), "{page}");
    let json = json::render(&report);
    assert!(json.contains("\"memory_and_swap_bytes\": null"), "{json}");
    assert!(!json.contains("\"cpuset\": "), "{json}");
}

#[test]
fn nothing_to_be_seen_is_no_failure() {
    let tree = Tree::new("bare", &[]);
    let page = page::render(&tree.report(), false);
    assert!(page.contains("memory       unknown: the cgroup is not to be seen from here"), "{page}");
    assert!(page.contains("4026532300"), "{page}");
    assert!(page.contains("host name (the host's)"), "{page}");
    json::render(&tree.report());
}

#[test]
fn addresses_are_found_in_files() {
    let tree = Tree::new(
        "net",
        &[
            ("proc/self/net/dev", "Inter-|\n face |\n    lo: 1 2\n  eth0: 3 4\n"),
            (
                "proc/self/net/route",
                "Iface Destination Gateway Flags RefCnt Use Metric Mask MTU Window IRTT\n\
                 eth0 00000000 010011AC 0003 0 0 0 00000000 0 0 0\n\
                 eth0 000011AC 00000000 0001 0 0 0 0000FFFF 0 0 0\n",
            ),
            (
                "proc/self/net/fib_trie",
                "Local:\n  +-- 0.0.0.0/0 3 0 5\n     |-- 127.0.0.1\n        /32 host LOCAL\n\
                 \x20    |-- 172.17.0.2\n        /32 host LOCAL\n     |-- 172.17.255.255\n        /32 link BROADCAST\n",
            ),
            ("proc/self/net/if_inet6", "00000000000000000000000000000001 01 80 10 80       lo\n"),
            ("sys/class/net/eth0/operstate", "up\n"),
        ],
    );
    let found = tree.report().interfaces;
    assert_eq!(found[0].addresses, ["127.0.0.1", "::1"]);
    assert_eq!(found[0].state, None);
    assert_eq!(found[1].addresses, ["172.17.0.2"]);
    assert_eq!(found[1].state.as_deref(), Some("up"));
}

#[test]
fn the_page_fits_any_terminal() {
    let long = "/".to_owned() + &"x".repeat(300);
    let tree = Tree::new(
        "wide",
        &[
            ("proc/self/status", STATUS),
            ("proc/sys/kernel/hostname", &long),
            ("proc/self/cgroup", &format!("0::{long}\n")),
        ],
    );
    for report in [tree.report(), Report::gather(&Root::real())] {
        let page = page::render(&report, false);
        for line in page.lines() {
            assert!(line.chars().count() <= page::WIDTH, "{line}");
            assert_eq!(line.trim_end(), line);
        }
        assert!(!page.contains('\x1b'));
        // Colours add no columns and take none away.
        let mut plain = String::new();
        let coloured = page::render(&report, true);
        let mut rest = coloured.as_str();
        while let Some((before, after)) = rest.split_once("\x1b[") {
            plain.push_str(before);
            rest = after.split_once('m').unwrap().1;
        }
        plain.push_str(rest);
        let trimmed: Vec<_> = plain.lines().map(str::trim_end).collect();
        assert_eq!(trimmed, page.lines().collect::<Vec<_>>());
    }
}

#[test]
fn arguments() {
    let parse = |words: &[&str]| parse(words.iter().map(std::ffi::OsString::from));
    assert_eq!(parse(&[]), Ok(Wanted::Page));
    assert_eq!(parse(&["--json"]), Ok(Wanted::Json));
    assert_eq!(parse(&["--json", "-h"]), Ok(Wanted::Help));
    assert_eq!(parse(&["--jsn"]), Err("unknown argument \"--jsn\"; see hello --help".to_owned()));
    assert!(parse(&[""]).is_err());
    assert!(HELP.lines().all(|line| line.len() <= page::WIDTH));
}
