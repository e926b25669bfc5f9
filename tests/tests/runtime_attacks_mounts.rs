//! What hostile images and volumes do to `conex-runtime`'s mounts and to what it writes in /proc: symlinks in the place of
//! directories, other file systems in the place of procfs, and names that are exchanged while containers start. Each test
//! mounts the attack of the CVE it names; the races are run a fixed number of times.

use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use conex_tests::{Background, Output, Runtime, eventually, fixture, needs_root, skip};
use serde_json::{Value, json};

/// A runtime, the hostile program of `fixtures/attack.c`, and a place of the host's that nobody may touch.
macro_rules! bed {
    () => {{
        needs_root!();
        let Some(runtime) = Runtime::new() else { skip!("no busybox image") };
        let Some(attack) = fixture("attack", runtime.scratch()) else { skip!("no C compiler") };
        let outside = Outside::new(runtime.scratch());
        (runtime, attack, outside)
    }};
}

const SECRET: &str = "the host's secret";

/// A directory of the host's with a file in it.
struct Outside {
    directory: PathBuf,
    mounts: usize,
}

impl Outside {
    fn new(scratch: &Path) -> Self {
        let directory = scratch.join("outside");
        fs::create_dir(&directory).expect("a directory");
        fs::write(directory.join("secret"), SECRET).expect("a file");
        let mounts = Self::mounts(&directory);
        Self { directory, mounts }
    }

    /// How many mounts of the host's stand below it.
    fn mounts(directory: &Path) -> usize {
        let info = fs::read_to_string("/proc/self/mountinfo").expect("mountinfo");
        info.lines().filter(|line| line.contains(text(directory))).count()
    }

    #[track_caller]
    fn assert_untouched(&self, output: &Output, what: &str) {
        let names: Vec<_> = fs::read_dir(&self.directory)
            .expect("it is there")
            .map(|e| e.expect("an entry").file_name())
            .collect();
        assert_eq!(names, ["secret"], "{what}: something was made outside; {output:?}");
        let content = fs::read_to_string(self.directory.join("secret")).expect("it is there");
        assert_eq!(content, SECRET, "{what}: it was overwritten; {output:?}");
        assert_eq!(Self::mounts(&self.directory), self.mounts, "{what}: something was mounted outside");
        let out = format!("{}{}", output.stdout, output.stderr);
        assert!(!out.contains(SECRET), "{what}: the secret was read; {output:?}");
    }
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a path in UTF-8")
}

/// It ran as it must, or one line says why not.
#[track_caller]
fn assert_clear(output: &Output, what: &str) {
    let refused = output.code == 1 && output.stdout.is_empty() && output.stderr.lines().count() == 1;
    assert!(refused || output.code == 0, "{what}: {output:?}");
    assert!(!output.stdout.contains("open "), "{what}: {output:?}");
}

/// Exchanges two names in a directory for as long as it lives.
fn swapping(attack: &Path, directory: &Path, a: &str, b: &str) -> Background {
    Background::spawn(Command::new(attack).args(["swap", text(directory), a, b]))
}

/// Looks for a procfs whose dangerous files are open; opening sysrq-trigger for writing does nothing yet.
const PROBE: &str = r#"
for p in /proc /fake /fake/proc /vol /vol/mnt; do
    [ -e $p/version ] || continue
    (: >$p/sysrq-trigger) 2>/dev/null && echo open $p/sysrq-trigger
    (: >$p/sys/kernel/core_pattern) 2>/dev/null && echo open $p/sys/kernel/core_pattern
    [ -e $p/timer_list ] && [ -n "$(head -c 1 $p/timer_list 2>/dev/null)" ] && echo open $p/timer_list
done
true"#;

fn bind(source: &Path, destination: &str) -> Value {
    json!({"destination": destination, "type": "bind", "source": source, "options": ["rbind", "rw"]})
}

fn add(config: &mut Value, mount: Value) {
    config["mounts"].as_array_mut().expect("mounts").push(mount);
}

/// CVE-2019-16884, CVE-2019-19921, CVE-2023-27561, CVE-2023-28642: the image has a symlink where /proc or /sys should be, so
/// that they land elsewhere and what is to be masked is not.
#[test]
fn a_symlinked_proc_is_not_fallen_for() {
    let (runtime, _, outside) = bed!();
    let config = runtime.config(&["/bin/sh", "-c", PROBE]);
    for (number, place) in ["proc", "sys", "dev"].iter().enumerate() {
        for (way, target) in
            ["/fake", "fake", "../../../outside", text(&outside.directory)].iter().enumerate()
        {
            let id = format!("c{number}{way}");
            let bundle = runtime.bundle(&id, &config);
            fs::remove_dir(bundle.join("rootfs").join(place)).expect("an empty directory");
            fs::create_dir(bundle.join("rootfs/fake")).expect("a directory");
            symlink(target, bundle.join("rootfs").join(place)).expect("a link");
            let output = runtime.run(&["run", "--bundle", text(&bundle), &id]);
            let what = format!("/{place} -> {target}");
            assert_clear(&output, &what);
            outside.assert_untouched(&output, &what);
        }
    }
}

/// CVE-2019-19921: the rootfs is shared, and its /proc changes between a directory and a symlink.
#[test]
fn a_race_for_proc_is_not_won() {
    let (runtime, attack, outside) = bed!();
    let config = runtime.config(&["/bin/sh", "-c", PROBE]);
    let bundle = runtime.bundle("one", &config);
    let rootfs = bundle.join("rootfs");
    fs::create_dir(rootfs.join("fake")).expect("a directory");
    // So that the probe, which loses the race as well, makes no file there and takes it for the kernel's.
    std::os::unix::fs::chown(rootfs.join("fake"), Some(1), Some(1)).expect("root may");
    symlink("/fake", rootfs.join("link")).expect("a link");
    let swapping = swapping(&attack, &rootfs, "proc", "link");
    let mut ran = 0;
    for round in 0..100 {
        let output = runtime.run(&["run", "--bundle", text(&bundle), "one"]);
        assert_clear(&output, &format!("round {round}"));
        outside.assert_untouched(&output, "the race");
        ran += u32::from(output.code == 0);
    }
    drop(swapping);
    println!("{ran} of 100 ran");
    assert!(ran > 0, "nothing ran, so nothing was tested");
}

/// CVE-2019-16884, CVE-2025-52881: a volume over /proc, or over parts of it, that takes what is meant for the kernel: labels
/// and sysctls. A directory is exchanged with a symlink to a file of the host's meanwhile.
#[test]
fn what_is_written_to_proc_goes_to_procfs() {
    let (runtime, attack, outside) = bed!();
    let volume = runtime.scratch().join("volume");
    let files = [
        "self/attr/exec",
        "self/attr/apparmor/exec",
        "thread-self/attr/exec",
        "thread-self/attr/apparmor/exec",
    ];
    for file in files.iter().chain(&["sys/kernel/domainname", "kernel/domainname"]) {
        fs::create_dir_all(volume.join(file).parent().expect("a parent")).expect("a directory");
        fs::write(volume.join(file), "").expect("a file");
    }
    symlink(outside.directory.join("secret"), volume.join("kernel/link")).expect("a link");
    let fooled = || {
        files
            .iter()
            .chain(&["sys/kernel/domainname"])
            .any(|file| fs::metadata(volume.join(file)).is_ok_and(|m| m.len() > 0))
    };
    // A profile and a label that the host does not have.
    for field in ["apparmorProfile", "selinuxLabel"] {
        for over in [None, Some("/proc"), Some("/proc/self"), Some("/proc/thread-self")] {
            let mut config = runtime.config(&["/bin/true"]);
            config["process"][field] = json!("no-such-profile");
            if let Some(over) = over {
                add(&mut config, bind(&volume, over));
            }
            let output = runtime.run_config("one", &config);
            assert!(output.code == 1 && output.stderr.lines().count() == 1, "{field}, {over:?}: {output:?}");
            assert!(!fooled(), "{field}, {over:?}");
        }
    }
    let swapping = swapping(&attack, &volume.join("kernel"), "domainname", "link");
    for round in 0..60 {
        for over in ["/proc", "/proc/sys", "/proc/sys/kernel"] {
            let source = if over == "/proc/sys/kernel" { volume.join("kernel") } else { volume.clone() };
            let mut config = runtime.config(&["/bin/true"]);
            add(&mut config, bind(&source, over));
            config["linux"]["sysctl"] = json!({"kernel.domainname": "pwned"});
            let output = runtime.run_config("one", &config);
            assert_clear(&output, over);
            assert!(!fooled(), "{over}: {output:?}");
            outside.assert_untouched(&output, &format!("round {round}, {over}"));
        }
    }
    drop(swapping);
    // A sysctl that leads out of /proc/sys.
    for name in [
        "../sysrq-trigger",
        "kernel/../../sysrq-trigger",
        "..",
        "/etc/hostname",
        "kernel.",
        "",
        "kernel\u{0}domainname",
    ] {
        let mut config = runtime.config(&["/bin/true"]);
        config["linux"]["sysctl"] = json!({name: "h"});
        let output = runtime.run_config("one", &config);
        assert!(output.code == 1 && output.stderr.lines().count() == 1, "{name}: {output:?}");
    }
}

/// CVE-2019-16884 and CVE-2025-52881 by exec: the container has mounted something else over its own /proc.
#[test]
fn exec_writes_no_label_into_the_containers_proc() {
    let (runtime, _, _) = bed!();
    let script = "mount -t tmpfs x /proc && for t in self thread-self; do mkdir -p /proc/$t/attr/apparmor /proc/$t/fd; \
                  : >/proc/$t/attr/exec; : >/proc/$t/attr/apparmor/exec; done; touch /ready; sleep 1000";
    let mut config = runtime.config(&["/bin/sh", "-c", script]);
    for set in ["bounding", "effective", "permitted"] {
        config["process"]["capabilities"][set] = json!(["CAP_SYS_ADMIN"]);
    }
    runtime.start_config("box", &config);
    let ready = runtime.scratch().join("bundles/box/rootfs/ready");
    eventually("the container's mounts", || ready.exists().then_some(()));
    for flag in ["--apparmor", "--process-label"] {
        let output = runtime.run(&["exec", flag, "no-such-profile", "box", "/bin/true"]);
        assert!(output.code != 0 && output.stderr.lines().count() == 1, "{output:?}");
    }
    let sizes = "cat /proc/*/attr/exec /proc/*/attr/apparmor/exec | wc -c";
    assert_eq!(runtime.ok(&["exec", "box", "/bin/sh", "-c", sizes]), "0\n");
}

/// CVE-2021-30465, CVE-2024-45310: in a volume that containers share, a mount's target is exchanged with a symlink to the
/// host's directories while other containers start: nothing is to be mounted or made there.
#[test]
fn a_race_for_a_mount_target_is_not_won() {
    let (runtime, attack, outside) = bed!();
    let volume = runtime.scratch().join("volume");
    let file = runtime.scratch().join("file");
    fs::write(&file, "a file to bind").expect("a file");
    let mut swappers = Vec::new();
    for (name, target) in [
        ("absolute", text(&outside.directory).to_owned()),
        ("relative", "../../../../../../..".to_owned() + text(&outside.directory)),
    ] {
        let place = volume.join(name);
        fs::create_dir_all(place.join("mnt")).expect("a directory");
        symlink(target, place.join("link")).expect("a link");
        swappers.push(swapping(&attack, &place, "mnt", "link"));
    }
    let look = "cat /vol/*/*/secret /vol/*/*/*/secret 2>/dev/null; true";
    let mut config = runtime.config(&["/bin/sh", "-c", look]);
    add(&mut config, bind(&volume, "/vol"));
    for name in ["absolute", "relative"] {
        let tmpfs =
            json!({"destination": format!("/vol/{name}/mnt/tmp/fs"), "type": "tmpfs", "source": "tmpfs"});
        add(&mut config, tmpfs);
        add(&mut config, bind(&file, &format!("/vol/{name}/mnt/file")));
        add(&mut config, bind(&volume, &format!("/vol/{name}/mnt/directory")));
        add(
            &mut config,
            json!({"destination": format!("/vol/{name}/mnt"), "type": "tmpfs", "source": "tmpfs", "options": ["tmpcopyup"]}),
        );
    }
    config["linux"]["maskedPaths"] = json!(["/vol/absolute/mnt/secret", "/vol/relative/mnt"]);
    config["linux"]["readonlyPaths"] = json!(["/vol/absolute/mnt", "/vol/relative/mnt/secret"]);
    config["process"]["cwd"] = json!("/vol/absolute/mnt/cwd/deep");
    let bundle = runtime.bundle("one", &config);
    let mut ran = 0;
    for round in 0..150 {
        let output = runtime.run(&["run", "--bundle", text(&bundle), "one"]);
        assert_clear(&output, &format!("round {round}"));
        outside.assert_untouched(&output, &format!("round {round}"));
        ran += u32::from(output.code == 0);
    }
    println!("{ran} of 150 ran");
    assert!(ran > 0, "nothing ran, so nothing was tested");
}

/// CVE-2025-31133: masking covers a file with /dev/null, which the container's volume exchanges with a symlink to a file
/// that it wants to have writable there.
#[test]
fn only_the_null_device_masks() {
    let (runtime, attack, outside) = bed!();
    let dev = runtime.scratch().join("dev");
    fs::create_dir(&dev).expect("a directory");
    let made = Command::new("mknod").arg(dev.join("null")).args(["c", "1", "3"]).status().expect("mknod");
    assert!(made.success());
    let masked = ["/proc/timer_list", "/proc/keys", "/proc/version"];
    let script = "for f in /proc/timer_list /proc/keys /proc/version; do [ -e $f ] || continue; \
                  [ \"$(stat -c %t:%T $f)\" = 1:3 ] || echo open $f; done; cat /proc/version";
    let mut config = runtime.config(&["/bin/sh", "-c", script]);
    config["linux"]["maskedPaths"] = json!(masked);
    config["mounts"]
        .as_array_mut()
        .expect("mounts")
        .retain(|mount| !mount["destination"].as_str().is_some_and(|d| d.starts_with("/dev")));
    add(&mut config, bind(&dev, "/dev"));
    for target in
        ["/proc/sysrq-trigger", "/proc/sys/kernel/core_pattern", text(&outside.directory.join("secret"))]
    {
        let _ = fs::remove_file(dev.join("link"));
        symlink(target, dev.join("link")).expect("a link");
        let swapping = swapping(&attack, &dev, "null", "link");
        let mut ran = 0;
        for round in 0..50 {
            let output = runtime.run_config("one", &config);
            assert_clear(&output, &format!("{target}, round {round}"));
            outside.assert_untouched(&output, target);
            ran += u32::from(output.code == 0);
        }
        drop(swapping);
        println!("{ran} of 50 ran");
        assert!(ran > 0, "nothing ran, so nothing was tested");
        // And when it is one for good.
        if fs::symlink_metadata(dev.join("link")).expect("it is there").file_type().is_symlink() {
            fs::rename(dev.join("null"), dev.join("kept")).expect("a rename");
            symlink(target, dev.join("null")).expect("a link");
            let output = runtime.run_config("one", &config);
            assert_clear(&output, target);
            outside.assert_untouched(&output, target);
            fs::rename(dev.join("kept"), dev.join("null")).expect("a rename");
        } else {
            fs::rename(dev.join("link"), dev.join("null")).expect("a rename");
        }
    }
}

/// CVE-2025-52565: the terminal is bound to /dev/console, which the container's volume exchanges with a symlink; and /dev/pts
/// likewise, where the terminal is made.
#[test]
fn the_console_lands_nowhere_else() {
    let (runtime, attack, outside) = bed!();
    let results = runtime.scratch().join("results");
    fs::create_dir(&results).expect("a directory");
    let socket = runtime.scratch().join("console");
    let listener = UnixListener::bind(&socket).expect("a socket");
    for (victim, target) in [
        ("console", text(&outside.directory.join("secret")).to_owned()),
        ("console", "/proc/sysrq-trigger".to_owned()),
        ("pts", text(&outside.directory).to_owned()),
        ("ptmx", text(&outside.directory.join("secret")).to_owned()),
    ] {
        let dev = runtime.scratch().join(format!("dev-{victim}-{}", target.len()));
        fs::create_dir_all(&dev).expect("a directory");
        // For the masks.
        let made = Command::new("mknod").arg(dev.join("null")).args(["c", "1", "3"]).status().expect("mknod");
        assert!(made.success());
        match victim {
            "console" | "ptmx" => fs::write(dev.join(victim), "").expect("a file"),
            _ => fs::create_dir(dev.join(victim)).expect("a directory"),
        }
        symlink(&target, dev.join("link")).expect("a link");
        let script =
            "exec >/results/out 2>&1; stat -c %t:%T /dev/console; stat -c %t /proc/sysrq-trigger; echo over";
        let mut config = runtime.config(&["/bin/sh", "-c", script]);
        config["process"]["terminal"] = json!(true);
        let mounts = config["mounts"].as_array_mut().expect("mounts");
        mounts.retain(|mount| {
            mount["destination"] == "/dev/pts"
                || !mount["destination"].as_str().is_some_and(|d| d.starts_with("/dev"))
        });
        mounts.insert(0, bind(&dev, "/dev"));
        mounts.insert(0, bind(&results, "/results"));
        let bundle = runtime.bundle(&format!("tty-{victim}"), &config);
        let swapping = swapping(&attack, &dev, victim, "link");
        let mut ran = 0;
        for round in 0..30 {
            let words =
                ["run", "--detach", "--console-socket", text(&socket), "--bundle", text(&bundle), "tty"];
            let mut run = runtime.command(&words);
            let log = runtime.scratch().join("stderr");
            let stderr = fs::File::create(&log).expect("a file");
            let status = run.stdout(Stdio::null()).stderr(stderr).status().expect("conex-runtime");
            let what = format!("{victim} -> {target}, round {round}");
            let stderr = fs::read_to_string(&log).expect("stderr");
            let mut output = Output { code: status.code().unwrap_or(-1), stdout: String::new(), stderr };
            if status.success() {
                // The descriptor of the terminal stays in the socket, and the terminal open.
                let (_connection, _) = listener.accept().expect("a connection");
                eventually("the container's end", || {
                    (runtime.state("tty")["status"] == "stopped").then_some(())
                });
                output.stdout = fs::read_to_string(results.join("out")).unwrap_or_default();
                runtime.ok(&["delete", "--force", "tty"]);
                let lines: Vec<&str> = output.stdout.lines().collect();
                // A console is a pseudo-terminal's end (136 to 143) or there is none.
                assert!(
                    lines.iter().all(|line| !line.contains(':')
                        || line.contains("stat:")
                        || line.starts_with("88:")
                        || *line == "0:0"),
                    "{what}: {output:?}"
                );
                ran += 1;
                let _ = fs::remove_file(results.join("out"));
            } else {
                assert!(output.code == 1 && output.stderr.lines().count() == 1, "{what}: {output:?}");
                listener.set_nonblocking(true).expect("non-blocking");
                while listener.accept().is_ok() {}
                listener.set_nonblocking(false).expect("blocking");
            }
            outside.assert_untouched(&output, &what);
        }
        drop(swapping);
        println!("{victim} -> {target}: {ran} of 30 ran");
        assert!(ran > 0, "{victim}: nothing ran, so nothing was tested");
    }
}
