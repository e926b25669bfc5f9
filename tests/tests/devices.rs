//! `--device` in all its forms, and `--device-cgroup-rule`.

use conex_tests::{alpine, skip};

/// mem(4)'s port device: one that no container has by itself, and that every host has.
const PORT: &str = "c 1:4 r";

#[test]
fn forms_of_device() {
    let (conex, alpine) = alpine!();
    let run = |device: &str, script: &str| {
        let output = conex.run(&["run", "--rm", "--device", device, alpine, "sh", "-c", script]);
        format!("{}{}", output.stdout, output.stderr.lines().last().unwrap_or_default())
    };
    let stat = "stat -c '%n %t:%T' /dev/kmsg /dev/mine 2>/dev/null";
    assert_eq!(run("/dev/kmsg", stat), "/dev/kmsg 1:b\n");
    assert_eq!(run("/dev/kmsg:/dev/mine", stat), "/dev/mine 1:b\n");
    assert_eq!(run("/dev/kmsg::rw", stat), "/dev/kmsg 1:b\n");
    // The rights are the filter's, whatever root may.
    assert!(run("/dev/kmsg:/dev/mine:w", "head -c 1 /dev/mine").contains("not permitted"));
    assert!(run("/dev/kmsg:r", "echo x >/dev/kmsg").contains("not permitted"));
    // Elsewhere than in /dev it is bound.
    assert_eq!(run("/dev/kmsg:/opt/mine", "stat -c '%t:%T' /opt/mine"), "1:b\n");
    for bad in ["kmsg", "/dev/kmsg:/dev/mine:x", "/dev/kmsg:mine", "/dev/none", "/etc/passwd"] {
        let error = conex.fails(125, &["run", "--rm", "--device", bad, alpine, "true"]);
        assert!(error.contains("device") && error.lines().count() == 1, "{bad}: {error}");
    }
}

#[test]
fn a_directory_stands_for_its_devices() {
    let (conex, alpine) = alpine!();
    use rustix::fs::{CWD, FileType, Mode, makedev, mknodat};
    let directory = conex.scratch().join("devices");
    std::fs::create_dir_all(directory.join("deeper")).expect("a directory");
    std::fs::write(directory.join("file"), "not a device").expect("a file");
    for (name, minor) in [("one", 5), ("deeper/two", 8)] {
        let kind = FileType::CharacterDevice;
        mknodat(CWD, directory.join(name), kind, Mode::from_raw_mode(0o644), makedev(1, minor))
            .expect("a node");
    }
    let device = format!("{}:/dev/many:r", directory.display());
    let script = "cd /dev/many && find . -type c | sort && ls file 2>/dev/null; head -c 1 one | wc -c";
    let output = conex.ok(&["run", "--rm", "--device", &device, alpine, "sh", "-c", script]);
    assert_eq!(output, "./deeper/two\n./one\n1\n");
}

#[test]
fn rules_let_nodes_be_used_that_the_container_makes() {
    let (conex, alpine) = alpine!();
    let script = "mknod /tmp/port c 1 4 && head -c 1 /tmp/port | wc -c";
    let used = |rules: &[&str]| {
        let mut words = vec!["run", "--rm", "--cap-add", "SYS_RAWIO"];
        words.extend(rules.iter().flat_map(|rule| ["--device-cgroup-rule", *rule]));
        words.extend([alpine, "sh", "-c", script]);
        conex.run(&words).stdout.trim() == "1"
    };
    if !std::fs::File::open("/dev/port")
        .is_ok_and(|mut port| std::io::Read::read(&mut port, &mut [0]).is_ok())
    {
        skip!("/dev/port cannot be read here");
    }
    assert!(!used(&[]));
    for rule in [PORT, "c 1:* r", "c *:* rwm", "a *:* rwm", "a 1:4 r", "c *:4 rw"] {
        assert!(used(&[rule]), "{rule}");
    }
    for rule in ["c 1:4 w", "b 1:4 r", "b *:* rwm", "c 2:4 r"] {
        assert!(!used(&[rule]), "{rule}");
    }
    assert!(used(&["b 1:4 r", PORT]));
    conex.ok(&[
        "create",
        "--name",
        "box",
        "--device-cgroup-rule",
        PORT,
        "--device-cgroup-rule",
        "b 8:* rwm",
        alpine,
    ]);
    let expected = serde_json::json!([PORT, "b 8:* rwm"]);
    assert_eq!(conex.inspect("box")["HostConfig"]["DeviceCgroupRules"], expected);
    for bad in ["", "c 1:3", "d 1:3 r", "c 1:x r", "c 1:3 rwx", "c 99999:1 r"] {
        let error = conex.fails(125, &["run", "--rm", "--device-cgroup-rule", bad, alpine, "true"]);
        assert!(
            error.contains("invalid --device-cgroup-rule") && error.lines().count() == 1,
            "{bad}: {error}"
        );
    }
}
