//! dockerd, from Debian's package, with conex-runtime as its default runtime.

use conex_tests::{
    Enclosure, Output, Pty, Shared, archive, eventually, lacks, needs_root, runtime_path, skip, skopeo_copy,
};

const IMAGE: &str = "busybox:1.38";

/// Fills any memory it is given.
const HOG: &str = "x=$(head -c 200000000 /dev/zero | tr '\\0' x); echo ${#x}";

/// A daemon on a socket of its own, without any network but loopback.
struct Docker {
    enclosure: Enclosure,
}

static DOCKER: Shared<Docker> = Shared::new();

macro_rules! docker {
    () => {{
        needs_root!();
        if let Some(program) = lacks(&["dockerd", "docker", "containerd", "skopeo", "unshare", "nsenter"]) {
            skip!("{program} is not installed");
        }
        let Some(image) = archive("busybox-1.38-musl.oci.tar") else { skip!("no busybox image") };
        let Some(docker) = DOCKER.get(|| Docker::start(image.to_str()?)) else { skip!("no namespaces here") };
        docker
    }};
}

impl Docker {
    fn start(image: &str) -> Option<Self> {
        let enclosure = Enclosure::new("dockerd")?;
        let at = |name: &str| enclosure.at(name);
        // Everything it would write below /etc or /var goes to the scratch directory.
        let settings = format!("{{\"deprecated-key-path\": {:?}}}", at("key.json"));
        std::fs::write(at("daemon.json"), settings).expect("a file");
        let mut words = vec!["dockerd".to_owned()];
        for (option, value) in [
            ("--config-file", at("daemon.json")),
            ("--host", format!("unix://{}", at("docker.sock"))),
            ("--data-root", at("data")),
            ("--exec-root", at("exec")),
            ("--pidfile", at("pid")),
            ("--storage-driver", "overlay2".to_owned()),
            ("--bridge", "none".to_owned()),
            ("--iptables", "false".to_owned()),
            ("--ip6tables", "false".to_owned()),
            ("--userland-proxy", "false".to_owned()),
            ("--cgroup-parent", enclosure.cgroup().to_owned()),
            ("--exec-opt", "native.cgroupdriver=cgroupfs".to_owned()),
            ("--add-runtime", format!("conex={}", runtime_path())),
            ("--default-runtime", "conex".to_owned()),
        ] {
            words.push(format!("{option}={value}"));
        }
        let docker = Self { enclosure };
        let tar = docker.enclosure.at("image.tar");
        let made =
            skopeo_copy(&[], &format!("oci-archive:{image}"), &format!("docker-archive:{tar}:{IMAGE}"));
        assert_eq!(made.code, 0, "skopeo: {}", made.stderr);
        docker.enclosure.daemon("log", &words, || docker.run(&["version"]).code == 0);
        docker.ok(&["load", "--quiet", "--input", &tar]);
        Some(docker)
    }

    fn words(&self, arguments: &[&str]) -> Vec<String> {
        let host = format!("unix://{}", self.enclosure.at("docker.sock"));
        let builder = "DOCKER_BUILDKIT=0";
        let mut words = vec!["env", builder, "docker", "--host", &host];
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
        assert_eq!(output.code, 0, "docker {arguments:?}\n{}\n{}", output.stdout, output.stderr);
        output.stdout
    }

    #[track_caller]
    fn fails(&self, code: i32, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert_eq!(output.code, code, "docker {arguments:?}\n{}\n{}", output.stdout, output.stderr);
        output.stderr
    }

    fn pty(&self, arguments: &[&str]) -> Pty {
        self.enclosure.pty(&self.words(arguments))
    }

    /// Starts one in the background and gives back its id.
    #[track_caller]
    fn detached(&self, name: &str, options: &[&str], command: &[&str]) -> String {
        let start = ["run", "--detach", "--network", "none", "--name", name];
        self.ok(&[&start, options, &[IMAGE], command].concat()).trim().to_owned()
    }

    #[track_caller]
    fn inspect(&self, name: &str, format: &str) -> String {
        self.ok(&["inspect", "--format", format, name]).trim().to_owned()
    }

    #[track_caller]
    fn remove(&self, name: &str, id: &str) {
        self.ok(&["rm", "--force", name]);
        self.enclosure.assert_nothing_of(id);
    }
}

#[test]
fn runs_and_gives_back_output_and_exit_code() {
    let docker = docker!();
    let run = |rest: &[&str]| docker.run(&[&["run", "--rm", "--network", "none"], rest].concat());
    let output = run(&[IMAGE, "sh", "-c", "echo out; echo err >&2; exit 7"]);
    assert_eq!((output.code, output.stdout.as_str(), output.stderr.as_str()), (7, "out\n", "err\n"));
    let options = ["--hostname", "box", "--user", "7:8", "--workdir", "/tmp", "--env", "A=b", IMAGE];
    let output = run(&[&options[..], &["sh", "-c", "hostname; id -u; id -g; pwd; echo $A"]].concat());
    assert_eq!((output.code, output.stdout.as_str()), (0, "box\n7\n8\n/tmp\nb\n"), "{}", output.stderr);
    let read_only = run(&["--read-only", IMAGE, "touch", "/x"]);
    assert!(read_only.code == 1 && read_only.stderr.contains("Read-only"), "{}", read_only.stderr);
    let caps = run(&["--cap-drop", "all", IMAGE, "grep", "CapEff", "/proc/self/status"]);
    assert_eq!(caps.stdout.split_whitespace().last(), Some("0000000000000000"), "{}", caps.stderr);
    let options = ["--security-opt", "no-new-privileges", IMAGE];
    let filtered = run(&[&options[..], &["grep", "-E", "NoNewPrivs|Seccomp:", "/proc/self/status"]].concat());
    let words: Vec<&str> = filtered.stdout.split_whitespace().collect();
    assert_eq!(words, ["NoNewPrivs:", "1", "Seccomp:", "2"], "{}", filtered.stderr);
    let piped = "echo hello | docker --host unix://$1/docker.sock run --rm -i --network none $2 tr a-z A-Z";
    let scratch = docker.enclosure.at("");
    let output = docker.enclosure.run(&["sh", "-c", piped, "sh", scratch.trim_end_matches('/'), IMAGE]);
    assert_eq!((output.code, output.stdout.as_str()), (0, "HELLO\n"), "{}", output.stderr);
}

#[test]
fn tells_a_missing_program_from_one_that_cannot_run() {
    let docker = docker!();
    let id = docker.detached("errors", &[], &["sleep", "1000"]);
    for (code, program, why) in
        [(127, "no-such-program", "not found"), (126, "/etc/passwd", "permission denied")]
    {
        let error = docker.fails(code, &["run", "--rm", "--network", "none", IMAGE, program]);
        assert!(error.contains(why) && error.contains(program), "{error}");
        let output = docker.run(&["exec", "errors", program]);
        // Older clients say 126 of both.
        assert!(output.code == code || output.code == 126, "{} {}", output.code, output.stderr);
        let told = output.stdout + &output.stderr;
        assert!(told.contains(why) && told.contains(program), "{told}");
    }
    docker.remove("errors", &id);
}

#[test]
fn executes_in_a_running_container() {
    let docker = docker!();
    let id = docker.detached("execs", &["--env", "FROM=run"], &["sleep", "1000"]);
    assert_eq!(docker.ok(&["exec", "execs", "sh", "-c", "echo $FROM; cat /proc/1/comm"]), "run\nsleep\n");
    let options = ["exec", "--user", "5:6", "--workdir", "/tmp", "--env", "B=c", "execs"];
    let output = docker.ok(&[&options[..], &["sh", "-c", "id -u; id -g; pwd; echo $B"]].concat());
    assert_eq!(output, "5\n6\n/tmp\nc\n");
    docker.fails(9, &["exec", "execs", "sh", "-c", "exit 9"]);
    docker.ok(&["exec", "--privileged", "execs", "true"]);
    docker.ok(&["exec", "--detach", "execs", "sh", "-c", "echo yes > /tmp/detached"]);
    eventually("what a detached exec does", || {
        (docker.run(&["exec", "execs", "cat", "/tmp/detached"]).stdout == "yes\n").then_some(())
    });
    docker.remove("execs", &id);
}

#[test]
fn gives_a_terminal_to_run_and_exec() {
    let docker = docker!();
    let mut pty = docker.pty(&["run", "--rm", "-it", "--network", "none", "--name", "terminal", IMAGE, "sh"]);
    pty.expect("# ");
    pty.send("tty\r");
    pty.expect("/dev/pts/0");
    eventually("the terminal's size", || {
        pty.send("stty size\r");
        pty.expect("stty size");
        pty.expect("# ").contains("24 80").then_some(())
    });
    let mut second = docker.pty(&["exec", "-it", "terminal", "sh"]);
    second.expect("# ");
    second.send("tty; exit 4\r");
    second.expect("/dev/pts/1");
    assert_eq!(second.finish().0, 4);
    pty.send("exit 3\r");
    assert_eq!(pty.finish().0, 3);
}

#[test]
fn limits_are_in_force_and_change() {
    let docker = docker!();
    let options = ["--memory", "64m", "--memory-reservation", "32m", "--pids-limit", "50", "--cpus", "0.5"];
    let options = [&options[..], &["--cpuset-cpus", "0", "--ulimit", "nofile=100:200"]].concat();
    let id = docker.detached("limits", &options, &["sleep", "1000"]);
    let read = |v2: &str, v1: &str| {
        let script = format!("cat /sys/fs/cgroup/{v2} 2>/dev/null || cat /sys/fs/cgroup/{v1}");
        docker.ok(&["exec", "limits", "sh", "-c", &script]).trim().to_owned()
    };
    assert_eq!(read("memory.max", "memory/memory.limit_in_bytes"), "67108864");
    assert_eq!(read("memory.low", "memory/memory.soft_limit_in_bytes"), "33554432");
    assert_eq!(read("pids.max", "pids/pids.max"), "50");
    assert_eq!(read("cpuset.cpus", "cpuset/cpuset.cpus"), "0");
    assert_eq!(docker.ok(&["exec", "limits", "sh", "-c", "ulimit -Sn; ulimit -Hn"]), "100\n200\n");
    let quota = read("cpu.max", "cpu/cpu.cfs_quota_us");
    assert!(quota == "50000 100000" || quota == "50000", "{quota}");
    docker.ok(&["update", "--memory", "96m", "--memory-swap", "96m", "--pids-limit", "60", "limits"]);
    assert_eq!(read("memory.max", "memory/memory.limit_in_bytes"), "100663296");
    assert_eq!(read("pids.max", "pids/pids.max"), "60");
    let stats = docker.ok(&["stats", "--no-stream", "--format", "{{.MemUsage}} {{.PIDs}}", "limits"]);
    assert!(stats.contains("/ 96MiB") && stats.trim_end().ends_with(" 1"), "{stats}");
    docker.remove("limits", &id);
}

#[test]
fn too_much_memory_is_reported_as_such() {
    let docker = docker!();
    let options = ["--name", "hog", "--memory", "16m", "--memory-swap", "16m", "--network", "none", IMAGE];
    docker.fails(137, &[&["run"], &options[..], &["sh", "-c", HOG]].concat());
    assert_eq!(docker.inspect("hog", "{{.State.OOMKilled}} {{.State.ExitCode}}"), "true 137");
    let id = docker.inspect("hog", "{{.Id}}");
    docker.remove("hog", &id);
}

#[test]
fn creates_starts_signals_stops_and_logs() {
    let docker = docker!();
    let script =
        "trap 'echo usr1' USR1; trap 'echo term; exit 5' TERM; echo ready; while :; do sleep 0.05; done";
    let create = ["create", "--network", "none", "--name", "cycle", IMAGE, "sh", "-c", script];
    let id = docker.ok(&create).trim().to_owned();
    assert_eq!(docker.inspect("cycle", "{{.State.Status}} {{.HostConfig.Runtime}}"), "created conex");
    docker.ok(&["start", "cycle"]);
    let logs = |wanted: &str| {
        eventually(wanted, || docker.ok(&["logs", "cycle"]).lines().any(|line| line == wanted).then_some(()));
    };
    logs("ready");
    docker.ok(&["kill", "--signal", "USR1", "cycle"]);
    logs("usr1");
    assert!(docker.ok(&["top", "cycle"]).contains("sh -c trap"));
    docker.ok(&["stop", "--time", "30", "cycle"]);
    logs("term");
    assert_eq!(docker.inspect("cycle", "{{.State.Status}} {{.State.ExitCode}}"), "exited 5");
    docker.ok(&["start", "cycle"]);
    docker.ok(&["restart", "--time", "0", "cycle"]);
    assert_eq!(docker.inspect("cycle", "{{.State.Status}}"), "running");
    docker.ok(&["kill", "cycle"]);
    assert_eq!(docker.ok(&["wait", "cycle"]), "137\n");
    docker.remove("cycle", &id);
}

#[test]
fn pauses_and_resumes() {
    let docker = docker!();
    let count = "i=0; while :; do i=$((i+1)); echo $i > /tmp/count; sleep 0.02; done";
    let id = docker.detached("paused", &[], &["sh", "-c", count]);
    docker.ok(&["pause", "paused"]);
    assert_eq!(docker.inspect("paused", "{{.State.Status}}"), "paused");
    docker.fails(1, &["exec", "paused", "true"]);
    docker.ok(&["unpause", "paused"]);
    let count = || docker.run(&["exec", "paused", "cat", "/tmp/count"]).stdout;
    let before = count();
    eventually("it to count on", || (count() != before).then_some(()));
    docker.remove("paused", &id);
}

#[test]
fn joins_another_containers_namespaces() {
    let docker = docker!();
    let id = docker.detached("shared", &["--ipc", "shareable"], &["sleep", "1000"]);
    let names = ["sh", "-c", "for name in net ipc pid; do readlink /proc/self/ns/$name; done"];
    let join = ["--network", "container:shared", "--ipc", "container:shared", "--pid", "container:shared"];
    let second = docker.ok(&[&["run", "--rm"], &join[..], &[IMAGE], &names].concat());
    assert_eq!(second, docker.ok(&[&["exec", "shared"][..], &names].concat()));
    docker.remove("shared", &id);
}

#[test]
fn mounts_and_devices() {
    let docker = docker!();
    let host = docker.enclosure.at("volume");
    std::fs::create_dir(&host).expect("a directory");
    std::fs::write(format!("{host}/file"), "from the host\n").expect("a file");
    let volume = format!("{host}:/data:ro");
    let options = ["--volume", &volume, "--tmpfs", "/scratch:size=1m", "--device", "/dev/zero:/dev/mine"];
    let script = "cat /data/file; touch /data/x 2>/dev/null || echo ro; df -k /scratch | tail -1 | awk '{print $2}'; \
                  head -c 3 /dev/mine | wc -c; echo x >/named/kept";
    let start = ["run", "--rm", "--network", "none", "--volume", "named:/named"];
    let output = docker.ok(&[&start[..], &options, &[IMAGE, "sh", "-c", script]].concat());
    assert_eq!(output, "from the host\nro\n1024\n3\n");
    assert_eq!(docker.ok(&[&start[..], &[IMAGE, "cat", "/named/kept"]].concat()), "x\n");
    docker.ok(&["volume", "rm", "named"]);
    let privileged = docker.ok(&[&start[..4], &["--privileged", IMAGE, "ls", "/dev/kmsg"]].concat());
    assert_eq!(privileged, "/dev/kmsg\n");
}

#[test]
fn builds_with_a_step_that_runs() {
    let docker = docker!();
    let context = docker.enclosure.at("context");
    std::fs::create_dir(&context).expect("a directory");
    let text = format!(
        "FROM {IMAGE}\nRUN echo made > /made && mkdir /where\nWORKDIR /where\nCMD [\"cat\", \"/made\"]\n"
    );
    std::fs::write(format!("{context}/Dockerfile"), text).expect("a file");
    docker.ok(&["build", "--network", "none", "--tag", "made:1", &context]);
    assert_eq!(docker.ok(&["run", "--rm", "--network", "none", "made:1"]), "made\n");
    std::fs::write(format!("{context}/Dockerfile"), format!("FROM {IMAGE}\nRUN exit 6\n")).expect("a file");
    let error = docker.fails(6, &["build", "--network", "none", &context]).to_lowercase();
    assert!(error.contains("non-zero code: 6"), "{error}");
}
