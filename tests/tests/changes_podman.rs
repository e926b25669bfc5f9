//! The same commands in a container of podman's: the same `diff`, and each reads the other's archives and images.

use conex_tests::{Conex, Enclosure, archive, lacks, needs_root, skip};

/// Changes in which podman follows Docker. It does not where a directory was deleted and made again (it lists the directory as
/// deleted), nor for a file that was copied up and put back as it was (it lists that as changed), nor for a directory's owner.
const SCRIPT: &str = "mkdir -p /work/deep/er; echo hi > /work/f; ln /work/f /work/g; ln -s /nowhere /work/link; \
    mkfifo /work/fifo; rm /etc/motd; rm -rf /media; chmod 700 /srv; echo x >> /etc/passwd; cp -p /bin/busybox /usr/bin/new; \
    mv /etc/issue /etc/issue.old; touch -d @1 /etc/group; mkdir /work/gone; rmdir /work/gone; chown 7:8 /etc/shells";

#[test]
fn podman_sees_the_same_changes_and_images() {
    needs_root!();
    if let Some(program) = lacks(&["podman", "conmon", "unshare", "nsenter"]) {
        skip!("{program} is not installed");
    }
    let conex = Conex::new();
    let (Some(alpine), Some(image)) = (conex.alpine(), archive("alpine-3.20.oci.tar")) else {
        skip!("no alpine image")
    };
    let Some(enclosure) = Enclosure::new("changes") else { skip!("no namespaces here") };
    enclosure.set_up_podman("");
    let podman = |arguments: &[&str]| enclosure.podman_ok(arguments);
    let sorted = |text: &str| {
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        lines.sort_unstable();
        lines
    };
    podman(&["load", "--quiet", "--input", image.to_str().expect("text")]);
    let run =
        ["run", "--network", "none", "--cgroup-parent", enclosure.cgroup(), "--name", "box", "alpine:3.20"];
    podman(&[&run[..], &["sh", "-c", SCRIPT]].concat());
    conex.ok(&["run", "--name", "box", "--cap-add", "MKNOD", alpine, "sh", "-c", SCRIPT]);
    let ours = conex.ok(&["diff", "box"]);
    // Podman walks in the order of names too, but puts the directories above a new file in another one.
    assert_eq!(sorted(&ours), sorted(&podman(&["diff", "box"])));
    assert!(ours.lines().count() > 15, "{ours}");

    // Its export is our import, and the other way round.
    let tar = enclosure.at("theirs.tar");
    podman(&["export", "--output", &tar, "box"]);
    conex.ok(&["import", enclosure.inside(&tar).to_str().expect("text"), "theirs"]);
    assert_eq!(conex.ok(&["run", "--rm", "theirs", "cat", "/work/g"]), "hi\n");
    let ours = enclosure.at("ours.tar");
    conex.ok(&["commit", "-c", "CMD [\"cat\", \"/work/g\"]", "box", "ours:1"]);
    let file = enclosure.inside(&ours);
    conex.ok(&["save", "--format", "oci-archive", "-o", file.to_str().expect("text"), "ours:1"]);
    podman(&["load", "--quiet", "--input", &ours]);
    let run = ["run", "--rm", "--network", "none", "--cgroup-parent", enclosure.cgroup()];
    assert_eq!(podman(&[&run[..], &["ours:1"]].concat()), "hi\n");
    // The files of both images are the same, but for what podman mounts over.
    podman(&["commit", "--quiet", "box", "committed:1"]);
    let theirs = enclosure.at("committed.tar");
    podman(&["save", "--quiet", "--format", "oci-archive", "--output", &theirs, "committed:1"]);
    let loaded = conex.ok(&["load", "-q", "-i", enclosure.inside(&theirs).to_str().expect("text")]);
    let name = loaded.trim().trim_start_matches("Loaded image: ").to_owned();
    let left = conex.ok(&["image", "diff", "--format", "{{.Change}} {{.Path}}", "ours:1", &name]);
    let own = ["/etc/resolv.conf", "/etc/hosts", "/etc/hostname", "/run", "/proc", "/sys", "/dev"];
    let others: Vec<&str> =
        left.lines().filter(|line| !own.iter().any(|path| line[2..].starts_with(path))).collect();
    assert!(others.is_empty(), "{others:?}");
}
