//! containerd, from Debian's package, with conex-runtime below its shim, driven by `ctr`.

use conex_tests::{
    Enclosure, Output, Pty, Shared, archive, eventually, lacks, needs_root, runtime_path, skip,
};

/// Fills any memory it is given.
const HOG: &str = "x=$(head -c 200000000 /dev/zero | tr '\\0' x); echo ${#x}";

/// A daemon of its own.
struct Containerd {
    enclosure: Enclosure,
    image: String,
}

static CONTAINERD: Shared<Containerd> = Shared::new();

macro_rules! containerd {
    () => {{
        needs_root!();
        if let Some(program) = lacks(&["containerd", "ctr", "unshare", "nsenter"]) {
            skip!("{program} is not installed");
        }
        let Some(image) = archive("busybox-1.38-musl.oci.tar") else { skip!("no busybox image") };
        let Some(containerd) = CONTAINERD.get(|| Containerd::start(image.to_str()?)) else {
            skip!("no namespaces here")
        };
        containerd
    }};
}

impl Containerd {
    fn start(image: &str) -> Option<Self> {
        let enclosure = Enclosure::new("containerd")?;
        let at = |name: &str| enclosure.at(name);
        let settings = format!(
            "version = 2\nroot = {:?}\nstate = {:?}\ndisabled_plugins = [\"io.containerd.grpc.v1.cri\"]\n\
             [grpc]\naddress = {:?}\n[ttrpc]\naddress = {:?}\n\
             [plugins.\"io.containerd.internal.v1.opt\"]\npath = {:?}\n",
            at("root"),
            at("state"),
            at("socket"),
            at("ttrpc"),
            at("opt"),
        );
        std::fs::write(at("config.toml"), settings).expect("a file");
        let words = ["containerd".to_owned(), "--config".to_owned(), at("config.toml")];
        let mut containerd = Self { enclosure, image: String::new() };
        containerd.enclosure.daemon("log", &words, || containerd.run(&["version"]).code == 0);
        containerd.ok(&["images", "import", image]);
        containerd.image = containerd.ok(&["images", "ls", "--quiet"]).trim().to_owned();
        Some(containerd)
    }

    fn words(&self, arguments: &[&str]) -> Vec<String> {
        let socket = self.enclosure.at("socket");
        let mut words = vec!["ctr", "--address", &socket];
        words.extend(arguments);
        words.into_iter().map(str::to_owned).collect()
    }

    #[track_caller]
    fn run(&self, arguments: &[&str]) -> Output {
        self.enclosure.run(&self.words(arguments))
    }

    #[track_caller]
    fn ok(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert_eq!(output.code, 0, "ctr {arguments:?}\n{}\n{}", output.stdout, output.stderr);
        output.stdout
    }

    #[track_caller]
    fn fails(&self, code: i32, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert_eq!(output.code, code, "ctr {arguments:?}\n{}\n{}", output.stdout, output.stderr);
        output.stderr
    }

    /// The words of `ctr run`.
    fn started(&self, options: &[&str], id: &str, command: &[&str]) -> Vec<String> {
        let (runtime, cgroup) = (runtime_path(), format!("{}/{id}", self.enclosure.cgroup()));
        let fixed = ["run", "--runc-binary", &runtime, "--cgroup", &cgroup];
        let words = [&fixed[..], options, &[&self.image, id], command].concat();
        words.into_iter().map(str::to_owned).collect()
    }

    fn run_container(&self, options: &[&str], id: &str, command: &[&str]) -> Output {
        let words = self.started(options, id, command);
        self.run(&words.iter().map(String::as_str).collect::<Vec<_>>())
    }

    #[track_caller]
    fn detached(&self, options: &[&str], id: &str, command: &[&str]) {
        let output = self.run_container(&[&["--detach"], options].concat(), id, command);
        assert_eq!(output.code, 0, "{}", output.stderr);
    }

    fn pty(&self, arguments: &[&str]) -> Pty {
        self.enclosure.pty(&self.words(arguments))
    }

    /// What the task list says of `id`.
    fn status(&self, id: &str) -> Option<String> {
        let list = self.ok(&["tasks", "ls"]);
        list.lines().find_map(|line| {
            let mut words = line.split_whitespace();
            (words.next() == Some(id)).then(|| words.nth(1).map(str::to_owned))?
        })
    }

    #[track_caller]
    fn await_status(&self, id: &str, wanted: &str) {
        eventually(wanted, || (self.status(id).as_deref() == Some(wanted)).then_some(()));
    }

    /// Kills, deletes and looks for leftovers.
    #[track_caller]
    fn remove(&self, id: &str) {
        if self.status(id).is_some_and(|status| status != "STOPPED") {
            self.ok(&["tasks", "kill", "--all", "--signal", "KILL", id]);
            self.await_status(id, "STOPPED");
        }
        self.run(&["tasks", "rm", id]);
        self.ok(&["containers", "rm", id]);
        self.enclosure.assert_nothing_of(id);
    }
}

#[test]
fn runs_and_gives_back_output_and_exit_code() {
    let containerd = containerd!();
    let run = |id: &str, options: &[&str], command: &[&str]| {
        let output = containerd.run_container(&[&["--rm"], options].concat(), id, command);
        containerd.enclosure.assert_nothing_of(id);
        output
    };
    let output = run("run-code", &[], &["sh", "-c", "echo out; echo err >&2; exit 7"]);
    assert_eq!((output.code, output.stdout.as_str()), (7, "out\n"), "{}", output.stderr);
    assert!(output.stderr.contains("err\n"), "{}", output.stderr);
    let options = ["--cwd", "/tmp", "--env", "A=b", "--user", "7:8"];
    let output = run("run-options", &options, &["sh", "-c", "id -u; id -g; pwd; echo $A"]);
    // `--user` came with containerd 1.7.
    let (output, wanted) = if output.stderr.contains("not defined: -user") {
        (run("run-fewer", &options[..4], &["sh", "-c", "id -u; id -g; pwd; echo $A"]), "0\n0\n/tmp\nb\n")
    } else {
        (output, "7\n8\n/tmp\nb\n")
    };
    assert_eq!((output.code, output.stdout.as_str()), (0, wanted), "{}", output.stderr);
    let output = run("run-readonly", &["--read-only"], &["touch", "/x"]);
    assert!(output.code == 1 && output.stderr.contains("Read-only"), "{}", output.stderr);
    let output = run("run-seccomp", &["--seccomp"], &["grep", "Seccomp:", "/proc/self/status"]);
    assert_eq!(output.stdout.split_whitespace().last(), Some("2"), "{}", output.stderr);
    let output = run("run-privileged", &["--privileged"], &["ls", "/dev/null"]);
    assert_eq!(output.code, 0, "{}", output.stderr);
}

#[test]
fn tells_a_missing_program_from_one_that_cannot_run() {
    let containerd = containerd!();
    containerd.detached(&[], "errors-main", &["sleep", "1000"]);
    for (program, why) in
        [("no-such-program", "executable file not found in $PATH"), ("/etc/passwd", "permission denied")]
    {
        let output = containerd.run_container(&["--rm"], "errors", &[program]);
        assert_eq!(output.code, 1, "{}", output.stderr);
        assert!(output.stderr.contains(why) && output.stderr.contains(program), "{}", output.stderr);
        let error = containerd.fails(1, &["tasks", "exec", "--exec-id", "e", "errors-main", program]);
        assert!(error.contains(why) && error.contains(program), "{error}");
    }
    containerd.remove("errors-main");
}

#[test]
fn executes_in_a_running_container() {
    let containerd = containerd!();
    containerd.detached(&["--env", "FROM=run"], "execs", &["sleep", "1000"]);
    let exec = |options: &[&str], command: &[&str]| {
        containerd.run(&[&["tasks", "exec", "--exec-id", "e"], options, &["execs"], command].concat())
    };
    let output = exec(&["--cwd", "/tmp"], &["sh", "-c", "echo $FROM; cat /proc/1/comm; pwd; exit 9"]);
    assert_eq!((output.code, output.stdout.as_str()), (9, "run\nsleep\n/tmp\n"), "{}", output.stderr);
    let output = exec(&["--user", "5:6"], &["sh", "-c", "id -u; id -g"]);
    assert_eq!(output.stdout, "5\n6\n", "{}", output.stderr);
    let output = exec(&["--detach"], &["sh", "-c", "echo yes > /tmp/detached"]);
    assert_eq!(output.code, 0, "{}", output.stderr);
    let read = ["tasks", "exec", "--exec-id", "r", "execs", "cat", "/tmp/detached"];
    eventually("what a detached exec does", || (containerd.run(&read).stdout == "yes\n").then_some(()));
    containerd.remove("execs");
}

#[test]
fn gives_a_terminal_to_run_and_exec() {
    let containerd = containerd!();
    let words = containerd.started(&["--rm", "--tty"], "terminal", &["sh"]);
    let mut pty = containerd.pty(&words.iter().map(String::as_str).collect::<Vec<_>>());
    pty.expect("# ");
    pty.send("tty\r");
    pty.expect("/dev/pts/0");
    eventually("the terminal's size", || {
        pty.send("stty size\r");
        pty.expect("stty size");
        pty.expect("# ").contains("24 80").then_some(())
    });
    let mut second = containerd.pty(&["tasks", "exec", "--tty", "--exec-id", "t", "terminal", "sh"]);
    second.expect("# ");
    second.send("tty; exit 4\r");
    second.expect("/dev/pts/1");
    assert_eq!(second.finish().0, 4);
    pty.send("exit 3\r");
    assert_eq!(pty.finish().0, 3);
    containerd.enclosure.assert_nothing_of("terminal");
}

#[test]
fn limits_are_in_force_and_measured() {
    let containerd = containerd!();
    let options = ["--memory-limit", "67108864", "--cpus", "0.5"];
    containerd.detached(&options, "limits", &["sleep", "1000"]);
    let read = |v2, v1| containerd.enclosure.read_cgroup("limits", v2, v1);
    assert_eq!(read("memory.max", "memory/memory.limit_in_bytes"), "67108864");
    let quota = read("cpu.max", "cpu/cpu.cfs_quota_us");
    assert!(quota == "50000 100000" || quota == "50000", "{quota}");
    let metrics = containerd.ok(&["tasks", "metrics", "limits"]);
    let value = |name: &str| {
        let of = |line: &str| line.strip_prefix(name)?.split_whitespace().next()?.parse::<u64>().ok();
        metrics.lines().find_map(of)
    };
    assert!(metrics.contains("pids.current") && value("pids.current") == Some(1), "{metrics}");
    let memory = value("memory.usage_in_bytes").or_else(|| value("memory.usage"));
    assert!(memory.is_some_and(|bytes| bytes > 0 && bytes < 67_108_864), "{metrics}");
    // Of the container alone: the host has used more than that since it started.
    let nanoseconds = value("cpuacct.usage").or_else(|| value("cpu.usage_usec").map(|n| n * 1000));
    assert!(nanoseconds.is_some_and(|n| n > 0 && n < 10_000_000_000), "{metrics}");
    containerd.remove("limits");
}

#[test]
fn too_much_memory_is_reported_as_such() {
    let containerd = containerd!();
    let log = containerd.enclosure.at("events");
    let mut round = 0;
    // The listener may not be there yet the first time.
    containerd.enclosure.daemon("events", &containerd.words(&["events"]), || {
        round += 1;
        let options = ["--rm", "--memory-limit", "16777216"];
        let output = containerd.run_container(&options, &format!("oom-{round}"), &["sh", "-c", HOG]);
        assert_eq!(output.code, 137, "{}", output.stderr);
        std::fs::read_to_string(&log).is_ok_and(|text| text.contains("/tasks/oom"))
    });
}

#[test]
fn signals_and_stops() {
    let containerd = containerd!();
    let script = "trap 'exit 5' USR1; echo ready > /tmp/ready; while :; do sleep 0.05; done";
    let words = containerd.started(&["--rm"], "signals", &["sh", "-c", script]);
    let running = containerd
        .enclosure
        .background(&containerd.words(&words.iter().map(String::as_str).collect::<Vec<_>>()));
    let ready = ["tasks", "exec", "--exec-id", "e", "signals", "cat", "/tmp/ready"];
    eventually("its trap", || (containerd.run(&ready).stdout == "ready\n").then_some(()));
    assert_eq!(containerd.status("signals").as_deref(), Some("RUNNING"));
    assert!(containerd.ok(&["tasks", "ps", "signals"]).lines().count() >= 2);
    containerd.ok(&["tasks", "kill", "--signal", "USR1", "signals"]);
    assert_eq!(running.finish().code, 5);
    containerd.enclosure.assert_nothing_of("signals");
}

#[test]
fn starts_again_after_its_end() {
    let containerd = containerd!();
    containerd.detached(&[], "again", &["sh", "-c", "exec sleep 1000"]);
    containerd.ok(&["tasks", "kill", "--signal", "KILL", "again"]);
    containerd.await_status("again", "STOPPED");
    containerd.run(&["tasks", "rm", "again"]);
    containerd.ok(&["tasks", "start", "--detach", "again"]);
    containerd.await_status("again", "RUNNING");
    containerd.remove("again");
}

#[test]
fn pauses_and_resumes() {
    let containerd = containerd!();
    containerd.detached(&[], "paused", &["sleep", "1000"]);
    containerd.ok(&["tasks", "pause", "paused"]);
    containerd.await_status("paused", "PAUSED");
    containerd.ok(&["tasks", "resume", "paused"]);
    containerd.await_status("paused", "RUNNING");
    containerd.remove("paused");
}

#[test]
fn mounts_and_joined_namespaces() {
    let containerd = containerd!();
    let host = containerd.enclosure.at("volume");
    std::fs::create_dir(&host).expect("a directory");
    std::fs::write(format!("{host}/file"), "from the host\n").expect("a file");
    let mount = format!("type=bind,src={host},dst=/data,options=rbind:ro");
    let script = "cat /data/file; touch /data/x 2>/dev/null || echo ro; readlink /proc/self/ns/net";
    let host = containerd.enclosure.run(&["readlink", "/proc/self/ns/net"]).stdout;
    let options = ["--rm", "--net-host", "--mount", &mount];
    let output = containerd.run_container(&options, "mounts", &["sh", "-c", script]);
    assert_eq!(output.stdout, format!("from the host\nro\n{host}"), "{}", output.stderr);
    containerd.enclosure.assert_nothing_of("mounts");
}

#[test]
fn a_user_namespace_and_no_pivot() {
    let containerd = containerd!();
    let options = ["--rm", "--uidmap", "0:100000:65536", "--gidmap", "0:100000:65536"];
    let script = "id -u; read -r map </proc/self/uid_map; echo $map; touch /made && stat -c %u /made";
    let output = containerd.run_container(&options, "mapped-ids", &["sh", "-c", script]);
    assert_eq!((output.code, output.stdout.as_str()), (0, "0\n0 100000 65536\n0\n"), "{}", output.stderr);
    containerd.enclosure.assert_nothing_of("mapped-ids");
    let output = containerd.run_container(&["--rm", "--no-pivot"], "no-pivot", &["ls", "/"]);
    assert!(output.code == 0 && output.stdout.contains("bin\n"), "{}", output.stderr);
    containerd.enclosure.assert_nothing_of("no-pivot");
}
