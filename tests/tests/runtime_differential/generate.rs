//! Configurations from a number: the same number gives the same one, on any machine.

use serde_json::{Value, json};

/// SplitMix64: small, and good enough to choose by.
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x5851_f42d_4c95_7f2d)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % bound as u64).expect("below a usize")
    }

    /// True in `percent` of all cases.
    fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    fn one<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }

    /// Each with that chance, in their order.
    fn some<T: Copy>(&mut self, percent: usize, of: &[T]) -> Vec<T> {
        of.iter().copied().filter(|_| self.chance(percent)).collect()
    }
}

const CAPABILITIES: [&str; 16] = [
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FSETID",
    "CAP_FOWNER",
    "CAP_MKNOD",
    "CAP_NET_RAW",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETFCAP",
    "CAP_SETPCAP",
    "CAP_NET_BIND_SERVICE",
    "CAP_SYS_CHROOT",
    "CAP_KILL",
    "CAP_AUDIT_WRITE",
    "CAP_SYS_ADMIN",
    "CAP_NET_ADMIN",
];

/// What the probe calls, as groups of names that its C library may use for it.
const CALLS: [&[&str]; 13] = [
    &["mkdir", "mkdirat"],
    &["symlink", "symlinkat"],
    &["link", "linkat"],
    &["chmod", "fchmodat", "fchmodat2"],
    &["mknod", "mknodat"],
    &["unlink", "unlinkat"],
    &["getpriority"],
    &["kill"],
    &["chroot"],
    &["memfd_create"],
    &["inotify_init", "inotify_init1"],
    &["sethostname"],
    &["eventfd", "eventfd2"],
];

/// Docker's, and some that are in the root filesystem or nowhere.
const MASKABLE: [&str; 9] = [
    "/proc/acpi",
    "/proc/interrupts",
    "/proc/keys",
    "/proc/timer_list",
    "/proc/scsi",
    "/sys/firmware",
    "/etc/secret",
    "/srv/private",
    "/none/at/all",
];
const LOCKABLE: [&str; 7] =
    ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger", "/etc/settings", "/srv/data"];

/// A configuration. `root` is the path of the root filesystem, `shared` of a directory to bind (with `file` and `below/`).
pub(crate) fn spec(seed: u64, root: &str, shared: &str) -> Value {
    let mut dice = Dice::new(seed);
    let mut namespaces = vec!["mount"];
    namespaces.extend(dice.some(80, &["pid", "network", "ipc", "uts", "cgroup"]));
    // Only with a namespace of its own may root of a user namespace mount what shows it.
    let user = dice.chance(15);
    if user {
        namespaces = vec!["mount", "pid", "network", "ipc", "uts", "cgroup", "user"];
    }
    let has = |kind: &str| namespaces.contains(&kind);
    let mut watched = Vec::new();
    let mounts = mounts(&mut dice, shared, user, &mut watched);
    let mut linux = json!({
        "namespaces": namespaces.iter().map(|kind| json!({"type": kind})).collect::<Vec<_>>(),
    });
    if user {
        linux["uidMappings"] = json!([{"containerID": 0, "hostID": 100_000, "size": 65_536}]);
        linux["gidMappings"] = linux["uidMappings"].clone();
    }
    let (masked, locked) = (dice.some(40, &MASKABLE), dice.some(40, &LOCKABLE));
    linux["maskedPaths"] = json!(masked);
    linux["readonlyPaths"] = json!(locked);
    watched.extend(masked.iter().chain(&locked).map(|path| format!("path={path}")));
    if dice.chance(30) {
        linux["rootfsPropagation"] =
            json!(dice.one(&["private", "slave", "shared", "unbindable", "rprivate", "rslave"]));
    }
    if let Some(sysctl) = sysctl(&mut dice, &has, &mut watched) {
        linux["sysctl"] = sysctl;
    }
    if dice.chance(50) {
        linux["seccomp"] = seccomp(&mut dice);
    }
    if dice.chance(40) && !user {
        linux["devices"] = devices(&mut dice);
    }
    if dice.chance(5) {
        linux["personality"] = json!({"domain": "LINUX32"});
    }
    let mut spec = json!({
        "ociVersion": "1.0.2",
        "root": {"path": root, "readonly": dice.chance(30)},
        "process": process(&mut dice, watched),
        "mounts": mounts,
        "linux": linux,
    });
    if has("uts") && dice.chance(60) {
        spec["hostname"] = json!("differential");
    }
    spec
}

fn process(dice: &mut Dice, watched: Vec<String>) -> Value {
    let mut arguments = vec!["/container-probe".to_owned()];
    arguments.extend(watched);
    arguments.extend(["path=/", "path=/srv", "path=/etc/settings"].map(str::to_owned));
    arguments.push("an argument with spaces".to_owned());
    let mut process = json!({
        "terminal": false,
        "user": {"uid": dice.one(&[0, 0, 1000, 65_534]), "gid": dice.one(&[0, 0, 1000, 65_534])},
        "args": arguments,
        "env": ["PATH=/bin:/usr/bin", "ONE=1", "EMPTY=", "SPACED=a b"],
        "cwd": dice.one(&["/", "/", "/srv", "/srv/data/../private", "/made/on the way"]),
        "noNewPrivileges": dice.chance(50),
    });
    if dice.chance(50) {
        process["user"]["additionalGids"] = json!(dice.some(50, &[4, 20, 1000, 2000, 65_534]));
    }
    if dice.chance(40) {
        process["user"]["umask"] = json!(dice.one(&[0, 0o22, 0o27, 0o77]));
    }
    if dice.chance(80) {
        process["capabilities"] = capabilities(dice);
    }
    if dice.chance(50) {
        process["oomScoreAdj"] = json!(dice.one(&[0, 100, 500, 1000]));
    }
    let limits: Vec<Value> = dice
        .some(
            40,
            &[
                ("RLIMIT_NOFILE", 512, 1024),
                ("RLIMIT_CORE", 0, 0),
                ("RLIMIT_STACK", 1 << 22, 1 << 23),
                ("RLIMIT_FSIZE", 1 << 30, 1 << 31),
                ("RLIMIT_CPU", 60, 120),
                ("RLIMIT_NPROC", 500, 1000),
                ("RLIMIT_MEMLOCK", 65_536, 65_536),
                ("RLIMIT_SIGPENDING", 100, 200),
                ("RLIMIT_MSGQUEUE", 1000, 2000),
                ("RLIMIT_NICE", 0, 0),
                ("RLIMIT_RTPRIO", 0, 0),
            ],
        )
        .into_iter()
        .map(|(kind, soft, hard): (&str, u64, u64)| json!({"type": kind, "soft": soft, "hard": hard}))
        .collect();
    if !limits.is_empty() {
        process["rlimits"] = json!(limits);
    }
    process
}

/// Sets that the kernel can hold: effective within permitted within bounding, ambient within permitted and inheritable.
fn capabilities(dice: &mut Dice) -> Value {
    let bounding = dice.some(70, &CAPABILITIES);
    let permitted = dice.some(80, &bounding);
    let effective = dice.some(80, &permitted);
    let inheritable = if dice.chance(40) { dice.some(60, &permitted) } else { Vec::new() };
    let ambient = if dice.chance(50) { dice.some(60, &inheritable) } else { Vec::new() };
    json!({"bounding": bounding, "permitted": permitted, "effective": effective, "inheritable": inheritable, "ambient": ambient})
}

fn mounts(dice: &mut Dice, shared: &str, user: bool, watched: &mut Vec<String>) -> Vec<Value> {
    let mount = |to: &str, kind: &str, from: &str, options: Vec<&str>| json!({"destination": to, "type": kind, "source": from, "options": options});
    let mut mounts = vec![mount("/proc", "proc", "proc", dice.some(60, &["nosuid", "noexec", "nodev"]))];
    if dice.chance(85) {
        mounts.push(mount(
            "/dev",
            "tmpfs",
            "tmpfs",
            vec!["nosuid", "strictatime", "mode=755", "size=65536k"],
        ));
        if dice.chance(80) {
            let mut options = vec!["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"];
            options.extend(dice.some(50, &["gid=5"]));
            mounts.push(mount("/dev/pts", "devpts", "devpts", options));
        }
        if dice.chance(70) {
            mounts.push(mount(
                "/dev/shm",
                "tmpfs",
                "shm",
                vec!["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"],
            ));
        }
        if dice.chance(60) {
            mounts.push(mount("/dev/mqueue", "mqueue", "mqueue", vec!["nosuid", "noexec", "nodev"]));
        }
    }
    if dice.chance(80) {
        mounts.push(mount("/sys", "sysfs", "sysfs", vec!["nosuid", "noexec", "nodev", "ro"]));
    }
    let flags = ["nosuid", "nodev", "noexec", "ro", "nodiratime", "sync", "dirsync"];
    for number in 0..dice.below(3) {
        let mut options = dice.some(30, &flags);
        options.extend(dice.some(30, &["mode=1770", "size=1m", "uid=0", "gid=5"]));
        options.push(dice.one(&["relatime", "noatime", "strictatime", "nosymfollow"]));
        if dice.chance(20) {
            options.push("tmpcopyup");
        }
        if dice.chance(30) {
            options.push(dice.one(&["private", "rprivate", "slave", "shared", "unbindable", "rslave"]));
        }
        let to = dice.one(&["/mnt/tmp", "/srv/data", "/new/tmp", "/link/tmp"]);
        watched.push(format!("path={to}"));
        mounts.push(mount(
            &if number == 0 { to.to_owned() } else { format!("{to}{number}") },
            "tmpfs",
            "tmpfs",
            options,
        ));
    }
    for _ in 0..dice.below(3) {
        let (to, from) = dice.one(&[
            ("/mnt/bind", ""),
            ("/mnt/file", "/file"),
            ("/srv/private", "/below"),
            ("/new/deep/bind", ""),
            ("/etc/settings", "/file"),
            ("/link/bind", "/below"),
        ]);
        let mut options = vec![dice.one(&["bind", "rbind"])];
        // In a user namespace the kernel locks what the mount was bound from with.
        if !user {
            options.extend(dice.some(30, &flags[..5]));
            options.extend(dice.some(10, &["rro", "rnosuid", "rnoexec"]));
        }
        if dice.chance(30) {
            options.push(dice.one(&["private", "rprivate", "slave", "shared", "rslave"]));
        }
        watched.push(format!("path={to}"));
        mounts.push(mount(to, "bind", &format!("{shared}{from}"), options));
    }
    mounts
}

fn sysctl(dice: &mut Dice, has: &impl Fn(&str) -> bool, watched: &mut Vec<String>) -> Option<Value> {
    let known = [
        ("network", "net.ipv4.ip_forward", "1"),
        ("network", "net.ipv4.ip_unprivileged_port_start", "0"),
        ("network", "net.ipv4.ping_group_range", "0 1000"),
        ("ipc", "kernel.shm_rmid_forced", "1"),
        ("ipc", "kernel.msgmax", "4096"),
        ("ipc", "fs.mqueue.msg_max", "20"),
    ];
    let chosen: Vec<_> = dice.some(40, &known).into_iter().filter(|(kind, ..)| has(kind)).collect();
    watched.extend(chosen.iter().map(|(_, name, _)| format!("sysctl={name}")));
    let map: serde_json::Map<_, _> =
        chosen.iter().map(|(_, name, value)| ((*name).to_owned(), json!(value))).collect();
    (!map.is_empty()).then_some(Value::Object(map))
}

fn seccomp(dice: &mut Dice) -> Value {
    let mut rules = Vec::new();
    for names in CALLS {
        if dice.chance(35) {
            let mut rule = json!({"names": names, "action": "SCMP_ACT_ERRNO"});
            if dice.chance(60) {
                rule["errnoRet"] = json!(dice.one(&[1, 13, 38, 71, 0]));
            }
            // The second argument of eventfd2 is its flags: O_NONBLOCK is 0x800.
            if names.contains(&"eventfd2") {
                let (op, value, two) = dice.one(&[
                    ("SCMP_CMP_EQ", 0x800, 0),
                    ("SCMP_CMP_NE", 0, 0),
                    ("SCMP_CMP_GE", 1, 0),
                    ("SCMP_CMP_LT", 1, 0),
                    ("SCMP_CMP_MASKED_EQ", 0x800, 0x800),
                ]);
                rule["args"] = json!([{"index": 1, "value": value, "valueTwo": two, "op": op}]);
            }
            rules.push(rule);
        }
    }
    if dice.chance(40) {
        // AF_UNIX is 1, AF_INET 2, AF_NETLINK 16.
        let (op, value) =
            dice.one(&[("SCMP_CMP_EQ", 16), ("SCMP_CMP_GT", 1), ("SCMP_CMP_LE", 2), ("SCMP_CMP_NE", 1)]);
        rules.push(json!({"names": ["socket"], "action": "SCMP_ACT_ERRNO", "errnoRet": 97,
            "args": [{"index": 0, "value": value, "op": op}]}));
    }
    let mut seccomp = json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": rules});
    if dice.chance(70) {
        seccomp["architectures"] = json!(["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"]);
    }
    if dice.chance(30) {
        seccomp["flags"] =
            json!(dice.some(50, &["SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_SPEC_ALLOW"]));
    }
    seccomp
}

fn devices(dice: &mut Dice) -> Value {
    let known = [
        json!({"path": "/dev/one", "type": "c", "major": 1, "minor": 3, "fileMode": 0o666}),
        json!({"path": "/dev/two", "type": "c", "major": 1, "minor": 5, "fileMode": 0o640, "uid": 1000, "gid": 5}),
        json!({"path": "/dev/block", "type": "b", "major": 7, "minor": 0, "fileMode": 0o600}),
        json!({"path": "/dev/below/pipe", "type": "p", "fileMode": 0o622}),
    ];
    let chosen = dice.some(50, &[0, 1, 2, 3]);
    Value::Array(chosen.into_iter().map(|index| known[index].clone()).collect())
}
