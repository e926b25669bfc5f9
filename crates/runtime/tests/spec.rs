//! What the fields of a spec do, seen from inside: mounts and their options, devices, namespaces, scheduling, the network.

use std::fs;
use std::os::fd::AsFd;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::Path;
use std::process::Command;

use bed::{Bed, pipes, wait};
use conex_oci::runtime::{IdMapping, Mount, Namespace, NamespaceKind, Process};
use rustix::fs::{Gid, Uid, chown};

mod bed;

const CASES: &[(&str, fn())] = &[
    ("every_mount_attribute", every_mount_attribute),
    ("recursive_attributes_reach_the_mounts_below", recursive_attributes_reach_the_mounts_below),
    ("a_remount_changes_what_is_there", a_remount_changes_what_is_there),
    ("superblock_options", superblock_options),
    ("relative_destinations_are_below_the_root", relative_destinations_are_below_the_root),
    ("a_tmpfs_takes_mode_and_content_of_its_place", a_tmpfs_takes_mode_and_content_of_its_place),
    ("a_read_only_tmpfs_has_its_mounts", a_read_only_tmpfs_has_its_mounts),
    ("long_options_are_mounted_too", long_options_are_mounted_too),
    ("mounts_that_cannot_be_are_told_by_field", mounts_that_cannot_be_are_told_by_field),
    ("propagation_of_a_mount", propagation_of_a_mount),
    ("propagation_of_the_root", propagation_of_the_root),
    ("idmapped_mounts", idmapped_mounts),
    ("idmapped_mounts_take_the_containers_mapping", idmapped_mounts_take_the_containers_mapping),
    ("devices", devices),
    ("devices_in_a_user_namespace", devices_in_a_user_namespace),
    ("a_device_that_is_something_else_is_refused", a_device_that_is_something_else_is_refused),
    ("a_link_at_the_console_is_refused", a_link_at_the_console_is_refused),
    ("names_and_sysctls", names_and_sysctls),
    ("the_hosts_names_and_sysctls_stay", the_hosts_names_and_sysctls_stay),
    ("scheduling_of_the_process", scheduling_of_the_process),
    ("processors_of_an_exec", processors_of_an_exec),
    ("limits_are_checked", limits_are_checked),
    ("a_namespace_of_another_kind_is_refused", a_namespace_of_another_kind_is_refused),
    ("namespaces_joined_by_path", namespaces_joined_by_path),
    ("a_mount_namespace_joined_by_path", a_mount_namespace_joined_by_path),
    ("a_new_user_namespace_with_a_joined_network", a_new_user_namespace_with_a_joined_network),
    ("sysfs_without_a_network_namespace", sysfs_without_a_network_namespace),
    ("network_devices_move", network_devices_move),
    ("network_devices_go_back_on_failure", network_devices_go_back_on_failure),
    ("intel_rdt_needs_resctrl", intel_rdt_needs_resctrl),
];

fn main() {
    bed::run(CASES);
}

fn mount(destination: &Path, kind: &str, source: &Path, options: &str) -> Mount {
    Mount {
        destination: destination.into(),
        kind: Some(kind.to_owned()).filter(|kind| !kind.is_empty()),
        source: Some(source.into()),
        options: options.split(',').filter(|option| !option.is_empty()).map(str::to_owned).collect(),
        ..Mount::default()
    }
}

fn tmpfs(destination: &str, options: &str) -> Mount {
    mount(destination.as_ref(), "tmpfs", "tmpfs".as_ref(), options)
}

fn bind(source: &Path, destination: &str, options: &str) -> Mount {
    mount(destination.as_ref(), "none", source, options)
}

/// Mount options as the container's mountinfo shows them, by mount point: the mount's own, and the filesystem's.
fn options_of<'a>(mountinfo: &'a str, place: &str) -> (Vec<&'a str>, Vec<&'a str>) {
    let line = mountinfo.lines().rev().find(|line| line.split(' ').nth(4) == Some(place));
    let line = line.unwrap_or_else(|| panic!("nothing is mounted on {place}:\n{mountinfo}"));
    let (before, after) = line.split_once(" - ").unwrap();
    (
        before.split(' ').nth(5).unwrap().split(',').collect(),
        after.split(' ').nth(2).unwrap().split(',').collect(),
    )
}

fn map(container_id: u32, host_id: u32, size: u32) -> Vec<IdMapping> {
    vec![IdMapping { container_id, host_id, size }]
}

fn with_user_namespace(bed: &mut Bed) {
    bed.linux().namespaces.push(Namespace { kind: NamespaceKind::User, path: None });
    bed.linux().uid_mappings = map(0, 200_000, 65_536);
    bed.linux().gid_mappings = map(0, 200_000, 65_536);
    // Its root passes through the temporary directory only as its owner.
    chown(bed.rootfs.path(), Some(Uid::from_raw(200_000)), None).unwrap();
}

fn every_mount_attribute() {
    let source = tempfile::tempdir().unwrap();
    for (option, shown) in [
        ("ro", "ro"),
        ("nosuid", "nosuid"),
        ("nodev", "nodev"),
        ("noexec", "noexec"),
        ("noatime", "noatime"),
        ("nodiratime", "nodiratime"),
        ("nosymfollow", "nosymfollow"),
        ("relatime", "relatime"),
    ] {
        let mut bed = Bed::new("cat /proc/self/mountinfo");
        bed.spec.mounts.push(bind(source.path(), "/a", &format!("rbind,{option}")));
        bed.spec.mounts.push(tmpfs("/b", option));
        // The last word counts.
        let opposite = match option {
            "ro" => "rw",
            "noatime" => "atime",
            "relatime" => "strictatime",
            other => other.strip_prefix("no").unwrap(),
        };
        bed.spec.mounts.push(bind(source.path(), "/c", &format!("bind,{option},{opposite}")));
        let output = bed.output();
        for place in ["/a", "/b"] {
            assert!(options_of(&output, place).0.contains(&shown), "{option} on {place}:\n{output}");
        }
        assert!(!options_of(&output, "/c").0.contains(&shown), "{option},{opposite}:\n{output}");
    }
}

fn recursive_attributes_reach_the_mounts_below() {
    // A container's own mounts as a source with mounts below: another container's /dev.
    let outer = Bed::new("sleep 100");
    let (stdio, _output) = pipes();
    let (running, _) = outer.start(stdio).unwrap();
    let source = format!("/proc/{}/root/dev", running.pid);
    for (option, shown) in [
        ("rro", "ro"),
        ("rnosuid", "nosuid"),
        ("rnodev", "nodev"),
        ("rnoexec", "noexec"),
        ("rnoatime", "noatime"),
        ("rnodiratime", "nodiratime"),
        ("rnosymfollow", "nosymfollow"),
        ("rrelatime", "relatime"),
    ] {
        let mut bed = Bed::new("cat /proc/self/mountinfo");
        bed.spec.mounts.push(bind(source.as_ref(), "/a", &format!("rbind,{option}")));
        let output = bed.output();
        for place in ["/a", "/a/shm"] {
            assert!(options_of(&output, place).0.contains(&shown), "{option} on {place}:\n{output}");
        }
        // The opposite, above what was there.
        let opposite = match option {
            "rro" => "rrw",
            "rnoatime" => "ratime",
            "rrelatime" => "rstrictatime",
            other => &format!("r{}", &other[3..]),
        };
        let mut bed = Bed::new("cat /proc/self/mountinfo");
        bed.spec.mounts.push(bind(source.as_ref(), "/a", &format!("rbind,{option},{opposite}")));
        let output = bed.output();
        assert!(!options_of(&output, "/a/shm").0.contains(&shown), "{opposite}:\n{output}");
    }
    rustix::process::pidfd_send_signal(&running.pidfd, rustix::process::Signal::KILL).unwrap();
    wait(&running);
}

fn a_remount_changes_what_is_there() {
    let source = tempfile::tempdir().unwrap();
    let mut bed = Bed::new("cat /proc/self/mountinfo");
    bed.spec.mounts.push(tmpfs("/a", "size=1m"));
    bed.spec.mounts.push(tmpfs("/a", "remount,size=2m,nosuid"));
    bed.spec.mounts.push(bind(source.path(), "/b", "bind,noexec"));
    bed.spec.mounts.push(bind(Path::new(""), "/b", "bind,remount,ro"));
    let output = bed.output();
    let (own, filesystem) = options_of(&output, "/a");
    assert!(own.contains(&"nosuid") && filesystem.contains(&"size=2048k"), "{output}");
    let (own, _) = options_of(&output, "/b");
    assert!(own.contains(&"ro") && own.contains(&"noexec"), "{output}");
}

fn superblock_options() {
    let mut bed = Bed::new("cat /proc/self/mountinfo");
    bed.spec.mounts.push(tmpfs("/a", "sync,dirsync,lazytime,silent,loud,iversion,defaults,size=64k"));
    bed.spec.mounts.push(tmpfs("/b", "sync,async,lazytime,nolazytime,noiversion,nomand"));
    let output = bed.output();
    let (_, on) = options_of(&output, "/a");
    for option in ["sync", "dirsync", "lazytime", "size=64k"] {
        assert!(on.contains(&option), "{option}:\n{output}");
    }
    let (_, off) = options_of(&output, "/b");
    assert!(!off.contains(&"sync") && !off.contains(&"lazytime"), "{output}");
}

fn relative_destinations_are_below_the_root() {
    let mut bed = Bed::new("cat /proc/self/mountinfo");
    bed.spec.mounts.push(tmpfs("made/here", ""));
    options_of(&bed.output(), "/made/here");
}

fn a_tmpfs_takes_mode_and_content_of_its_place() {
    let mut bed =
        Bed::new("stat -c %a /kept /new /given; ls /kept; cat /kept/sub/file; stat -c %a:%u /kept/sub/file");
    let kept = bed.rootfs.path().join("kept");
    fs::create_dir_all(kept.join("sub")).unwrap();
    fs::write(kept.join("sub/file"), "content\n").unwrap();
    chown(kept.join("sub/file"), Some(Uid::from_raw(7)), Some(Gid::from_raw(7))).unwrap();
    symlink("sub/file", kept.join("link")).unwrap();
    let mode = |path: &Path, mode| {
        fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
    };
    mode(&kept.join("sub/file"), 0o4755);
    mode(&kept, 0o711);
    bed.spec.mounts.push(tmpfs("/kept", "tmpcopyup"));
    bed.spec.mounts.push(tmpfs("/new", ""));
    bed.spec.mounts.push(tmpfs("/given", "mode=700"));
    assert_eq!(bed.output(), "711\n1777\n700\nlink\nsub\ncontent\n4755:7\n");
    assert_eq!(fs::read(kept.join("sub/file")).unwrap(), b"content\n", "the image's own");
}

fn a_read_only_tmpfs_has_its_mounts() {
    let mut bed = Bed::new("ls /a; touch /a/x 2>/dev/null || echo refused; touch /a/b/x && echo written");
    bed.spec.mounts.push(tmpfs("/a", "ro"));
    bed.spec.mounts.push(tmpfs("/a/b", ""));
    assert_eq!(bed.output(), "b\nrefused\nwritten\n");
}

fn long_options_are_mounted_too() {
    let layers = tempfile::tempdir().unwrap();
    let mut names = Vec::new();
    for number in 0..6 {
        let layer = layers.path().join(format!("{number}{}", "x".repeat(60)));
        fs::create_dir(&layer).unwrap();
        fs::write(layer.join(format!("file{number}")), "").unwrap();
        names.push(layer.display().to_string());
    }
    let mut bed = Bed::new("ls /merged; touch /merged/x 2>/dev/null || echo refused");
    bed.spec.mounts.push(mount(
        Path::new("/merged"),
        "overlay",
        Path::new("overlay"),
        &format!("ro,lowerdir={}", names.join(":")),
    ));
    assert_eq!(bed.output(), "file0\nfile1\nfile2\nfile3\nfile4\nfile5\nrefused\n");
}

fn mounts_that_cannot_be_are_told_by_field() {
    let source = tempfile::tempdir().unwrap();
    let mut mapped = bind(source.path(), "/a", "bind,idmap");
    mapped.uid_mappings = map(0, 1000, 1);
    for (mount, words) in [
        (bind(source.path(), "/a", "bind,size=3"), "mounts[6].options: \"size\""),
        (bind(source.path(), "/a", "bind,idmap"), "mounts[6].options: an idmapped mount needs"),
        (mapped, "mounts[6].gidMappings"),
        (tmpfs("/a", "idmap"), "mounts[6].options: only a bind"),
        (bind(Path::new(""), "/a", "bind"), "mounts[6].source"),
        (bind(Path::new("/not/there"), "/a", "bind"), "bind /not/there"),
        (tmpfs("", ""), "mounts[6].destination"),
        (mount(Path::new("/a"), "", Path::new("x"), ""), "mounts[6].type"),
        (mount(Path::new("/a"), "notafs", Path::new("x"), ""), "no such file system"),
        (tmpfs("/a", "size=bad"), "size"),
        (tmpfs("/", ""), "the root filesystem itself"),
        (tmpfs("/proc/sys", ""), "/proc"),
        (bind(source.path(), "/proc", "bind"), "/proc"),
        (tmpfs("/bin/busybox", ""), "a file"),
    ] {
        let mut bed = Bed::new("true");
        bed.spec.mounts.push(mount.clone());
        let error = bed.run().expect_err(&format!("{mount:?}")).to_string();
        assert!(error.contains(words) && !error.contains('\n'), "{words}: {error}");
    }
    let mut bed = Bed::new("true");
    bed.spec.mounts = vec![tmpfs("/a", ""); 100_000];
    assert!(bed.run().unwrap_err().to_string().contains("100000"));
}

/// A directory of its own on a shared tmpfs, in a mount namespace of its own: what the host would have.
fn on_a_shared_mount(script: &str) -> String {
    let status = Command::new("unshare")
        .args(["-m", "--propagation", "private", "sh", "-ec"])
        .arg(format!("d=$(mktemp -d); mount -t tmpfs tmpfs $d; mount --make-shared $d; export d\n{script}"))
        .output()
        .unwrap();
    assert!(status.status.success(), "{status:?}");
    String::from_utf8(status.stdout).unwrap()
}

fn propagation_of_a_mount() {
    // The container is made by this very program, called again inside the namespace.
    if let Some(directory) = std::env::var_os("SHARED") {
        for word in
            ["private", "rprivate", "slave", "rslave", "shared", "rshared", "unbindable", "runbindable", ""]
        {
            let mut bed = Bed::new("cat /proc/self/mountinfo");
            bed.spec.mounts.push(bind(Path::new(&directory), "/a", &format!("rbind,{word}")));
            let output = bed.output();
            let line = output.lines().find(|line| line.contains(" /a ")).unwrap();
            let tags = line.split(" - ").next().unwrap();
            let has = ["shared:", "master:", "unbindable"].map(|tag| tags.contains(tag));
            let expected = match word.trim_start_matches('r') {
                "shared" => [true, false, false],
                "slave" => [false, true, false],
                "unbindable" => [false, false, true],
                _ => [false, false, false],
            };
            assert_eq!(has, expected, "{word}: {line}");
        }
        return;
    }
    again_on_a_shared_mount("propagation_of_a_mount");
}

fn again_on_a_shared_mount(case: &str) {
    let program = std::env::current_exe().unwrap();
    let output = on_a_shared_mount(&format!("SHARED=$d {} {case}", program.display()));
    assert!(output.contains("1 passed; 0 failed"), "{output}");
}

fn propagation_of_the_root() {
    let Some(directory) = std::env::var_os("SHARED") else {
        return again_on_a_shared_mount("propagation_of_the_root");
    };
    for word in
        ["private", "rprivate", "slave", "rslave", "shared", "rshared", "unbindable", "runbindable", ""]
    {
        let mut bed = Bed::new("cat /proc/self/mountinfo");
        // The root filesystem lies on the shared mount.
        let shared = tempfile::tempdir_in(&directory).unwrap();
        let copied = Command::new("cp")
            .arg("-a")
            .arg(format!("{}/.", bed.rootfs.path().display()))
            .arg(shared.path())
            .status();
        assert!(copied.unwrap().success());
        bed.rootfs = shared;
        bed.linux().rootfs_propagation = Some(word.to_owned());
        let output = bed.output();
        let tags = |place: &str| {
            let line = output.lines().find(|line| line.split(' ').nth(4) == Some(place)).unwrap();
            let tags = line.split(" - ").next().unwrap();
            ["shared:", "master:", "unbindable"].map(|tag| tags.contains(tag))
        };
        let expected = match word.trim_start_matches('r') {
            "shared" => [true, false, false],
            "slave" => [false, true, false],
            "unbindable" => [false, false, true],
            _ => [false, false, false],
        };
        assert_eq!(tags("/"), expected, "{word}: {output}");
        let below = if matches!(word, "rshared" | "runbindable") { expected } else { [false; 3] };
        assert_eq!(tags("/dev"), below, "{word}: {output}");
    }
    let mut bed = Bed::new("true");
    bed.linux().rootfs_propagation = Some("sideways".to_owned());
    assert!(bed.run().unwrap_err().to_string().contains("linux.rootfsPropagation"));
}

fn idmapped_mounts() {
    let source = tempfile::tempdir().unwrap();
    let file = source.path().join("file");
    fs::write(&file, "").unwrap();
    chown(&file, Some(Uid::from_raw(1000)), Some(Gid::from_raw(1000))).unwrap();
    chown(source.path(), Some(Uid::from_raw(70_000)), Some(Gid::from_raw(70_000))).unwrap();
    for option in ["idmap", "ridmap", "noexec"] {
        let mut bed = Bed::new("stat -c %u:%g /a/file; touch /a/new");
        let mut mount = bind(source.path(), "/a", &format!("rbind,{option}"));
        // 1000 on the disk is 3000 here.
        mount.uid_mappings = map(1000, 3000, 5);
        mount.gid_mappings = map(1000, 4000, 5);
        mount.uid_mappings.extend(map(70_000, 0, 1));
        mount.gid_mappings.extend(map(70_000, 0, 1));
        bed.spec.mounts.push(mount.clone());
        // Two with the same mapping share a namespace.
        mount.destination = "/b".into();
        bed.spec.mounts.push(mount);
        assert_eq!(bed.output(), "3000:4000\n", "{option}");
        let made = fs::metadata(source.path().join("new")).unwrap();
        assert_eq!((made.uid(), made.gid()), (70_000, 70_000), "{option}");
        fs::remove_file(source.path().join("new")).unwrap();
    }
}

fn idmapped_mounts_take_the_containers_mapping() {
    let source = tempfile::tempdir().unwrap();
    fs::write(source.path().join("file"), "").unwrap();
    for option in ["idmap", "ridmap"] {
        let mut bed = Bed::new("stat -c %u:%g /a/file; touch /a/new");
        with_user_namespace(&mut bed);
        bed.spec.mounts.push(bind(source.path(), "/a", &format!("rbind,{option}")));
        // Root's on the disk is root's inside, and the other way round.
        assert_eq!(bed.output(), "0:0\n");
        let made = fs::metadata(source.path().join("new")).unwrap();
        assert_eq!((made.uid(), made.gid()), (0, 0));
        fs::remove_file(source.path().join("new")).unwrap();
    }
}

fn device(path: &str, kind: &str, major: i64, minor: i64) -> conex_oci::runtime::Device {
    conex_oci::runtime::Device {
        path: path.into(),
        kind: kind.to_owned(),
        major,
        minor,
        ..conex_oci::runtime::Device::default()
    }
}

fn devices() {
    let script = "for d in null zero full random urandom tty; do stat -c '%n %F %t:%T %a' /dev/$d; done; \
        for l in fd stdin stdout stderr ptmx; do readlink /dev/$l; done; \
        stat -c '%n %F %t:%T %a %u:%g' /dev/sub/kvm /dev/loop /elsewhere/pipe /dev/unbuffered";
    let mut bed = Bed::new(script);
    let mut kvm = device("/dev/sub/kvm", "c", 10, 232);
    (kvm.file_mode, kvm.uid, kvm.gid) = (Some(0o640), Some(3), Some(4));
    let mut zero = device("/dev/zero", "c", 1, 5);
    zero.file_mode = Some(0o600);
    let mut null = device("/dev/loop", "b", 7, 0);
    null.file_mode = Some(0o100_604);
    bed.linux().devices =
        vec![kvm, zero, null, device("/elsewhere/pipe", "p", 0, 0), device("/dev/unbuffered", "u", 1, 3)];
    let output = bed.output();
    let expected = "/dev/null character special file 1:3 666\n/dev/zero character special file 1:5 600\n\
        /dev/full character special file 1:7 666\n/dev/random character special file 1:8 666\n\
        /dev/urandom character special file 1:9 666\n/dev/tty character special file 5:0 666\n\
        /proc/self/fd\n/proc/self/fd/0\n/proc/self/fd/1\n/proc/self/fd/2\npts/ptmx\n\
        /dev/sub/kvm character special file a:e8 640 3:4\n/dev/loop block special file 7:0 604 0:0\n\
        /elsewhere/pipe fifo 0:0 666 0:0\n/dev/unbuffered character special file 1:3 666 0:0\n";
    assert_eq!(output, expected);
}

fn devices_in_a_user_namespace() {
    let mut bed = Bed::new(
        "for d in null zero tty mine; do stat -c '%n %t:%T' /dev/$d; done; echo x > /dev/null && echo ok",
    );
    with_user_namespace(&mut bed);
    bed.linux().devices = vec![device("/dev/null", "c", 1, 3)];
    bed.spec.process.as_mut().unwrap().args[2] =
        "for d in null zero tty; do stat -c '%n %t:%T' /dev/$d; done; echo x > /dev/null && echo ok"
            .to_owned();
    assert_eq!(bed.output(), "/dev/null 1:3\n/dev/zero 1:5\n/dev/tty 5:0\nok\n");
    // What the host has there must be the device that is asked for.
    bed.linux().devices = vec![device("/dev/full", "c", 10, 229)];
    assert!(bed.run().unwrap_err().to_string().contains("/dev/full"));
}

fn a_device_that_is_something_else_is_refused() {
    for (path, kind, major) in [
        ("/etc/taken", "c", 1),
        ("/dev/x", "q", 1),
        ("/dev/x", "c", -1),
        ("/dev/x", "c", 1 << 40),
        ("dev/x", "c", 1),
        ("/proc/x", "c", 1),
    ] {
        let mut bed = Bed::new("true");
        fs::write(bed.rootfs.path().join("etc/taken"), "").unwrap();
        bed.linux().devices = vec![device(path, kind, major, 3)];
        let error = bed.run().expect_err(path).to_string();
        assert!(error.contains("device") && error.contains(path), "{error}");
    }
}

/// CVE-2025-52565: the console bound wherever the image's link leads.
fn a_link_at_the_console_is_refused() {
    let mut bed = Bed::new("true");
    bed.spec.mounts.retain(|mount| mount.destination != Path::new("/dev"));
    bed.spec.mounts.retain(|mount| mount.destination != Path::new("/dev/shm"));
    symlink("/proc/sysrq-trigger", bed.rootfs.path().join("dev/console")).unwrap();
    bed.spec.process.as_mut().unwrap().terminal = true;
    let error = bed.start(conex_runtime::Stdio::Terminal).map(|_| ()).unwrap_err().to_string();
    assert!(error.contains("/dev/console"), "{error}");
}

fn names_and_sysctls() {
    let mut bed = Bed::new(
        "hostname; cat /proc/sys/kernel/domainname /proc/sys/net/ipv4/ip_forward /proc/sys/kernel/msgmax /proc/sys/fs/mqueue/msg_max",
    );
    bed.spec.domainname = Some("example.test".to_owned());
    for (name, value) in [("net.ipv4.ip_forward", "1"), ("kernel/msgmax", "4096"), ("fs.mqueue.msg_max", "5")]
    {
        bed.linux().sysctl.insert(name.to_owned(), value.to_owned());
    }
    assert_eq!(bed.output(), "bed\nexample.test\n1\n4096\n5\n");
    // Without a /proc of its own, too.
    bed.spec.mounts.retain(|mount| mount.destination != Path::new("/proc"));
    bed.spec.process.as_mut().unwrap().args[2] = "true".to_owned();
    bed.output();
    bed.linux().sysctl.insert("net.ipv4.ip_forward".to_owned(), "many".to_owned());
    assert!(bed.run().unwrap_err().to_string().contains("net.ipv4.ip_forward=many"));
}

fn the_hosts_names_and_sysctls_stay() {
    let without = |kind: NamespaceKind| {
        let mut bed = Bed::new("true");
        bed.linux().namespaces.retain(|namespace| namespace.kind != kind);
        bed.spec.hostname = None;
        bed
    };
    let error = |bed: &Bed| bed.run().unwrap_err().to_string();
    let mut bed = without(NamespaceKind::Uts);
    bed.spec.hostname = Some("changed".to_owned());
    assert!(error(&bed).contains("hostname"));
    bed.spec.hostname = None;
    bed.spec.domainname = Some("changed".to_owned());
    assert!(error(&bed).contains("domainname"));
    // Named by path, the host's are the host's as well.
    let path = Some("/proc/self/ns/uts".into());
    bed.linux().namespaces.push(Namespace { kind: NamespaceKind::Uts, path });
    assert!(error(&bed).contains("domainname"));
    for (kind, name) in [
        (NamespaceKind::Network, "net.ipv4.ip_forward"),
        (NamespaceKind::Ipc, "kernel.shmmax"),
        (NamespaceKind::Time, "kernel.core_pattern"),
    ] {
        let mut bed = without(kind);
        bed.linux().sysctl.insert(name.to_owned(), "0".to_owned());
        assert!(error(&bed).contains(name), "{name}");
    }
    let mut bed = without(NamespaceKind::Mount);
    assert!(error(&bed).contains("mount namespace"));
    bed.linux().masked_paths = vec!["proc/kcore".into()];
    bed.linux().namespaces.push(Namespace { kind: NamespaceKind::Mount, path: None });
    assert!(error(&bed).contains("linux.maskedPaths[0]"));
}

fn process(bed: &mut Bed, fields: &str) {
    let Process { scheduler, io_priority, exec_cpu_affinity, user, .. } =
        conex_oci::runtime::from_json(fields.as_bytes()).unwrap();
    let process = bed.spec.process.as_mut().unwrap();
    (process.scheduler, process.io_priority, process.exec_cpu_affinity) =
        (scheduler, io_priority, exec_cpu_affinity);
    process.user.umask = user.umask;
}

fn scheduling_of_the_process() {
    let script =
        "read -r stat < /proc/self/stat; echo $stat | cut -d' ' -f19,40,41; ionice -p $$; umask; uname -m";
    let mut bed = Bed::new(script);
    process(
        &mut bed,
        r#"{"scheduler": {"policy": "SCHED_RR", "priority": 7, "flags": ["SCHED_FLAG_RESET_ON_FORK"]},
        "ioPriority": {"class": "IOPRIO_CLASS_BE", "priority": 2}, "user": {"umask": 63}}"#,
    );
    bed.linux().personality = conex_oci::runtime::from_json(br#"{"domain": "LINUX32"}"#).unwrap();
    let output = bed.output();
    assert!(output.lines().next().unwrap().ends_with(" 7 2"), "{output}");
    assert!(output.contains("best-effort: prio 2") && output.contains("0077"), "{output}");
    if cfg!(target_arch = "x86_64") {
        assert!(output.contains("i686"), "{output}");
    }
    process(
        &mut bed,
        r#"{"scheduler": {"policy": "SCHED_BATCH", "nice": 5}, "ioPriority": {"class": "IOPRIO_CLASS_IDLE"}}"#,
    );
    bed.linux().personality = conex_oci::runtime::from_json(br#"{"domain": "LINUX"}"#).unwrap();
    let output = bed.output();
    assert!(output.starts_with("5 0 3\n") && output.contains("idle"), "{output}");
    bed.linux().personality.as_mut().unwrap().flags = vec!["ADDR_NO_RANDOMIZE".to_owned()];
    assert!(bed.run().unwrap_err().to_string().contains("linux.personality.flags"));
    bed.linux().personality = None;
    bed.linux().memory_policy = conex_oci::runtime::from_json(
        br#"{"mode": "MPOL_BIND", "nodes": "0", "flags": ["MPOL_F_STATIC_NODES"]}"#,
    )
    .unwrap();
    bed.spec.process.as_mut().unwrap().args[2] = "cat /proc/self/numa_maps | head -1".to_owned();
    match bed.run() {
        Ok((output, _)) if output.is_empty() => println!("skipped: this kernel has no NUMA (memory policy)"),
        Ok((output, _)) => assert!(output.contains("bind=static:0") || output.contains("bind:0"), "{output}"),
        Err(error) if error.to_string().contains("not implemented") => {
            println!("skipped: this kernel has no NUMA (memory policy)");
        }
        Err(error) => panic!("{error}"),
    }
    bed.linux().memory_policy =
        conex_oci::runtime::from_json(br#"{"mode": "MPOL_BIND", "nodes": "1000"}"#).unwrap();
    assert!(bed.run().unwrap_err().to_string().contains("memory policy"));
}

fn processors_of_an_exec() {
    let mut bed = Bed::new("sleep 100");
    // Not the first process's, config.md#linux-process.
    process(&mut bed, r#"{"execCPUAffinity": {"initial": "0", "final": "1000"}}"#);
    let (stdio, _output) = pipes();
    let (running, _) = bed.start(stdio).unwrap();
    let run = |affinity: &str| {
        let mut bed = Bed::new("");
        process(&mut bed, affinity);
        let process = Process {
            args: ["/bin/sh", "-c", "grep Cpus_allowed_list /proc/self/status"].map(str::to_owned).to_vec(),
            ..bed.spec.process.clone().unwrap()
        };
        let (stdio, output) = pipes();
        let request = conex_runtime::Exec {
            process: &process,
            target: running.pid,
            target_pidfd: running.pidfd.as_fd(),
            cgroup: None,
            stdio,
            seccomp: None,
            terms: conex_runtime::Terms::default(),
        };
        let conex_sys::process::Forked::Parent { pid } = conex_sys::process::fork().unwrap() else {
            let status = match conex_runtime::exec(request).and_then(|created| created.process.start()) {
                Ok(running) => wait(&running),
                Err(error) => {
                    eprintln!("{error}");
                    99
                }
            };
            conex_sys::process::exit_now(status);
        };
        drop(request);
        let output = bed::read(output);
        let pid = rustix::process::Pid::from_raw(pid.cast_signed());
        rustix::process::waitpid(pid, rustix::process::WaitOptions::empty()).unwrap();
        output.split_whitespace().nth(1).unwrap_or_default().to_owned()
    };
    let all = run("{}");
    assert_eq!(run(r#"{"execCPUAffinity": {"initial": "0"}}"#), "0");
    if rustix::thread::sched_getcpu() < 2 && all != "0" {
        assert_eq!(run(r#"{"execCPUAffinity": {"initial": "0", "final": "1"}}"#), "1");
    }
    rustix::process::pidfd_send_signal(&running.pidfd, rustix::process::Signal::KILL).unwrap();
    wait(&running);
}

fn limits_are_checked() {
    let mut bed = Bed::new("ulimit -n; ulimit -H -n; cat /proc/self/oom_score_adj");
    let process = |bed: &mut Bed, text: &str| {
        let text = format!("{{\"rlimits\": {text}}}");
        let limits: Process = conex_oci::runtime::from_json(text.as_bytes()).unwrap();
        bed.spec.process.as_mut().unwrap().rlimits = limits.rlimits;
    };
    process(&mut bed, r#"[{"type": "RLIMIT_NOFILE", "soft": 100, "hard": 200}]"#);
    bed.spec.process.as_mut().unwrap().oom_score_adj = Some(300);
    assert_eq!(bed.output(), "100\n200\n300\n");
    for (text, words) in [
        (
            r#"[{"type": "RLIMIT_CORE", "soft": 0, "hard": 0}, {"type": "RLIMIT_CORE", "soft": 1, "hard": 1}]"#,
            "process.rlimits[1].type",
        ),
        (r#"[{"type": "RLIMIT_MOON", "soft": 0, "hard": 0}]"#, "process.rlimits[0].type"),
        (r#"[{"type": "RLIMIT_CORE", "soft": 2, "hard": 1}]"#, "process.rlimits[0]"),
    ] {
        process(&mut bed, text);
        let error = bed.run().unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
    }
    process(&mut bed, "[]");
    bed.spec.process.as_mut().unwrap().oom_score_adj = Some(1001);
    assert!(bed.run().unwrap_err().to_string().contains("process.oomScoreAdj"));
}

fn a_namespace_of_another_kind_is_refused() {
    for (path, words) in [
        ("/proc/self/ns/net", "another kind"),
        ("/etc/passwd", "is no namespace"),
        ("/not/there", "/not/there"),
        ("relative", "not absolute"),
    ] {
        let mut bed = Bed::new("true");
        bed.linux().namespaces.retain(|namespace| namespace.kind != NamespaceKind::Ipc);
        bed.linux().namespaces.push(Namespace { kind: NamespaceKind::Ipc, path: Some(path.into()) });
        let error = bed.run().expect_err(path).to_string();
        assert!(error.contains(words), "{error}");
    }
    let mut bed = Bed::new("true");
    bed.linux().namespaces.push(Namespace { kind: NamespaceKind::Ipc, path: None });
    assert!(bed.run().unwrap_err().to_string().contains("twice"));
    let mut bed = Bed::new("true");
    bed.linux().uid_mappings = map(0, 0, 1);
    assert!(bed.run().unwrap_err().to_string().contains("linux.uidMappings"));
    bed.linux().uid_mappings = Vec::new();
    let offset = conex_oci::runtime::TimeOffset { secs: 1, nanosecs: 0 };
    bed.linux().time_offsets.insert("boottime".to_owned(), offset);
    assert!(bed.run().unwrap_err().to_string().contains("linux.timeOffsets"));
}

/// Each kind alone, each pair, and all of them.
fn namespaces_joined_by_path() {
    use NamespaceKind::{Cgroup, Ipc, Network, Pid, Time, User, Uts};
    let kinds = [Pid, Network, Ipc, Uts, Cgroup, Time, User];
    let script = "for n in cgroup ipc net pid time user uts; do echo $n $(readlink /proc/self/ns/$n); done";
    let mut first = Bed::new("sleep 100");
    with_user_namespace(&mut first);
    first.linux().namespaces.push(Namespace { kind: Time, path: None });
    let (stdio, _output) = pipes();
    let (running, _) = first.start(stdio).unwrap();
    for mask in 1_u32..1 << kinds.len() {
        let joined = |kind: NamespaceKind| mask & 1 << kinds.iter().position(|k| *k == kind).unwrap() != 0;
        if mask.count_ones() > 2 && mask.count_ones() < 6 {
            continue;
        }
        let mut bed = Bed::new(script);
        bed.spec.hostname = None;
        chown(bed.rootfs.path(), Some(Uid::from_raw(200_000)), None).unwrap();
        bed.linux().namespaces = vec![Namespace { kind: NamespaceKind::Mount, path: None }];
        // A procfs belongs to the user namespace of its pid namespace.
        if joined(User) {
            bed.spec.mounts.retain(|mount| {
                mount.destination != Path::new("/sys") && mount.destination != Path::new("/dev/mqueue")
            });
        }
        for kind in kinds {
            let path = joined(kind).then(|| format!("/proc/{}/ns/{}", running.pid, kind.proc_name()).into());
            if path.is_some() || matches!(kind, Pid | Network | Ipc | Uts | Cgroup) {
                bed.linux().namespaces.push(Namespace { kind, path });
            }
        }
        let (output, status) = bed.run().unwrap_or_else(|error| panic!("{mask:b}: {error}"));
        assert_eq!(status, 0, "{mask:b}: {output}");
        for line in output.lines() {
            let (name, link) = line.split_once(' ').unwrap();
            let kind = kinds.into_iter().find(|kind| kind.proc_name() == name).unwrap();
            let theirs = fs::read_link(format!("/proc/{}/ns/{name}", running.pid)).unwrap();
            assert_eq!(Path::new(link) == theirs, joined(kind), "{mask:b}: {line}");
        }
    }
    rustix::process::pidfd_send_signal(&running.pidfd, rustix::process::Signal::KILL).unwrap();
    wait(&running);
}

fn a_mount_namespace_joined_by_path() {
    // A namespace kept by a process that has no use for its root.
    let holder =
        Command::new("unshare").args(["-m", "--propagation", "private", "sleep", "100"]).spawn().unwrap();
    let pid = holder.id();
    let own = fs::read_link("/proc/self/ns/mnt").unwrap();
    let path = format!("/proc/{pid}/ns/mnt");
    while fs::read_link(&path).unwrap() == own {
        std::thread::yield_now();
    }
    let mut bed = Bed::new("readlink /proc/self/ns/mnt; ls -d /proc/self /boot 2>/dev/null");
    bed.linux().namespaces.retain(|namespace| namespace.kind != NamespaceKind::Mount);
    bed.linux().namespaces.push(Namespace { kind: NamespaceKind::Mount, path: Some(path.clone().into()) });
    let (output, _) = bed.run().unwrap();
    let theirs = fs::read_link(&path).unwrap();
    let mut holder = holder;
    holder.kill().unwrap();
    holder.wait().unwrap();
    assert_eq!(output, format!("{}\n/proc/self\n", theirs.display()));
}

fn a_new_user_namespace_with_a_joined_network() {
    let first = Bed::new("sleep 100");
    let (stdio, _output) = pipes();
    let (running, _) = first.start(stdio).unwrap();
    let mut bed = Bed::new("readlink /proc/self/ns/net; readlink /proc/self/ns/ipc; cat /proc/self/uid_map");
    with_user_namespace(&mut bed);
    for namespace in &mut bed.linux().namespaces {
        if matches!(namespace.kind, NamespaceKind::Network | NamespaceKind::Ipc) {
            let path = format!("/proc/{}/ns/{}", running.pid, namespace.kind.proc_name());
            namespace.path = Some(path.into());
        }
    }
    // A file system of message queues takes rights over their namespace.
    bed.spec.mounts.retain(|mount| mount.destination != Path::new("/dev/mqueue"));
    let output = bed.run();
    let theirs =
        ["net", "ipc"].map(|name| fs::read_link(format!("/proc/{}/ns/{name}", running.pid)).unwrap());
    rustix::process::pidfd_send_signal(&running.pidfd, rustix::process::Signal::KILL).unwrap();
    wait(&running);
    let (output, _) = output.unwrap();
    let lines: Vec<_> = output.lines().collect();
    assert_eq!(
        [Path::new(lines[0]), Path::new(lines[1])],
        theirs.each_ref().map(std::path::PathBuf::as_path)
    );
    assert!(lines[2].contains("200000"), "{output}");
}

fn sysfs_without_a_network_namespace() {
    let mut bed = Bed::new("ls /sys; cat /proc/self/mountinfo; touch /sys/x 2>&1");
    with_user_namespace(&mut bed);
    bed.linux().namespaces.retain(|namespace| namespace.kind != NamespaceKind::Network);
    let (output, _) = bed.run().unwrap();
    assert!(output.contains("kernel") && output.contains("Read-only"), "{output}");
    assert!(options_of(&output, "/sys").0.contains(&"nosuid"));
}

fn ip(arguments: &str) -> String {
    let output = Command::new("ip").args(arguments.split(' ')).output().unwrap();
    assert!(output.status.success(), "ip {arguments}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// A pair of devices on the host, named after this process.
struct Pair(String, String);

impl Pair {
    fn new(letter: char) -> Option<Self> {
        let id = std::process::id();
        let (one, other) = (format!("cx{letter}{id}a"), format!("cx{letter}{id}b"));
        let made =
            Command::new("ip").args(["link", "add", &one, "type", "veth", "peer", "name", &other]).output();
        match made {
            Ok(output) if output.status.success() => Some(Self(one, other)),
            _ => {
                println!("skipped: this machine makes no pair of virtual network devices (ip, module veth)");
                None
            }
        }
    }
}

impl Drop for Pair {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["link", "del", &self.0]).output();
    }
}

fn network_devices_move() {
    let Some(pair) = Pair::new('m') else { return };
    for line in ["addr add 192.0.2.7/24 brd 192.0.2.255 dev", "addr add 2001:db8::7/64 dev"] {
        ip(&format!("{line} {}", pair.1));
    }
    ip(&format!("addr add 169.254.9.9/16 scope link dev {}", pair.1));
    ip(&format!("link set {} up", pair.0));
    ip(&format!("link set {} up", pair.1));
    let mut bed = Bed::new("ip addr show; ls /sys/class/net");
    bed.spec.process.as_mut().unwrap().capabilities = None;
    bed.linux()
        .net_devices
        .insert(pair.1.clone(), conex_oci::runtime::NetDevice { name: Some("eth%d".to_owned()) });
    let output = bed.output();
    assert!(output.contains("eth0") && !output.contains(&pair.1), "{output}");
    assert!(output.contains("192.0.2.7/24 brd 192.0.2.255") && output.contains("2001:db8::7/64"), "{output}");
    assert!(!output.contains("169.254.9.9"), "an address of another scope: {output}");
    assert!(output.lines().any(|line| line.contains("eth0") && line.contains(",UP")), "{output}");
}

fn network_devices_go_back_on_failure() {
    let Some(pair) = Pair::new('f') else { return };
    ip(&format!("addr add 192.0.2.9/24 dev {}", pair.1));
    let mut bed = Bed::new("true");
    let to = |name: &str| conex_oci::runtime::NetDevice { name: Some(name.to_owned()) };
    bed.linux().net_devices.insert(pair.1.clone(), to("moved"));
    // The second of them: the kernel sorts, too.
    bed.linux().net_devices.insert("zz-none".to_owned(), to("other"));
    let error = bed.run().unwrap_err().to_string();
    assert!(error.contains("zz-none") && error.contains("find it on the host"), "{error}");
    let there = ip(&format!("addr show {}", pair.1));
    assert!(there.contains("192.0.2.9/24"), "{there}");
    bed.linux().net_devices.remove("zz-none");
    for (name, words) in [("lo", "already"), ("a/b", "no name")] {
        bed.linux().net_devices.insert(pair.1.clone(), to(name));
        let error = bed.run().unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
        ip(&format!("addr show {}", pair.1));
    }
    bed.linux().namespaces.retain(|namespace| namespace.kind != NamespaceKind::Network);
    assert!(bed.run().unwrap_err().to_string().contains("linux.netDevices"));
}

fn intel_rdt_needs_resctrl() {
    let mounts = fs::read_to_string("/proc/mounts").unwrap();
    if mounts.contains(" resctrl ") {
        return println!("skipped: this machine has resctrl");
    }
    let rdt = conex_oci::runtime::from_json(br#"{"closID": "gold"}"#).unwrap();
    let error = conex_runtime::intel_rdt::apply(&rdt, "c1", std::process::id()).unwrap_err().to_string();
    assert!(error.contains("no resctrl is mounted"), "{error}");
    conex_runtime::intel_rdt::remove(&rdt, "c1").unwrap();
}
