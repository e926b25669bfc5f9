//! As `limits`, for what is limited by device: disks, huge pages, RDMA, networks.

#[allow(dead_code, reason = "not every test program needs all of it")]
mod support;

use std::collections::BTreeMap;

use conex_oci::runtime::{
    BlockIo, HugepageLimit, InterfacePriority, Network, Rdma, Resources, ThrottleDevice, WeightDevice,
};
use support::{TestGroup, disk, host, refused, skip};

#[test]
fn block_ceilings() {
    let Some(host) = host() else { return };
    let Some((major, minor)) = disk() else { return skip("this machine has no disk") };
    let at = |rate| vec![ThrottleDevice { major, minor, rate }];
    let resources = Resources {
        block_io: Some(BlockIo {
            throttle_read_bps_device: at(1_048_576),
            throttle_write_bps_device: at(2_097_152),
            throttle_read_iops_device: at(100),
            throttle_write_iops_device: at(200),
            ..BlockIo::default()
        }),
        ..Resources::default()
    };
    let mut group = TestGroup::create(&host, &resources).expect("create");
    if host.v1_of("blkio").is_some() {
        for (file, rate) in [
            ("blkio.throttle.read_bps_device", 1_048_576),
            ("blkio.throttle.write_bps_device", 2_097_152),
            ("blkio.throttle.read_iops_device", 100),
            ("blkio.throttle.write_iops_device", 200),
        ] {
            assert_eq!(group.read("blkio", file), format!("{major}:{minor} {rate}"));
        }
    } else {
        let expected = format!("{major}:{minor} rbps=1048576 wbps=2097152 riops=100 wiops=200");
        assert_eq!(group.read("io", "io.max"), expected);
    }
    // One is changed, the others stay; 0 takes a ceiling away.
    let change = |rate| Resources {
        block_io: Some(BlockIo { throttle_read_bps_device: at(rate), ..BlockIo::default() }),
        ..Resources::default()
    };
    for (rate, v1, v2) in [(4096, "4096", "rbps=4096"), (0, "", "rbps=max")] {
        group.update(&change(rate)).expect("update");
        if host.v1_of("blkio").is_some() {
            let line = if v1.is_empty() { String::new() } else { format!("{major}:{minor} {v1}") };
            assert_eq!(group.read("blkio", "blkio.throttle.read_bps_device"), line);
        } else {
            assert_eq!(
                group.read("io", "io.max"),
                format!("{major}:{minor} {v2} wbps=2097152 riops=100 wiops=200")
            );
        }
    }
}

#[test]
fn a_weight_of_block_devices_is_in_force_or_refused() {
    let Some(host) = host() else { return };
    let resources = Resources {
        block_io: Some(BlockIo { weight: Some(300), ..BlockIo::default() }),
        ..Resources::default()
    };
    match TestGroup::create(&host, &resources) {
        Ok(group) if host.v1_of("blkio").is_some() => {
            let file =
                if group.has("blkio", "blkio.bfq.weight") { "blkio.bfq.weight" } else { "blkio.weight" };
            assert!(group.read("blkio", file).contains("300"));
        }
        Ok(group) if group.has("io", "io.bfq.weight") => {
            assert!(group.read("io", "io.bfq.weight").contains("300"));
        }
        Ok(group) => assert!(group.read("io", "io.weight").contains("2930")),
        Err(error) => {
            let text = error.to_string();
            assert!(text.contains("blockIO.weight") && text.contains("scheduler"), "{text}");
        }
    }
    let Some((major, minor)) = disk() else { return };
    let weighted = |weight, leaf_weight| Resources {
        block_io: Some(BlockIo {
            weight_device: vec![WeightDevice { major, minor, weight, leaf_weight }],
            ..BlockIo::default()
        }),
        ..Resources::default()
    };
    // By device it takes a scheduler that weighs, which few machines have set up.
    match TestGroup::create(&host, &weighted(Some(500), None)) {
        Ok(group) => {
            let files = ["io.bfq.weight", "io.weight", "blkio.bfq.weight_device", "blkio.weight_device"];
            let controller = if host.v1_of("blkio").is_some() { "blkio" } else { "io" };
            let mut texts = files
                .iter()
                .filter(|file| group.has(controller, file))
                .map(|file| group.read(controller, file));
            assert!(texts.any(|text| text.contains(&format!("{major}:{minor} "))));
        }
        Err(error) => assert!(error.to_string().contains("blockIO.weightDevice"), "{error}"),
    }
    // Leaf weights went with the CFQ scheduler.
    if let Err(error) = TestGroup::create(&host, &weighted(None, Some(500))) {
        assert!(error.to_string().contains("leaf"), "{error}");
    }
    refused(&host, "a weight out of range", &weighted(Some(5), None));
}

#[test]
fn hugepages() {
    let Some(host) = host() else { return };
    if !host.controllers().iter().any(|name| name == "hugetlb") {
        return skip("no hugetlb controller here");
    }
    let limited = |size: &str| Resources {
        hugepage_limits: vec![HugepageLimit { page_size: size.to_owned(), limit: 4 << 20 }],
        ..Resources::default()
    };
    let group = TestGroup::create(&host, &limited("2MB")).expect("create");
    let file = if host.v1_of("hugetlb").is_some() { "limit_in_bytes" } else { "max" };
    assert_eq!(group.read("hugetlb", &format!("hugetlb.2MB.{file}")), "4194304");
    assert_eq!(group.read("hugetlb", &format!("hugetlb.2MB.rsvd.{file}")), "4194304", "reservations");
    assert!(group.stats().expect("stats").hugetlb.contains_key("2MB"));
    refused(&host, "a page size that is none", &limited("3MB"));
    refused(&host, "a path for a page size", &limited("../2MB"));
}

#[test]
fn rdma_and_networks_are_in_force_or_refused() {
    let Some(host) = host() else { return };
    let rdma = Resources {
        rdma: BTreeMap::from([(
            "no_such_device".to_owned(),
            Rdma { hca_handles: Some(3), hca_objects: Some(4) },
        )]),
        ..Resources::default()
    };
    // No machine here has such hardware: the kernel itself says that there is no such device.
    refused(&host, "rdma", &rdma);
    let network = |network| Resources { network: Some(network), ..Resources::default() };
    let class = network(Network { class_id: Some(0x10_0001), ..Network::default() });
    let priority = InterfacePriority { name: "lo".to_owned(), priority: 5 };
    let priorities = network(Network { priorities: vec![priority], ..Network::default() });
    for (controller, resources, file, expected) in [
        ("net_cls", &class, "net_cls.classid", "1048577"),
        ("net_prio", &priorities, "net_prio.ifpriomap", "lo 5"),
    ] {
        match host.v1_of(controller) {
            Some(_) => {
                let group = TestGroup::create(&host, resources).expect("create");
                assert!(group.read(controller, file).lines().any(|line| line == expected));
            }
            None => refused(&host, controller, resources),
        }
    }
}
