//! An ordinary user: his containers, his networks, and what he is told of what is root's.

#![allow(missing_docs)]

use std::os::unix::fs::MetadataExt;

use conex_tests::{Rootless, Yard, eventually, processes, user_yard};

/// `NSpid`-like: a link of /proc of the process that a container's first one is, as root sees it.
fn namespace(yard: &Yard, name: &str, kind: &str) -> String {
    let pid = yard.conex.ok(&["inspect", "-f", "{{.State.Pid}}", name]);
    let link = std::fs::read_link(format!("/proc/{}/ns/{kind}", pid.trim())).expect("a namespace");
    link.to_string_lossy().into_owned()
}

#[test]
fn a_container_is_his() {
    let yard = user_yard!();
    let (conex, image) = (&yard.conex, yard.image);
    let shown =
        conex.ok(&["run", "--rm", "--network", "none", image, "sh", "-c", "id -u; cat /proc/self/uid_map"]);
    let lines: Vec<String> =
        shown.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    let (own, others) = (format!("0 {} 1", Rootless::USER), format!("1 {} 65536", Rootless::FIRST_SUBUID));
    assert_eq!(lines, ["0", &own, &others]);
    conex.ok(&[
        "run",
        "-d",
        "--name",
        "box",
        "--network",
        "none",
        "-v",
        "/mnt:/host:ro",
        image,
        "sleep",
        "1000",
    ]);
    // Files of the container's are his, and his others'.
    let script =
        "touch /of-root; touch /of-seven && chown 7:8 /of-seven; id -u; cat /host/etc/hostname >/dev/null";
    assert_eq!(conex.ok(&["exec", "box", "sh", "-c", script]), "0\n");
    let upper = conex
        .root()
        .join("containers")
        .join(conex.ok(&["inspect", "-f", "{{.Id}}", "box"]).trim())
        .join("upper");
    let owner = |name: &str| {
        let data = upper.join(name).metadata().expect("the file");
        (data.uid(), data.gid())
    };
    assert_eq!(owner("of-root"), (Rootless::USER, Rootless::USER));
    assert_eq!(owner("of-seven"), (Rootless::FIRST_SUBUID + 6, Rootless::FIRST_SUBGID + 7));
    // What needs no control group.
    assert!(conex.ok(&["top", "box"]).contains("sleep 1000"));
    assert!(conex.ok(&["ps"]).contains("box"));
    assert_eq!(conex.ok(&["exec", "--user", "7:8", "box", "id", "-u"]), "7\n");
    conex.ok(&["rename", "box", "crate"]);
    conex.ok(&["stop", "-t", "0", "crate"]);
    conex.ok(&["start", "crate"]);
    assert_eq!(conex.ok(&["nsenter", "crate", "--", "cat", "/proc/1/comm"]), "sleep\n");
    conex.ok(&["rm", "-f", "crate"]);
    assert_eq!(conex.ok(&["info", "-f", "{{json .SecurityOptions}}"]).matches("rootless").count(), 1);
}

/// Opaque directories and whiteouts are marked by `user.overlay` there, and an image of them is everybody's.
#[test]
fn what_he_commits_is_what_he_saw() {
    let yard = user_yard!();
    let (conex, image) = (&yard.conex, yard.image);
    let script = "rm -r /home && mkdir /home && echo new >/home/file && chown 5:6 /home/file && rm /bin/wget";
    conex.ok(&["run", "--name", "box", "--network", "none", image, "sh", "-c", script]);
    conex.ok(&["commit", "box", "mine:1"]);
    let look = ["run", "--rm", "--network", "none", "mine:1", "sh", "-c", "ls -n /home; ls /bin/wget"];
    let seen = conex.run(&look);
    assert!(seen.stdout.contains(" 5        6 ") && seen.stdout.lines().count() == 2, "{}", seen.stdout);
    assert!(seen.stderr.contains("No such file"), "{}", seen.stderr);
    // Into a fresh store, by an archive.
    conex.ok(&["save", "-o", conex.scratch().join("mine.tar").to_str().expect("UTF-8"), "mine:1"]);
    conex.ok(&["rm", "box"]);
    conex.ok(&["rmi", "mine:1"]);
    conex.ok(&["load", "--quiet", "-i", conex.scratch().join("mine.tar").to_str().expect("UTF-8")]);
    assert_eq!(conex.run(&look).stdout, seen.stdout);
}

#[test]
fn all_are_in_one_namespace() {
    let yard = user_yard!();
    let run = |name: &str| {
        let words = ["run", "-d", "--name", name, "--network", "none", yard.image, "sleep", "1000"];
        yard.conex.background(&words)
    };
    // At once, when there is none yet.
    let started: Vec<_> = ["one", "two", "six"].into_iter().map(run).collect();
    for one in started {
        assert_eq!(one.finish().code, 0);
    }
    assert_eq!(namespace(&yard, "one", "user"), namespace(&yard, "two", "user"));
    assert_eq!(namespace(&yard, "one", "user"), namespace(&yard, "six", "user"));
    let inside = yard.conex.ok(&["unshare", "readlink", "/proc/self/ns/user"]);
    assert_eq!(inside.trim(), namespace(&yard, "one", "user"));
    // Mounts stay while somebody is there, and no longer.
    let mounted = yard.conex.ok(&["image", "mount", yard.image]);
    let listing = yard.conex.ok(&["unshare", "ls", mounted.trim()]);
    assert!(listing.contains("bin"), "{listing}");
    yard.conex.ok(&["rm", "-f", "one", "two", "six"]);
    let refused = yard.conex.fails(1, &["image", "mount", yard.image]);
    assert!(refused.contains("conex unshare"), "{refused}");
    assert_eq!(yard.conex.run(&["unshare", "sh", "-c", "exit 7"]).code, 7);
    assert_eq!(yard.conex.run(&["unshare", "no-such-program"]).code, 127);
}

/// A container to which the run directory was given may lock the file, and would have the next command executed in its mounts.
#[test]
fn who_has_another_root_is_not_joined() {
    let yard = user_yard!();
    if !conex_tests::installed("python3") {
        conex_tests::skip!("python3 is not installed");
    }
    let (conex, image) = (&yard.conex, yard.image);
    let lock = conex.run_root().join("userns");
    let pid_file = conex.scratch().join("pid");
    let script = format!(
        "import fcntl, os, time; file = open('{}', 'r+'); named = open('{}', 'w'); os.chroot('/mnt'); fcntl.lockf(file, fcntl.LOCK_SH)
named.write(str(os.getpid())); named.close(); os.close(1); os.close(2); time.sleep(1000)",
        lock.display(),
        pid_file.display()
    );
    // Its parent is a member as others are, until it is killed.
    let _stranger = conex.background(&["unshare", "python3", "-c", &script]);
    let pid =
        eventually("the stranger", || std::fs::read_to_string(&pid_file).ok().filter(|pid| !pid.is_empty()));
    yard.host.sh(&format!("kill -9 $(awk '{{print $4}}' /proc/{pid}/stat)"));
    let run = ["run", "--rm", "--network", "none", image, "true"];
    let refused = conex.fails(125, &run);
    assert!(refused.contains(&format!("process {pid} has it locked")), "{refused}");
    yard.host.sh(&format!("kill -9 {pid}"));
    conex.ok(&run);
}

#[test]
fn a_killed_supervisor_leaves_nothing() {
    let yard = user_yard!();
    let (conex, image) = (&yard.conex, yard.image);
    conex.ok(&["network", "create", "app"]);
    conex.ok(&["run", "-d", "--name", "box", "--network", "app", "-p", "8080:80", image, "sleep", "1000"]);
    let id = conex.ok(&["inspect", "-f", "{{.Id}}", "box"]).trim().to_owned();
    let uplink = format!("{id}/uplink");
    let uplinks = || processes(|words| words.contains(&uplink));
    assert_eq!(uplinks(), 1, "pasta");
    yard.kill_supervisor("box");
    eventually("the container's end", || {
        (conex.ok(&["inspect", "-f", "{{.State.Status}}", "box"]).trim() == "exited").then_some(())
    });
    eventually("pasta's end", || (uplinks() == 0).then_some(()));
    let left = conex.run_root().join("containers").join(&id);
    assert!(!left.exists(), "{left:?}");
    assert!(yard.leases("app").is_empty());
    conex.ok(&["start", "box"]);
    assert_eq!(uplinks(), 1);
    conex.ok(&["rm", "-f", "box"]);
    assert_eq!(uplinks(), 0);
    conex.ok(&["network", "rm", "app"]);
}

#[test]
fn what_is_roots_is_said_to_be() {
    let yard = user_yard!();
    let refused = |words: &[&str]| {
        let output = yard.conex.run(words);
        assert!(output.code != 0 && output.stderr.lines().count() == 1, "{words:?}: {}", output.stderr);
        output.stderr
    };
    let run = |flags: &[&str]| refused(&[&["run", "--rm"], flags, &[yard.image, "true"]].concat());
    assert!(run(&["--userns", "private"]).contains("--userns needs root"));
    assert!(run(&["-p", "80:80"]).contains("ip_unprivileged_port_start"));
    assert!(run(&["-p", "9999:80/sctp"]).contains("carries no sctp"));
    assert!(run(&["--ip", "10.0.0.1"]).contains("networks of one's own"));
    assert!(refused(&["network", "create", "-d", "macvlan", "lan"]).contains("needs root"));
    // Nobody delegated a control group here: a limit is an error, and no limit is none.
    assert!(run(&["--memory", "64m", "--network", "none"]).contains("delegated"));
    yard.conex.ok(&["run", "-d", "--name", "box", "--network", "none", yard.image, "sleep", "1000"]);
    assert!(refused(&["pause", "box"]).contains("no control group"));
    yard.host.sh("sed -i /^tester/d /etc/subuid /etc/subgid");
    yard.conex.ok(&["rm", "-f", "box"]);
    yard.conex.ok(&["rmi", yard.image]);
    assert!(refused(&["load", "-i", "/mnt/image.tar"]).contains("usermod --add-subuids"));
}
