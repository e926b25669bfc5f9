//! A power cut: what is on the disk at that moment, and nothing of what the kernel would still have written.
//!
//! The root directory is a file system of its own in a file. Its pages that are not written yet are in no copy of that file.

use std::path::Path;
use std::process::Command;

use conex_tests::{Conex, alpine, lacks_disk_images, needs_root, skip};

fn shell(script: &str, place: &Path) {
    let output = Command::new("sh").args(["-ec", script]).current_dir(place).output().expect("sh");
    assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
}

/// A mounted file system, in this process's mount namespace.
struct Mounted<'a>(&'a Path);

impl Drop for Mounted<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").args(["-l", "root"]).current_dir(self.0).status();
    }
}

fn mount<'a>(disk: &str, place: &'a Path) -> Mounted<'a> {
    shell(&format!("mkdir -p root; mount -o loop {disk} root"), place);
    Mounted(place)
}

#[test]
fn what_was_acknowledged_is_there() {
    needs_root!();
    if let Some(why) = lacks_disk_images() {
        skip!("{why}");
    }
    let conex = Conex::new();
    shell("truncate -s 400M disk; mkfs.ext4 -q -F disk", conex.scratch());
    let mounted = mount("disk", conex.scratch());
    let Some(alpine) = conex.alpine() else { skip!("no alpine image") };
    conex.ok(&["create", "--name", "old", alpine, "true"]);
    shell("sync -f root", conex.scratch());

    let script = "cat /etc/hosts /etc/resolv.conf >/dev/null && hostname && sleep 1000";
    let flags = ["-d", "--name", "web", "-h", "front", "-v", "/data", "--restart", "always"];
    conex.ok(&[&["run"][..], &flags, &[alpine, "sh", "-c", script]].concat());
    conex.ok(&["create", "--name", "made", "-v", "/etc/apk", alpine, "cat", "/etc/hosts", "/etc/apk/world"]);
    conex.ok(&["rename", "old", "new"]);
    shell("cp --sparse=always disk snapshot", conex.scratch());
    // The end of all that ran, and of what was in memory.
    conex.ok(&["rm", "-f", "web"]);
    shell(
        "for image in run/images/*; do umount -l $image 2>/dev/null || :; done; rm -r run",
        conex.scratch(),
    );
    drop(mounted);
    let mounted = mount("snapshot", conex.scratch());

    let mut names: Vec<_> =
        conex.ok(&["ps", "-a", "--format", "{{.Names}} {{.State}}"]).lines().map(str::to_owned).collect();
    names.sort();
    assert_eq!(names, ["made created", "new created", "web exited"]);
    assert_eq!(conex.inspect("web")["State"]["ExitCode"], 255);
    assert_eq!(conex.ok(&["start", "-a", "new"]), "");
    let made = conex.ok(&["start", "-a", "made"]);
    assert!(made.contains("localhost") && made.contains("alpine-base"), "{made}");
    conex.ok(&["start", "--all", "--filter", "should-start-on-boot=true"]);
    assert_eq!(conex.inspect("web")["State"]["Status"], "running");
    assert_eq!(conex.ok(&["exec", "web", "cat", "/etc/hostname"]), "front\n");
    assert!(conex.ok(&["exec", "web", "cat", "/etc/hosts"]).contains("localhost"));
    conex.ok(&["rm", "-f", "-v", "web", "made", "new"]);
    assert_eq!(conex.ok(&["volume", "ls", "-q"]), "");
    for directory in ["names", "userns", "containers"] {
        let left: Vec<_> = std::fs::read_dir(conex.root().join(directory)).expect(directory).collect();
        assert!(left.is_empty(), "{directory}: {left:?}");
    }
    drop(mounted);
}

/// What an older version, or a disk that lies, leaves of a run is no reason not to be removed.
#[test]
fn an_end_that_is_damaged_counts_as_begun() {
    let (conex, alpine) = alpine!();
    conex.ok(&["run", "--name", "web", alpine, "true"]);
    let id = conex.inspect("web")["Id"].as_str().expect("an id").to_owned();
    std::fs::write(conex.root().join("containers").join(&id).join("exit"), "").expect("a file");
    assert_eq!(conex.ok(&["ps", "-a", "--format", "{{.Names}} {{.State}}"]), "web exited\n");
    assert_eq!(conex.inspect("web")["State"]["ExitCode"], 255);
    assert_eq!(conex.run(&["start", "-a", "web"]).code, 0);
    std::fs::write(conex.root().join("containers").join(&id).join("exit"), "").expect("a file");
    conex.ok(&["rm", "web"]);
}
