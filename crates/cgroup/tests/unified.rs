//! `linux.resources.unified`: files of the v2 group by name, read back.

#[allow(dead_code, reason = "not every test program needs all of it")]
mod support;

use conex_cgroup::{Error, Version};
use conex_oci::runtime::{Pids, Resources};
use support::{TestGroup, disk, host, refused, skip};

fn unified(files: &[(&str, &str)]) -> Resources {
    Resources {
        unified: files.iter().map(|(file, value)| ((*file).to_owned(), (*value).to_owned())).collect(),
        ..Resources::default()
    }
}

#[test]
fn unified_files_of_every_controller() {
    let Some(host) = host() else { return };
    if host.version() != Version::V2 {
        return skip("the controllers of this host are not in the v2 tree");
    }
    let plain: [(&str, &str, &str); 15] = [
        ("memory.min", "4194304", "4194304"),
        ("memory.low", "8388608", "8388608"),
        ("memory.high", "67108864", "67108864"),
        ("memory.max", "134217728", "134217728"),
        ("memory.swap.max", "max", "max"),
        ("memory.oom.group", "1", "1"),
        ("cpu.weight", "300", "300"),
        ("cpu.max", "20000 100000", "20000 100000"),
        ("cpu.max.burst", "5000", "5000"),
        ("cpuset.cpus", "0-1", "0-1"),
        ("cpuset.mems", "0", "0"),
        ("pids.max", "40", "40"),
        ("hugetlb.2MB.max", "2097152", "2097152"),
        ("cgroup.max.depth", "3", "3"),
        ("cgroup.max.descendants", "7", "7"),
    ];
    let written: Vec<(&str, &str)> = plain.iter().map(|(file, value, _)| (*file, *value)).collect();
    let born = TestGroup::create(&host, &unified(&written)).expect("create");
    let mut updated = TestGroup::create(&host, &Resources::default()).expect("create");
    updated.update(&unified(&written)).expect("update");
    for group in [&born, &updated] {
        for (file, _, expected) in plain {
            assert_eq!(group.read("memory", file), expected, "{file}");
        }
    }
    if let Some((major, minor)) = disk() {
        let lines = format!("{major}:{minor} rbps=1048576\n{major}:{minor} wiops=50\n");
        let latency = format!("{major}:{minor} target=5000");
        let group = TestGroup::create(&host, &unified(&[("io.max", &lines)])).expect("a line at a time");
        assert_eq!(
            group.read("io", "io.max"),
            format!("{major}:{minor} rbps=1048576 wbps=max riops=max wiops=50")
        );
        match TestGroup::create(&host, &unified(&[("io.latency", &latency)])) {
            Ok(group) => assert_eq!(group.read("io", "io.latency"), latency),
            Err(error) => assert!(matches!(error, Error::NoFile { .. }), "{error}"),
        }
    }
    // A partition has to be one of its own, below another's: here the kernel takes the word, and says why it is none.
    let error =
        TestGroup::create(&host, &unified(&[("cpuset.cpus", "0"), ("cpuset.cpus.partition", "isolated")]))
            .map(|group| assert_eq!(group.read("cpuset", "cpuset.cpus.partition"), "isolated"));
    if let Err(error) = error {
        assert!(error.to_string().contains("partition"), "{error}");
    }
    // The typed limit first, then what the user wrote himself.
    let both = Resources { pids: Some(Pids { limit: Some(9) }), ..unified(&[("pids.max", "11")]) };
    assert_eq!(TestGroup::create(&host, &both).expect("create").read("pids", "pids.max"), "11");
    refused(&host, "misc of no hardware", &unified(&[("misc.max", "nosuch 1")]));
}
