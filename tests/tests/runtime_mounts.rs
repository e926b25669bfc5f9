//! `mounts` of a bundle: every option of runtime-spec's table, idmapped mounts, and what is refused.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

use conex_tests::{Bed, needs_root, skip};
use rustix::fs::{Gid, Uid, chown};
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

/// Mount options as the container's mountinfo shows them, by mount point: the mount's own, and the filesystem's.
fn options_of<'a>(mountinfo: &'a str, place: &str) -> (Vec<&'a str>, Vec<&'a str>) {
    let line = mountinfo.lines().rev().find(|line| line.split(' ').nth(4) == Some(place));
    let line = line.unwrap_or_else(|| panic!("nothing is mounted on {place}:\n{mountinfo}"));
    let (before, after) = line.split_once(" - ").unwrap();
    let own = before.split(' ').nth(5).unwrap().split(',').collect();
    (own, after.split(' ').nth(2).unwrap().split(',').collect())
}

fn map(container: u32, host: u32, size: u32) -> serde_json::Value {
    json!({"containerID": container, "hostID": host, "size": size})
}

/// Every option, what mountinfo shows for it, and its opposite, which wins when it comes later.
const ATTRIBUTES: [(&str, &str, &str); 8] = [
    ("ro", "ro", "rw"),
    ("nosuid", "nosuid", "suid"),
    ("nodev", "nodev", "dev"),
    ("noexec", "noexec", "exec"),
    ("noatime", "noatime", "atime"),
    ("nodiratime", "nodiratime", "diratime"),
    ("nosymfollow", "nosymfollow", "symfollow"),
    ("relatime", "relatime", "strictatime"),
];

#[test]
fn every_attribute() {
    let mut bed = bed!("cat /proc/self/mountinfo");
    let source = tempfile::tempdir().unwrap();
    for (option, _, opposite) in ATTRIBUTES {
        bed.mount(&format!("/bind-{option}"), "none", source.path(), &format!("rbind,{option}"));
        bed.mount(&format!("/tmpfs-{option}"), "tmpfs", "tmpfs", option);
        bed.mount(&format!("/off-{option}"), "none", source.path(), &format!("bind,{option},{opposite}"));
    }
    let output = bed.output();
    for (option, shown, _) in ATTRIBUTES {
        for kind in ["bind", "tmpfs"] {
            let (own, _) = options_of(&output, &format!("/{kind}-{option}"));
            assert!(own.contains(&shown), "{kind} {option}: {own:?}");
        }
        let (own, _) = options_of(&output, &format!("/off-{option}"));
        assert!(!own.contains(&shown), "{option} and its opposite: {own:?}");
    }
}

#[test]
fn recursive_attributes_reach_the_mounts_below() {
    // Mounts with mounts below, as a source: another container's /dev.
    let outer = bed!("sleep 1000");
    let source = format!("/proc/{}/root/dev", outer.start());
    let mut bed = bed!("cat /proc/self/mountinfo");
    for (option, _, opposite) in ATTRIBUTES {
        bed.mount(&format!("/on-{option}"), "none", &source, &format!("rbind,r{option}"));
        bed.mount(&format!("/off-{option}"), "none", &source, &format!("rbind,r{option},r{opposite}"));
    }
    let output = bed.output();
    for (option, shown, _) in ATTRIBUTES {
        for place in ["", "/shm"] {
            let (own, _) = options_of(&output, &format!("/on-{option}{place}"));
            assert!(own.contains(&shown), "r{option}{place}: {own:?}");
        }
        let (own, _) = options_of(&output, &format!("/off-{option}/shm"));
        assert!(!own.contains(&shown), "r{option} and its opposite: {own:?}");
    }
}

#[test]
fn a_remount_changes_what_is_there() {
    let mut bed = bed!("cat /proc/self/mountinfo");
    let source = tempfile::tempdir().unwrap();
    bed.mount("/a", "tmpfs", "tmpfs", "size=1m");
    bed.mount("/a", "tmpfs", "tmpfs", "remount,size=2m,nosuid");
    bed.mount("/b", "none", source.path(), "bind,noexec");
    bed.mount("/b", "none", "", "bind,remount,ro");
    let output = bed.output();
    let (own, filesystem) = options_of(&output, "/a");
    assert!(own.contains(&"nosuid") && filesystem.contains(&"size=2048k"), "{output}");
    let (own, _) = options_of(&output, "/b");
    assert!(own.contains(&"ro") && own.contains(&"noexec"), "{output}");
}

#[test]
fn superblock_options() {
    let mut bed = bed!("cat /proc/self/mountinfo");
    bed.mount("/a", "tmpfs", "tmpfs", "sync,dirsync,lazytime,silent,loud,iversion,defaults,size=64k");
    bed.mount("/b", "tmpfs", "tmpfs", "sync,async,lazytime,nolazytime,noiversion,nomand");
    let output = bed.output();
    let (_, on) = options_of(&output, "/a");
    for option in ["sync", "dirsync", "lazytime", "size=64k"] {
        assert!(on.contains(&option), "{option}:\n{output}");
    }
    let (_, off) = options_of(&output, "/b");
    assert!(!off.contains(&"sync") && !off.contains(&"lazytime"), "{output}");
}

#[test]
fn relative_destinations_are_below_the_root() {
    let mut bed = bed!("cat /proc/self/mountinfo");
    bed.mount("made/here", "tmpfs", "tmpfs", "");
    let output = bed.run();
    options_of(&output.stdout, "/made/here");
    assert!(output.stderr.contains("made/here is not absolute"), "the warning: {output:?}");
}

#[test]
fn a_relative_source_is_below_the_bundle() {
    let mut bed = bed!("cat /a/file");
    let bundle = bed.rootfs().parent().unwrap().join("volume");
    fs::create_dir(&bundle).unwrap();
    fs::write(bundle.join("file"), "content").unwrap();
    bed.mount("/a", "none", "volume", "bind");
    assert_eq!(bed.output(), "content");
}

#[test]
fn a_tmpfs_takes_mode_and_content_of_its_place() {
    let script = "stat -c %a /kept /new /given; ls /kept; cat /kept/sub/file; stat -c %a:%u /kept/sub/file";
    let mut bed = bed!(script);
    let kept = bed.rootfs().join("kept");
    fs::create_dir_all(kept.join("sub")).unwrap();
    fs::write(kept.join("sub/file"), "content\n").unwrap();
    chown(kept.join("sub/file"), Some(Uid::from_raw(7)), Some(Gid::from_raw(7))).unwrap();
    symlink("sub/file", kept.join("link")).unwrap();
    fs::set_permissions(kept.join("sub/file"), fs::Permissions::from_mode(0o4755)).unwrap();
    fs::set_permissions(&kept, fs::Permissions::from_mode(0o711)).unwrap();
    bed.mount("/kept", "tmpfs", "tmpfs", "tmpcopyup");
    bed.mount("/new", "tmpfs", "tmpfs", "");
    bed.mount("/given", "tmpfs", "tmpfs", "mode=700");
    assert_eq!(bed.output(), "711\n1777\n700\nlink\nsub\ncontent\n4755:7\n");
    assert_eq!(fs::read(kept.join("sub/file")).unwrap(), b"content\n", "the image's own");
}

#[test]
fn a_read_only_tmpfs_has_its_mounts() {
    let mut bed = bed!("ls /a; touch /a/x 2>/dev/null || echo refused; touch /a/b/x && echo written");
    bed.mount("/a", "tmpfs", "tmpfs", "ro");
    bed.mount("/a/b", "tmpfs", "tmpfs", "");
    assert_eq!(bed.output(), "b\nrefused\nwritten\n");
}

#[test]
fn a_read_only_root() {
    let mut bed = bed!("touch /x 2>/dev/null || echo refused; touch /dev/shm/x && echo written");
    bed.config["root"]["readonly"] = json!(true);
    assert_eq!(bed.output(), "refused\nwritten\n");
}

#[test]
fn long_options_are_mounted_too() {
    let mut bed = bed!("ls /merged; touch /merged/x 2>/dev/null || echo refused");
    let layers = tempfile::tempdir().unwrap();
    let mut names = Vec::new();
    for number in 0..6 {
        let layer = layers.path().join(format!("{number}{}", "x".repeat(60)));
        fs::create_dir(&layer).unwrap();
        fs::write(layer.join(format!("file{number}")), "").unwrap();
        names.push(layer.display().to_string());
    }
    bed.mount("/merged", "overlay", "overlay", &format!("ro,lowerdir={}", names.join(":")));
    assert_eq!(bed.output(), "file0\nfile1\nfile2\nfile3\nfile4\nfile5\nrefused\n");
}

#[test]
fn what_cannot_be_is_told_by_field() {
    let bed = bed!("true");
    let source = tempfile::tempdir().unwrap();
    let source = source.path().to_str().unwrap();
    let last =
        |text: &str| text.replace("[N]", &format!("[{}]", bed.config["mounts"].as_array().unwrap().len()));
    let bind = |options: &[&str]| json!({"destination": "/a", "source": source, "options": options});
    let tmpfs =
        |place: &str, options: &[&str]| json!({"destination": place, "type": "tmpfs", "options": options});
    let mut half = bind(&["bind", "idmap"]);
    half["uidMappings"] = json!([map(0, 1000, 1)]);
    for (mount, words) in [
        (bind(&["bind", "size=3"]), "mounts[N].options: \"size\""),
        (bind(&["bind", "idmap"]), "mounts[N].options: an idmapped mount needs"),
        (half, "mounts[N].gidMappings"),
        (tmpfs("/a", &["idmap"]), "mounts[N].options: only a bind"),
        (json!({"destination": "/a", "options": ["bind"]}), "mounts[N].source"),
        (json!({"destination": "/a", "source": "/not/there", "options": ["bind"]}), "bind /not/there"),
        (json!({"destination": "", "type": "tmpfs"}), "mounts[N].destination"),
        (json!({"destination": "/a", "source": "x"}), "mounts[N].type"),
        (json!({"destination": "/a", "type": "notafs"}), "no such file system"),
        (json!({"destination": "/a", "type": 7}), "mounts[N].type: invalid type"),
        (json!({"destination": "/a", "options": "ro"}), "mounts[N].options: invalid type"),
        (tmpfs("/a", &["size=bad"]), "size"),
        (tmpfs("/a", &[&format!("size={}", "1".repeat(5000))]), "longer than 4096 bytes"),
        (tmpfs("/", &[]), "the root filesystem itself"),
        (tmpfs("/proc/sys", &[]), "/proc"),
        (json!({"destination": "/proc", "source": source, "options": ["bind"]}), "/proc"),
        (tmpfs("/bin/busybox", &[]), "a file"),
    ] {
        let mut config = bed.config.clone();
        config["mounts"].as_array_mut().unwrap().push(mount);
        let output = bed.runtime.run_config("bed", &config);
        assert_eq!((output.code, output.stderr.lines().count()), (1, 1), "{words}: {output:?}");
        assert!(output.stderr.replace("\\\"", "\"").contains(&last(words)), "{words}: {output:?}");
    }
}

#[test]
fn a_hundred_thousand_mounts_are_one_line() {
    let mut bed = bed!("true");
    bed.config["mounts"] = json!(vec![json!({"destination": "/a", "type": "tmpfs"}); 100_000]);
    assert!(bed.refusal().contains("mounts: there are 100000"));
    assert_eq!(bed.runtime.groups(), Vec::<std::path::PathBuf>::new());
}

#[test]
fn idmapped_mounts() {
    let mut bed = bed!("for d in a b c; do stat -c %u:%g /$d/file; done; touch /a/new");
    let source = tempfile::tempdir().unwrap();
    let file = source.path().join("file");
    fs::write(&file, "").unwrap();
    chown(&file, Some(Uid::from_raw(1000)), Some(Gid::from_raw(1000))).unwrap();
    chown(source.path(), Some(Uid::from_raw(70_000)), Some(Gid::from_raw(70_000))).unwrap();
    // 1000 on the disk is 3000 here; the mappings alone ask for it, too.
    for (place, options) in
        [("/a", json!(["rbind", "idmap"])), ("/b", json!(["rbind", "ridmap"])), ("/c", json!(["bind"]))]
    {
        bed.push(json!({
            "destination": place, "source": source.path(), "options": options,
            "uidMappings": [map(1000, 3000, 5), map(70_000, 0, 1)],
            "gidMappings": [map(1000, 4000, 5), map(70_000, 0, 1)],
        }));
    }
    assert_eq!(bed.output(), "3000:4000\n3000:4000\n3000:4000\n");
    let made = fs::metadata(source.path().join("new")).unwrap();
    assert_eq!((made.uid(), made.gid()), (70_000, 70_000));
}

#[test]
fn idmapped_mounts_take_the_containers_mapping() {
    let mut bed = bed!("stat -c %u:%g /a/file /b/file; touch /a/new");
    let source = tempfile::tempdir().unwrap();
    fs::write(source.path().join("file"), "").unwrap();
    bed.map_users();
    bed.mount("/a", "none", source.path(), "rbind,idmap");
    bed.mount("/b", "none", source.path(), "rbind,ridmap");
    // Root's on the disk is root's inside, and the other way round.
    assert_eq!(bed.output(), "0:0\n0:0\n");
    let made = fs::metadata(source.path().join("new")).unwrap();
    assert_eq!((made.uid(), made.gid()), (0, 0));
}

#[test]
fn sysfs_without_a_network_namespace() {
    let mut bed = bed!("ls /sys; cat /proc/self/mountinfo; touch /sys/x 2>&1");
    bed.map_users();
    bed.namespace("network", None);
    let output = bed.run().stdout;
    assert!(output.contains("kernel") && output.contains("Read-only"), "{output}");
    assert!(options_of(&output, "/sys").0.contains(&"nosuid"));
}

#[test]
fn masked_and_read_only_paths() {
    let script = "cat /proc/keys /etc/secret; ls /sys/firmware /hidden; \
        touch /proc/sys/kernel/domainname 2>/dev/null && echo written; touch /kept/x 2>/dev/null && echo written; true";
    let mut bed = bed!(script);
    let rootfs = bed.rootfs();
    for directory in ["hidden", "kept"] {
        fs::create_dir(rootfs.join(directory)).unwrap();
    }
    fs::write(rootfs.join("hidden/x"), "").unwrap();
    fs::write(rootfs.join("etc/secret"), "secret").unwrap();
    bed.linux()["maskedPaths"] =
        json!(["/proc/keys", "/sys/firmware", "/hidden", "/etc/secret", "/not/there"]);
    bed.linux()["readonlyPaths"] = json!(["/proc/sys", "/kept", "/not/there"]);
    let output = bed.run();
    assert_eq!((output.stdout.as_str(), output.stderr.as_str()), ("/hidden:\n\n/sys/firmware:\n", ""));
    bed.linux()["maskedPaths"] = json!(["proc/keys"]);
    assert!(bed.refusal().contains("linux.maskedPaths[0]"));
}

#[test]
fn a_label_needs_selinux() {
    let mut bed = bed!("true");
    if fs::exists("/sys/fs/selinux/enforce").unwrap() {
        skip!("this machine has SELinux");
    }
    bed.linux()["mountLabel"] = json!("system_u:object_r:container_file_t:s0");
    assert!(bed.refusal().contains("linux.mountLabel: SELinux is not enabled"));
}
