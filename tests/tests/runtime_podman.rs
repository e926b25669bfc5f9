//! Podman, from Debian's package, with conex-runtime as its OCI runtime.

use std::sync::Arc;

use conex_tests::{Enclosure, Output, Pty, Shared, archive, eventually, lacks, needs_root, skip};

const IMAGE: &str = "localhost/busybox:1.38.0-musl";

/// Fills any memory it is given.
const HOG: &str = "x=$(head -c 200000000 /dev/zero | tr '\\0' x); echo ${#x}";

/// Podman with a storage of its own.
struct Podman {
    enclosure: Enclosure,
}

static PODMAN: Shared<Podman> = Shared::new();

macro_rules! podman {
    () => {{
        needs_root!();
        if let Some(program) = lacks(&["podman", "conmon", "unshare", "nsenter"]) {
            skip!("{program} is not installed");
        }
        let Some(image) = archive("busybox-1.38-musl.oci.tar") else { skip!("no busybox image") };
        let Some(podman) = PODMAN.get(|| Podman::new(image.to_str()?)) else { skip!("no namespaces here") };
        podman
    }};
}

impl Podman {
    fn new(image: &str) -> Option<Self> {
        let enclosure = Enclosure::new("podman")?;
        enclosure.set_up_podman("no_pivot_root = false\n");
        let podman = Self { enclosure };
        podman.ok(&["load", "--quiet", "--input", image]);
        Some(podman)
    }

    fn words(&self, arguments: &[&str]) -> Vec<String> {
        self.enclosure.podman_words(arguments)
    }

    #[track_caller]
    fn run(&self, arguments: &[&str]) -> Output {
        self.enclosure.run(&self.words(arguments))
    }

    #[track_caller]
    fn ok(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert_eq!(output.code, 0, "podman {arguments:?}\n{}\n{}", output.stdout, output.stderr);
        output.stdout
    }

    #[track_caller]
    fn fails(&self, code: i32, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert_eq!(output.code, code, "podman {arguments:?}\n{}\n{}", output.stdout, output.stderr);
        output.stderr
    }

    /// `run` or `create`, with what every container here needs.
    fn made<'a>(&'a self, verb: &[&'a str], rest: &[&'a str]) -> Vec<&'a str> {
        [verb, &["--network", "none", "--cgroup-parent", self.enclosure.cgroup()], rest].concat()
    }

    fn pty(&self, arguments: &[&str]) -> Pty {
        self.enclosure.pty(&self.words(arguments))
    }

    /// Starts one in the background and gives back its id.
    #[track_caller]
    fn detached(&self, name: &str, options: &[&str], command: &[&str]) -> String {
        let options = [&["--detach", "--name", name], options, &[IMAGE], command].concat();
        self.ok(&self.made(&["run"], &options)).trim().to_owned()
    }

    #[track_caller]
    fn inspect(&self, name: &str, format: &str) -> String {
        self.ok(&["inspect", "--format", format, name]).trim().to_owned()
    }
}

#[test]
fn runs_and_gives_back_output_and_exit_code() {
    let podman = podman!();
    let run = |rest: &[&str]| podman.run(&podman.made(&["run", "--rm"], rest));
    let output = run(&[IMAGE, "sh", "-c", "echo out; echo err >&2; exit 7"]);
    assert_eq!((output.code, output.stdout.as_str(), output.stderr.as_str()), (7, "out\n", "err\n"));
    let output = run(&["--hostname", "box", "--user", "7:8", "--workdir", "/tmp", "--env", "A=b", IMAGE]
        .iter()
        .chain(&["sh", "-c", "hostname; id -u; id -g; pwd; echo $A"])
        .copied()
        .collect::<Vec<_>>());
    assert_eq!((output.code, output.stdout.as_str()), (0, "box\n7\n8\n/tmp\nb\n"), "{}", output.stderr);
    assert_eq!(run(&[IMAGE, "sh", "-c", "sh -c 'kill -9 $$'; exit $?"]).code, 137);
    let read_only = run(&["--read-only", IMAGE, "touch", "/x"]);
    assert!(read_only.code == 1 && read_only.stderr.contains("Read-only"), "{}", read_only.stderr);
    let caps = run(&["--cap-drop", "all", IMAGE, "grep", "CapEff", "/proc/self/status"]);
    assert_eq!(caps.stdout.split_whitespace().last(), Some("0000000000000000"), "{}", caps.stderr);
    let filtered = run(&[IMAGE, "grep", "Seccomp:", "/proc/self/status"]);
    assert_eq!(filtered.stdout.split_whitespace().last(), Some("2"), "{}", filtered.stderr);
}

#[test]
fn tells_a_missing_program_from_one_that_cannot_run() {
    let podman = podman!();
    let running = podman.detached("errors", &[], &["sleep", "1000"]);
    for (code, program, why) in
        [(127, "no-such-program", "not found"), (126, "/etc/passwd", "permission denied")]
    {
        let error = podman.fails(code, &podman.made(&["run", "--rm"], &[IMAGE, program]));
        assert!(error.to_lowercase().contains(why) && error.contains(program), "{error}");
        let error = podman.fails(code, &["exec", "errors", program]);
        assert!(error.to_lowercase().contains(why) && error.contains(program), "{error}");
    }
    let error =
        podman.fails(126, &podman.made(&["run", "--rm"], &["--workdir", "/etc/passwd", IMAGE, "true"]));
    assert!(error.contains("/etc/passwd"), "{error}");
    podman.ok(&["rm", "--force", "--time", "0", "errors"]);
    podman.enclosure.assert_nothing_of(&running);
}

#[test]
fn executes_in_a_running_container() {
    let podman = podman!();
    let id = podman.detached("execs", &["--env", "FROM=run"], &["sleep", "1000"]);
    assert_eq!(podman.ok(&["exec", "execs", "sh", "-c", "echo $FROM; cat /proc/1/comm"]), "run\nsleep\n");
    let options = ["exec", "--user", "5:6", "--workdir", "/tmp", "--env", "B=c", "execs"];
    let output = podman.ok(&[&options[..], &["sh", "-c", "id -u; id -g; pwd; echo $B"]].concat());
    assert_eq!(output, "5\n6\n/tmp\nc\n");
    podman.fails(9, &["exec", "execs", "sh", "-c", "exit 9"]);
    let capabilities = podman.ok(&["exec", "--privileged", "execs", "grep", "CapEff", "/proc/self/status"]);
    assert_ne!(capabilities.split_whitespace().last(), Some("0000000000000000"));
    podman.ok(&["exec", "--detach", "execs", "sh", "-c", "echo yes > /tmp/detached"]);
    eventually("what a detached exec does", || {
        let output = podman.run(&["exec", "execs", "cat", "/tmp/detached"]);
        (output.stdout == "yes\n").then_some(())
    });
    podman.ok(&["rm", "--force", "--time", "0", "execs"]);
    podman.enclosure.assert_nothing_of(&id);
}

#[test]
fn gives_a_terminal_to_run_and_exec() {
    let podman = podman!();
    let mut pty = podman.pty(&podman.made(&["run", "--rm", "-it"], &["--name", "terminal", IMAGE, "sh"]));
    pty.expect("# ");
    pty.send("tty; stty size\r");
    pty.expect("/dev/pts/0");
    pty.expect("24 80");
    let mut second = podman.pty(&["exec", "-it", "terminal", "sh"]);
    second.expect("# ");
    second.send("tty; exit 4\r");
    second.expect("/dev/pts/1");
    assert_eq!(second.finish().0, 4);
    pty.send("exit 3\r");
    assert_eq!(pty.finish().0, 3);
    podman.enclosure.assert_nothing_of("terminal");
}

#[test]
fn limits_are_in_force_and_change() {
    let podman = podman!();
    let options = ["--memory", "64m", "--memory-reservation", "32m", "--pids-limit", "50", "--cpus", "0.5"];
    let options = [&options[..], &["--cpu-shares", "512", "--cpuset-cpus", "0"]].concat();
    let id = podman.detached("limits", &options, &["sleep", "1000"]);
    let read = |v2: &str, v1: &str| {
        let script = format!("cat /sys/fs/cgroup/{v2} 2>/dev/null || cat /sys/fs/cgroup/{v1}");
        podman.ok(&["exec", "limits", "sh", "-c", &script]).trim().to_owned()
    };
    assert_eq!(read("memory.max", "memory/memory.limit_in_bytes"), "67108864");
    assert_eq!(read("memory.low", "memory/memory.soft_limit_in_bytes"), "33554432");
    assert_eq!(read("pids.max", "pids/pids.max"), "50");
    assert_eq!(read("cpuset.cpus", "cpuset/cpuset.cpus"), "0");
    let quota = read("cpu.max", "cpu/cpu.cfs_quota_us");
    assert!(quota == "50000 100000" || quota == "50000", "{quota}");
    podman.ok(&["update", "--memory", "96m", "--cpus", "0.25", "limits"]);
    assert_eq!(read("memory.max", "memory/memory.limit_in_bytes"), "100663296");
    let quota = read("cpu.max", "cpu/cpu.cfs_quota_us");
    assert!(quota == "25000 100000" || quota == "25000", "{quota}");
    assert_eq!(read("pids.max", "pids/pids.max"), "50");
    let stats = podman.ok(&["stats", "--no-stream", "--format", "{{.MemUsage}} {{.PIDs}}", "limits"]);
    assert!(stats.contains("kB / ") && stats.trim_end().ends_with(" 1"), "{stats}");
    podman.ok(&["rm", "--force", "--time", "0", "limits"]);
    podman.enclosure.assert_nothing_of(&id);
}

#[test]
fn too_much_memory_is_a_kill() {
    let podman = podman!();
    let options = ["--name", "hog", "--memory", "16m", "--memory-swap", "16m", IMAGE, "sh", "-c", HOG];
    podman.fails(137, &podman.made(&["run"], &options));
    assert_eq!(podman.inspect("hog", "{{.State.ExitCode}}"), "137");
    podman.ok(&["rm", "hog"]);
}

#[test]
fn creates_starts_signals_stops_and_logs() {
    let podman = podman!();
    let script =
        "trap 'echo usr1' USR1; trap 'echo term; exit 5' TERM; echo ready; while :; do sleep 0.05; done";
    let made = podman.ok(&podman.made(&["create"], &["--name", "cycle", IMAGE, "sh", "-c", script]));
    let id = made.trim();
    assert_eq!(podman.inspect("cycle", "{{.State.Status}}"), "created");
    podman.ok(&["init", "cycle"]);
    assert_eq!(podman.inspect("cycle", "{{.State.Status}}"), "initialized");
    podman.ok(&["start", "cycle"]);
    let logs = |wanted: &str| {
        eventually(wanted, || podman.ok(&["logs", "cycle"]).lines().any(|line| line == wanted).then_some(()));
    };
    logs("ready");
    podman.ok(&["kill", "--signal", "USR1", "cycle"]);
    logs("usr1");
    assert!(podman.ok(&["top", "cycle", "pid", "args"]).contains("sh -c trap"));
    podman.ok(&["stop", "--time", "30", "cycle"]);
    logs("term");
    assert_eq!(podman.inspect("cycle", "{{.State.Status}} {{.State.ExitCode}}"), "exited 5");
    podman.ok(&["start", "cycle"]);
    assert_eq!(podman.inspect("cycle", "{{.State.Status}}"), "running");
    podman.ok(&["restart", "--time", "0", "cycle"]);
    podman.ok(&["kill", "cycle"]);
    assert_eq!(podman.ok(&["wait", "cycle"]), "137\n");
    podman.ok(&["rm", "cycle"]);
    podman.enclosure.assert_nothing_of(id);
}

#[test]
fn pauses_and_resumes() {
    let podman = podman!();
    let count = "i=0; while :; do i=$((i+1)); echo $i > /tmp/count; sleep 0.02; done";
    let id = podman.detached("paused", &[], &["sh", "-c", count]);
    podman.ok(&["pause", "paused"]);
    assert_eq!(podman.inspect("paused", "{{.State.Status}}"), "paused");
    let error = podman.fails(255, &["exec", "paused", "true"]);
    assert!(error.contains("paused") || error.contains("state"), "{error}");
    podman.ok(&["unpause", "paused"]);
    assert_eq!(podman.inspect("paused", "{{.State.Status}}"), "running");
    let count = || podman.run(&["exec", "paused", "cat", "/tmp/count"]).stdout;
    let before = count();
    eventually("it to count on", || (count() != before).then_some(()));
    podman.ok(&["rm", "--force", "--time", "0", "paused"]);
    podman.enclosure.assert_nothing_of(&id);
}

#[test]
fn a_pod_shares_its_namespaces() {
    let podman = podman!();
    let infra = ["--infra-image", IMAGE, "--infra-command", "sleep 1000", "--share", "net,ipc,uts"];
    let create = [&["--name", "pod", "--hostname", "shared"], &infra[..]].concat();
    podman.ok(&podman.made(&["pod", "create"], &create));
    // A container in a pod takes the pod's network and cgroup parent.
    let first = podman.ok(&["run", "--detach", "--pod", "pod", "--name", "first", IMAGE, "sleep", "1000"]);
    let names = ["sh", "-c", "for name in net ipc uts; do readlink /proc/self/ns/$name; done; hostname"];
    let second = podman.ok(&[&["run", "--rm", "--pod", "pod", IMAGE][..], &names].concat());
    assert_eq!(second, podman.ok(&[&["exec", "first"][..], &names].concat()));
    assert!(second.starts_with("net:[") && second.ends_with("shared\n"), "{second}");
    let mounts = ["readlink", "/proc/self/ns/mnt"];
    assert_ne!(
        podman.ok(&[&["run", "--rm", "--pod", "pod", IMAGE][..], &mounts].concat()),
        podman.ok(&[&["exec", "first"][..], &mounts].concat())
    );
    podman.ok(&["pod", "stop", "--time", "0", "pod"]);
    podman.ok(&["pod", "rm", "--force", "--time", "0", "pod"]);
    podman.enclosure.assert_nothing_of(first.trim());
}

#[test]
fn volumes_tmpfs_and_devices() {
    let podman = podman!();
    let host = podman.enclosure.scratch().join("volume");
    std::fs::create_dir(&host).expect("a directory");
    std::fs::write(host.join("file"), "from the host\n").expect("a file");
    let volume = format!("{}:/data:ro", host.display());
    let options =
        ["--volume", &volume, "--tmpfs", "/scratch:size=1m", "--device", "/dev/zero:/dev/mine", IMAGE];
    let script = "cat /data/file; touch /data/x 2>/dev/null || echo ro; df -k /scratch | tail -1 | awk '{print $2}'; \
                  head -c 3 /dev/mine | wc -c";
    let output = podman.ok(&podman.made(&["run", "--rm"], &[&options[..], &["sh", "-c", script]].concat()));
    assert_eq!(output, "from the host\nro\n1024\n3\n");
    for place in ["/proc/no-such", "/proc/sys/kernel/hostname"] {
        let volume = format!("{}:{place}", host.join("file").display());
        let error = podman.fails(126, &podman.made(&["run", "--rm"], &["--volume", &volume, IMAGE, "true"]));
        assert!(error.contains("files of /proc") || error.contains("inside /proc"), "{error}");
    }
}

#[test]
fn a_user_namespace_of_ones_own() {
    let podman: Arc<Podman> = podman!();
    let options = ["--uidmap", "0:100000:1000", "--gidmap", "0:200000:1000", IMAGE];
    let script = ["sh", "-c", "id -u; cat /proc/self/uid_map /proc/self/gid_map; stat -c %u:%g /"];
    let output = podman.ok(&podman.made(&["run", "--rm"], &[&options[..], &script].concat()));
    let lines: Vec<Vec<&str>> = output.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines, [vec!["0"], vec!["0", "100000", "1000"], vec!["0", "200000", "1000"], vec!["0:0"]]);
}
