//! Specs made of options and run for real, as root: what the options mean inside.

use std::fs;
use std::os::fd::AsFd;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use conex_engine::options::{IpcMode, NamespaceMode, NetworkMode, SeccompMode, UserMode, parse_sysctl};
use conex_engine::spec::{ExecProcess, JoinedContainer, LiveHost, RootfsFiles, exec};
use conex_runtime::Exec;
use conex_sys::process::{Forked, exit_now, fork};
use rustix::fs::{CWD, FileType, Mode};

mod bed;

use bed::{Bed, RANGE, Waiting, busybox, pipes, read, status};

const CASES: &[(&str, fn())] = &[
    ("what_every_container_has", what_every_container_has),
    ("an_ordinary_user", an_ordinary_user),
    ("privileged", privileged),
    ("a_user_namespace", a_user_namespace),
    ("read_only", read_only),
    ("binds_and_tmpfs", binds_and_tmpfs),
    ("devices", devices),
    ("masks", masks),
    ("the_hosts_namespaces", the_hosts_namespaces),
    ("a_shared_ipc_namespace", a_shared_ipc_namespace),
    ("limits_and_parameters", limits_and_parameters),
    ("seccomp", seccomp),
    ("no_new_privileges", no_new_privileges),
    ("hostile_user_files", hostile_user_files),
    ("exec_in_a_container", exec_in_a_container),
];

fn main() {
    if !rustix::process::geteuid().is_root() {
        println!("skipped: making containers as root needs root");
        return;
    }
    if busybox().is_none() {
        println!("skipped: no static busybox on this machine (Debian package busybox-static)");
        return;
    }
    let only: Vec<_> = std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    let (mut passed, mut failed) = (0, 0);
    for (name, case) in CASES {
        if !only.is_empty() && !only.iter().any(|word| name.contains(word.as_str())) {
            continue;
        }
        let outcome = std::panic::catch_unwind(case);
        println!("test {name} ... {}", if outcome.is_ok() { "ok" } else { "FAILED" });
        if outcome.is_ok() { passed += 1 } else { failed += 1 }
    }
    let verdict = if failed == 0 { "ok" } else { "FAILED" };
    println!(
        "\ntest result: {verdict}. {passed} passed; {failed} failed; 0 ignored; 0 measured; 0 filtered out"
    );
    std::process::exit(i32::from(failed != 0));
}

fn field<'a>(text: &'a str, name: &str) -> &'a str {
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    line.unwrap_or_else(|| panic!("no {name} in {text}")).trim()
}

fn has_line(text: &str, start: &str) -> bool {
    text.lines().any(|line| line.starts_with(start))
}

fn what_every_container_has() {
    let bed = Bed::new(
        "cat /proc/self/status; id; env; hostname; umask; ls /dev; stat -c %a /dev/shm
         cat /etc/hostname /proc/self/oom_score_adj /proc/sys/net/ipv4/ip_unprivileged_port_start
         grep ' /sys ' /proc/mounts",
    );
    let text = bed.output();
    // The set that every Docker user has seen.
    for name in ["CapPrm", "CapEff", "CapBnd"] {
        assert_eq!(field(&text, name), "00000000a80425fb");
    }
    for name in ["CapInh", "CapAmb"] {
        assert_eq!(field(&text, name), "0000000000000000");
    }
    assert_eq!(field(&text, "Seccomp"), "2");
    assert_eq!(field(&text, "NoNewPrivs"), "0");
    for line in [
        "uid=0(root) gid=0(root) groups=0(root),10(wheel)",
        "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "HOSTNAME=c0c0c0c0c0c0",
        "HOME=/root",
        "0022",
        "1777",
    ] {
        assert!(text.lines().any(|found| found == line), "{line}: {text}");
    }
    assert!(text.contains("\nc0c0c0c0c0c0\n0\n0\n"), "{text}");
    assert!(has_line(&text, "sysfs /sys sysfs ro,nosuid,nodev,noexec"), "{text}");
    let devices = [
        "fd", "full", "mqueue", "null", "ptmx", "pts", "random", "shm", "stderr", "stdin", "stdout", "tty",
        "urandom", "zero",
    ];
    let listed: Vec<_> =
        text.lines().skip_while(|line| *line != "0022").skip(1).take_while(|line| *line != "1777").collect();
    assert_eq!(listed, devices);
}

fn an_ordinary_user() {
    let bed = Bed::with("cat /proc/self/status; id; echo $HOME; cat /etc/shadow || true", |bed| {
        bed.options.process.user = Some("app".into());
        bed.options.process.groups = vec!["77".into()];
    });
    let shadow = bed.root().join("etc/shadow");
    fs::write(&shadow, "secret").unwrap();
    fs::set_permissions(shadow, fs::Permissions::from_mode(0o600)).unwrap();
    let text = bed.output();
    assert_eq!(field(&text, "CapEff"), "0000000000000000");
    assert_eq!(field(&text, "CapPrm"), "0000000000000000");
    assert_eq!(field(&text, "CapBnd"), "00000000a80425fb");
    assert!(has_line(&text, "uid=1000(app) gid=1000(app) groups="), "{text}");
    assert_eq!(field(&text, "Groups"), "10 77 1000");
    assert!(text.contains("\n/home/app\n"), "{text}");
    assert!(text.contains("Permission denied") && !text.contains("secret"), "{text}");
}

fn privileged() {
    let script = "cat /proc/self/status; grep ' /sys ' /proc/mounts; echo 1 > /proc/sys/net/ipv4/ip_forward";
    let text = Bed::with(script, |bed| bed.options.security.privileged = true).output();
    let host = fs::read_to_string("/proc/self/status").unwrap();
    assert_eq!(field(&text, "CapEff"), field(&host, "CapBnd"));
    assert_eq!(field(&text, "Seccomp"), "0");
    assert!(has_line(&text, "sysfs /sys sysfs rw,"), "{text}");
}

fn a_user_namespace() {
    let bed = Bed::with(
        "cat /proc/self/uid_map /proc/self/gid_map; grep CapEff /proc/self/status; id -u
         echo x > /t/file; stat -c %u /t/file; stat -c '%t:%T' /dev/full0; stat -c %U /etc/hostname
         echo changed > /etc/hostname; cat /etc/hostname",
        |bed| {
            bed.options.namespaces.user = UserMode::Private;
            bed.options.storage.tmpfs = vec!["/t:size=1m".parse().unwrap()];
            bed.options.storage.devices = vec!["/dev/full:/dev/full0".parse().unwrap()];
            bed.id_range = Some(RANGE);
        },
    );
    let text = bed.output();
    let words: Vec<_> = text.split_whitespace().collect();
    let map = ["0", "2147483648", "65536"];
    assert_eq!((&words[..3], &words[3..6]), (&map[..], &map[..]));
    assert_eq!(words[6..], ["CapEff:", "00000000a80425fb", "0", "0", "1:7", "root", "changed"], "{text}");
}

fn read_only() {
    let bed = Bed::with(
        "touch /file || echo refused; touch /tmp/file || echo refused; echo x > /etc/hosts || echo refused
         touch /dev/shm/file /run/file /dev/file && echo written",
        |bed| {
            bed.options.storage.read_only = true;
            bed.options.storage.tmpfs = vec!["/run".parse().unwrap()];
        },
    );
    let text = bed.output();
    assert_eq!(text.matches("refused").count(), 3, "{text}");
    assert!(text.contains("written"), "{text}");
}

fn binds_and_tmpfs() {
    let outside = tempfile::tempdir().unwrap();
    for directory in ["below", "over"] {
        fs::create_dir(outside.path().join(directory)).unwrap();
    }
    fs::write(outside.path().join("file"), "hello\n").unwrap();
    let bed = Bed::with(
        "cat /a/file /one; touch /a/below/x || echo refused; touch /rw/made; grep -E ' /(t|u) ' /proc/mounts
         touch /a/over/x && ls /a/over",
        |bed| {
            let source = outside.path().display();
            let binds =
                [format!("{source}:/a:ro"), format!("{source}/file:/one:bind,ro"), format!("{source}:/rw")];
            bed.options.storage.binds = binds.iter().map(|text| text.parse().unwrap()).collect();
            let tmpfs = ["/t:size=1m,mode=700", "/u:exec,suid", "/a/over"];
            bed.options.storage.tmpfs = tmpfs.map(|text| text.parse().unwrap()).to_vec();
        },
    );
    let text = bed.output();
    assert_eq!(text.matches("hello").count(), 2, "{text}");
    assert!(text.contains("refused"), "{text}");
    assert!(outside.path().join("made").exists());
    assert!(has_line(&text, "tmpfs /t tmpfs rw,nosuid,nodev,noexec"), "{text}");
    assert!(text.contains("size=1024k,mode=700"), "{text}");
    assert!(has_line(&text, "tmpfs /u tmpfs rw,nodev,relatime"), "{text}");
    assert!(text.ends_with("x\n"), "{text}");
    assert!(!outside.path().join("over/x").exists(), "the tmpfs covers the bind");
}

fn devices() {
    let bed = Bed::with("stat -c '%t:%T' /dev/mine /dev/deep/null; head -c 3 /run/zero | wc -c", |bed| {
        let devices = ["/dev/full:/dev/mine", "/dev/null:/dev/deep/null", "/dev/zero:/run/zero"];
        bed.options.storage.devices = devices.map(|text| text.parse().unwrap()).to_vec();
    });
    assert_eq!(bed.output(), "1:7\n1:3\n3\n");
}

fn masks() {
    let bed = Bed::with(
        "wc -c < /proc/interrupts; ls -A /sys/firmware | wc -l; wc -c < /etc/hidden
         echo x > /proc/sysrq-trigger || echo refused; echo 1 > /proc/sys/net/ipv4/ip_forward || echo refused
         head -c 1 /proc/timer_list | wc -c",
        |bed| {
            for opt in ["unmask=/proc/timer_list", "mask=/etc/hidden"] {
                bed.options.security.apply(opt.parse().unwrap()).unwrap();
            }
        },
    );
    fs::write(bed.root().join("etc/hidden"), "secret").unwrap();
    let text = bed.output();
    assert!(text.starts_with("0\n0\n0\n"), "{text}");
    assert_eq!(text.matches("refused").count(), 2, "{text}");
    if Path::new("/proc/timer_list").exists() {
        assert!(text.ends_with("\n1\n"), "{text}");
    } else {
        println!("skipped: this kernel has no /proc/timer_list to unmask");
    }
}

fn the_hosts_namespaces() {
    let script = "for n in pid net ipc uts cgroup mnt; do readlink /proc/self/ns/$n; done; hostname";
    let own = Bed::new(script).output();
    let shared = Bed::with(script, |bed| {
        let names = &mut bed.options.namespaces;
        names.pid = NamespaceMode::Host;
        names.uts = NamespaceMode::Host;
        names.cgroup = NamespaceMode::Host;
        names.ipc = IpcMode::Host;
        names.network = NetworkMode::Host;
    });
    let shared = shared.output();
    for (index, kind) in ["pid", "net", "ipc", "uts", "cgroup"].iter().enumerate() {
        let host = fs::read_link(format!("/proc/self/ns/{kind}")).unwrap().display().to_string();
        assert_ne!(own.lines().nth(index).unwrap(), host);
        assert_eq!(shared.lines().nth(index).unwrap(), host);
    }
    let mounts = fs::read_link("/proc/self/ns/mnt").unwrap().display().to_string();
    assert_ne!(shared.lines().nth(5).unwrap(), mounts);
    let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    assert_eq!(shared.lines().nth(6).unwrap(), name);
    assert_eq!(own.lines().nth(6).unwrap(), "c0c0c0c0c0c0");
}

fn a_shared_ipc_namespace() {
    let first = Bed::with("echo hello > /dev/shm/word; echo ready; sleep 100", |bed| {
        bed.options.namespaces.ipc = IpcMode::Shareable;
    });
    let waiting = Waiting::start(&first);
    let joining = |script: &str, ipc| {
        Bed::with(script, |bed| {
            bed.options.namespaces.ipc = IpcMode::Container("first".into());
            bed.joined.ipc = Some(JoinedContainer {
                pid: waiting.0.pid,
                directory: first.home.path().into(),
                hostname: "first".into(),
                ipc,
                id_range: None,
            });
        })
    };
    let theirs = fs::read_link(format!("/proc/{}/ns/ipc", waiting.0.pid)).unwrap();
    let second = joining("cat /dev/shm/word; readlink /proc/self/ns/ipc", IpcMode::Shareable);
    assert_eq!(second.output(), format!("hello\n{}\n", theirs.display()));
    let refused = joining("true", IpcMode::Private).start();
    assert!(refused.unwrap_err().contains("not shareable"));
}

fn limits_and_parameters() {
    let bed = Bed::with(
        "ulimit -Sn; ulimit -Hn; ulimit -c
         cat /proc/self/oom_score_adj /proc/sys/net/core/somaxconn /proc/sys/kernel/shmmax
         grep ' /dev/shm ' /proc/mounts; cat /etc/resolv.conf; pwd",
        |bed| {
            bed.options.process.ulimits =
                ["nofile=100:200", "core=0"].map(|text| text.parse().unwrap()).to_vec();
            bed.options.process.oom_score_adj = Some(700);
            bed.options.process.workdir = Some("/made/here".into());
            bed.options.storage.shm_size = Some(1 << 20);
            bed.options.namespaces.dns = vec!["10.9.8.7".into()];
            for text in ["net.core.somaxconn=99", "kernel.shmmax=12345"] {
                let (name, value) = parse_sysctl(text).unwrap();
                bed.options.namespaces.sysctls.insert(name, value);
            }
        },
    );
    fs::create_dir_all(bed.root().join("made/here")).unwrap();
    let text = bed.output();
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines[..6], ["100", "200", "0", "700", "99", "12345"], "{text}");
    assert!(lines[6].contains("size=1024k"), "{text}");
    assert!(lines.contains(&"nameserver 10.9.8.7"), "{text}");
    assert_eq!(lines.last(), Some(&"/made/here"));
}

fn seccomp() {
    assert!(Bed::new("unshare -m true || echo refused").output().contains("refused"));
    let script = "grep Seccomp: /proc/self/status; mkdir /tmp/x || echo refused";
    let own = Bed::with(script, |bed| {
        let profile = r#"{"defaultAction":"SCMP_ACT_ALLOW",
            "syscalls":[{"names":["mkdir","mkdirat"],"action":"SCMP_ACT_ERRNO"}]}"#;
        bed.options.security.seccomp = SeccompMode::Profile(profile.into());
    });
    let text = own.output();
    assert!(field(&text, "Seccomp") == "2" && text.contains("refused"), "{text}");
    let open = Bed::with(script, |bed| bed.options.security.seccomp = SeccompMode::Unconfined).output();
    assert!(field(&open, "Seccomp") == "0" && !open.contains("refused"), "{open}");
}

fn no_new_privileges() {
    let bed = Bed::with("grep NoNewPrivs /proc/self/status", |bed| {
        bed.options.security.no_new_privileges = true;
    });
    assert_eq!(field(&bed.output(), "NoNewPrivs"), "1");
}

fn hostile_user_files() {
    let refused = |make: fn(&Path)| {
        let bed = Bed::with("id", |bed| bed.options.process.user = Some("daemon".into()));
        let passwd = bed.root().join("etc/passwd");
        fs::remove_file(&passwd).unwrap();
        make(&passwd);
        bed.plan().unwrap_err().to_string()
    };
    // The host has a daemon; an image's link to the host's file leads to nothing.
    let climb = |passwd: &Path| symlink("../../../../../../../../etc/group", passwd).unwrap();
    assert!(refused(climb).contains("unable to find user daemon"));
    let magic = |passwd: &Path| symlink("/proc/1/root/etc/passwd", passwd).unwrap();
    assert!(refused(magic).contains("unable to find user daemon"));
    let round = |passwd: &Path| symlink("passwd", passwd).unwrap();
    assert!(refused(round).contains("cannot read /etc/passwd of the image"));
    let fifo = |passwd: &Path| {
        rustix::fs::mknodat(CWD, passwd, FileType::Fifo, Mode::from_raw_mode(0o644), 0).unwrap();
    };
    assert!(refused(fifo).contains("not a regular file"));
    let device = |passwd: &Path| {
        let watchdog = rustix::fs::makedev(10, 130);
        let mode = Mode::from_raw_mode(0o644);
        rustix::fs::mknodat(CWD, passwd, FileType::CharacterDevice, mode, watchdog).unwrap();
    };
    assert!(refused(device).contains("not a regular file"));
    let bomb = |passwd: &Path| fs::File::create(passwd).unwrap().set_len(10 << 30).unwrap();
    assert!(refused(bomb).contains("larger than 1 MiB"));
}

fn exec_in_a_container() {
    let bed = Bed::with("echo ready; sleep 100", |bed| bed.options.process.user = Some("app".into()));
    let waiting = Waiting::start(&bed);
    let plan = bed.plan().unwrap();
    let args = ["sh", "-c", "id; echo $HOME $A; pwd; grep CapEff /proc/self/status"].map(str::to_owned);
    let env = ["A=1".to_owned()];
    let root = fs::File::open(bed.root()).unwrap();
    let asked = ExecProcess {
        args: &args,
        env: &env,
        user: Some("root"),
        workdir: Some("/etc"),
        ..ExecProcess::default()
    };
    let process = exec(&plan.spec, &asked, &LiveHost, &RootfsFiles(root.as_fd())).unwrap();
    let (output, stdio) = pipes();
    // exec changes the pid namespace of the caller's children for good, so it is called in a process of its own.
    match fork().unwrap() {
        Forked::Child => {
            let made = conex_runtime::exec(Exec {
                process: &process,
                target: waiting.0.pid,
                target_pidfd: waiting.0.pidfd.as_fd(),
                cgroup: None,
                stdio,
                seccomp: None,
                terms: conex_runtime::Terms::default(),
            });
            let ended = made.and_then(|created| created.process.start()).map(|running| status(&running));
            exit_now(i32::from(!matches!(ended, Ok(Some(0)))));
        }
        Forked::Parent { pid } => {
            drop(stdio);
            let text = read(output);
            let pid = rustix::process::Pid::from_raw(pid as i32);
            let ended =
                rustix::process::waitpid(pid, rustix::process::WaitOptions::empty()).unwrap().unwrap();
            assert_eq!(ended.1.exit_status(), Some(0));
            let id = "uid=0(root) gid=0(root) groups=0(root),10(wheel)";
            assert_eq!(text, format!("{id}\n/root 1\n/etc\nCapEff:\t00000000a80425fb\n"));
        }
    }
}
