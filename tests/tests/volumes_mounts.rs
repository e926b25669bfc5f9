//! What is mounted for a volume: parts of it, other containers' and images', file systems of its own; and who owns what is in it.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::PathBuf;

use conex_tests::{Conex, alpine, eventually, needs_root, skip};
use serde_json::json;

fn data(conex: &Conex, name: &str) -> PathBuf {
    conex.root().join("volumes").join(name).join("_data")
}

#[test]
fn from_another_container() {
    let (conex, alpine) = alpine!();
    let host = conex.scratch().join("host");
    std::fs::create_dir(&host).expect("a directory");
    let bind = format!("{}:/host:ro", host.display());
    conex.ok(&["create", "--name", "one", "-v", "db:/db", "-v", &bind, "--tmpfs", "/not", alpine, "true"]);
    let script =
        "echo x >/db/from-two; touch /host/x 2>/dev/null || echo read-only; test -e /not || echo none";
    assert_eq!(
        conex.ok(&["run", "--name", "two", "--volumes-from", "one", alpine, "sh", "-c", script]),
        "read-only\nnone\n"
    );
    assert!(data(&conex, "db").join("from-two").exists());
    let from = conex.inspect("two")["HostConfig"].clone();
    assert_eq!((&from["VolumesFrom"], &from["Binds"]), (&json!(["one"]), &json!([])));
    conex.fails(1, &["volume", "rm", "db"]);
    let output = conex.run(&["run", "--rm", "--volumes-from", "one:ro", alpine, "touch", "/db/x"]);
    assert!(output.code == 1 && output.stderr.contains("Read-only"), "{}", output.stderr);
    // One's own comes first.
    conex.ok(&[
        "run",
        "--rm",
        "--volumes-from",
        "two",
        "-v",
        "mine:/db",
        alpine,
        "test",
        "!",
        "-e",
        "/db/from-two",
    ]);
    let error = conex.fails(125, &["run", "--rm", "--volumes-from", "nobody", alpine, "true"]);
    assert!(error.contains("--volumes-from nobody: No such container"), "{error}");
}

#[test]
fn parts_of_volumes_and_of_images() {
    let (conex, alpine) = alpine!();
    conex.ok(&["run", "--rm", "-v", "etc:/etc", alpine, "true"]);
    let part = "type=volume,source=etc,target=/part,volume-subpath=apk";
    assert!(conex.ok(&["run", "--rm", "--mount", part, alpine, "ls", "/part"]).contains("repositories"));
    let file = "type=volume,source=etc,target=/release,volume-subpath=alpine-release,readonly";
    assert_eq!(conex.ok(&["run", "--rm", "--mount", file, alpine, "cat", "/release"]), "3.20.3\n");
    let missing = "type=volume,source=etc,target=/part,volume-subpath=nothing";
    let error = conex.fails(125, &["run", "--rm", "--mount", missing, alpine, "true"]);
    assert!(error.contains("\"nothing\" of volume etc") && error.lines().count() == 1, "{error}");
    let image = format!("type=image,source={alpine},target=/image,image-subpath=etc/apk");
    conex.ok(&["run", "--name", "box", "--mount", &image, alpine, "test", "-f", "/image/repositories"]);
    let output = conex.run(&["run", "--rm", "--mount", &image, alpine, "touch", "/image/x"]);
    assert!(output.code == 1 && output.stderr.contains("Read-only"), "{}", output.stderr);
    // The image is needed as long as the container is there.
    conex.ok(&["commit", "box", "other:1"]);
    conex.ok(&["create", "--name", "with", "--mount", "type=image,source=other:1,target=/i", alpine, "true"]);
    conex.fails(1, &["rmi", "other:1"]);
    conex.ok(&["image", "prune", "-a", "-f"]);
    conex.ok(&["start", "-a", "with"]);
}

/// An image's files are there at each start, whatever the last one left.
#[test]
fn an_image_at_every_start() {
    let (conex, alpine) = alpine!();
    let image = format!("type=image,source={alpine},target=/image");
    conex.ok(&["create", "--name", "web", "--mount", &image, alpine, "ls", "/image/etc/alpine-release"]);
    for _ in 0..3 {
        assert_eq!(conex.ok(&["start", "-a", "web"]), "/image/etc/alpine-release\n");
    }
}

#[test]
fn file_systems_of_their_own() {
    let (conex, alpine) = alpine!();
    conex.ok(&[
        "volume",
        "create",
        "--opt",
        "type=tmpfs",
        "--opt",
        "device=tmpfs",
        "--opt",
        "o=size=1m,uid=5,mode=750",
        "memory",
    ]);
    // Two that run share it, and with the last it is gone.
    conex.ok(&[
        "run",
        "-d",
        "--name",
        "one",
        "-v",
        "memory:/m",
        alpine,
        "sh",
        "-c",
        "echo x >/m/file; sleep 1000",
    ]);
    let look = "stat -c '%u %a' /m; df -k /m | tail -1 | awk '{print $2}'; cat /m/file";
    eventually("a file", || data(&conex, "memory").join("file").exists().then_some(()));
    assert_eq!(conex.ok(&["run", "--rm", "-v", "memory:/m", alpine, "sh", "-c", look]), "5 750\n1024\nx\n");
    conex.ok(&["rm", "-f", "one"]);
    let mounts = std::fs::read_to_string("/proc/mounts").expect("mounts");
    assert!(!mounts.contains(&*data(&conex, "memory").to_string_lossy()), "it is still mounted");
    conex.ok(&["run", "--rm", "-v", "memory:/m", alpine, "test", "!", "-e", "/m/file"]);
    // The image's files come each time: there is nowhere that they were.
    conex.ok(&["volume", "create", "--opt", "type=tmpfs", "seeded"]);
    for _ in 0..2 {
        conex.ok(&["run", "--rm", "-v", "seeded:/etc", alpine, "test", "-e", "/etc/alpine-release"]);
    }
    let host = conex.scratch().join("host");
    std::fs::create_dir(&host).expect("a directory");
    let device = format!("device={}", host.display());
    conex.ok(&["volume", "create", "--opt", "type=none", "--opt", &device, "--opt", "o=bind", "bound"]);
    conex.ok(&["run", "--rm", "-v", "bound:/b", alpine, "touch", "/b/file"]);
    assert!(host.join("file").exists());
    conex.ok(&["volume", "rm", "bound"]);
    assert!(host.join("file").exists(), "a volume's removal took the host's files");
    conex.ok(&["volume", "create", "--opt", "type=none", "--opt", &device, "--opt", "o=bind,ro", "read"]);
    assert_eq!(conex.run(&["run", "--rm", "-v", "read:/b", alpine, "touch", "/b/x"]).code, 1);
    // By --mount, in one word.
    let mount = "type=volume,source=spelt,target=/m,volume-driver=local,volume-opt=type=tmpfs,\"volume-opt=o=size=64k,noexec\"";
    let line = conex.ok(&["run", "--rm", "--mount", mount, alpine, "grep", " /m ", "/proc/mounts"]);
    assert!(
        line.starts_with("tmpfs /m tmpfs") && line.contains("size=64k") && line.contains("noexec"),
        "{line}"
    );
    // What this kernel does not have is said so.
    conex.ok(&[
        "volume",
        "create",
        "--opt",
        "type=nosuchfs",
        "--opt",
        "device=:/x",
        "--opt",
        "o=addr=127.0.0.1",
        "far",
    ]);
    let error = conex.fails(125, &["run", "--rm", "-v", "far:/f", alpine, "true"]);
    assert_eq!(error, "conex: this kernel has no file system \"nosuchfs\"\n");
    assert_eq!(conex.ok(&["ps", "-aq"]), "");
}

#[test]
fn owners() {
    let (conex, alpine) = alpine!();
    conex.ok(&["run", "--rm", "-v", "db:/etc", alpine, "true"]);
    // Root of a user namespace writes what is root's on the disk, and sees it so.
    let script =
        "echo x >/etc/made && stat -c %u /etc/made /etc/passwd && awk '{print ($2 > 0)}' /proc/self/uid_map";
    let output =
        conex.run(&["run", "--rm", "--userns", "private", "-v", "db:/etc", alpine, "sh", "-c", script]);
    assert_eq!((output.code, &*output.stdout), (0, "0\n0\n1\n"), "{}", output.stderr);
    assert_eq!(data(&conex, "db").join("made").metadata().expect("a file").uid(), 0);
    // A copy of the image's files, too.
    conex.ok(&["run", "--rm", "--userns", "private", "-v", "new:/etc", alpine, "stat", "/etc/passwd"]);
    let shadow = data(&conex, "new").join("shadow").metadata().expect("a file");
    assert_eq!((shadow.uid(), shadow.gid()), (0, 42));
    // `U` gives them to the user, links and not what they lead to.
    let outside = conex.scratch().join("outside");
    std::fs::write(&outside, "").expect("a file");
    std::os::unix::fs::symlink(&outside, data(&conex, "db").join("link")).expect("a link");
    std::fs::set_permissions(data(&conex, "db").join("made"), std::fs::Permissions::from_mode(0o4755))
        .expect("a mode");
    conex.ok(&["run", "--rm", "-u", "1000:1001", "-v", "db:/data:U", alpine, "touch", "/data/mine"]);
    let made = data(&conex, "db").join("made").metadata().expect("a file");
    assert_eq!((made.uid(), made.gid(), made.mode() & 0o7777), (1000, 1001, 0o755));
    assert_eq!(outside.metadata().expect("a file").uid(), 0);
    assert_eq!(data(&conex, "db").join("link").symlink_metadata().expect("a link").uid(), 1000);
    let error = conex.fails(125, &["run", "--rm", "-u", "1000", "-v", "/etc:/host:U", alpine, "true"]);
    assert!(error.contains("directory of the system's"), "{error}");
    // Parts, memory and images as well.
    conex.ok(&["volume", "create", "--opt", "type=tmpfs", "memory"]);
    let part = "type=volume,source=db,target=/p,volume-subpath=apk";
    let other = format!("type=image,source={alpine},target=/i");
    let script = "touch /p/x /m/x && stat -c %u /p/x /m/x /i/etc/passwd";
    let words = ["run", "--rm", "--userns", "private", "--mount", part, "-v", "memory:/m", "--mount", &other];
    assert_eq!(conex.ok(&[&words[..], &[alpine, "sh", "-c", script]].concat()), "0\n0\n0\n");
    assert_eq!(data(&conex, "db").join("apk/x").metadata().expect("a file").uid(), 0);
    // A bind, when it is asked for.
    let host = conex.scratch().join("host");
    std::fs::create_dir(&host).expect("a directory");
    let bind = format!("{}:/b:idmap", host.display());
    conex.ok(&["run", "--rm", "--userns", "private", "-v", &bind, alpine, "touch", "/b/x"]);
    assert_eq!(host.join("x").metadata().expect("a file").uid(), 0);
}

/// What took the space is the volume's own: a prune would free none of it. On the stores' disk it would.
#[test]
fn hints_are_of_the_disk_that_is_full() {
    let (conex, alpine) = alpine!();
    needs_root!();
    conex.ok(&[
        "volume",
        "create",
        "--opt",
        "type=tmpfs",
        "--opt",
        "o=size=3m",
        "--opt",
        "device=tmpfs",
        "small",
    ]);
    conex.ok(&["run", "-d", "--name", "web", "-v", "small:/v", alpine, "sleep", "1000"]);
    let big = conex.scratch().join("big");
    std::fs::write(&big, vec![1; 10 << 20]).expect("a file");
    let big = big.to_str().expect("a path");
    let error = conex.fails(1, &["cp", big, "web:/v/"]);
    let room = rustix::fs::statvfs(conex.root()).expect("the disk");
    if room.f_bavail * room.f_frsize < 100 << 20 {
        skip!("this disk is nearly full, too");
    }
    assert!(error.contains("No space left on device") && !error.contains("system prune"), "{error}");
    if !conex_tests::private_mounts() {
        skip!("no mount namespace here");
    }
    // The stores on a disk of their own.
    let disk = Conex::new();
    let mounted = std::process::Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=20m", "tmpfs"])
        .arg(disk.root())
        .status();
    assert!(mounted.expect("mount").success());
    let archive = conex_tests::archive("alpine-3.20.oci.tar").expect("an image");
    disk.ok(&["load", "-q", "-i", archive.to_str().expect("a path")]);
    disk.ok(&["create", "--name", "web", alpine, "true"]);
    let huge = conex.scratch().join("huge");
    std::fs::write(&huge, vec![1; 30 << 20]).expect("a file");
    let error = disk.fails(1, &["cp", huge.to_str().expect("a path"), "web:/"]);
    assert!(error.contains("No space left on device") && error.contains("system prune"), "{error}");
    disk.ok(&["rm", "web"]);
    assert!(
        std::process::Command::new("umount").arg("-l").arg(disk.root()).status().expect("umount").success()
    );
}
