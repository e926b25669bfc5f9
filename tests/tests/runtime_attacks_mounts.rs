//! What hostile images and volumes do to `conex-runtime`'s mounts: names that are exchanged while containers start, devices and
//! terminals that are none. Each test mounts the attack of the CVE it names; the races are run a fixed number of times.

mod attack;

use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::process::{Command, Stdio};

use attack::{add, assert_clear, bind, swapping, text};
use conex_tests::{Output, eventually};
use serde_json::json;

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

/// `exec --tty` takes its terminal from the container's devpts, in whose place the container has put something else.
#[test]
fn a_terminal_of_the_containers_making_is_refused() {
    let (runtime, _, outside) = bed!();
    for (number, fake) in [
        "touch /dev/pts/ptmx",
        "mkfifo /dev/pts/ptmx",
        "ln -s /dev/null /dev/pts/ptmx",
        "ln -s /proc/self/fd/7 /dev/pts/ptmx",
        "mkdir /dev/pts/ptmx",
        "cp -a /dev/zero /dev/pts/ptmx",
        "true",
    ]
    .iter()
    .enumerate()
    {
        let id = format!("box{number}");
        let script = format!("mount -t tmpfs x /dev/pts && {fake}; touch /ready; sleep 1000");
        let mut config = runtime.config(&["/bin/sh", "-c", &script]);
        for set in ["bounding", "effective", "permitted"] {
            config["process"]["capabilities"][set] = json!(["CAP_SYS_ADMIN", "CAP_MKNOD"]);
        }
        runtime.start_config(&id, &config);
        let ready = runtime.scratch().join("bundles").join(&id).join("rootfs/ready");
        eventually("the container's mounts", || ready.exists().then_some(()));
        let socket = runtime.scratch().join(format!("{id}.sock"));
        let _listener = UnixListener::bind(&socket).expect("a socket");
        let words = ["exec", "--tty", "--detach", "--console-socket", text(&socket), &id, "/bin/true"];
        let output = runtime.run(&words);
        assert!(output.code != 0 && output.stderr.lines().count() == 1, "{fake}: {output:?}");
        outside.assert_untouched(&output, fake);
        runtime.ok(&["delete", "--force", &id]);
    }
}
