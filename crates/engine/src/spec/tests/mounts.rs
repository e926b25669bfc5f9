//! Mounts, devices, masked paths, and the files in /etc.

use super::*;
use crate::options::{NetworkMode, SecurityOpt, UserMode};

fn places(plan: &Plan) -> Vec<String> {
    plan.spec.mounts.iter().map(|mount| mount.destination.display().to_string()).collect()
}

#[test]
fn the_mounts_that_every_container_has() {
    let plan = plan(|_| {});
    assert_eq!(
        places(&plan),
        [
            "/proc",
            "/dev",
            "/dev/pts",
            "/sys",
            "/sys/fs/cgroup",
            "/dev/mqueue",
            "/dev/shm",
            "/etc/resolv.conf",
            "/etc/hostname",
            "/etc/hosts"
        ]
    );
    for (place, line) in [
        ("/proc", "proc proc nosuid,noexec,nodev"),
        ("/dev", "tmpfs tmpfs nosuid,strictatime,mode=755,size=65536k"),
        ("/dev/pts", "devpts devpts nosuid,noexec,newinstance,ptmxmode=0666,mode=0620,gid=5"),
        ("/sys", "sysfs sysfs nosuid,noexec,nodev,ro"),
        ("/sys/fs/cgroup", "cgroup cgroup ro,nosuid,noexec,nodev"),
        ("/dev/mqueue", "mqueue mqueue nosuid,noexec,nodev"),
        ("/dev/shm", "tmpfs shm nosuid,noexec,nodev,mode=1777,size=67108864"),
        ("/etc/hosts", "bind /var/lib/conex/containers/c0/hosts rbind,rprivate"),
    ] {
        assert_eq!(plan.mount_line(place), line);
    }
    assert_eq!(plan.spec.root.as_ref().map(|root| root.readonly), Some(false));
}

#[test]
fn shm_follows_the_ipc_namespace() {
    let line = |change: fn(&mut Bed)| plan(change).mount_line("/dev/shm");
    assert!(line(|bed| bed.options.storage.shm_size = Some(1 << 20)).ends_with("size=1048576"));
    assert!(line(|bed| bed.options.storage.shm_size = Some(0)).ends_with("size=67108864"));
    assert_eq!(
        line(|bed| bed.options.namespaces.ipc = IpcMode::Host),
        "bind /dev/shm rbind,rprivate,nosuid,noexec,nodev"
    );
    assert_eq!(
        line(|bed| {
            bed.options.namespaces.ipc = IpcMode::Container("web".into());
            bed.joined.ipc = Some(neighbour(IpcMode::Shareable, None));
        }),
        "bind /proc/4242/root/dev/shm rbind,rprivate,nosuid,noexec,nodev"
    );
    let mut plan_of = plan(|bed| {
        bed.options.namespaces.ipc = IpcMode::Container("web".into());
        bed.joined.ipc = Some(neighbour(IpcMode::Shareable, None));
    });
    crate::spec::point_shm_at(&mut plan_of.spec.mounts, 77);
    assert!(plan_of.mount_line("/dev/shm").starts_with("bind /proc/77/root/dev/shm "));
    let mut own = plan(|_| {});
    crate::spec::point_shm_at(&mut own.spec.mounts, 77);
    assert!(own.mount_line("/dev/shm").starts_with("tmpfs shm "));
    assert!(plan(|bed| bed.options.namespaces.ipc = IpcMode::None).mount("/dev/shm").is_none());
    let text = error(|bed| {
        bed.options.namespaces.ipc = IpcMode::Host;
        bed.machine.paths.clear();
    });
    assert_eq!(text, "--ipc host cannot be used here: /dev/shm is not mounted on the host");
}

fn binds(texts: &[&str]) -> impl FnOnce(&mut Bed) {
    let binds = texts.iter().map(|text| text.parse().unwrap()).collect();
    move |bed| bed.options.storage.binds = binds
}

#[test]
fn binds_come_by_depth() {
    let plan = plan(binds(&["/srv/data:/a/b/c", "/srv:/a:ro", "/srv:/a/b:bind,ro", "/srv:/z:rw"]));
    let users = &places(&plan)[7..];
    assert_eq!(users, ["/a", "/z", "/a/b", "/etc/resolv.conf", "/etc/hostname", "/etc/hosts", "/a/b/c"]);
    assert_eq!(plan.mount_line("/a"), "bind /srv rbind,rro,rprivate");
    assert_eq!(plan.mount_line("/a/b"), "bind /srv bind,ro,rprivate");
    assert_eq!(plan.mount_line("/a/b/c"), "bind /srv/data rbind,rprivate");
    assert!(plan.directories.is_empty());
}

#[test]
fn a_users_mount_takes_the_place_of_ours() {
    let plan = plan(binds(&["/srv:/dev/shm", "/srv/data:/etc/hosts", "/srv:/sys"]));
    assert_eq!(plan.mount_line("/dev/shm"), "bind /srv rbind,rprivate");
    assert_eq!(plan.mount_line("/etc/hosts"), "bind /srv/data rbind,rprivate");
    assert!(plan.mount("/sys/fs/cgroup").is_none(), "hidden below /sys");
    let plan = super::plan(binds(&["/srv:/dev"]));
    for gone in ["/dev/pts", "/dev/shm", "/dev/mqueue"] {
        assert!(plan.mount(gone).is_none(), "{gone}");
    }
    // A mount at /etc does not hide the engine's files.
    let plan = super::plan(binds(&["/srv:/etc"]));
    let places = places(&plan);
    let at = |place: &str| places.iter().position(|there| there == place).unwrap();
    assert!(at("/etc") < at("/etc/hosts"));
}

#[test]
fn missing_sources() {
    let plan = plan(binds(&["/srv/new:/a", "/srv/new:/b"]));
    assert_eq!(plan.directories, [PathBuf::from("/srv/new")]);
    let text = error(|bed| {
        let Ok(crate::options::MountOption::Bind(bind)) = "type=bind,src=/srv/new,dst=/a".parse() else {
            panic!()
        };
        bed.options.storage.binds.push(bind);
    });
    assert_eq!(text, "bind source /srv/new: path does not exist");
    assert!(error(binds(&["./x:/a"])).contains("must be absolute"));
}

#[test]
fn propagation_needs_a_source_that_passes_mounts_on() {
    assert!(error(binds(&["/srv:/a:rshared"])).ends_with("/srv is not on a shared mount of the host"));
    assert!(error(binds(&["/srv:/a:slave"])).ends_with("/srv is not on a shared or slave mount of the host"));
    let on = |shared, slave, texts: &'static [&'static str]| {
        Bed::with(|bed| {
            bed.machine.propagation = HostPropagation { shared, slave };
            binds(texts)(bed);
        })
    };
    let plan = on(true, false, &["/srv:/a:rslave", "/srv:/b:shared"]).plan();
    assert_eq!(plan.linux().rootfs_propagation.as_deref(), Some("shared"));
    assert_eq!(plan.mount_line("/a"), "bind /srv rbind,rslave");
    let plan = on(false, true, &["/srv:/a:rslave"]).plan();
    assert_eq!(plan.linux().rootfs_propagation.as_deref(), Some("rslave"));
    assert!(on(false, true, &["/srv:/a:shared"]).build().is_err());
    assert_eq!(on(true, true, &["/srv:/a"]).plan().linux().rootfs_propagation, None);
}

#[test]
fn labels_are_a_matter_of_selinux() {
    plan(binds(&["/srv:/a:z", "/srv:/b:Z"]));
    let text = error(|bed| {
        bed.machine.selinux = true;
        binds(&["/srv:/a:Z"])(bed);
    });
    assert!(text.contains("does not relabel"), "{text}");
}

#[test]
fn tmpfs_options() {
    let line =
        |text: &str| plan(|bed| bed.options.storage.tmpfs = vec![text.parse().unwrap()]).mount_line("/t");
    assert_eq!(line("/t"), "tmpfs tmpfs noexec,nosuid,nodev");
    assert_eq!(line("/t:exec,size=1m"), "tmpfs tmpfs nosuid,nodev,exec,size=1048576");
    assert_eq!(line("/t:exec,noexec,suid,dev"), "tmpfs tmpfs noexec,suid,dev");
    assert_eq!(line("/t:ro,rw,mode=700,mode=755"), "tmpfs tmpfs noexec,nosuid,nodev,rw,mode=755");
    assert_eq!(line("/t:ro,noatime,atime"), "tmpfs tmpfs noexec,nosuid,nodev,ro,atime");
}

#[test]
fn read_only() {
    let plan = plan(|bed| {
        bed.options.storage.read_only = true;
        bed.options.storage.tmpfs = vec!["/t".parse().unwrap()];
        binds(&["/srv:/a"])(bed);
    });
    assert_eq!(plan.spec.root.as_ref().map(|root| root.readonly), Some(true));
    assert_eq!(plan.mount_line("/etc/hosts"), "bind /var/lib/conex/containers/c0/hosts rbind,rprivate,ro");
    for writable in ["/t", "/a", "/dev", "/dev/shm", "/dev/pts"] {
        assert!(!plan.mount(writable).unwrap().options.contains(&"ro".to_owned()), "{writable}");
    }
}

fn devices(texts: &[&str]) -> impl FnOnce(&mut Bed) {
    let devices = texts.iter().map(|text| text.parse().unwrap()).collect();
    move |bed| bed.options.storage.devices = devices
}

fn nodes(plan: &Plan) -> Vec<String> {
    let line = |device: &conex_oci::runtime::Device| {
        let mode = device.file_mode.unwrap();
        format!(
            "{} {} {}:{} {mode:o} {:?}:{:?}",
            device.path.display(),
            device.kind,
            device.major,
            device.minor,
            device.uid.unwrap(),
            device.gid.unwrap()
        )
    };
    plan.linux().devices.iter().map(line).collect()
}

fn rules(plan: &Plan) -> Vec<String> {
    let number = |number: Option<i64>| number.map_or("*".to_owned(), |number| number.to_string());
    let rules = &plan.linux().resources.as_ref().unwrap().devices;
    let line = |rule: &conex_oci::runtime::DeviceRule| {
        let allow = if rule.allow { "allow" } else { "deny" };
        let kind = rule.kind.as_deref().unwrap_or("a");
        format!(
            "{allow} {kind} {}:{} {}",
            number(rule.major),
            number(rule.minor),
            rule.access.as_deref().unwrap()
        )
    };
    rules.iter().map(line).collect()
}

#[test]
fn devices_and_their_rules() {
    let plain = plan(|_| {});
    assert!(plain.linux().devices.is_empty());
    let default = [
        "deny a *:* rwm",
        "allow c *:* m",
        "allow b *:* m",
        "allow c 1:3 rwm",
        "allow c 1:5 rwm",
        "allow c 1:7 rwm",
        "allow c 1:8 rwm",
        "allow c 1:9 rwm",
        "allow c 5:0 rwm",
        "allow c 5:1 rwm",
        "allow c 5:2 rwm",
        "allow c 136:* rwm",
    ];
    assert_eq!(rules(&plain), default);
    let plan = plan(devices(&[
        "/dev/fuse",
        "/dev/sda:/dev/xvda:r",
        "/dev/snd:/dev/sound:rw",
        "/dev/fuse:/run/fuse",
    ]));
    assert_eq!(
        nodes(&plan),
        ["/dev/fuse c 10:229 660 0:6", "/dev/xvda b 8:0 660 0:6", "/dev/sound/seq c 116:1 660 0:6"]
    );
    assert_eq!(
        rules(&plan)[12..],
        ["allow c 10:229 rwm", "allow b 8:0 r", "allow c 116:1 rw", "allow c 10:229 rwm"]
    );
    // Elsewhere than on /dev the host's node is bound.
    assert_eq!(plan.mount_line("/run/fuse"), "bind /dev/fuse bind,rprivate,nosuid,noexec");
    assert_eq!(error(devices(&["/dev/none"])), "cannot add device /dev/none: entity not found");
}

#[test]
fn a_user_namespace_sees_the_owners_of_the_host() {
    let plan = plan(|bed| {
        devices(&["/dev/sda:/dev/xvda"])(bed);
        binds(&["/etc:/a", "/etc:/b:ro,bind"])(bed);
        bed.options.namespaces.user = UserMode::Private;
        bed.id_range = Some(RANGE);
    });
    assert_eq!(plan.mount_line("/a"), "bind /etc rbind,rprivate,ridmap");
    assert_eq!(plan.mount_line("/b"), "bind /etc bind,ro,rprivate,idmap");
    assert_eq!(nodes(&plan), ["/dev/xvda b 8:0 660 0:6"]);
    assert_eq!(rules(&plan).last().unwrap(), "allow b 8:0 rwm");
}

#[test]
fn privileged() {
    let plan = plan(|bed| {
        bed.options.security.privileged = true;
        devices(&["/dev/sda:/dev/xvda:r"])(bed);
    });
    assert_eq!(plan.mount_line("/sys"), "sysfs sysfs nosuid,noexec,nodev,rw");
    assert_eq!(plan.mount_line("/sys/fs/cgroup"), "cgroup cgroup rw,nosuid,noexec,nodev");
    assert!(plan.linux().masked_paths.is_empty() && plan.linux().readonly_paths.is_empty());
    assert_eq!(nodes(&plan).len(), 4);
    assert_eq!(rules(&plan), ["allow a *:* rwm"]);
    assert_eq!(plan.warnings.len(), 1, "{:?}", plan.warnings);
}

fn masked(opts: &[&str]) -> (Vec<String>, Vec<String>) {
    let plan = plan(|bed| {
        bed.machine.thermal = vec!["/sys/devices/system/cpu/cpu0/thermal_throttle".into()];
        for opt in opts {
            bed.options.security.apply(opt.parse::<SecurityOpt>().unwrap()).unwrap();
        }
    });
    let text = |paths: &[PathBuf]| paths.iter().map(|path| path.display().to_string()).collect();
    (text(&plan.linux().masked_paths), text(&plan.linux().readonly_paths))
}

#[test]
fn masks() {
    let (hidden, read_only) = masked(&[]);
    assert_eq!(
        hidden,
        [
            "/proc/acpi",
            "/proc/asound",
            "/proc/interrupts",
            "/proc/kcore",
            "/proc/keys",
            "/proc/latency_stats",
            "/proc/sched_debug",
            "/proc/scsi",
            "/proc/timer_list",
            "/proc/timer_stats",
            "/sys/devices/virtual/powercap",
            "/sys/firmware",
            "/sys/devices/system/cpu/cpu0/thermal_throttle",
        ]
    );
    assert_eq!(read_only, ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"]);
    assert_eq!(masked(&["unmask=ALL"]), (vec![], vec![]));
    assert_eq!(masked(&["systempaths=unconfined", "mask=/etc/shadow"]), (words(&["/etc/shadow"]), vec![]));
    let (hidden, read_only) = masked(&["unmask=/proc/kcore:/proc/sys", "mask=/proc/acpi:/a"]);
    assert!(!hidden.contains(&"/proc/kcore".to_owned()) && hidden.contains(&"/a".to_owned()));
    assert_eq!(hidden.iter().filter(|path| *path == "/proc/acpi").count(), 1);
    assert_eq!(read_only.len(), 4);
    let (hidden, read_only) = masked(&["unmask=/proc/*"]);
    assert!(hidden.iter().all(|path| path.starts_with("/sys")) && hidden.len() == 3);
    assert!(read_only.is_empty());
}

#[test]
fn names_and_addresses() {
    let plan = plan(|bed| bed.options.namespaces.extra_hosts = vec![("db".into(), "10.1.1.1".into())]);
    assert_eq!(plan.file("resolv.conf"), "nameserver 10.0.0.2\nsearch lan\n");
    assert_eq!(plan.file("hostname"), "c0c0c0c0c0c0\n");
    let hosts = plan.file("hosts");
    assert!(
        hosts.starts_with("127.0.0.1\tlocalhost\n::1\tlocalhost") && hosts.ends_with("\n10.1.1.1\tdb\n"),
        "{hosts}"
    );
    assert_eq!(plan.owner, 0);
}

#[test]
fn behind_the_stub_of_systemd_resolved_are_its_servers() {
    let with = |etc: &str, behind: Option<&str>, network: NetworkMode| {
        let plan = plan(|bed| {
            bed.options.namespaces.network = network;
            bed.machine.files.insert("/etc/resolv.conf".into(), etc.into());
            let behind = behind.map(|text| ("/run/systemd/resolve/resolv.conf".into(), text.into()));
            bed.machine.files.extend(behind);
        });
        plan.file("resolv.conf").to_owned()
    };
    let stub = "nameserver 127.0.0.53\noptions edns0 trust-ad\nsearch lan\n";
    let behind = Some("nameserver 10.0.0.2\nnameserver fd00::2\nsearch lan\n");
    assert_eq!(
        with(stub, behind, NetworkMode::None),
        "nameserver 10.0.0.2\nnameserver fd00::2\nsearch lan\n"
    );
    assert_eq!(with(stub, None, NetworkMode::None), "search lan\noptions edns0 trust-ad\n");
    assert_eq!(with(stub, behind, NetworkMode::Host), stub, "the stub is there");
    let own = "nameserver 127.0.0.53\nnameserver 10.9.9.9\n";
    assert_eq!(
        with(own, behind, NetworkMode::None),
        "nameserver 10.9.9.9\n",
        "a server that is reached counts"
    );
    let another = "nameserver 127.0.0.1\n";
    assert_eq!(
        with(another, behind, NetworkMode::None),
        "",
        "another server on the loopback is not the stub"
    );
}

#[test]
fn the_hosts_network_has_the_hosts_names() {
    let plan = plan(|bed| {
        bed.options.namespaces.network = NetworkMode::Host;
        bed.options.namespaces.extra_hosts = vec![("db".into(), "10.1.1.1".into())];
    });
    assert_eq!(plan.file("resolv.conf"), "nameserver 127.0.0.53\nnameserver 10.0.0.2\nsearch lan\n");
    assert_eq!(plan.file("hosts"), "127.0.0.1 localhost\n10.0.0.9 thehost\n10.1.1.1\tdb\n");
    assert_eq!(plan.file("hostname"), "thehost\n");
}

#[test]
fn a_shared_network_shares_the_files() {
    let plan = plan(|bed| {
        bed.options.namespaces.network = NetworkMode::Container("web".into());
        bed.joined.network = Some(neighbour(IpcMode::Private, None));
    });
    assert!(plan.files.is_empty());
    assert_eq!(plan.mount_line("/etc/hosts"), "bind /var/lib/conex/containers/web/hosts rbind,rprivate");
}
