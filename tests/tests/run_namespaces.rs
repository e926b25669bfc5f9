//! `run`: its namespaces. `--network --pid --ipc --uts --cgroupns --userns --timens -h --domainname --sysctl`.

use conex_tests::{Conex, alpine};

fn here(kind: &str) -> String {
    std::fs::read_link(format!("/proc/self/ns/{kind}")).expect("a namespace").to_string_lossy().into_owned()
}

fn inside(conex: &Conex, flags: &[&str], image: &str, kind: &str) -> String {
    let link = format!("/proc/self/ns/{kind}");
    conex.ok(&[&["run", "--rm"][..], flags, &[image, "readlink", &link]].concat()).trim().to_owned()
}

#[test]
fn each_is_private_by_default_and_the_hosts_on_request() {
    let (conex, alpine) = alpine!();
    for (kind, flag) in
        [("pid", "--pid"), ("net", "--network"), ("ipc", "--ipc"), ("uts", "--uts"), ("cgroup", "--cgroupns")]
    {
        assert_ne!(inside(&conex, &[], alpine, kind), here(kind), "{kind}");
        assert_eq!(inside(&conex, &[flag, "host"], alpine, kind), here(kind), "{kind}");
    }
    assert_ne!(inside(&conex, &[], alpine, "mnt"), here("mnt"));
    assert_ne!(inside(&conex, &[], alpine, "user"), here("user"));
    assert_eq!(inside(&conex, &["--userns", "host"], alpine, "user"), here("user"));
    assert_ne!(inside(&conex, &["--timens", "private"], alpine, "time"), here("time"));
    assert_eq!(inside(&conex, &["--timens", "host"], alpine, "time"), here("time"));
}

#[test]
fn another_containers() {
    let (conex, alpine) = alpine!();
    conex.ok(&["run", "-d", "--name", "first", "--ipc", "shareable", alpine, "sleep", "1000"]);
    for (kind, flag) in
        [("pid", "--pid"), ("net", "--network"), ("ipc", "--ipc"), ("uts", "--uts"), ("cgroup", "--cgroupns")]
    {
        let theirs = conex.ok(&["exec", "first", "readlink", &format!("/proc/self/ns/{kind}")]);
        assert_eq!(inside(&conex, &[flag, "container:first"], alpine, kind), theirs.trim(), "{kind}");
    }
    let error = conex.fails(125, &["run", "--rm", "--pid", "container:nosuch", alpine, "true"]);
    assert!(error.contains("nosuch") && error.lines().count() == 1, "{error}");
    conex.ok(&["run", "--name", "ended", alpine, "true"]);
    let error = conex.fails(125, &["run", "--rm", "--network", "container:ended", alpine, "true"]);
    assert!(error.contains("ended") && error.contains("not running"), "{error}");
    conex.ok(&["run", "-d", "--name", "alone", alpine, "sleep", "1000"]);
    conex.fails(125, &["run", "--rm", "--ipc", "container:alone", alpine, "true"]);
}

#[test]
fn the_first_process_is_pid_1_and_sees_only_its_own() {
    let (conex, alpine) = alpine!();
    let shown = conex.ok(&["run", "--rm", alpine, "ps", "-o", "pid,args"]);
    let lines: Vec<&str> = shown.lines().collect();
    assert_eq!(lines.len(), 2, "{shown}");
    assert_eq!(lines[1].split_whitespace().next(), Some("1"));
}

#[test]
fn network_none_has_a_loopback_that_is_up() {
    let (conex, alpine) = alpine!();
    for flags in [&[][..], &["--network", "none"], &["--net=none"]] {
        let shown = conex.ok(&[&["run", "--rm"][..], flags, &[alpine, "ip", "-o", "addr"]].concat());
        assert!(shown.contains("127.0.0.1/8"), "{shown}");
        assert!(shown.lines().all(|line| line.contains(" lo ")), "{shown}");
    }
    conex.ok(&["run", "--rm", alpine, "ping", "-c", "1", "-W", "5", "127.0.0.1"]);
}

#[test]
fn names_of_the_host() {
    let (conex, alpine) = alpine!();
    assert_eq!(conex.ok(&["run", "--rm", "-h", "box.example.org", alpine, "hostname"]), "box.example.org\n");
    assert_eq!(
        conex.ok(&[
            "run",
            "--rm",
            "--domainname",
            "example.org",
            alpine,
            "cat",
            "/proc/sys/kernel/domainname"
        ]),
        "example.org\n"
    );
    let id = conex.ok(&["create", alpine, "hostname"]);
    assert_eq!(conex.ok(&["start", "-a", id.trim()]).trim(), &id[..12]);
    let error = conex.fails(125, &["run", "--rm", "--uts", "host", "-h", "x", alpine, "true"]);
    assert_eq!(error.lines().count(), 1, "{error}");
}

#[test]
fn users_of_its_own() {
    let (conex, alpine) = alpine!();
    let map = conex.ok(&["run", "--rm", "--userns", "auto", alpine, "cat", "/proc/self/uid_map"]);
    let fields: Vec<u64> = map.split_whitespace().map(|field| field.parse().expect("a number")).collect();
    assert!(fields[0] == 0 && fields[1] > 0, "{map}");
    assert_eq!(conex.ok(&["run", "--rm", "--userns", "private", alpine, "id", "-u"]), "0\n");
    // Files of the image belong to root in there.
    assert_eq!(
        conex.ok(&["run", "--rm", "--userns", "private", alpine, "stat", "-c", "%u", "/etc/passwd"]),
        "0\n"
    );
    conex.ok(&["run", "--rm", "--userns", "private", alpine, "touch", "/root/x"]);
}

#[test]
fn sysctls_of_a_namespace() {
    let (conex, alpine) = alpine!();
    let value = conex.ok(&[
        "run",
        "--rm",
        "--sysctl",
        "net.ipv4.ip_forward=1",
        alpine,
        "cat",
        "/proc/sys/net/ipv4/ip_forward",
    ]);
    assert_eq!(value, "1\n");
    let value = conex.ok(&[
        "run",
        "--rm",
        "--sysctl",
        "kernel.msgmax=9000",
        alpine,
        "cat",
        "/proc/sys/kernel/msgmax",
    ]);
    assert_eq!(value, "9000\n");
    let error = conex.fails(125, &["run", "--rm", "--sysctl", "vm.swappiness=1", alpine, "true"]);
    assert!(error.contains("vm.swappiness") && error.lines().count() == 1, "{error}");
    let error = conex.fails(
        125,
        &["run", "--rm", "--network", "host", "--sysctl", "net.ipv4.ip_forward=1", alpine, "true"],
    );
    assert_eq!(error.lines().count(), 1, "{error}");
    let error = conex.fails(125, &["run", "--rm", "--sysctl", "net.nosuch.thing=1", alpine, "true"]);
    assert!(error.contains("net.nosuch.thing") || error.contains("net/nosuch/thing"), "{error}");
}

#[test]
fn a_joined_user_namespaces_root_may_write_to_its_root() {
    let (conex, alpine) = alpine!();
    conex.ok(&["run", "-d", "--name", "first", "--userns", "auto", alpine, "sleep", "1000"]);
    let script = "touch /made && stat -c %u /made";
    let joined = conex.ok(&["run", "--rm", "--userns", "container:first", alpine, "sh", "-c", script]);
    assert_eq!(joined, "0\n");
}
