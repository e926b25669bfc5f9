//! How mounts travel: the options of a mount, and `linux.rootfsPropagation`. What the host would have, a shared mount, is made
//! in a mount namespace of the test's own, where the test program is called again.

use std::path::Path;
use std::process::Command;

use conex_tests::{Bed, needs_root, skip};
use serde_json::json;

const WORDS: [&str; 9] =
    ["private", "rprivate", "slave", "rslave", "shared", "rshared", "unbindable", "runbindable", ""];

/// The shared mount, on the inner call.
fn shared() -> Option<std::ffi::OsString> {
    std::env::var_os("CONEX_TEST_SHARED")
}

fn again_on_a_shared_mount(case: &str) {
    let script = "d=$(mktemp -d) && mount -t tmpfs tmpfs $d && mount --make-shared $d && CONEX_TEST_SHARED=$d exec $0 --exact $1";
    let output = Command::new("unshare")
        .args(["-m", "--propagation", "private", "sh", "-c", script])
        .arg(std::env::current_exe().unwrap())
        .arg(case)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
}

/// Whether a mount is shared, follows another, cannot be bound.
fn tags(mountinfo: &str, place: &str) -> [bool; 3] {
    let line = mountinfo.lines().find(|line| line.split(' ').nth(4) == Some(place));
    let line = line.unwrap_or_else(|| panic!("nothing on {place}: {mountinfo}"));
    let tags = line.split(" - ").next().unwrap();
    ["shared:", "master:", "unbindable"].map(|tag| tags.contains(tag))
}

fn expected(word: &str) -> [bool; 3] {
    match word.trim_start_matches('r') {
        "shared" => [true, false, false],
        "slave" => [false, true, false],
        "unbindable" => [false, false, true],
        _ => [false, false, false],
    }
}

#[test]
fn of_a_mount() {
    needs_root!();
    let Some(directory) = shared() else { return again_on_a_shared_mount("of_a_mount") };
    let Some(mut bed) = Bed::new("cat /proc/self/mountinfo") else { skip!("no busybox image") };
    for word in WORDS {
        bed.mount(&format!("/a-{word}"), "none", Path::new(&directory), &format!("rbind,{word}"));
    }
    let output = bed.output();
    for word in WORDS {
        assert_eq!(tags(&output, &format!("/a-{word}")), expected(word), "{word}: {output}");
    }
}

#[test]
fn of_the_root() {
    needs_root!();
    let Some(directory) = shared() else { return again_on_a_shared_mount("of_the_root") };
    let Some(mut bed) = Bed::new("cat /proc/self/mountinfo") else { skip!("no busybox image") };
    // The root filesystem lies on the shared mount.
    let rootfs = Path::new(&directory).join("rootfs");
    let copied = Command::new("cp").arg("-a").arg(bed.rootfs()).arg(&rootfs).status().unwrap();
    assert!(copied.success());
    bed.config["root"]["path"] = json!(rootfs);
    for word in WORDS {
        bed.linux()["rootfsPropagation"] = json!(word);
        let output = bed.output();
        assert_eq!(tags(&output, "/"), expected(word), "{word}: {output}");
        let below = if matches!(word, "rshared" | "runbindable") { expected(word) } else { [false; 3] };
        assert_eq!(tags(&output, "/dev"), below, "{word}: {output}");
    }
    bed.linux()["rootfsPropagation"] = json!("sideways");
    assert!(bed.refusal().contains("linux.rootfsPropagation"));
}

/// Nothing of the container is seen outside: neither while it runs nor when it is gone.
#[test]
fn nothing_reaches_the_host() {
    needs_root!();
    let Some(directory) = shared() else { return again_on_a_shared_mount("nothing_reaches_the_host") };
    let Some(mut bed) = Bed::new("sleep 1000") else { skip!("no busybox image") };
    let rootfs = Path::new(&directory).join("rootfs");
    let copied = Command::new("cp").arg("-a").arg(bed.rootfs()).arg(&rootfs).status().unwrap();
    assert!(copied.success());
    bed.config["root"]["path"] = json!(rootfs);
    let mounts = || std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    let before = mounts();
    bed.start();
    assert_eq!(mounts(), before);
    bed.runtime.ok(&["delete", "--force", "bed"]);
    assert_eq!(mounts(), before);
}
