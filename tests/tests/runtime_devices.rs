//! `linux.devices`, the default devices and the links of /dev.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;

use conex_tests::{Bed, Runtime, installed, needs_root, skip};
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

const DEFAULT: &str = "/dev/null character special file 1:3 666\n/dev/zero character special file 1:5 666\n\
    /dev/full character special file 1:7 666\n/dev/random character special file 1:8 666\n\
    /dev/urandom character special file 1:9 666\n/dev/tty character special file 5:0 666\n\
    /proc/self/fd\n/proc/self/fd/0\n/proc/self/fd/1\n/proc/self/fd/2\npts/ptmx\n";

const SHOW_DEFAULT: &str = "for d in null zero full random urandom tty; do stat -c '%n %F %t:%T %a' /dev/$d; done; \
    for l in fd stdin stdout stderr ptmx; do readlink /dev/$l; done;";

#[test]
fn every_container_has_them() {
    let mut bed = bed!(SHOW_DEFAULT);
    assert_eq!(bed.output(), DEFAULT);
    // Also where /dev is the image's own directory.
    bed.without_mounts(&["/dev", "/dev/pts", "/dev/shm", "/dev/mqueue"]);
    assert_eq!(bed.output(), DEFAULT);
    assert_eq!(bed.output(), DEFAULT, "a second time, with the nodes there");
}

#[test]
fn a_dev_of_the_hosts_is_as_it_is() {
    let mut bed = bed!("ls /dev");
    let host = tempfile::tempdir().unwrap();
    fs::write(host.path().join("only"), "").unwrap();
    bed.without_mounts(&["/dev", "/dev/pts", "/dev/shm", "/dev/mqueue"]);
    bed.mount("/dev", "none", host.path(), "bind");
    // Without /dev/null there is nothing to mask files with.
    bed.linux()["maskedPaths"] = json!([]);
    assert_eq!(bed.output(), "only\n");
}

#[test]
fn of_every_type_anywhere() {
    let script =
        "stat -c '%n %F %t:%T %a %u:%g' /dev/sub/kvm /dev/loop /elsewhere/pipe /dev/unbuffered /dev/zero";
    let mut bed = bed!(script);
    bed.linux()["devices"] = json!([
        {"path": "/dev/sub/kvm", "type": "c", "major": 10, "minor": 232, "fileMode": 0o640, "uid": 3, "gid": 4},
        {"path": "/dev/zero", "type": "c", "major": 1, "minor": 5, "fileMode": 0o600},
        {"path": "/dev/loop", "type": "b", "major": 7, "minor": 0, "fileMode": 0o100_604},
        {"path": "/elsewhere/pipe", "type": "p"},
        {"path": "/dev/unbuffered", "type": "u", "major": 1, "minor": 3},
        {"path": "/dev/ptmx", "type": "c", "major": 5, "minor": 2},
    ]);
    let expected = "/dev/sub/kvm character special file a:e8 640 3:4\n/dev/loop block special file 7:0 604 0:0\n\
        /elsewhere/pipe fifo 0:0 666 0:0\n/dev/unbuffered character special file 1:3 666 0:0\n\
        /dev/zero character special file 1:5 600 0:0\n";
    assert_eq!(bed.output(), expected);
}

#[test]
fn in_a_user_namespace() {
    let script = "for d in null zero tty; do stat -c '%n %t:%T' /dev/$d; done; echo x > /dev/null && echo ok";
    let mut bed = bed!(script);
    bed.map_users();
    bed.linux()["devices"] = json!([{"path": "/dev/null", "type": "c", "major": 1, "minor": 3}]);
    assert_eq!(bed.output(), "/dev/null 1:3\n/dev/zero 1:5\n/dev/tty 5:0\nok\n");
    // By another path, and one that the host has not: never what the host has at the path.
    bed.linux()["devices"] = json!([{"path": "/dev/full", "type": "c", "major": 1, "minor": 3}]);
    bed.script("stat -c '%n %t:%T' /dev/full");
    assert_eq!(bed.output(), "/dev/full 1:3\n");
    bed.linux()["devices"] = json!([{"path": "/dev/full", "type": "c", "major": 240, "minor": 77}]);
    assert_eq!(bed.output(), "/dev/full f0:4d\n");
    // With owner and mode as the container sees them.
    bed.linux()["devices"] = json!([
        {"path": "/dev/full", "type": "c", "major": 1, "minor": 7, "fileMode": 0o640, "uid": 3, "gid": 4},
    ]);
    bed.script("stat -c '%n %t:%T %a %u:%g' /dev/full");
    assert_eq!(bed.output(), "/dev/full 1:7 640 3:4\n");
}

#[test]
fn what_is_something_else_is_refused() {
    let mut bed = bed!("true");
    fs::write(bed.rootfs().join("etc/taken"), "").unwrap();
    for (path, kind, major) in [
        ("/etc/taken", "c", json!(1)),
        ("/dev/x", "q", json!(1)),
        ("/dev/x", "c", json!(-1)),
        ("/dev/x", "c", json!(1_u64 << 40)),
        ("dev/x", "c", json!(1)),
        ("/proc/x", "c", json!(1)),
    ] {
        bed.linux()["devices"] = json!([{"path": path, "type": kind, "major": major, "minor": 3}]);
        assert!(bed.refusal().contains(path), "{path}");
    }
}

/// CVE-2025-31133: the container's /dev/null, with which files are masked, led elsewhere.
#[test]
fn a_link_at_null_is_refused() {
    let mut bed = bed!("cat /etc/secret");
    let rootfs = bed.rootfs();
    fs::write(rootfs.join("etc/secret"), "secret").unwrap();
    symlink("/proc/sysrq-trigger", rootfs.join("dev/null")).unwrap();
    bed.without_mounts(&["/dev", "/dev/pts", "/dev/shm", "/dev/mqueue"]);
    bed.linux()["maskedPaths"] = json!(["/etc/secret"]);
    assert!(bed.refusal().contains("/dev/null"));
}

/// CVE-2025-52565: the console bound wherever the image's link leads.
#[test]
fn a_link_at_the_console_is_refused() {
    let mut bed = bed!("true");
    symlink("/proc/sysrq-trigger", bed.rootfs().join("dev/console")).unwrap();
    bed.without_mounts(&["/dev", "/dev/shm", "/dev/mqueue"]);
    bed.config["process"]["terminal"] = json!(true);
    let bundle = bed.runtime.bundle("bed", &bed.config);
    if !installed("script") {
        skip!("no script(1), which gives a terminal");
    }
    let binary = Runtime::binary();
    let command = format!(
        "{} --root {} run --bundle {} bed",
        binary.display(),
        bed.runtime.root().display(),
        bundle.display()
    );
    let output = Command::new("script").args(["-qec", &command, "/dev/null"]).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.code() == Some(1) && text.contains("/dev/console"), "{output:?}");
}
