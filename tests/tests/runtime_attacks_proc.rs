//! What hostile images and volumes do with /proc: symlinks in its place, other file systems over it, and names that are
//! exchanged while containers start, so that what is meant for the kernel is written elsewhere or what is to be masked is
//! missed. Each test mounts the attack of the CVE it names; the races are run a fixed number of times.

mod attack;

use std::fs;
use std::os::unix::fs::symlink;

use attack::{add, assert_clear, bind, swapping, text};
use conex_tests::eventually;
use serde_json::json;

/// Looks for a procfs whose dangerous files are open; opening sysrq-trigger for writing does nothing yet.
const PROBE: &str = r#"
for p in /proc /fake /fake/proc /vol /vol/mnt; do
    [ -e $p/version ] || continue
    (: >$p/sysrq-trigger) 2>/dev/null && echo open $p/sysrq-trigger
    (: >$p/sys/kernel/core_pattern) 2>/dev/null && echo open $p/sys/kernel/core_pattern
    [ -e $p/timer_list ] && [ -n "$(head -c 1 $p/timer_list 2>/dev/null)" ] && echo open $p/timer_list
done
true"#;

/// CVE-2019-16884, CVE-2019-19921, CVE-2023-27561, CVE-2023-28642: the image has a symlink where /proc or /sys should be, so
/// that they land elsewhere and what is to be masked is not.
#[test]
fn a_symlinked_proc_is_not_fallen_for() {
    let (runtime, _, outside) = bed!();
    let config = runtime.config(&["/bin/sh", "-c", PROBE]);
    for (number, place) in ["proc", "sys", "dev"].iter().enumerate() {
        for (way, target) in
            ["/fake", "fake", "../../../outside", text(&outside.directory)].iter().enumerate()
        {
            let id = format!("c{number}{way}");
            let bundle = runtime.bundle(&id, &config);
            fs::remove_dir(bundle.join("rootfs").join(place)).expect("an empty directory");
            fs::create_dir(bundle.join("rootfs/fake")).expect("a directory");
            symlink(target, bundle.join("rootfs").join(place)).expect("a link");
            let output = runtime.run(&["run", "--bundle", text(&bundle), &id]);
            let what = format!("/{place} -> {target}");
            assert_clear(&output, &what);
            outside.assert_untouched(&output, &what);
        }
    }
}

/// CVE-2019-19921: the rootfs is shared, and its /proc changes between a directory and a symlink.
#[test]
fn a_race_for_proc_is_not_won() {
    let (runtime, attack, outside) = bed!();
    let config = runtime.config(&["/bin/sh", "-c", PROBE]);
    let bundle = runtime.bundle("one", &config);
    let rootfs = bundle.join("rootfs");
    fs::create_dir(rootfs.join("fake")).expect("a directory");
    // So that the probe, which loses the race as well, makes no file there and takes it for the kernel's.
    std::os::unix::fs::chown(rootfs.join("fake"), Some(1), Some(1)).expect("root may");
    symlink("/fake", rootfs.join("link")).expect("a link");
    let swapping = swapping(&attack, &rootfs, "proc", "link");
    let mut ran = 0;
    for round in 0..100 {
        let output = runtime.run(&["run", "--bundle", text(&bundle), "one"]);
        assert_clear(&output, &format!("round {round}"));
        outside.assert_untouched(&output, "the race");
        ran += u32::from(output.code == 0);
    }
    drop(swapping);
    println!("{ran} of 100 ran");
    assert!(ran > 0, "nothing ran, so nothing was tested");
}

/// CVE-2019-16884, CVE-2025-52881: a volume over /proc, or over parts of it, that takes what is meant for the kernel: labels
/// and sysctls. A directory is exchanged with a symlink to a file of the host's meanwhile.
#[test]
fn what_is_written_to_proc_goes_to_procfs() {
    let (runtime, attack, outside) = bed!();
    let volume = runtime.scratch().join("volume");
    let files = [
        "self/attr/exec",
        "self/attr/apparmor/exec",
        "thread-self/attr/exec",
        "thread-self/attr/apparmor/exec",
    ];
    for file in files.iter().chain(&["sys/kernel/domainname", "kernel/domainname"]) {
        fs::create_dir_all(volume.join(file).parent().expect("a parent")).expect("a directory");
        fs::write(volume.join(file), "").expect("a file");
    }
    symlink(outside.directory.join("secret"), volume.join("kernel/link")).expect("a link");
    let fooled = || {
        files
            .iter()
            .chain(&["sys/kernel/domainname"])
            .any(|file| fs::metadata(volume.join(file)).is_ok_and(|m| m.len() > 0))
    };
    // A profile and a label that the host does not have.
    for field in ["apparmorProfile", "selinuxLabel"] {
        for over in [None, Some("/proc"), Some("/proc/self"), Some("/proc/thread-self")] {
            let mut config = runtime.config(&["/bin/true"]);
            config["process"][field] = json!("no-such-profile");
            if let Some(over) = over {
                add(&mut config, bind(&volume, over));
            }
            let output = runtime.run_config("one", &config);
            assert!(output.code == 1 && output.stderr.lines().count() == 1, "{field}, {over:?}: {output:?}");
            assert!(!fooled(), "{field}, {over:?}");
        }
    }
    let swapping = swapping(&attack, &volume.join("kernel"), "domainname", "link");
    for round in 0..60 {
        for over in ["/proc", "/proc/sys", "/proc/sys/kernel"] {
            let source = if over == "/proc/sys/kernel" { volume.join("kernel") } else { volume.clone() };
            let mut config = runtime.config(&["/bin/true"]);
            add(&mut config, bind(&source, over));
            config["linux"]["sysctl"] = json!({"kernel.domainname": "pwned"});
            let output = runtime.run_config("one", &config);
            assert_clear(&output, over);
            assert!(!fooled(), "{over}: {output:?}");
            outside.assert_untouched(&output, &format!("round {round}, {over}"));
        }
    }
    drop(swapping);
    // A sysctl that leads out of /proc/sys.
    for name in [
        "../sysrq-trigger",
        "kernel/../../sysrq-trigger",
        "..",
        "/etc/hostname",
        "kernel.",
        "",
        "kernel\u{0}domainname",
    ] {
        let mut config = runtime.config(&["/bin/true"]);
        config["linux"]["sysctl"] = json!({name: "h"});
        let output = runtime.run_config("one", &config);
        assert!(output.code == 1 && output.stderr.lines().count() == 1, "{name}: {output:?}");
    }
}

/// CVE-2019-16884 and CVE-2025-52881 by exec: the container has mounted something else over its own /proc.
#[test]
fn exec_writes_no_label_into_the_containers_proc() {
    let (runtime, _, _) = bed!();
    let script = "mount -t tmpfs x /proc && for t in self thread-self; do mkdir -p /proc/$t/attr/apparmor /proc/$t/fd; \
                  : >/proc/$t/attr/exec; : >/proc/$t/attr/apparmor/exec; done; touch /ready; sleep 1000";
    let mut config = runtime.config(&["/bin/sh", "-c", script]);
    for set in ["bounding", "effective", "permitted"] {
        config["process"]["capabilities"][set] = json!(["CAP_SYS_ADMIN"]);
    }
    runtime.start_config("box", &config);
    let ready = runtime.scratch().join("bundles/box/rootfs/ready");
    eventually("the container's mounts", || ready.exists().then_some(()));
    for flag in ["--apparmor", "--process-label"] {
        let output = runtime.run(&["exec", flag, "no-such-profile", "box", "/bin/true"]);
        assert!(output.code != 0 && output.stderr.lines().count() == 1, "{output:?}");
    }
    let sizes = "cat /proc/*/attr/exec /proc/*/attr/apparmor/exec | wc -c";
    assert_eq!(runtime.ok(&["exec", "box", "/bin/sh", "-c", sizes]), "0\n");
}
