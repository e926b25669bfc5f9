//! Programs of the host in a container's namespaces, and tools beside it: `netns exec`, `nsenter`, `--netns-link`, `debug`.

#![allow(missing_docs)]

use std::collections::BTreeSet;

use conex_tests::{Conex, Pty, eventually, installed, needs_root, skip, yard};
use serde_json::Value;

/// A container without networks, that sleeps.
struct Room {
    conex: Conex,
    image: &'static str,
}

macro_rules! room {
    ($($flag:expr),*) => {{
        needs_root!();
        let conex = Conex::new();
        let Some(image) = conex.busybox() else { skip!("no busybox image (CONEX_TEST_IMAGES)") };
        conex.ok(&["run", "-d", "--name", "web", $($flag,)* image, "sleep", "300"]);
        Room { conex, image }
    }};
}

impl Room {
    fn pid(&self) -> String {
        self.conex.ok(&["inspect", "-f", "{{.State.Pid}}", "web"]).trim().to_owned()
    }

    fn state(&self) -> std::path::PathBuf {
        self.conex.state_file("web")
    }
}

fn namespace(pid: &str, kind: &str) -> String {
    let link = std::fs::read_link(format!("/proc/{pid}/ns/{kind}")).expect("a namespace");
    link.to_string_lossy().into_owned()
}

/// Busybox of the host that needs no loader, or a word why not.
fn static_busybox(conex: &Conex) -> Option<()> {
    let found =
        installed("busybox").then(|| conex.run(&["nsenter", "--mount", "web", "--", "busybox", "true"]));
    found.filter(|output| output.code == 0).map(|_| ())
}

#[test]
fn a_program_of_the_host_on_a_containers_network() {
    let yard = yard!();
    let (conex, host, image) = (&yard.conex, &yard.host, yard.image);
    let (devices, names) = (host.sh("ls /sys/class/net"), host.sh("cat /etc/resolv.conf"));
    let flags = ["--dns", "192.0.2.53", "--read-only"];
    conex.ok(&[&["run", "-d", "--name", "web"], &flags[..], &[image, "httpd", "-f", "-p", "80"]].concat());
    let inside = |script: &str| conex.ok(&["netns", "exec", "web", "--", "sh", "-c", script]);
    eventually("the server", || inside("ss -Htnl").contains(":80 ").then_some(()));
    assert!(inside("ip -br address").contains("10.88.0.2/16"));
    // /sys, names and nothing else are the container's: processes, control groups and files stay the host's.
    assert_eq!(inside("ls /sys/class/net"), "eth0\nlo\n");
    assert!(inside("cat /etc/resolv.conf").contains("192.0.2.53"));
    assert_eq!(inside("ls /sys/fs/cgroup"), host.sh("ls /sys/fs/cgroup"));
    assert_eq!(inside("readlink /proc/self/ns/pid"), host.sh("readlink /proc/self/ns/pid"));
    assert_eq!(inside("hostname"), host.sh("hostname"));
    // And on the host all is as it was.
    assert_eq!((host.sh("ls /sys/class/net"), host.sh("cat /etc/resolv.conf")), (devices, names));
    // `nsenter` shows the processes as well.
    let processes = conex.ok(&["nsenter", "web", "--", "ps", "-e", "-o", "pid=,comm="]);
    assert!(processes.trim_start().starts_with("1 httpd") && processes.lines().count() == 2, "{processes}");
    // One that has joined it has the same network, and its file of name servers.
    conex.ok(&["run", "-d", "--name", "side", "--network", "container:web", image, "sleep", "60"]);
    let side = conex.ok(&["netns", "exec", "side", "--", "cat", "/etc/resolv.conf"]);
    assert!(side.contains("192.0.2.53"), "{side}");
    // Tools beside it.
    let seen = conex.ok(&[
        "debug",
        "web",
        "--",
        "sh",
        "-c",
        "netstat -tln; wget -qO- http://127.0.0.1/ 2>&1; ls /proc/1/root",
    ]);
    assert!(seen.contains(":80") && seen.contains("404 Not Found") && seen.contains("home"), "{seen}");
}

#[test]
fn its_status_is_ours_and_errors_are_one_line() {
    let room = room!("--network", "none");
    let conex = &room.conex;
    for verb in [&["netns", "exec", "web", "--"][..], &["nsenter", "web", "--"]] {
        let code = |script: &str| conex.run(&[verb, &["sh", "-c", script]].concat()).code;
        assert_eq!((code("exit 42"), code("true")), (42, 0), "{verb:?}");
        let missing = conex.fails(127, &[verb, &["no-such-program"]].concat());
        assert!(missing.contains("there is no such program on the host") && missing.lines().count() == 1);
        let text = room.conex.scratch().join("text");
        std::fs::write(&text, "no program").expect("a file");
        let refused = conex.fails(126, &[verb, &[text.to_str().expect("UTF-8")]].concat());
        assert!(refused.contains("Permission denied") && refused.lines().count() == 1, "{refused}");
    }
    // With a child in between a signal is a status as a shell has it.
    assert_eq!(conex.run(&["nsenter", "web", "--", "sh", "-c", "kill -9 $$"]).code, 137);
    // Flags stand before the container or after it; what follows the program is the program's.
    let shown = conex.ok(&["nsenter", "web", "--net", "--", "ls", "--directory", "/sys/class/net/lo"]);
    assert_eq!(shown, "/sys/class/net/lo\n");
    assert_eq!(conex.ok(&["nsenter", "-n", "web", "echo", "--net"]), "--net\n");
    assert!(conex.fails(125, &["nsenter", "--target", "1", "web"]).contains("--target"));
    assert!(conex.fails(125, &["nsenter", "nope", "--", "true"]).contains("No such container: nope"));
    conex.ok(&["pause", "web"]);
    assert_eq!(conex.ok(&["netns", "exec", "web", "--", "cat", "/sys/class/net/lo/ifindex"]), "1\n");
    conex.ok(&["unpause", "web"]);
    conex.ok(&["stop", "-t", "0", "web"]);
    for verb in [&["netns", "exec", "web", "true"][..], &["nsenter", "web", "true"], &["debug", "web"]] {
        assert!(conex.fails(125, verb).contains("container web is not running"), "{verb:?}");
    }
}

#[test]
fn the_namespaces_that_were_asked_for() {
    let room = room!("--network", "none", "--hostname", "inside");
    let (conex, pid) = (&room.conex, room.pid());
    let kinds = ["net", "mnt", "pid", "ipc", "uts", "cgroup", "user"];
    let joined = |flags: &[&str], sleep: &[&str]| -> BTreeSet<&str> {
        let mut child = conex.background(&[&["nsenter"], flags, &["web", "--"], sleep].concat());
        let parent = child.id().to_string();
        // With a pid namespace it is a child; else it has taken the command's place.
        let program = eventually("the program", || {
            let children = std::fs::read_to_string(format!("/proc/{parent}/task/{parent}/children")).ok()?;
            let program = children.split_whitespace().next().unwrap_or(&parent).to_owned();
            let words = std::fs::read_to_string(format!("/proc/{program}/cmdline")).ok()?;
            words.starts_with(&sleep.join("\0")).then_some(program)
        });
        let same = |kind: &&str| namespace(&program, kind) == namespace(&pid, kind);
        let foreign = |kind: &&str| namespace("self", kind) != namespace(&pid, kind);
        let joined = kinds.into_iter().filter(foreign).filter(same).collect();
        let ended = std::process::Command::new("kill").args(["-9", &program]).status();
        assert!(ended.is_ok_and(|status| status.success()));
        child.kill();
        joined
    };
    let set = |kinds: &[&'static str]| kinds.iter().copied().collect::<BTreeSet<_>>();
    let sleep = &["sleep", "300"][..];
    assert_eq!(joined(&[], sleep), set(&["net", "pid", "ipc", "uts", "cgroup"]));
    assert_eq!(joined(&["-n"], sleep), set(&["net"]));
    assert_eq!(joined(&["--uts", "--ipc"], sleep), set(&["ipc", "uts"]));
    assert_eq!(joined(&["-pC"], sleep), set(&["pid", "cgroup"]));
    assert_eq!(conex.ok(&["nsenter", "web", "--", "hostname"]), "inside\n");
    assert_eq!(conex.ok(&["nsenter", "--wd=/etc", "web", "--", "pwd"]), "/etc\n");
    if static_busybox(conex).is_none() {
        skip!("the files: no static busybox on the host (busybox-static)");
    }
    let sleep = &["busybox", "sleep", "300"][..];
    assert_eq!(joined(&["--all"], sleep), set(&["net", "mnt", "pid", "ipc", "uts", "cgroup", "user"]));
    conex.ok(&["exec", "web", "sh", "-c", "mkdir /here; echo file >/here/file"]);
    for flags in [&["--mount", "--wd=/here"][..], &["--root", "--wd=/here"]] {
        let words = [&["nsenter"], flags, &["web", "--", "busybox", "cat", "file"]].concat();
        assert_eq!(conex.ok(&words), "file\n", "{flags:?}");
    }
    // A dynamic program would run the container's loader; here there is none.
    let refused = conex.fails(126, &["nsenter", "--mount", "web", "--", "bash", "-c", "true"]);
    assert!(refused.contains("the interpreter that it names"), "{refused}");
    assert!(conex.fails(125, &["nsenter", "--wd=/nowhere", "web", "--", "ls"]).contains("/nowhere"));
}

#[test]
fn a_user_namespace() {
    let room = room!("--network", "none", "--userns", "private");
    let conex = &room.conex;
    if static_busybox(conex).is_none() {
        skip!("no static busybox on the host (busybox-static)");
    }
    let map = |flags: &[&str]| {
        conex.ok(&[&["nsenter"], flags, &["web", "--", "busybox", "cat", "/proc/self/uid_map"]].concat())
    };
    let host = std::fs::read_to_string("/proc/self/uid_map").expect("uid_map");
    assert_eq!(map(&[]), host, "the host's rights are kept");
    assert_ne!(map(&["--all"]), host);
    assert_eq!(conex.ok(&["nsenter", "-a", "web", "--", "busybox", "id", "-u"]), "0\n");
    // Tools beside it have its users, not the host's.
    let beside =
        conex.ok(&["debug", "web", "--", "sh", "-c", "cat /proc/self/uid_map; ls /proc/1/root/etc/passwd"]);
    assert!(beside.contains("/proc/1/root/etc/passwd") && !beside.contains(host.trim()), "{beside}");
}

#[test]
fn a_terminal_passes_through() {
    let room = room!("--network", "none");
    for words in [&["netns", "exec", "web", "--", "sh"][..], &["nsenter", "web", "--", "sh"]] {
        let mut pty = room.conex.pty(words);
        pty.send("stty size; echo $((40+2))\r");
        pty.expect("24 80");
        pty.expect("42");
        // What is typed says no "begun", so that the key comes when the program is there to be ended.
        pty.send("sh -c 'echo be''gun; exec sleep 300'\r");
        pty.expect("begun");
        pty.send("\x03");
        pty.send("echo still $((1+1))\r");
        pty.expect("still 2");
        pty.send("exit 7\r");
        let (code, shown) = pty.finish();
        assert_eq!(code, 7, "{words:?}: {shown}");
    }
    // A key that ends the program ends us with it, as a shell would.
    let mut pty = room.conex.pty(&["nsenter", "web", "--", "sh", "-c", "echo ready; exec sleep 300"]);
    pty.expect("ready");
    pty.send("\x03");
    assert_eq!(pty.finish().0, 130);
    // And one that stops it gives the terminal back to the shell, until it goes on.
    let script = r#"set -m; "$CONEX" nsenter web -- cat; echo back; fg >/dev/null; echo over $?"#;
    let mut pty = room.conex.pty_shell(script);
    pty.send("first\r");
    pty.expect("first\r\nfirst");
    pty.send("\x1a");
    pty.expect("back");
    pty.send("second\r");
    pty.expect("second\r\nsecond");
    pty.send("\x04");
    pty.expect("over 0");
    assert_eq!(pty.finish().0, 0);
    let mut pty: Pty = room.conex.pty(&["debug", "web"]);
    pty.expect("The files of web are at /proc/1/root.");
    pty.expect("# ");
    pty.send("ls -d /proc/1/root/etc; exit 3\r");
    pty.expect("/proc/1/root/etc");
    assert_eq!(pty.finish().0, 3);
}

#[test]
fn signals_reach_the_program() {
    let room = room!("--network", "none");
    let script = "trap 'echo asked; exit 9' TERM; echo ready; while :; do sleep 0.02; done";
    let log = room.conex.scratch().join("log");
    let file = std::fs::File::create(&log).expect("a file");
    let mut command = room.conex.command(&["nsenter", "web", "--", "sh", "-c", script]);
    let mut child = command.stdout(file).spawn().expect("conex");
    let said = |word: &str| std::fs::read_to_string(&log).is_ok_and(|text| text.contains(word));
    eventually("the program", || said("ready").then_some(()));
    let pid = child.id().to_string();
    let state = |wanted: &str| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with(wanted)).then_some(())
    };
    // When it stops so do we, as a shell's job has to; going on takes it along.
    room.conex.ok(&["nsenter", "web", "--", "pkill", "-STOP", "-f", "trap .echo asked"]);
    eventually("a stop", || state("T"));
    assert!(
        std::process::Command::new("kill")
            .args(["-CONT", &pid])
            .status()
            .is_ok_and(|status| status.success())
    );
    eventually("going on", || state("S"));
    assert!(std::process::Command::new("kill").arg(pid).status().is_ok_and(|status| status.success()));
    assert_eq!(child.wait().expect("a status").code(), Some(9));
    assert!(said("asked"));
}

#[test]
fn nothing_of_ours_reaches_the_container() {
    let room = room!("--network", "none");
    let conex = &room.conex;
    // Descriptors: what the caller had open, and what we opened.
    let script = r#"exec 7</etc/passwd; exec "$CONEX" "$@""#;
    let command = conex.command(&[]);
    let binary = Conex::binary();
    for words in [&["netns", "exec", "web"][..], &["nsenter", "web"]] {
        let mut shell = std::process::Command::new("sh");
        shell.env_clear().envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        shell.env("CONEX", &binary).args(["-c", script, "sh"]).args(words);
        let output = conex_tests::finish(shell.args(["--", "sh", "-c", "echo /proc/self/fd/*"]));
        assert!(!output.stdout.contains("/7"), "{}", output.stdout);
        assert!(output.stdout.split_whitespace().count() <= 4, "{}", output.stdout);
    }
    // A process in the container looks for ours as fast as it can, and finds neither its program nor the host's.
    let hunt = "sleep 300 & while :; do for p in /proc/[0-9]*; do [ $p = /proc/1 ] || [ $p = /proc/$$ ] || for f in exe root cwd; do readlink $p/$f; done; done; done";
    conex.ok(&[
        "run",
        "-d",
        "--name",
        "hunter",
        "--network",
        "none",
        "--pid",
        "container:web",
        room.image,
        "sh",
        "-c",
        hunt,
    ]);
    eventually("the hunter", || conex.ok(&["logs", "hunter"]).contains("/bin/sleep").then_some(()));
    for _ in 0..20 {
        conex.ok(&["nsenter", "web", "--", "sleep", "0.02"]);
    }
    conex.ok(&["nsenter", "--pid", "web", "--", "sleep", "0.3"]);
    let found = conex.ok(&["logs", "hunter"]);
    conex.ok(&["rm", "-f", "hunter"]);
    // Its own shell, too, when a child of it has the number of one that was listed.
    let own = ["/", "/bin/sleep", "/bin/sh"];
    let foreign: BTreeSet<_> = found.lines().filter(|line| !own.contains(line)).collect();
    assert!(found.contains("/bin/sleep"), "it finds its own: {found}");
    assert!(foreign.is_empty(), "{foreign:?}");
}

#[test]
fn a_recycled_pid_is_nobody() {
    let room = room!("--network", "none");
    let path = room.state();
    let text = std::fs::read_to_string(&path).expect("state.json");
    let mut state: Value = serde_json::from_str(&text).expect("JSON");
    // As if the process had ended and another had its number.
    let began = state["start_ticks"].as_u64().expect("a number");
    state["start_ticks"] = (began - 1).into();
    std::fs::write(&path, state.to_string()).expect("state.json");
    for verb in [&["netns", "exec", "web", "--", "true"][..], &["nsenter", "web", "--", "true"]] {
        assert!(room.conex.fails(125, verb).contains("container web is not running"), "{verb:?}");
    }
    std::fs::write(&path, text).expect("state.json");
    room.conex.ok(&["nsenter", "web", "--", "true"]);
}

#[test]
fn tools_for_a_container_that_has_no_shell() {
    needs_root!();
    let conex = Conex::new();
    let Some(image) = conex.busybox() else { skip!("no busybox image (CONEX_TEST_IMAGES)") };
    // One file, which only sleeps.
    let directory = conex.scratch();
    conex.ok(&["create", "--name", "files", image]);
    let tar = directory.join("files.tar");
    conex.ok(&["export", "-o", tar.to_str().expect("UTF-8"), "files"]);
    conex.ok(&["rm", "files"]);
    let script = "mkdir all bare && tar -xf files.tar -C all && cp all/bin/busybox bare/sleep && tar -cf bare.tar -C bare sleep";
    let packed = std::process::Command::new("sh").args(["-c", script]).current_dir(directory).status();
    assert!(packed.is_ok_and(|status| status.success()));
    conex.ok(&["import", directory.join("bare.tar").to_str().expect("UTF-8"), "bare:1"]);
    conex.ok(&["run", "-d", "--name", "bare", "--network", "none", "bare:1", "/sleep", "300"]);
    assert_ne!(conex.run(&["exec", "bare", "sh"]).code, 0);
    let hostname = conex.ok(&["inspect", "-f", "{{.Config.Hostname}}", "bare"]);
    assert_eq!(conex.ok(&["debug", "bare", "--", "hostname"]), hostname);
    assert_eq!(conex.ok(&["debug", "bare", "--", "ls", "/proc/1/root/sleep"]), "/proc/1/root/sleep\n");
    let files = "echo by tools >/proc/1/root/made && cat /proc/1/root/made";
    assert_eq!(conex.ok(&["debug", "--image", image, "bare", "--", "sh", "-c", files]), "by tools\n");
    assert!(conex.ok(&["diff", "bare"]).contains("A /made"));
    assert_eq!(conex.run_with_input(&["debug", "bare", "cat"], b"typed").stdout, "typed");
    assert_eq!(conex.run(&["debug", "bare", "--", "sh", "-c", "exit 5"]).code, 5);
    // Its IPC namespace is shared with nobody else.
    let ipc = |words: &[&str]| conex.ok(&[words, &["readlink", "/proc/self/ns/ipc"]].concat());
    let pid = conex.ok(&["inspect", "-f", "{{.State.Pid}}", "bare"]);
    assert_eq!(ipc(&["debug", "bare", "--"]).trim(), namespace(pid.trim(), "ipc"));
    assert!(
        conex
            .fails(125, &["run", "--rm", "--ipc", "container:bare", image, "true"])
            .contains("not shareable")
    );
    // Nothing is left of it, and it goes with the other.
    assert_eq!(conex.ok(&["ps", "-aq"]).lines().count(), 1);
    let child = conex.background(&["debug", "bare", "--", "sleep", "300"]);
    eventually("the tools", || (conex.ok(&["ps", "-q"]).lines().count() == 2).then_some(()));
    conex.ok(&["rm", "-f", "bare"]);
    assert_eq!(child.finish().code, 137);
    eventually("nothing left", || conex.ok(&["ps", "-aq"]).is_empty().then_some(()));
}

#[test]
fn as_another_user_sees_the_files_too() {
    let room = room!("--network", "none", "--user", "1000:1000");
    let seen = room.conex.ok(&[
        "debug",
        "web",
        "--",
        "sh",
        "-c",
        "id -u; ls -d /proc/1/root/etc; cat /proc/1/environ | wc -c",
    ]);
    assert!(seen.starts_with("0\n/proc/1/root/etc\n") && !seen.ends_with("\n0\n"), "{seen}");
}

#[test]
fn ip_netns_lists_it() {
    let yard = yard!();
    let (conex, host, image) = (&yard.conex, &yard.host, yard.image);
    host.sh("mkdir -p /run/netns && mount -t tmpfs tmpfs /run/netns");
    conex.ok(&["run", "-d", "--name", "web", "--netns-link", image, "sleep", "300"]);
    conex.ok(&["run", "-d", "--name", "other", image, "sleep", "300"]);
    let list = || host.sh("ip netns list");
    assert!(list().starts_with("web") && list().lines().count() == 1, "{}", list());
    assert!(host.sh("ip netns exec web ip -br address").contains("10.88.0.2/16"));
    let pid = conex.ok(&["inspect", "-f", "{{.State.Pid}}", "web"]);
    assert_eq!(host.sh(&format!("ip netns identify {pid}")), "web\n");
    // It keeps its name for as long as it runs, and has the new one from the next start on.
    conex.ok(&["rename", "web", "site"]);
    assert!(list().starts_with("web"));
    conex.ok(&["restart", "-t", "0", "site"]);
    assert!(list().starts_with("site") && list().lines().count() == 1, "{}", list());
    conex.ok(&["stop", "-t", "0", "site"]);
    assert_eq!(list(), "");
    conex.ok(&["start", "site"]);
    // Somebody else's is not touched.
    host.sh("ip netns add mine");
    let taken = conex.fails(125, &["run", "--rm", "--name", "mine", "--netns-link", image, "true"]);
    assert!(taken.contains("/run/netns/mine is there already") && taken.lines().count() == 1, "{taken}");
    assert!(list().contains("mine") && list().contains("site"));
    // A killed supervisor's goes with the next command, by whatever name.
    conex.ok(&["rename", "site", "page"]);
    yard.kill_supervisor("page");
    eventually("nothing but the other's", || {
        conex.ok(&["ps"]);
        (list() == "mine\n").then_some(())
    });
    conex.ok(&["run", "--rm", "--netns-link", "--network", "none", image, "true"]);
    let refused = conex.fails(125, &["run", "--rm", "--netns-link", "--network", "host", image, "true"]);
    assert!(refused.contains("--netns-link, --network host"), "{refused}");
    assert_eq!(list(), "mine\n");
}

#[test]
fn without_a_shell_anywhere_there_is_a_hint() {
    needs_root!();
    let conex = Conex::new();
    conex.ok(&["create", "--name", "idle", "--network", "none", "hello"]);
    let hint = conex.fails(125, &["debug", "idle"]);
    assert!(hint.contains("conex pull busybox") && hint.lines().count() == 1, "{hint}");
}
