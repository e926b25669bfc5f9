//! Buildah, from Debian's package, with conex-runtime as its OCI runtime.

use conex_tests::{Enclosure, Output, Pty, Shared, archive, lacks, needs_root, runtime_path, skip};

/// Buildah with a storage of its own.
struct Buildah {
    enclosure: Enclosure,
    image: String,
}

static BUILDAH: Shared<Buildah> = Shared::new();

macro_rules! buildah {
    () => {{
        needs_root!();
        if let Some(program) = lacks(&["buildah", "unshare", "nsenter"]) {
            skip!("{program} is not installed");
        }
        let Some(image) = archive("busybox-1.38-musl.oci.tar") else { skip!("no busybox image") };
        let Some(buildah) = BUILDAH.get(|| Buildah::new(image.to_str()?)) else {
            skip!("no namespaces here")
        };
        buildah
    }};
}

impl Buildah {
    fn new(image: &str) -> Option<Self> {
        let enclosure = Enclosure::new("buildah")?;
        // Buildah's own default of open files is more than an ordinary machine's root may have.
        let settings = "[containers]\ndefault_ulimits = [\"nofile=1024:2048\", \"nproc=2048:2048\"]\n";
        std::fs::write(enclosure.scratch().join("containers.conf"), settings).expect("a file");
        let mut buildah = Self { enclosure, image: String::new() };
        buildah.image = buildah.ok(&["pull", "--quiet", &format!("oci-archive:{image}")]).trim().to_owned();
        Some(buildah)
    }

    fn words(&self, arguments: &[&str]) -> Vec<String> {
        let at = |name: &str| self.enclosure.at(name);
        let settings = format!("CONTAINERS_CONF={}", at("containers.conf"));
        let (root, run, temporary) = (at("root"), at("run"), format!("TMPDIR={}", at("")));
        let mut words = vec!["env", &settings, &temporary, "buildah", "--root", &root, "--runroot", &run];
        words.extend(["--storage-driver", "overlay"]);
        words.extend(arguments);
        words.into_iter().map(str::to_owned).collect()
    }

    #[track_caller]
    fn any(&self, arguments: &[&str]) -> Output {
        self.enclosure.run(&self.words(arguments))
    }

    #[track_caller]
    fn ok(&self, arguments: &[&str]) -> String {
        let output = self.any(arguments);
        assert_eq!(output.code, 0, "buildah {arguments:?}\n{}\n{}", output.stdout, output.stderr);
        output.stdout
    }

    /// A working container. Buildah takes the cgroup's parent for the cgroup itself, so each has one of its own.
    #[track_caller]
    fn from(&self, cgroup: &str, options: &[&str]) -> String {
        let start = ["from", "--cgroup-parent", &format!("{}/{cgroup}", self.enclosure.cgroup())];
        self.ok(&[&start[..], options, &[&self.image]].concat()).trim().to_owned()
    }

    /// `run` in it, by our runtime.
    #[track_caller]
    fn run(&self, container: &str, options: &[&str], command: &[&str]) -> Output {
        let runtime = runtime_path();
        let start = ["run", "--runtime", &runtime, "--isolation", "oci", "--network", "none"];
        self.any(&[&start[..], options, &[container, "--"], command].concat())
    }

    fn pty(&self, arguments: &[&str]) -> Pty {
        self.enclosure.pty(&self.words(arguments))
    }
}

#[test]
fn runs_and_keeps_what_is_written() {
    let buildah = buildah!();
    let container = buildah.from("written", &[]);
    let output =
        buildah.run(&container, &[], &["sh", "-c", "echo out; echo err >&2; echo kept > /kept; exit 7"]);
    assert_eq!((output.code, output.stdout.as_str()), (7, "out\n"), "{}", output.stderr);
    assert!(output.stderr.contains("err\n"), "{}", output.stderr);
    let options = ["--user", "7:8", "--workingdir", "/tmp", "--env", "A=b", "--hostname", "box"];
    let script = ["sh", "-c", "cat /kept; id -u; id -g; pwd; echo $A; hostname"];
    let output = buildah.run(&container, &options, &script);
    assert_eq!((output.code, output.stdout.as_str()), (0, "kept\n7\n8\n/tmp\nb\nbox\n"), "{}", output.stderr);
    let output = buildah.run(&container, &["--cap-drop", "all"], &["grep", "CapEff", "/proc/self/status"]);
    assert_eq!(output.stdout.split_whitespace().last(), Some("0000000000000000"), "{}", output.stderr);
    let host = buildah.enclosure.at("volume");
    std::fs::create_dir(&host).expect("a directory");
    std::fs::write(format!("{host}/file"), "from the host\n").expect("a file");
    let output = buildah.run(&container, &["--volume", &format!("{host}:/data:ro")], &["cat", "/data/file"]);
    assert_eq!((output.code, output.stdout.as_str()), (0, "from the host\n"), "{}", output.stderr);
    buildah.ok(&["rm", &container]);
    buildah.enclosure.assert_nothing_of(&format!("buildah-{container}"));
}

#[test]
fn tells_what_cannot_run() {
    let buildah = buildah!();
    let container = buildah.from("errors", &[]);
    for (program, why) in [("no-such-program", "not found"), ("/etc/passwd", "permission denied")] {
        let output = buildah.run(&container, &[], &[program]);
        assert_ne!(output.code, 0);
        assert!(output.stderr.contains(why) && output.stderr.contains(program), "{}", output.stderr);
    }
    buildah.ok(&["rm", &container]);
}

#[test]
fn limits_are_in_force() {
    let buildah = buildah!();
    let container = buildah.from("limits", &["--memory", "64m", "--cpu-quota", "50000"]);
    let script = "cat /sys/fs/cgroup/memory.max /sys/fs/cgroup/cpu.max 2>/dev/null || cat \
                  /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/cpu/cpu.cfs_quota_us";
    let output = buildah.run(&container, &[], &["sh", "-c", script]);
    let read = output.stdout.as_str();
    assert!(read == "67108864\n50000\n" || read == "67108864\n50000 100000\n", "{read} {}", output.stderr);
    buildah.ok(&["rm", &container]);
}

#[test]
fn gives_a_terminal() {
    let buildah = buildah!();
    let container = buildah.from("terminal", &[]);
    let runtime = runtime_path();
    let mut pty = buildah.pty(&[
        "run",
        "--runtime",
        &runtime,
        "--isolation",
        "oci",
        "--network",
        "none",
        "--tty",
        &container,
        "--",
        "sh",
    ]);
    pty.expect("# ");
    pty.send("tty; stty size\r");
    pty.expect("/dev/pts/0");
    pty.expect("24 80");
    pty.send("exit 3\r");
    assert_eq!(pty.finish().0, 3);
    buildah.ok(&["rm", &container]);
}

#[test]
fn builds_with_steps_that_run() {
    let buildah = buildah!();
    let context = buildah.enclosure.at("context");
    std::fs::create_dir(&context).expect("a directory");
    let text = format!(
        "FROM {}\nRUN echo made > /made && mkdir /where\nUSER 5\nRUN id -u > /tmp/who\nCMD [\"cat\", \"/made\"]\n",
        buildah.image
    );
    std::fs::write(format!("{context}/Dockerfile"), text).expect("a file");
    let runtime = runtime_path();
    let build = ["bud", "--runtime", &runtime, "--isolation", "oci", "--network", "none", "--cgroup-parent"];
    let cgroup = format!("{}/build", buildah.enclosure.cgroup());
    let build = [&build[..], &[&cgroup, "--tag", "made:1"]].concat();
    buildah.ok(&[&build[..], &[&context]].concat());
    let start = ["from", "--cgroup-parent", &cgroup, "localhost/made:1"];
    let container = buildah.ok(&start).trim().to_owned();
    let output = buildah.run(&container, &[], &["cat", "/made", "/tmp/who"]);
    assert_eq!((output.code, output.stdout.as_str()), (0, "made\n5\n"), "{}", output.stderr);
    std::fs::write(format!("{context}/Dockerfile"), format!("FROM {}\nRUN exit 6\n", buildah.image))
        .expect("a file");
    let output = buildah.any(&[&build[..], &[&context]].concat());
    assert!(output.code != 0 && output.stderr.contains("exit status 6"), "{} {}", output.code, output.stderr);
    buildah.ok(&["rm", &container]);
}
