//! Containers made for real, as root: what the first process sees, and what a hostile image cannot do.

use std::fs;
use std::io::Read;
use std::os::fd::AsFd;
use std::os::unix::fs::symlink;

use bed::{Bed, pipes, read, wait};
use conex_oci::runtime::{Mount, Namespace, NamespaceKind, Process};
use conex_runtime::{Create, Error, Exec, Rootfs, Stdio, create, exec};

mod bed;

const CASES: &[(&str, fn())] = &[
    ("namespaces_are_new_and_pid_is_1", namespaces_are_new_and_pid_is_1),
    ("all_eight_namespaces", all_eight_namespaces),
    ("the_host_is_out_of_sight", the_host_is_out_of_sight),
    ("capabilities_are_exact", capabilities_are_exact),
    ("missing_programs_are_told_from_unexecutable_ones", missing_programs_are_told_from_unexecutable_ones),
    ("masked_and_read_only_paths", masked_and_read_only_paths),
    ("a_symlink_at_proc_is_refused", a_symlink_at_proc_is_refused),
    ("a_symlink_at_a_bind_target_stays_inside", a_symlink_at_a_bind_target_stays_inside),
    ("exec_joins_everything", exec_joins_everything),
    ("another_containers_namespaces_are_joined", another_containers_namespaces_are_joined),
    ("another_containers_mount_is_bound", another_containers_mount_is_bound),
    ("a_missing_working_directory_is_made", a_missing_working_directory_is_made),
    ("time_offsets", time_offsets),
    ("init_reaps_and_passes_signals_on", init_reaps_and_passes_signals_on),
    ("a_terminal_is_a_terminal", a_terminal_is_a_terminal),
    ("descriptors_do_not_leak", descriptors_do_not_leak),
    ("nothing_is_mounted_on_the_host", nothing_is_mounted_on_the_host),
    ("a_listener_gets_the_notifications", a_listener_gets_the_notifications),
];

fn main() {
    bed::run(CASES);
}

fn namespaces_are_new_and_pid_is_1() {
    let bed = Bed::new("echo $$; hostname; for n in net user; do readlink /proc/self/ns/$n; done; exit 7");
    let (output, status) = bed.run().unwrap();
    let lines: Vec<_> = output.lines().collect();
    let host = |kind: &str| fs::read_link(format!("/proc/self/ns/{kind}")).unwrap().display().to_string();
    assert_eq!((lines[0], lines[1], status), ("1", "bed", 7), "{output}");
    assert_ne!(lines[2], host("net"));
    assert_eq!(lines[3], host("user"), "not asked for");
}

fn all_eight_namespaces() {
    let mut bed = Bed::new(
        "for n in cgroup ipc mnt net pid time user uts; do readlink /proc/self/ns/$n; done; cat /proc/self/uid_map; id -u",
    );
    let map = conex_oci::runtime::IdMapping { container_id: 0, host_id: 200_000, size: 65536 };
    let linux = bed.linux();
    for kind in [NamespaceKind::User, NamespaceKind::Time] {
        linux.namespaces.push(Namespace { kind, path: None });
    }
    linux.uid_mappings = vec![map];
    linux.gid_mappings = vec![map];
    open_to_mapped_root(&bed);
    let output = bed.output();
    let lines: Vec<_> = output.lines().collect();
    for (line, kind) in lines.iter().zip(["cgroup", "ipc", "mnt", "net", "pid", "time", "user", "uts"]) {
        let host = fs::read_link(format!("/proc/self/ns/{kind}")).unwrap().display().to_string();
        assert!(line.starts_with(kind) && **line != host, "{kind}: {line} is the host's");
    }
    assert_eq!(lines[8].split_whitespace().collect::<Vec<_>>(), ["0", "200000", "65536"]);
    assert_eq!(lines[9], "0");
}

fn the_host_is_out_of_sight() {
    let bed = Bed::new("cat /proc/self/mountinfo; ls -d /root /home /boot 2>/dev/null; ls /..; true");
    let output = bed.output();
    let mounts: Vec<_> = output.lines().filter(|line| line.contains(" - ")).collect();
    assert_eq!(mounts.len(), 7, "the root and the six mounts of the spec, no more:\n{output}");
    assert!(!output.contains("home") && !output.contains("boot"), "{output}");
}

fn capabilities_are_exact() {
    let fields = |bed: &Bed| {
        let output = bed.output();
        let field =
            |name: &str| output.lines().find_map(|line| line.strip_prefix(name)).unwrap().trim().to_owned();
        ["CapInh:", "CapPrm:", "CapEff:", "CapBnd:", "CapAmb:"]
            .map(field)
            .map(|set| u64::from_str_radix(&set, 16).unwrap())
    };
    let mut bed = Bed::new("cat /proc/self/status");
    // Root gains its bounding set at execve, capabilities(7); inheritable stays empty (CVE-2022-29162).
    assert_eq!(fields(&bed), [0, 0x21, 0x21, 0x21, 0]);
    let user = &mut bed.spec.process.as_mut().unwrap().user;
    (user.uid, user.gid) = (1000, 1000);
    assert_eq!(fields(&bed), [0, 0, 0, 0x21, 0]);
}

fn missing_programs_are_told_from_unexecutable_ones() {
    let mut bed = Bed::new("");
    let mut error = |program: &str| {
        bed.spec.process.as_mut().unwrap().args = vec![program.to_owned()];
        bed.run().expect_err(program)
    };
    assert!(matches!(error("nowhere"), Error::NotFound { in_path: true, .. }));
    assert!(matches!(error("/bin/nowhere"), Error::NotFound { in_path: false, .. }));
    assert!(matches!(error("/bin"), Error::NotExecutable { .. }));
    fs::write(bed.rootfs.path().join("etc/text"), "no program").unwrap();
    bed.spec.process.as_mut().unwrap().args = vec!["/etc/text".to_owned()];
    assert!(matches!(bed.run().unwrap_err(), Error::NotExecutable { .. }));
}

fn masked_and_read_only_paths() {
    let script = "cat /proc/keys; ls /sys/firmware; touch /proc/sys/kernel/domainname 2>/dev/null && echo written; true";
    let mut bed = Bed::new(script);
    bed.linux().masked_paths = ["/proc/keys", "/sys/firmware", "/proc/none"].map(Into::into).to_vec();
    bed.linux().readonly_paths = vec!["/proc/sys".into()];
    assert_eq!(bed.output(), "");
}

fn a_symlink_at_proc_is_refused() {
    let bed = Bed::new("true");
    fs::remove_dir(bed.rootfs.path().join("proc")).unwrap();
    symlink("etc", bed.rootfs.path().join("proc")).unwrap();
    let error = bed.run().unwrap_err().to_string();
    assert!(error.contains("/proc") && error.contains("symbolic link"), "{error}");
}

fn a_symlink_at_a_bind_target_stays_inside() {
    let outside = tempfile::tempdir().unwrap();
    let source = tempfile::tempdir().unwrap();
    fs::write(source.path().join("file"), "bound").unwrap();
    let mut bed = Bed::new("cat /link/deep/file");
    symlink(outside.path(), bed.rootfs.path().join("link")).unwrap();
    bed.spec.mounts.push(Mount {
        destination: "/link/deep".into(),
        source: Some(source.path().into()),
        options: vec!["rbind".to_owned()],
        ..Mount::default()
    });
    assert_eq!(bed.output(), "bound");
    assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 0, "a directory was made on the host");
}

fn exec_joins_everything() {
    let bed = Bed::new("sleep 100");
    let (stdio, _output) = pipes();
    let (running, _) = bed.start(stdio).unwrap();
    let process = Process {
        args: [
            "/bin/sh",
            "-c",
            "hostname; readlink /proc/1/ns/mnt; readlink /proc/self/ns/mnt; cat /proc/1/comm",
        ]
        .map(str::to_owned)
        .to_vec(),
        ..bed.spec.process.clone().unwrap()
    };
    let (stdio, output) = pipes();
    let request = Exec {
        process: &process,
        target: running.pid,
        target_pidfd: running.pidfd.as_fd(),
        cgroup: None,
        stdio,
        seccomp: None,
        terms: conex_runtime::Terms::default(),
    };
    // As the engine does: a process made for this one exec.
    let conex_sys::process::Forked::Parent { pid } = conex_sys::process::fork().unwrap() else {
        let status = match exec(request).and_then(|created| created.process.start()) {
            Ok(running) => wait(&running),
            Err(error) => {
                eprintln!("{error}");
                99
            }
        };
        conex_sys::process::exit_now(status);
    };
    drop(request);
    let output = read(output);
    let pid = rustix::process::Pid::from_raw(pid.cast_signed());
    let (_, status) = rustix::process::waitpid(pid, rustix::process::WaitOptions::empty()).unwrap().unwrap();
    rustix::process::pidfd_send_signal(&running.pidfd, rustix::process::Signal::KILL).unwrap();
    assert_eq!(wait(&running), 137);
    let lines: Vec<_> = output.lines().collect();
    assert_eq!((lines[0], lines[3]), ("bed", "sleep"), "{output}");
    assert_eq!(lines[1], lines[2]);
    assert_eq!(status.exit_status(), Some(0));
}

fn another_containers_namespaces_are_joined() {
    let map = conex_oci::runtime::IdMapping { container_id: 0, host_id: 200_000, size: 65536 };
    let mut first = Bed::new("");
    first.linux().namespaces.push(Namespace { kind: NamespaceKind::User, path: None });
    first.linux().uid_mappings = vec![map];
    first.linux().gid_mappings = vec![map];
    open_to_mapped_root(&first);
    let (stdio, _output) = pipes();
    first.spec.process.as_mut().unwrap().args = ["/bin/sleep", "100"].map(str::to_owned).to_vec();
    let (running, _) = first.start(stdio).unwrap();
    let kinds = [
        NamespaceKind::User,
        NamespaceKind::Pid,
        NamespaceKind::Network,
        NamespaceKind::Ipc,
        NamespaceKind::Uts,
    ];
    let mut second = Bed::new("hostname; cat /proc/1/comm; id -u; cat /proc/self/uid_map");
    second.spec.hostname = None;
    open_to_mapped_root(&second);
    for namespace in &mut second.linux().namespaces {
        namespace.path = None;
    }
    second.linux().namespaces.retain(|namespace| !kinds.contains(&namespace.kind));
    for kind in kinds {
        let path = format!("/proc/{}/ns/{}", running.pid, kind.proc_name());
        second.linux().namespaces.push(Namespace { kind, path: Some(path.into()) });
    }
    let output = second.output();
    rustix::process::pidfd_send_signal(&running.pidfd, rustix::process::Signal::KILL).unwrap();
    wait(&running);
    let words: Vec<_> = output.split_whitespace().collect();
    assert_eq!(words, ["bed", "sleep", "0", "0", "200000", "65536"]);
}

fn a_missing_working_directory_is_made() {
    let outside = tempfile::tempdir().unwrap();
    let mut bed = Bed::new("readlink -f .; stat -c %a:%u .");
    symlink(outside.path(), bed.rootfs.path().join("link")).unwrap();
    bed.spec.process.as_mut().unwrap().cwd = "/made/deep".into();
    assert_eq!(bed.output(), "/made/deep\n755:0\n");
    // An image's link to a directory of the host's: made inside.
    bed.spec.process.as_mut().unwrap().cwd = "/link/here".into();
    bed.output();
    assert!(!outside.path().join("here").exists());
    bed.spec.process.as_mut().unwrap().cwd = "/bin/busybox".into();
    let error = bed.run().unwrap_err().to_string();
    assert!(error.contains("enter the working directory /bin/busybox"), "{error}");
    bed.spec.process.as_mut().unwrap().cwd = "/not".into();
    bed.spec.root.as_mut().unwrap().readonly = true;
    bed.output();
}

/// A shared /dev/shm; a path that the other container turned into a link leads nowhere outside its root.
fn another_containers_mount_is_bound() {
    let first = Bed::new("echo hello > /dev/shm/word; ln -s /etc/hostname /tmp/link; echo ready; sleep 100");
    let (stdio, output) = pipes();
    let (running, _) = first.start(stdio).unwrap();
    let mut ready = [0; 6];
    fs::File::from(output).read_exact(&mut ready).unwrap();
    let second = |source: &str| {
        let mut bed = Bed::new("cat /dev/shm/word; echo more > /dev/shm/other; mount | wc -l");
        bed.spec.mounts.retain(|mount| mount.destination != std::path::Path::new("/dev/shm"));
        bed.spec.mounts.push(Mount {
            destination: "/dev/shm".into(),
            kind: Some("bind".to_owned()),
            source: Some(format!("/proc/{}/root{source}", running.pid).into()),
            options: ["rbind", "rprivate", "nosuid"].map(str::to_owned).to_vec(),
            ..Mount::default()
        });
        bed.run()
    };
    let shared = second("/dev/shm");
    let link = second("/tmp/link");
    let gone = second("/none");
    let other = fs::read_to_string(format!("/proc/{}/root/dev/shm/other", running.pid));
    rustix::process::pidfd_send_signal(&running.pidfd, rustix::process::Signal::KILL).unwrap();
    wait(&running);
    assert!(shared.unwrap().0.starts_with("hello\n"));
    assert_eq!(other.unwrap(), "more\n");
    // The image has no /etc/hostname; the host's is not looked at.
    assert!(link.unwrap_err().to_string().contains("No such file"), "the link led out");
    let error = gone.unwrap_err().to_string();
    assert!(error.contains("bind /none of process"), "{error}");
}

/// A user namespace's root passes through the temporary directory only as its owner.
fn open_to_mapped_root(bed: &Bed) {
    rustix::fs::chown(bed.rootfs.path(), Some(rustix::fs::Uid::from_raw(200_000)), None).unwrap();
}

fn time_offsets() {
    let mut bed = Bed::new("cat /proc/uptime");
    bed.linux().namespaces.push(Namespace { kind: NamespaceKind::Time, path: None });
    let offset = conex_oci::runtime::TimeOffset { secs: 1_000_000_000, nanosecs: 0 };
    bed.linux().time_offsets.insert("boottime".to_owned(), offset);
    let output = bed.output();
    let uptime: f64 = output.split_whitespace().next().unwrap().parse().unwrap();
    assert!(uptime > 1e9, "{output}");
}

/// Compiles the init as the build of the command line does.
fn init_program() -> Vec<u8> {
    let directory = tempfile::tempdir().unwrap();
    let program = directory.path().join("init");
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/../sys/init/main.rs");
    let status = std::process::Command::new("rustc")
        .args([
            "--edition",
            "2024",
            "-C",
            "opt-level=s",
            "-C",
            "panic=abort",
            "-C",
            "relocation-model=static",
        ])
        .args(["-C", "link-arg=-nostartfiles", "-C", "link-arg=-nostdlib", "-C", "link-arg=-static"])
        .args([source, "-o"])
        .arg(&program)
        .status()
        .unwrap();
    assert!(status.success());
    fs::read(program).unwrap()
}

fn init_reaps_and_passes_signals_on() {
    let init = init_program();
    let start = |bed: &Bed| {
        let (stdio, output) = pipes();
        let request = Create {
            spec: &bed.spec,
            rootfs: Rootfs::Path(bed.rootfs.path().into()),
            cgroup: None,
            stdio,
            seccomp: None,
            init: Some(&init),
            terms: conex_runtime::Terms::default(),
        };
        create(request).and_then(|created| created.process.start()).map(|running| (running, output))
    };
    // An orphan that has ended must not stay as a zombie.
    let script = "(sh -c 'true & exec sleep 0.3' &); sleep 0.6; cat /proc/1/comm; seen=$(ls -d /proc/[0-9]*); echo \"$seen\" | wc -l; exit 3";
    let bed = Bed::new(script);
    let (running, output) = start(&bed).unwrap();
    let output = read(output);
    assert_eq!(wait(&running), 3);
    let words: Vec<_> = output.split_whitespace().collect();
    // init, the shell and ls.
    assert_eq!(words[1], "3", "a zombie is left: {output}");

    let bed = Bed::new("trap 'echo caught; exit 5' TERM; echo up; while :; do sleep 0.05; done");
    let (running, output) = start(&bed).unwrap();
    let mut output = fs::File::from(output);
    let mut up = [0; 3];
    output.read_exact(&mut up).unwrap();
    rustix::process::pidfd_send_signal(&running.pidfd, rustix::process::Signal::TERM).unwrap();
    assert_eq!((wait(&running), read(output.into()).as_str()), (5, "caught\n"));

    let mut bed = Bed::new("");
    bed.spec.process.as_mut().unwrap().args = vec!["nowhere".to_owned()];
    assert!(matches!(start(&bed).unwrap_err(), Error::NotFound { .. }), "told before the init runs");
}

fn a_terminal_is_a_terminal() {
    let mut bed = Bed::new("tty; stat -c %t:%T /dev/console; test -t 0 && test -t 2 && echo yes");
    let process = bed.spec.process.as_mut().unwrap();
    process.terminal = true;
    process.console_size = Some(conex_oci::runtime::ConsoleSize { height: 30, width: 100 });
    let (running, terminal) = bed.start(Stdio::Terminal).unwrap();
    let mut output = Vec::new();
    // EIO is a terminal's end of file.
    let mut terminal = fs::File::from(terminal.unwrap());
    let _ = terminal.read_to_end(&mut output);
    assert_eq!(wait(&running), 0);
    assert_eq!(String::from_utf8_lossy(&output), "/dev/pts/0\r\n88:0\r\nyes\r\n");
}

fn descriptors_do_not_leak() {
    // On purpose without close-on-exec, as a careless caller would have it.
    let leak = fs::File::open("/etc/passwd").unwrap();
    rustix::io::fcntl_setfd(&leak, rustix::io::FdFlags::empty()).unwrap();
    let output = Bed::new("ls /proc/self/fd").output();
    // 3 is the directory that ls itself reads.
    assert_eq!(output.split_whitespace().collect::<Vec<_>>(), ["0", "1", "2", "3"]);
}

fn nothing_is_mounted_on_the_host() {
    let before = fs::read_to_string("/proc/self/mountinfo").unwrap();
    Bed::new("true").output();
    assert_eq!(fs::read_to_string("/proc/self/mountinfo").unwrap(), before);
}

/// The descriptor and the state go to the listener before the process is ready; a notified call waits for the listener.
fn a_listener_gets_the_notifications() {
    use conex_oci::runtime::{Seccomp, SyscallRule};
    let bed = Bed::new("touch /tmp/before; ln -s x /tmp/link; echo $?; readlink /tmp/link; echo over");
    let filter = Seccomp {
        default_action: "SCMP_ACT_ALLOW".to_owned(),
        syscalls: vec![SyscallRule {
            names: vec!["symlink".to_owned(), "symlinkat".to_owned()],
            action: "SCMP_ACT_NOTIFY".to_owned(),
            ..SyscallRule::default()
        }],
        ..Seccomp::default()
    };
    let program = conex_seccomp::compile(&filter).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("agent");
    let make = |listener, stdio| {
        let terms = conex_runtime::Terms { listener, ..Default::default() };
        let rootfs = Rootfs::Path(bed.rootfs.path().into());
        create(Create {
            spec: &bed.spec,
            rootfs,
            cgroup: None,
            stdio,
            seccomp: Some(&program),
            init: None,
            terms,
        })
    };
    let state = |pid: u32| format!("state of {pid} {}", "x".repeat(100_000)).into_bytes();
    let listener = conex_runtime::Listener { path: &path, state: &state };
    let complaint = |listener| make(listener, pipes().0).unwrap_err().to_string();
    assert!(complaint(None).contains("listenerPath"), "{}", complaint(None));
    assert!(complaint(Some(listener)).contains("agent"), "{}", complaint(Some(listener)));

    let agent = std::os::unix::net::UnixListener::bind(&path).unwrap();
    let (stdio, output) = pipes();
    let created = make(Some(listener), stdio).unwrap();
    let expected = state(created.process.pid());
    let (connection, _) = agent.accept().unwrap();
    let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(4))];
    let mut control = rustix::net::RecvAncillaryBuffer::new(&mut space);
    let mut text = vec![0; 200_000];
    let mut parts = [std::io::IoSliceMut::new(&mut text)];
    let flags = rustix::net::RecvFlags::CMSG_CLOEXEC;
    let read_first = rustix::net::recvmsg(&connection, &mut parts, &mut control, flags).unwrap().bytes;
    let mut fds = Vec::new();
    for message in control.drain() {
        if let rustix::net::RecvAncillaryMessage::ScmRights(received) = message {
            fds.extend(received);
        }
    }
    text.truncate(read_first);
    (&connection).read_to_end(&mut text).unwrap();
    assert!(text == expected, "{} bytes of state", text.len());
    assert_eq!(fds.len(), 1);
    let running = created.process.start().unwrap();
    let mut poll = [rustix::event::PollFd::new(&fds[0], rustix::event::PollFlags::IN)];
    assert_eq!(rustix::event::poll(&mut poll, None), Ok(1), "a notification");
    // Nobody listens any more: the call fails, and whatever else is notified.
    drop(fds);
    let output = read(output);
    assert!(output.ends_with("1\nover\n"), "{output}");
    assert_eq!(wait(&running), 0);
}
