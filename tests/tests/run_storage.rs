//! `run`: its file systems. `-v --mount --tmpfs --read-only --shm-size --device`.

use conex_tests::{Conex, alpine, needs_root, skip};

#[test]
fn volumes() {
    let (conex, alpine) = alpine!();
    let host = conex.scratch().join("data");
    std::fs::create_dir(&host).expect("a directory");
    std::fs::write(host.join("file"), "from the host\n").expect("a file");
    let bind = |options: &str| format!("{}:/data{options}", host.display());
    assert_eq!(conex.ok(&["run", "--rm", "-v", &bind(""), alpine, "cat", "/data/file"]), "from the host\n");
    conex.ok(&["run", "--rm", "-v", &bind(":rw"), alpine, "touch", "/data/made"]);
    assert!(host.join("made").exists());
    let output = conex.run(&["run", "--rm", "-v", &bind(":ro"), alpine, "touch", "/data/no"]);
    assert!(output.code == 1 && output.stderr.contains("Read-only"), "{}", output.stderr);
    // A file over a file.
    let file = format!("{}:/etc/motd:ro", host.join("file").display());
    assert_eq!(conex.ok(&["run", "--rm", "-v", &file, alpine, "cat", "/etc/motd"]), "from the host\n");
    // A source that is not there is made, as a directory.
    let made = format!("{}/new/deep:/x", host.display());
    conex.ok(&["run", "--rm", "-v", &made, alpine, "test", "-d", "/x"]);
    assert!(host.join("new/deep").is_dir());
    // A relative one counts from here.
    let mut command = conex.command(&["run", "--rm", "-v", "./file:/f", alpine, "cat", "/f"]);
    let output = conex_tests::finish(command.current_dir(&host));
    assert_eq!(output.stdout, "from the host\n", "{}", output.stderr);
    for options in [":private", ":rprivate", ":rbind,ro", ":bind"] {
        conex.ok(&["run", "--rm", "-v", &bind(options), alpine, "cat", "/data/file"]);
    }
    // A propagation that the host's mount does not have is an error, as with Docker.
    for options in [":rslave", ":rshared"] {
        let output = conex.run(&["run", "--rm", "-v", &bind(options), alpine, "cat", "/data/file"]);
        let refused =
            output.code == 125 && output.stderr.contains("shared") && output.stderr.lines().count() == 1;
        assert!(output.code == 0 || refused, "{options}: {}", output.stderr);
    }
    for bad in [":rx", ":ro,rw", ":shared,slave"] {
        conex.fails(125, &["run", "--rm", "-v", &bind(bad), alpine, "true"]);
    }
}

#[test]
fn mounts() {
    let (conex, alpine) = alpine!();
    let host = conex.scratch().join("data");
    std::fs::create_dir(&host).expect("a directory");
    std::fs::write(host.join("file"), "x\n").expect("a file");
    let bind = format!("type=bind,source={},target=/data,readonly", host.display());
    assert_eq!(conex.ok(&["run", "--rm", "--mount", &bind, alpine, "cat", "/data/file"]), "x\n");
    assert_eq!(conex.run(&["run", "--rm", "--mount", &bind, alpine, "touch", "/data/y"]).code, 1);
    let missing = format!("type=bind,src={}/nothing,dst=/data", host.display());
    let error = conex.fails(125, &["run", "--rm", "--mount", &missing, alpine, "true"]);
    assert!(error.contains("nothing") && error.lines().count() == 1, "{error}");
    assert!(!host.join("nothing").exists());
    let tmpfs = "type=tmpfs,target=/t,tmpfs-size=1m,tmpfs-mode=700";
    let line = conex.ok(&["run", "--rm", "--mount", tmpfs, alpine, "grep", " /t ", "/proc/mounts"]);
    assert!(
        line.starts_with("tmpfs /t tmpfs") && line.contains("size=1024k") && line.contains("mode=700"),
        "{line}"
    );
    assert_eq!(conex.ok(&["ps", "-aq"]), "");
}

#[test]
fn tmpfs_and_shm() {
    let (conex, alpine) = alpine!();
    let line = conex.ok(&[
        "run",
        "--rm",
        "--tmpfs",
        "/t:size=64k,mode=1777",
        alpine,
        "grep",
        " /t ",
        "/proc/mounts",
    ]);
    for part in ["nosuid", "nodev", "noexec", "size=64k"] {
        assert!(line.contains(part), "{part}: {line}");
    }
    conex.ok(&["run", "--rm", "--tmpfs", "/run", alpine, "touch", "/run/x"]);
    let size = |words: &[&str]| {
        conex.ok(&[
            &["run", "--rm"][..],
            words,
            &[alpine, "sh", "-c", "df -k /dev/shm | tail -1 | awk '{print $2}'"],
        ]
        .concat())
    };
    assert_eq!(size(&[]), "65536\n");
    assert_eq!(size(&["--shm-size", "1m"]), "1024\n");
    conex.fails(125, &["run", "--rm", "--tmpfs", "/t:size=x", alpine, "true"]);
    conex.fails(125, &["run", "--rm", "--tmpfs", "t", alpine, "true"]);
}

#[test]
fn read_only_root() {
    let (conex, alpine) = alpine!();
    let output = conex.run(&["run", "--rm", "--read-only", alpine, "touch", "/x"]);
    assert!(output.code == 1 && output.stderr.contains("Read-only"), "{}", output.stderr);
    conex.ok(&["run", "--rm", "--read-only", "--tmpfs", "/tmp", alpine, "touch", "/tmp/x"]);
    conex.ok(&["run", "--rm", alpine, "touch", "/x"]);
}

#[test]
fn writes_stay_in_the_container() {
    let (conex, alpine) = alpine!();
    conex.ok(&[
        "run",
        "--name",
        "a",
        alpine,
        "sh",
        "-c",
        "echo mine > /etc/motd; rm /etc/passwd; mkdir /new",
    ]);
    assert_ne!(conex.ok(&["run", "--rm", alpine, "cat", "/etc/motd"]), "mine\n");
    conex.ok(&["run", "--rm", alpine, "sh", "-c", "test -e /etc/passwd && ! test -e /new"]);
    // They are there again at the next start.
    conex.ok(&["create", "--name", "b", alpine, "sh", "-c", "test -e /x && echo again; touch /x"]);
    assert_eq!(conex.ok(&["start", "-a", "b"]), "");
    assert_eq!(conex.ok(&["start", "-a", "b"]), "again\n");
}

#[test]
fn devices() {
    let (conex, alpine) = alpine!();
    let list = conex.ok(&["run", "--rm", alpine, "ls", "/dev"]);
    let mut names: Vec<&str> = list.split_whitespace().collect();
    names.sort_unstable();
    for name in [
        "console", "fd", "full", "mqueue", "null", "ptmx", "pts", "random", "shm", "stderr", "stdin",
        "stdout", "tty", "urandom", "zero",
    ] {
        assert!(names.contains(&name) || name == "console", "{name}: {names:?}");
    }
    assert!(!names.contains(&"kmsg") && !names.contains(&"mem"), "{names:?}");
    conex.ok(&[
        "run",
        "--rm",
        "--device",
        "/dev/zero:/dev/nought:r",
        alpine,
        "head",
        "-c",
        "1",
        "/dev/nought",
    ]);
    // One that is not allowed to everybody: for reading, and for both.
    let write = |device: &str| {
        conex.run(&["run", "--rm", "--device", device, alpine, "sh", "-c", ": > /dev/messages"]).code
    };
    assert_ne!(write("/dev/kmsg:/dev/messages:r"), 0, "a device given for reading can be written");
    assert_eq!(write("/dev/kmsg:/dev/messages:rw"), 0);
    let error = conex.fails(125, &["run", "--rm", "--device", "/dev/no-such", alpine, "true"]);
    assert!(error.contains("/dev/no-such") && error.lines().count() == 1, "{error}");
    // mknod is allowed, using the node is not.
    let output =
        conex.run(&["run", "--rm", alpine, "sh", "-c", "mknod /tmp/kmsg c 1 11 && head -c1 /tmp/kmsg"]);
    assert_ne!(output.code, 0, "the device filter let /dev/kmsg through");
}

#[test]
fn files_of_the_network() {
    let (conex, alpine) = alpine!();
    let hosts =
        conex.ok(&["run", "--rm", "-h", "box", "--add-host", "db:10.1.2.3", alpine, "cat", "/etc/hosts"]);
    assert!(hosts.contains("127.0.0.1\tlocalhost") || hosts.contains("127.0.0.1 localhost"), "{hosts}");
    assert!(hosts.lines().any(|line| line.split_whitespace().eq(["10.1.2.3", "db"])), "{hosts}");
    assert_eq!(conex.ok(&["run", "--rm", "-h", "box", alpine, "cat", "/etc/hostname"]), "box\n");
    let resolv = conex.ok(&[
        "run",
        "--rm",
        "--dns",
        "9.9.9.9",
        "--dns-search",
        "example.org",
        "--dns-option",
        "ndots:2",
        alpine,
        "cat",
        "/etc/resolv.conf",
    ]);
    for line in ["nameserver 9.9.9.9", "search example.org", "options ndots:2"] {
        assert!(resolv.lines().any(|found| found == line), "{line}: {resolv}");
    }
}

/// Whatever the mask of who types it, and by whichever command a mount point is made.
#[test]
fn mount_points_are_for_all_users_of_the_container() {
    needs_root!();
    let masked = ["sh", "-c", "umask 077; exec \"$@\"", "sh"].map(str::to_owned);
    let conex = Conex::through(masked.to_vec());
    let Some(alpine) = conex.alpine() else { skip!("no alpine image") };
    let look = "stat -c '%a %u:%g' /srv/app /t /work";
    let flags = ["-v", "data:/srv/app/data", "--tmpfs", "/t/deep", "-w", "/work/dir"];
    let asked = [&flags[..], &["--user", "1000", alpine, "sh", "-c", look]].concat();
    assert_eq!(conex.ok(&[&["run", "--rm"][..], &asked].concat()), "755 0:0\n".repeat(3));
    conex.ok(&[&["create", "--name", "web"][..], &asked].concat());
    conex.ok(&["cp", "/etc/passwd", "web:/srv/app/data/"]);
    assert_eq!(conex.ok(&["start", "-a", "web"]), "755 0:0\n".repeat(3));
}
