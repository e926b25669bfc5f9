//! What hostile programs and images do to `conex-runtime`'s processes: descriptors, working directories, its own binary,
//! capabilities. Each test mounts the attack of the CVE it names; the races are run a fixed number of times.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use conex_tests::{Background, Output, Runtime, eventually, fixture, needs_root, skip};
use serde_json::{Value, json};

/// A runtime, the hostile program of `fixtures/attack.c` on the host, and a bundle's config that runs words of it.
macro_rules! bed {
    () => {{
        needs_root!();
        let Some(runtime) = Runtime::new() else { skip!("no busybox image") };
        let Some(attack) = fixture("attack", runtime.scratch()) else { skip!("no C compiler") };
        (runtime, attack)
    }};
}

/// A bundle with the hostile program in it as /attack.
fn hostile(runtime: &Runtime, attack: &Path, id: &str, config: &Value) -> PathBuf {
    let bundle = runtime.bundle(id, config);
    std::fs::copy(attack, bundle.join("rootfs/attack")).expect("a copy");
    bundle
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a path in UTF-8")
}

/// Starts the command through a shell that opens more descriptors for it than it asks for.
fn leaking(command: &Command) -> Command {
    let mut shell = Command::new("bash");
    // 9 and 64 are directories of the host, 10 a file, 200 a file to write to.
    let script = "exec 9</ 10</etc/passwd 64</root 200>>/dev/null; exec \"$@\"";
    shell
        .args(["-c", script, "bash"])
        .arg(command.get_program())
        .args(command.get_args())
        .stdin(Stdio::null());
    shell
}

fn done(mut command: Command) -> Output {
    let output = Background::spawn(&mut command).finish();
    assert!(!output.stderr.starts_with("bash: "), "the test does not work: {output:?}");
    output
}

/// CVE-2016-9962, CVE-2024-21626: what the runtime's caller or the runtime itself has open is not for the container.
#[test]
fn descriptors_do_not_leak() {
    let (runtime, attack) = bed!();
    let mut config = runtime.config(&["/attack", "fds"]);
    let bundle = hostile(&runtime, &attack, "one", &config);
    let output = done(leaking(&runtime.command(&["run", "--bundle", text(&bundle), "one"])));
    assert_eq!((output.code, output.stdout.as_str()), (0, ""), "{output:?}");
    // Those that are asked for, and no other.
    let mut command = Command::new("sh");
    let script = "exec 3</dev/null 4</dev/zero 5</; exec \"$@\"";
    let run = runtime.command(&["run", "--preserve-fds", "2", "--bundle", text(&bundle), "two"]);
    command.args(["-c", script, "sh"]).arg(run.get_program()).args(run.get_args());
    let output = done(command);
    assert_eq!((output.code, output.stdout.as_str()), (0, "3 /dev/null\n4 /dev/zero\n"), "{output:?}");
    // What a container that waits to be started holds is closed by its program.
    config["process"]["args"] = json!(["/bin/sleep", "1000"]);
    let bundle = hostile(&runtime, &attack, "box", &config);
    let mut create = leaking(&runtime.command(&["create", "--bundle", text(&bundle), "box"]));
    assert!(create.stdout(Stdio::null()).status().expect("sh").success());
    let pid = runtime.state("box")["pid"].as_u64().expect("a pid");
    let open = |above: u32| {
        let entries = std::fs::read_dir(format!("/proc/{pid}/fd")).expect("its descriptors");
        let numbers =
            entries.map(|entry| entry.expect("an entry").file_name().into_string().expect("a number"));
        numbers.filter(|number| number.parse::<u32>().expect("a number") > above).collect::<Vec<_>>()
    };
    for number in open(2) {
        let info = std::fs::read_to_string(format!("/proc/{pid}/fdinfo/{number}")).expect("fdinfo");
        let flags = info.lines().find_map(|line| line.strip_prefix("flags:")).expect("flags").trim();
        let flags = u32::from_str_radix(flags, 8).expect("an octal number");
        assert!(flags & 0o2_000_000 != 0, "descriptor {number} would survive execve: {info}");
    }
    runtime.ok(&["start", "box"]);
    assert_eq!(open(2), Vec::<String>::new());
    let output = done(leaking(&runtime.command(&["exec", "box", "/attack", "fds"])));
    assert_eq!((output.code, output.stdout.as_str()), (0, ""), "{output:?}");
}

/// What the container's program says of where it stands; nothing of the host may be in it.
const LOOK: &str = "pwd; ls; ls ..; ls ../../..; cat ../../../../../../etc/hostname; true";

fn assert_inside(output: &Output, what: &str) {
    let host = std::fs::read_to_string("/etc/hostname").unwrap_or_default();
    let stolen = !host.trim().is_empty() && output.stdout.lines().any(|line| line == host.trim());
    assert!(
        !stolen && !output.stdout.contains("lost+found") && !output.stdout.contains("boot\n"),
        "{what}: {output:?}"
    );
    assert!(output.code == 0 || output.stderr.lines().count() == 1, "{what}: {output:?}");
}

/// CVE-2024-21626: a working directory, a program or an interpreter behind a descriptor of the runtime's.
#[test]
fn working_directories_and_programs_stay_inside() {
    let (runtime, attack) = bed!();
    let mut config = runtime.config(&["/bin/sleep", "1000"]);
    hostile(&runtime, &attack, "box", &config);
    runtime.start_config("box", &config);
    let mut places: Vec<String> = (3..=24).map(|number| format!("/proc/self/fd/{number}")).collect();
    places.extend([9, 64].map(|number| format!("/proc/self/fd/{number}/../../..")));
    places.extend([7, 9, 64].map(|number| format!("/proc/thread-self/fd/{number}")));
    places.extend(["/proc/1/cwd", "/proc/self/cwd/..", "/link", "/proc/self/root/../.."].map(str::to_owned));
    config["process"]["args"] = json!(["/bin/sh", "-c", LOOK]);
    let bundle = hostile(&runtime, &attack, "one", &config);
    std::os::unix::fs::symlink("/proc/self/fd/9", bundle.join("rootfs/link")).expect("a link");
    for place in &places {
        config["process"]["cwd"] = json!(place);
        runtime.bundle("one", &config);
        assert_inside(&done(leaking(&runtime.command(&["run", "--bundle", text(&bundle), "one"]))), place);
        let exec = ["exec", "--cwd", place, "box", "/bin/sh", "-c", LOOK];
        assert_inside(&done(leaking(&runtime.command(&exec))), place);
    }
    config["process"]["cwd"] = json!("/");
    let script = bundle.join("rootfs/script");
    for number in (3..=12).chain([64]) {
        let program = format!("/proc/self/fd/{number}/bin/echo");
        config["process"]["args"] = json!([program, "escaped"]);
        runtime.bundle("one", &config);
        let output = done(leaking(&runtime.command(&["run", "--bundle", text(&bundle), "one"])));
        assert!(output.code != 0 && output.stdout.is_empty(), "{program}: {output:?}");
        let output = done(leaking(&runtime.command(&["exec", "box", &program, "escaped"])));
        assert!(output.code != 0 && output.stdout.is_empty(), "{program}: {output:?}");
        // By way of the kernel, which follows any link.
        std::fs::write(&script, format!("#!/proc/self/fd/{number}/bin/echo escaped\n")).expect("a file");
        let copied = Command::new("chmod").arg("+x").arg(&script).status().expect("chmod");
        assert!(copied.success());
        config["process"]["args"] = json!(["/script"]);
        runtime.bundle("one", &config);
        let output = done(leaking(&runtime.command(&["run", "--bundle", text(&bundle), "one"])));
        assert!(output.code != 0 && output.stdout.is_empty(), "{program} as interpreter: {output:?}");
    }
}

/// CVE-2016-9962 and CVE-2019-5736: the container's processes lie in wait for whoever comes in, to take his descriptors, trace
/// him, or hold his binary and write to it when nobody executes it any more. With CAP_SYS_PTRACE in a user namespace of its
/// own, in which the attacker is root.
#[test]
fn nobody_is_caught_on_the_way_in() {
    let (runtime, attack) = bed!();
    let binary = private(&runtime);
    let before = std::fs::read(&binary).expect("the binary");
    for (id, user) in [("plain", None), ("userns", Some(100_000)), ("mapped", Some(0))] {
        let mut config = runtime.config(&["/attack", "hold"]);
        let capabilities = json!(["CAP_SYS_PTRACE", "CAP_DAC_OVERRIDE", "CAP_DAC_READ_SEARCH", "CAP_KILL"]);
        if let Some(host) = user {
            for set in ["bounding", "effective", "permitted"] {
                config["process"]["capabilities"][set] = capabilities.clone();
            }
            let map = json!([{"containerID": 0, "hostID": host, "size": 65536}]);
            config["linux"]["uidMappings"] = map.clone();
            config["linux"]["gidMappings"] = map;
            config["linux"]["namespaces"].as_array_mut().expect("a list").push(json!({"type": "user"}));
        }
        let bundle = hostile(&runtime, &attack, id, &config);
        open_to_all(&runtime, &bundle);
        let log = runtime.scratch().join(format!("{id}.log"));
        let mut run = runtime.command_of(&binary, &["run", "--detach", "--bundle", text(&bundle), id]);
        let output = std::fs::File::create(&log).expect("a file");
        assert!(run.stdout(output).status().expect("conex-runtime").success());
        eventually("the attacker", || {
            std::fs::read_to_string(&log).expect("the log").contains("ready").then_some(())
        });
        for round in 0..100 {
            let output = done(runtime.command_of(&binary, &["exec", id, "/bin/true"]));
            assert_eq!(output.code, 0, "{id}, round {round}: {output:?}");
        }
        let log = std::fs::read_to_string(&log).expect("the log");
        // The launch program's memory file may be held, and is sealed; nothing else.
        let won: Vec<&str> =
            log.lines().filter(|line| *line != "ready" && !line.contains("/memfd:")).collect();
        assert!(won.is_empty(), "{id}: {won:?}");
        assert!(!log.contains("written") && !log.contains("traced") && !log.contains("took"), "{id}: {log}");
        assert!(std::fs::read(&binary).expect("the binary") == before, "{id}: the runtime was overwritten");
    }
}

/// A copy of the binary that nobody else executes, so that it could be written to.
fn private(runtime: &Runtime) -> PathBuf {
    let copy = runtime.scratch().join("conex-runtime");
    std::fs::copy(Runtime::binary(), &copy).expect("a copy");
    copy
}

/// A mapped root reaches the bundle.
fn open_to_all(runtime: &Runtime, bundle: &Path) {
    for directory in [runtime.scratch(), &runtime.scratch().join("bundles"), bundle, &bundle.join("rootfs")] {
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(directory, mode).expect("chmod");
    }
}

/// CVE-2019-5736: the container's program is the runtime itself, by a link, an interpreter line, an ELF interpreter, or a name
/// that becomes a link between a look and the execve. What then runs must not be the runtime, and what it leads to must not
/// be writable.
#[test]
fn the_runtime_cannot_be_overwritten() {
    let (runtime, attack) = bed!();
    let binary = private(&runtime);
    let before = std::fs::read(&binary).expect("the binary");
    let mut config = runtime.config(&["/bin/sleep", "1000"]);
    let bundle = hostile(&runtime, &attack, "box", &config);
    let rootfs = bundle.join("rootfs");
    let own = |name: &str, text: &[u8]| {
        std::fs::write(rootfs.join(name), text).expect("a file");
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(rootfs.join(name), mode).expect("chmod");
    };
    let link = |name: &str| std::os::unix::fs::symlink("/proc/self/exe", rootfs.join(name)).expect("a link");
    link("bin/self");
    own("script", b"#!/proc/self/exe\n");
    own("words", b"#!/proc/self/exe --version\n");
    own("bin/dynamic", &with_interpreter(&std::fs::read(&attack).expect("the program"), "/proc/self/exe"));
    // A program's interpreter that is the container's gets hold of what the kernel gives it: its own program.
    own("bin/loaded", &with_interpreter(&std::fs::read(&attack).expect("the program"), "/ld.so"));
    std::fs::copy(&attack, rootfs.join("ld.so")).expect("a copy");
    runtime.start_config("box", &config);
    let unchanged = |what: &str| {
        assert!(std::fs::read(&binary).expect("the binary") == before, "{what}: the runtime was overwritten");
    };
    let programs =
        ["/proc/self/exe", "/proc/1/exe", "self", "/bin/self", "/script", "/words", "dynamic", "loaded"];
    for program in programs {
        config["process"]["args"] = json!([program, "--version"]);
        let one = rootfs.parent().expect("a bundle");
        std::fs::write(one.join("config.json"), {
            let mut config = config.clone();
            config["linux"]["cgroupsPath"] = json!(format!("{}/one", runtime.cgroup()));
            config.to_string()
        })
        .expect("a file");
        for words in [&["run", "--bundle", text(one), "one"][..], &["exec", "box", program, "--version"]] {
            let output = done(runtime.command_of(&binary, words));
            assert!(!output.stdout.contains("conex"), "{program} is the runtime: {output:?}");
            let itself = program == "/proc/1/exe" && words[0] == "exec";
            assert!(output.code != 0 || itself || output.stdout.is_empty(), "{program}: {output:?}");
            unchanged(program);
        }
    }
    // Between the runtime's look at the name and the kernel's.
    std::fs::copy(&attack, rootfs.join("bin/honest")).expect("a copy");
    link("bin/honest.link");
    let swapping = Background::spawn(Command::new(&attack).args([
        "swap",
        text(&rootfs.join("bin")),
        "honest",
        "honest.link",
    ]));
    for round in 0..150 {
        let output = done(runtime.command_of(&binary, &["exec", "box", "/bin/honest", "caps"]));
        assert!(!output.stdout.contains("conex"), "round {round}: {output:?}");
        unchanged("the race");
    }
    drop(swapping);
}

/// The ELF program with a PT_INTERP in the place of its PT_NOTE or another header that it can do without.
fn with_interpreter(program: &[u8], interpreter: &str) -> Vec<u8> {
    let mut program = program.to_vec();
    let word =
        |program: &[u8], at: usize| u64::from_le_bytes(program[at..at + 8].try_into().expect("eight bytes"));
    let headers = usize::try_from(word(&program, 32)).expect("an offset");
    let count = usize::from(u16::from_le_bytes([program[56], program[57]]));
    let kind =
        |program: &[u8], at: usize| u32::from_le_bytes(program[at..at + 4].try_into().expect("four bytes"));
    let spare = (0..count).map(|n| headers + n * 56).find(|at| kind(&program, *at) == 4).expect("a PT_NOTE");
    let text_at = program.len() as u64;
    program.extend_from_slice(interpreter.as_bytes());
    program.push(0);
    let size = interpreter.len() as u64 + 1;
    program[spare..spare + 4].copy_from_slice(&3_u32.to_le_bytes());
    for (offset, value) in [(8, text_at), (32, size), (40, size)] {
        program[spare + offset..spare + offset + 8].copy_from_slice(&value.to_le_bytes());
    }
    program
}

/// CVE-2022-29162: inheritable capabilities, with which a file's inheritable set gives them to an ordinary user.
#[test]
fn no_capability_is_inheritable_that_nobody_asked_for() {
    let (runtime, attack) = bed!();
    let mut config = runtime.config(&["/bin/sleep", "1000"]);
    config["process"]["noNewPrivileges"] = json!(false);
    let capabilities = json!(["CAP_NET_RAW", "CAP_KILL"]);
    for set in ["bounding", "effective", "permitted"] {
        config["process"]["capabilities"][set] = capabilities.clone();
    }
    let bundle = hostile(&runtime, &attack, "box", &config);
    // VFS_CAP_REVISION_2 with the effective bit: CAP_NET_RAW (13) inheritable.
    let mut value = [0_u8; 20];
    value[..4].copy_from_slice(&0x0200_0001_u32.to_le_bytes());
    value[8..12].copy_from_slice(&(1_u32 << 13).to_le_bytes());
    let file = bundle.join("rootfs/attack");
    rustix::fs::setxattr(&file, "security.capability", &value, rustix::fs::XattrFlags::empty())
        .expect("setxattr");
    runtime.start_config("box", &config);
    config["process"]["user"] = json!({"uid": 1000, "gid": 1000});
    config["process"]["args"] = json!(["/attack", "caps"]);
    let one = hostile(&runtime, &attack, "one", &config);
    let file = one.join("rootfs/attack");
    rustix::fs::setxattr(&file, "security.capability", &value, rustix::fs::XattrFlags::empty())
        .expect("setxattr");
    let none = |output: &Output, what: &str| {
        let of = |set: &str| {
            let line = output.stdout.lines().find_map(|line| line.strip_prefix(set));
            u64::from_str_radix(line.expect(set).trim(), 16).expect("a mask")
        };
        assert_eq!((of("CapInh:"), of("CapAmb:")), (0, 0), "{what}: {output:?}");
        of("CapPrm:")
    };
    let run = runtime.run(&["run", "--bundle", text(&one), "one"]);
    assert_eq!(none(&run, "run"), 0, "{run:?}");
    let exec = runtime.run(&["exec", "--user", "1000:1000", "box", "/attack", "caps"]);
    assert_eq!(none(&exec, "exec"), 0, "{exec:?}");
    let exec = runtime.run(&["exec", "--cap", "CAP_KILL", "box", "/attack", "caps"]);
    none(&exec, "exec --cap");
}
