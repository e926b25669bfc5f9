//! User namespaces by default: whose ids containers have, what is seen of the host's files, and what has the host's ids all the same.

use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};

use conex_tests::{Conex, alpine, eventually, skip};

/// The host's id of the container's root, and how many ids it has, as it sees them itself.
fn map(conex: &Conex, flags: &[&str], alpine: &str) -> (u64, u64) {
    let text = conex.ok(&[&["run", "--rm"], flags, &[alpine, "cat", "/proc/self/uid_map"]].concat());
    let fields: Vec<u64> = text.split_whitespace().map(|field| field.parse().expect("a number")).collect();
    assert_eq!((fields.len(), fields[0]), (3, 0), "{text}");
    (fields[1], fields[2])
}

const ALL: (u64, u64) = (0, 4_294_967_295);

#[test]
fn root_inside_is_nobody_outside() {
    let (conex, alpine) = alpine!();
    let (base, size) = map(&conex, &[], alpine);
    assert!(base >= 65_536 && size == 65_536, "{base} {size}");
    conex.ok(&["run", "-d", "--name", "one", alpine, "sleep", "1000"]);
    conex.ok(&["run", "-d", "--name", "two", alpine, "sleep", "1000"]);
    let of = |name: &str| {
        let document = conex.inspect(name);
        let status = std::fs::read_to_string(format!("/proc/{}/status", document["State"]["Pid"]));
        let status = status.expect("its first process");
        let uids = status.lines().find_map(|line| line.strip_prefix("Uid:")).expect("a line").to_owned();
        let base = document["UserNamespace"]["HostId"].as_u64().expect("a number");
        assert!(uids.split_whitespace().all(|uid| uid == base.to_string()), "{uids}");
        assert_eq!(document["HostConfig"]["UsernsMode"], "private");
        base
    };
    let (one, two) = (of("one"), of("two"));
    assert!(one.abs_diff(two) >= 65_536, "{one} {two}");
    // What it writes is its own, and nobody's of the host.
    conex.ok(&["exec", "one", "sh", "-c", "touch /mine; chown 1000:2000 /mine; echo >/dev/stdout"]);
    let id = conex.inspect("one")["Id"].as_str().expect("an id").to_owned();
    let mine =
        std::fs::metadata(conex.root().join("containers").join(&id).join("upper/mine")).expect("a file");
    assert_eq!((u64::from(mine.uid()), u64::from(mine.gid())), (one + 1000, one + 2000));
    // It stays the container's over a restart, and is another's after its end.
    conex.ok(&["restart", "-t", "0", "one"]);
    assert_eq!(of("one"), one);
    assert_eq!(conex.ok(&["exec", "one", "stat", "-c", "%u:%g", "/mine"]), "1000:2000\n");
    conex.ok(&["rm", "-f", "one"]);
    assert_eq!(map(&conex, &[], alpine).0, one);
}

#[test]
fn files_of_the_host_have_their_owners() {
    let (conex, alpine) = alpine!();
    let data = conex.scratch().join("data");
    std::fs::create_dir(&data).expect("a directory");
    std::fs::write(data.join("private"), "secret\n").expect("a file");
    std::fs::set_permissions(data.join("private"), std::fs::Permissions::from_mode(0o600)).expect("a mode");
    chown(data.join("private"), Some(1234), Some(4321)).expect("an owner");
    let bind = format!("{}:/data", data.display());
    let script = "stat -c '%u:%g' /data /data/private; cat /data/private; touch /data/root; touch /data/app; chown 5:6 /data/app";
    let seen = conex.ok(&["run", "--rm", "-v", &bind, alpine, "sh", "-c", script]);
    assert_eq!(seen, "0:0\n1234:4321\nsecret\n");
    let owner = |name: &str| {
        let metadata = std::fs::metadata(data.join(name)).expect("a file");
        (metadata.uid(), metadata.gid())
    };
    assert_eq!((owner("root"), owner("app")), ((0, 0), (5, 6)));
    // Rights are the owner's, and root's, as ever.
    let read = |user: &str| {
        conex.run(&["run", "--rm", "-u", user, "-v", &bind, alpine, "cat", "/data/private"]).code
    };
    assert_eq!((read("1234"), read("1235")), (0, 1));
    // A missing source is made for the container's root; one file, and a mount of its own alone.
    let made = format!("{}:/new", data.join("new").display());
    conex.ok(&["run", "--rm", "-v", &made, alpine, "touch", "/new/file"]);
    assert_eq!(owner("new/file"), (0, 0));
    let alone = format!("type=bind,source={},target=/d,bind-recursive=disabled", data.display());
    assert_eq!(conex.ok(&["run", "--rm", "--mount", &alone, alpine, "stat", "-c", "%u", "/d/app"]), "5\n");
    let file = format!("{}:/f", data.join("app").display());
    conex.ok(&["run", "--rm", "-v", &file, alpine, "sh", "-c", "echo more >>/f"]);
}

#[test]
fn what_needs_the_hosts_ids_has_them() {
    let (conex, alpine) = alpine!();
    let shared = conex.scratch().join("theirs");
    std::fs::create_dir(&shared).expect("a directory");
    chown(&shared, Some(100_000), None).expect("an owner");
    let theirs = format!("{}:/theirs", shared.display());
    for (flags, why) in [
        (&["--privileged"][..], "--privileged"),
        (&["--network", "host"], "--network host"),
        (&["--pid", "host"], "--pid host"),
        (&["--ipc", "host"], "--ipc host"),
        (&["--cgroupns", "host"], "--cgroupns host"),
        (&["--cap-add", "SYS_NICE"], "CAP_SYS_NICE"),
        (&["--cap-add", "ALL"], "ALL"),
        (&["-u", "100000"], "100000"),
        (&["-u", "0:65536"], "65536"),
        (&["--group-add", "70000"], "70000"),
        (&["-v", &theirs], "100000:0"),
    ] {
        // A kernel or a caller may lack the capability.
        let made = conex.run(&[&["create", "--name", "x"], flags, &[alpine, "true"]].concat());
        if made.stderr.contains("cannot be given") {
            continue;
        }
        assert_eq!(made.code, 0, "{flags:?}: {}", made.stderr);
        let document = conex.inspect("x");
        let notice = document["UserNamespace"]["Notice"].as_str().expect("a text");
        assert!(notice.contains(why), "{flags:?}: {notice}");
        assert_eq!(document["HostConfig"]["UsernsMode"], "host", "{flags:?}");
        // The file system's doing, not the user's.
        assert_eq!(made.stderr.contains("WARNING"), flags[0] == "-v", "{flags:?}: {}", made.stderr);
        conex.ok(&["start", "-a", "x"]);
        conex.ok(&["rm", "x"]);
    }
    assert_eq!(map(&conex, &["--userns", "host"], alpine), ALL);
    // Said once a boot.
    assert_eq!(conex.run(&["run", "--rm", "-v", &theirs, alpine, "true"]).stderr, "");
    // Asked for, it is refused.
    let refused = conex.fails(125, &["run", "--rm", "--userns", "private", "-v", &theirs, alpine, "true"]);
    assert!(refused.contains("100000:0") && refused.lines().count() == 1, "{refused}");
    let refused = conex.fails(125, &["run", "--rm", "--userns", "private", "-u", "100000", alpine, "true"]);
    assert!(refused.contains("--userns host"), "{refused}");
}

#[test]
fn a_file_system_that_cannot_is_said_once() {
    let (conex, alpine) = alpine!();
    let sys = ["-v", "/sys:/host/sys:ro"];
    let first = conex.run(&[&["run", "--rm"], &sys[..], &[alpine, "cat", "/proc/self/uid_map"]].concat());
    assert!(first.code == 0 && first.stdout.contains(" 0 4294967295"), "{first:?}");
    assert!(first.stderr.starts_with("WARNING: ") && first.stderr.contains("/sys"), "{}", first.stderr);
    let second = conex.run(&[&["run", "--rm"], &sys[..], &[alpine, "true"]].concat());
    assert_eq!((second.code, second.stderr.as_str()), (0, ""));
    let refused =
        conex.fails(125, &[&["run", "--rm", "--userns", "private"], &sys[..], &[alpine, "true"]].concat());
    assert!(refused.contains("/sys") && refused.lines().count() == 1, "{refused}");
    // Nothing is left of the tries.
    assert_eq!(std::fs::read_dir(conex.root().join("userns")).map_or(0, Iterator::count), 0);
    assert_eq!(conex.ok(&["ps", "-aq"]), "");
}

#[test]
fn a_user_of_the_image_beyond_the_range() {
    let (conex, alpine) = alpine!();
    let add = "echo far:x:100000:100000::/:/bin/sh >>/etc/passwd";
    conex.ok(&["run", "--name", "made", alpine, "sh", "-c", add]);
    conex.ok(&["commit", "--change", "USER far", "made", "far"]);
    let output = conex.run(&["run", "--rm", "far", "id", "-u"]);
    assert_eq!((output.code, output.stdout.as_str()), (0, "100000\n"), "{}", output.stderr);
    assert!(output.stderr.contains("user 100000"), "{}", output.stderr);
    assert_eq!(conex.ok(&["run", "--rm", "-u", "0", "far", "id", "-u"]), "0\n");
}

#[test]
fn who_joins_a_container_joins_its_ids() {
    let (conex, alpine) = alpine!();
    conex.ok(&["run", "-d", "--name", "own", "--ipc", "shareable", alpine, "sleep", "1000"]);
    conex.ok(&[
        "run",
        "-d",
        "--name",
        "host",
        "--userns",
        "host",
        "--ipc",
        "shareable",
        alpine,
        "sleep",
        "1000",
    ]);
    let base = conex.inspect("own")["UserNamespace"]["HostId"].as_u64().expect("a number");
    for flag in ["--network", "--pid", "--ipc", "--uts"] {
        assert_eq!(map(&conex, &[flag, "container:own"], alpine).0, base, "{flag}");
        assert_eq!(map(&conex, &[flag, "container:host"], alpine), ALL, "{flag}");
    }
    let all = ["--network", "container:own", "--pid", "container:own", "--ipc", "container:own"];
    assert_eq!(map(&conex, &all, alpine).0, base);
    let two = ["run", "--rm", "--network", "container:own", "--ipc", "container:host", alpine, "true"];
    let refused = conex.fails(125, &two);
    assert!(refused.contains("another user namespace") && refused.lines().count() == 1, "{refused}");
}

#[test]
fn devices_belong_to_who_they_were_given() {
    let (conex, alpine) = alpine!();
    // The host's zero device, as a disk or a GPU stands in /dev: not open to all.
    let node = conex.scratch().join("zero");
    let made =
        std::process::Command::new("mknod").args(["-m", "660"]).arg(&node).args(["c", "1", "5"]).status();
    assert!(made.is_ok_and(|status| status.success()));
    chown(&node, Some(0), Some(44)).expect("an owner");
    let device = format!("{}:/dev/given", node.display());
    let script = "stat -c '%a %u:%g' /dev/given; head -c 2 /dev/given | wc -c";
    let run = |flags: &[&str]| {
        conex.run(&[&["run", "--rm", "--device", &device], flags, &[alpine, "sh", "-c", script]].concat())
    };
    let first = run(&[]);
    assert_eq!(first.stdout, "660 0:44\n2\n", "{}", first.stderr);
    assert_eq!(run(&["-u", "1000:44"]).stdout, "660 0:44\n2\n");
    assert!(run(&["-u", "1000:45"]).stderr.contains("Permission denied"));
    conex.ok(&["run", "-d", "--name", "own", alpine, "sleep", "1000"]);
    assert_eq!(run(&["--network", "container:own"]).stdout, "660 0:44\n2\n");
    // Also where there is no /dev.
    let elsewhere = format!("{}:/x/given", node.display());
    let script = "stat -c '%a %u:%g' /x/given; head -c 2 /x/given | wc -c";
    assert_eq!(
        conex.ok(&["run", "--rm", "--device", &elsewhere, alpine, "sh", "-c", script]),
        "660 0:44\n2\n"
    );
    // A node that it makes itself opens nothing; the kernel makes none.
    let refused = conex.run(&["run", "--rm", alpine, "mknod", "/tmp/zero", "c", "1", "5"]);
    assert!(refused.code == 1 && refused.stderr.contains("not permitted"), "{}", refused.stderr);
}

#[test]
fn the_streams_are_the_processs_own() {
    let (conex, alpine) = alpine!();
    let script = "echo out >/dev/stdout; echo err >/dev/stderr; read line </dev/stdin; echo $line";
    for user in ["0", "1000"] {
        let words = ["run", "--rm", "-i", "-u", user, alpine, "sh", "-c", script];
        let output = conex.run_with_input(&words, b"in\n");
        assert_eq!((output.stdout.as_str(), output.stderr.as_str()), ("out\nin\n", "err\n"), "{user}");
    }
    conex.ok(&[
        "run",
        "-d",
        "--name",
        "web",
        alpine,
        "sh",
        "-c",
        "ln -s /dev/stdout /log; echo logged >/log; sleep 1000",
    ]);
    eventually("the log", || (conex.ok(&["logs", "web"]) == "logged\n").then_some(()));
    for user in ["0", "1000"] {
        let words = ["exec", "-i", "-u", user, "web", "sh", "-c", script];
        let output = conex.run_with_input(&words, b"in\n");
        assert_eq!((output.stdout.as_str(), output.stderr.as_str()), ("out\nin\n", "err\n"), "{user}");
    }
}

#[test]
fn no_two_have_the_same_ids() {
    let (conex, alpine) = alpine!();
    conex.ok(&["create", alpine, "true"]);
    let made: Vec<_> = (0..24).map(|_| conex.background(&["create", alpine, "true"])).collect();
    for create in made {
        let output = create.finish();
        assert_eq!(output.code, 0, "{}", output.stderr);
    }
    let ids = conex.ok(&["ps", "-aq"]);
    let words =
        [&["inspect", "-f", "{{.UserNamespace.HostId}}"], &ids.lines().collect::<Vec<_>>()[..]].concat();
    let mut bases: Vec<u64> = conex.ok(&words).lines().map(|line| line.parse().expect("a number")).collect();
    bases.sort_unstable();
    assert_eq!(bases.len(), 25);
    assert!(bases.windows(2).all(|pair| pair[1] - pair[0] >= 65_536), "{bases:?}");
    // Below what programs take for a negative number.
    assert!(bases[24] + 65_536 <= 1 << 31, "{bases:?}");
}

#[test]
fn a_range_is_taken_while_one_that_joined_it_is_there() {
    let (conex, alpine) = alpine!();
    let base = |name: &str| conex.inspect(name)["UserNamespace"]["HostId"].as_u64().expect("a number");
    conex.ok(&["run", "-d", "--name", "first", alpine, "sleep", "1000"]);
    let range = base("first");
    conex.ok(&["run", "-d", "--name", "joined", "--network", "container:first", alpine, "sleep", "1000"]);
    assert_eq!(base("joined"), range);
    conex.ok(&["rm", "-f", "first"]);
    conex.ok(&["create", "--name", "second", alpine, "true"]);
    assert_ne!(base("second"), range);
    conex.ok(&["rm", "-f", "joined"]);
    conex.ok(&["create", "--name", "third", alpine, "true"]);
    assert_eq!(base("third"), range);
}

/// Ids that the container has no numbers for are kept where they are not its own to show.
#[test]
fn files_beyond_the_range_keep_their_owners() {
    let (conex, alpine) = alpine!();
    let make = "mkdir /d; echo a >/d/f; chown 100000:100001 /d/f; chmod 600 /d/f; chown 90000 /d";
    conex.ok(&["run", "--userns", "host", "--name", "box", alpine, "sh", "-c", make]);
    conex.ok(&["commit", "box", "image"]);
    conex.ok(&["run", "--rm", "-v", "data:/d", "image", "true"]);
    let read = |extra: &[&str], script| {
        let words = [&["run", "--rm", "-v", "data:/d"][..], extra, &["image", "sh", "-c", script]].concat();
        conex.run(&words)
    };
    let output = read(&[], "stat -c %u:%g /d/f /d; cat /d/f");
    assert_eq!(output.stdout, "100000:100001\n90000:0\na\n", "{output:?}");
    // The volume's own directory is no id's of a range: the container has the host's ids, and says so.
    assert!(output.stderr.contains("90000:0's, which is not among 65536 ids"), "{output:?}");
    // One file may be given away, too.
    let file = conex.scratch().join("file");
    std::fs::write(&file, "x").expect("a file");
    let bind = format!("{}:/file:U", file.display());
    let asked = ["run", "--rm", "-u", "1000:7", "-v", &bind, alpine, "stat", "-c", "%u:%g", "/file"];
    assert_eq!(conex.ok(&asked), "1000:7\n");
}

/// Docker's setting of all groups means all that there are.
#[test]
fn pings_need_no_capability() {
    let (conex, alpine) = alpine!();
    if !std::path::Path::new("/proc/sys/net/ipv4/ping_group_range").exists() {
        skip!("this kernel has no IPv4");
    }
    for flags in [&[][..], &["--sysctl", "net.ipv4.ping_group_range=0 2147483647"], &["--userns", "host"]] {
        let asked = [&["run", "--rm", "-u", "1000:1000"][..], flags, &[alpine, "ping", "-c1", "127.0.0.1"]];
        assert!(conex.ok(&asked.concat()).contains("1 packets received"), "{flags:?}");
    }
}

/// Who shares what is no more is told so, and is not stopped to be started again.
#[test]
fn a_restart_of_who_joined_what_is_gone_stops_nothing() {
    let (conex, alpine) = alpine!();
    conex.ok(&["run", "-d", "--name", "one", alpine, "sleep", "1000"]);
    conex.ok(&["run", "-d", "--name", "two", "--userns", "container:one", alpine, "sleep", "1000"]);
    conex.ok(&["rm", "-f", "one"]);
    let error = conex.fails(1, &["restart", "-t", "0", "two"]);
    assert!(error.contains("it has been removed; make this container anew"), "{error}");
    assert_eq!(conex.inspect("two")["State"]["Status"], "running");
    conex.ok(&["rm", "-f", "two"]);
}
