//! `update`: limits and the restart policy, in the control groups and on record, whatever is killed on the way.

use std::path::PathBuf;
use std::time::Duration;

use conex_tests::{Conex, Dice, alpine, eventually, skip};

/// The directories of a container's control groups, as the host sees them.
fn groups(conex: &Conex, name: &str) -> Vec<PathBuf> {
    let pid = conex.ok(&["inspect", "-f", "{{.State.Pid}}", name]);
    let table = std::fs::read_to_string(format!("/proc/{}/cgroup", pid.trim())).expect("its groups");
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").expect("mounts");
    let mut found = Vec::new();
    for line in table.lines() {
        let mut parts = line.splitn(3, ':').skip(1);
        let (controllers, path) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        for mount in mounts.lines() {
            let (head, tail) = mount.split_once(" - ").expect("mountinfo");
            let (kind, options) = (tail.split(' ').next(), tail.rsplit(' ').next().unwrap_or_default());
            let is_meant = match controllers {
                "" => kind == Some("cgroup2"),
                _ => {
                    kind == Some("cgroup")
                        && options.split(',').any(|option| controllers.split(',').any(|c| c == option))
                }
            };
            if is_meant {
                let point = head.split(' ').nth(4).expect("a mount point");
                found.push(PathBuf::from(format!("{point}{path}")));
            }
        }
    }
    found
}

/// A file of a container's groups: v1's name, or v2's.
fn limit(conex: &Conex, name: &str, v1: &str, v2: &str) -> String {
    let files: Vec<_> =
        groups(conex, name).iter().flat_map(|group| [group.join(v1), group.join(v2)]).collect();
    let text = files.iter().find_map(|file| std::fs::read_to_string(file).ok());
    text.unwrap_or_else(|| panic!("no {v1}, no {v2} among {files:?}")).trim().to_owned()
}

fn kill(pid: i32) {
    let pid = rustix::process::Pid::from_raw(pid).expect("a pid");
    let held = rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty()).expect("a process");
    rustix::process::pidfd_send_signal(held, rustix::process::Signal::KILL).expect("a signal");
}

fn memory(conex: &Conex, name: &str) -> String {
    limit(conex, name, "memory.limit_in_bytes", "memory.max")
}

fn pids(conex: &Conex, name: &str) -> String {
    limit(conex, name, "pids.max", "pids.max")
}

fn config(conex: &Conex, name: &str, field: &str) -> String {
    conex.ok(&["inspect", "-f", &format!("{{{{json .HostConfig.{field}}}}}"), name]).trim().to_owned()
}

#[test]
fn limits_of_a_container_that_runs() {
    let (conex, alpine) = alpine!();
    conex.ok(&["run", "-d", "--name", "web", alpine, "sleep", "1000"]);
    let output = conex.ok(&[
        "update",
        "-m",
        "64m",
        "--memory-reservation",
        "32m",
        "--cpus",
        "0.5",
        "-c",
        "512",
        "--pids-limit",
        "20",
        "--cpuset-cpus",
        "0",
        "web",
    ]);
    assert_eq!(output, "web\n");
    let see = || {
        assert_eq!(memory(&conex, "web"), "67108864");
        assert_eq!(limit(&conex, "web", "memory.soft_limit_in_bytes", "memory.low"), "33554432");
        let quota = limit(&conex, "web", "cpu.cfs_quota_us", "cpu.max");
        assert!(quota == "50000" || quota == "50000 100000", "{quota}");
        assert_eq!(pids(&conex, "web"), "20");
        assert_eq!(limit(&conex, "web", "cpuset.cpus", "cpuset.cpus"), "0");
        assert_eq!(config(&conex, "web", "Memory"), "67108864");
        assert_eq!(config(&conex, "web", "NanoCpus"), "500000000");
        assert_eq!(config(&conex, "web", "PidsLimit"), "20");
        assert_eq!(config(&conex, "web", "CpuShares"), "512");
    };
    see();
    // What runs feels it, and so does what comes later.
    assert_eq!(conex.ok(&["exec", "web", "nproc"]), "1\n");
    conex.ok(&["restart", "-t", "0", "web"]);
    see();
    conex.ok(&["update", "-m", "0", "--pids-limit", "-1", "--cpus", "0", "--cpu-quota", "20000", "web"]);
    let unlimited = memory(&conex, "web");
    assert!(unlimited == "max" || unlimited.len() > 15, "{unlimited}");
    assert_eq!(pids(&conex, "web"), "max");
    let quota = limit(&conex, "web", "cpu.cfs_quota_us", "cpu.max");
    assert!(quota == "20000" || quota == "20000 100000", "{quota}");
    assert_eq!(conex.ok(&["container", "update", "--pids-limit", "30", "web"]), "web\n");
    assert_eq!(pids(&conex, "web"), "30");
}

#[test]
fn limits_of_one_that_rests() {
    let (conex, alpine) = alpine!();
    conex.ok(&["create", "--name", "web", "-m", "64m", alpine, "sleep", "1000"]);
    conex.ok(&["update", "-m", "96m", "--pids-limit", "25", "web"]);
    conex.ok(&["start", "web"]);
    assert_eq!((memory(&conex, "web"), pids(&conex, "web")), ("100663296".to_owned(), "25".to_owned()));
    // Swap stays what it was.
    assert_eq!(config(&conex, "web", "MemorySwap"), "134217728");
    conex.ok(&["pause", "web"]);
    conex.ok(&["update", "--pids-limit", "26", "web"]);
    assert_eq!((pids(&conex, "web"), config(&conex, "web", "PidsLimit")), ("26".to_owned(), "26".to_owned()));
}

#[test]
fn what_is_refused_changes_nothing() {
    let (conex, alpine) = alpine!();
    conex.ok(&[
        "run",
        "-d",
        "--name",
        "web",
        "-m",
        "64m",
        "--pids-limit",
        "20",
        "--cpu-quota",
        "50000",
        alpine,
        "sleep",
        "1000",
    ]);
    for (flags, why) in [
        (&["-m", "256m"][..], "update the memoryswap at the same time"),
        (&["--memory-swap", "32m"], "memoryswap limit should be larger than memory limit"),
        (&["-m", "1m"], "minimum memory limit allowed is 6MB"),
        (&["--cpus", "1"], "CPU Quota has already been set"),
        (&["--cpus", "5000", "--cpu-quota", "0"], "range of CPUs"),
        (
            &["--pids-limit", "30", "--cpuset-cpus", "4000"],
            "invalid --cpuset-cpus \"4000\": this machine has only",
        ),
        (&["--cpuset-mems", "4000"], "invalid --cpuset-mems \"4000\": this machine has only"),
        (&["--device-read-bps", "/dev/null:1mb"], "not a block device"),
        (&["--device-read-bps", "/dev/no-such-disk:1mb"], "/dev/no-such-disk"),
    ] {
        let output = conex.run(&[&["update"][..], flags, &["web"]].concat());
        assert_eq!((output.code, output.stderr.lines().count()), (1, 1), "{flags:?}: {}", output.stderr);
        assert!(output.stderr.contains(why), "{flags:?}: {}", output.stderr);
        assert_eq!((memory(&conex, "web"), pids(&conex, "web")), ("67108864".to_owned(), "20".to_owned()));
        assert_eq!(config(&conex, "web", "PidsLimit"), "20");
    }
    assert!(conex.fails(1, &["update", "web"]).contains("one or more flags"));
    assert!(conex.fails(125, &["update", "-m", "lots", "web"]).contains("--memory"));
    for (flag, value, expected) in [
        ("--cpu-shares", "-1", "expected a whole number, 0 or more"),
        ("--cpu-period", "x", "expected a whole number, 0 or more"),
        ("--cpu-quota", "x", "expected a whole number of microseconds, or -1 for no limit"),
    ] {
        let error = conex.fails(125, &["update", flag, value, "web"]);
        assert!(error.contains(flag) && error.contains(expected), "{error}");
    }
    // What no quota was set of says what was typed, and the whole range.
    conex.ok(&["create", "--name", "plain", alpine, "true"]);
    let error = conex.fails(1, &["update", "--cpus", "0.001", "plain"]);
    assert!(error.contains("invalid --cpus \"0.001\": range of CPUs is from 0.01 to "), "{error}");
    let error = conex.fails(125, &["run", "--rm", "--cpus", "0.001", alpine, "true"]);
    assert!(error.contains("\"0.001\"") && error.contains(" CPUs available"), "{error}");
    let error = conex.fails(125, &["run", "--rm", "--cpuset-cpus", "0-4000", alpine, "true"]);
    assert!(error.contains("invalid --cpuset-cpus \"0-4000\"") && error.lines().count() == 1, "{error}");
    conex.fails(1, &["update", "-m", "64m", "nobody"]);
    // The others are changed all the same.
    conex.ok(&["run", "-d", "--name", "db", alpine, "sleep", "1000"]);
    let output = conex.run(&["update", "--pids-limit", "9", "nobody", "db"]);
    assert_eq!((output.code, output.stdout.as_str(), pids(&conex, "db")), (1, "db\n", "9".to_owned()));
}

#[test]
fn memory_is_not_taken_from_under_what_uses_it() {
    let (conex, alpine) = alpine!();
    let hold = "x=$(head -c 20000000 /dev/zero | tr '\\0' x); echo held; sleep 1000; :";
    conex.ok(&[
        "run",
        "-d",
        "--name",
        "holds",
        "-m",
        "128m",
        "--memory-swap",
        "128m",
        alpine,
        "sh",
        "-c",
        hold,
    ]);
    eventually("the memory", || conex.ok(&["logs", "holds"]).contains("held").then_some(()));
    let error = conex.fails(1, &["update", "-m", "12m", "--memory-swap", "12m", "holds"]);
    assert!(error.contains("in use"), "{error}");
    assert_eq!(memory(&conex, "holds"), "134217728");
    assert_eq!(config(&conex, "holds", "Memory"), "134217728");
    assert_eq!(conex.ok(&["inspect", "-f", "{{.State.Status}}", "holds"]), "running\n");
    conex.ok(&["update", "-m", "100m", "--memory-swap", "100m", "holds"]);
    assert_eq!(memory(&conex, "holds"), "104857600");
}

#[test]
fn a_disk_is_limited_by_its_name() {
    let (conex, alpine) = alpine!();
    let disks = std::fs::read_dir("/sys/block").into_iter().flatten().flatten();
    let names = disks.filter_map(|disk| disk.file_name().into_string().ok());
    let is_disk = |name: &String| ["vd", "sd", "nvme", "xvd"].iter().any(|kind| name.starts_with(kind));
    let Some(disk) =
        names.into_iter().find(is_disk).filter(|name| std::path::Path::new("/dev").join(name).exists())
    else {
        skip!("no disk");
    };
    let number = std::fs::read_to_string(format!("/sys/block/{disk}/dev")).expect("its number");
    let number = number.trim();
    let output = conex.run(&[
        "run",
        "-d",
        "--name",
        "web",
        "--device-read-bps",
        &format!("/dev/{disk}:1mb"),
        alpine,
        "sleep",
        "1000",
    ]);
    if output.code != 0 {
        // The error of a host without the controller names it.
        assert!(output.stderr.contains("io") && output.stderr.lines().count() == 1, "{}", output.stderr);
        skip!("this host cannot limit disks: {}", output.stderr.trim());
    }
    let rate = || limit(&conex, "web", "blkio.throttle.read_bps_device", "io.max");
    assert!(
        rate() == format!("{number} 1048576") || rate().starts_with(&format!("{number} rbps=1048576")),
        "{}",
        rate()
    );
    assert!(config(&conex, "web", "BlkioDeviceReadBps").contains("1048576"));
    conex.ok(&["update", "--device-read-bps", &format!("/dev/{disk}:2mb"), "web"]);
    assert!(rate().contains("2097152"), "{}", rate());
    conex.ok(&["update", "--device-read-bps", &format!("/dev/{disk}:0"), "web"]);
    assert!(!rate().contains("2097152"), "{}", rate());
    assert_eq!(config(&conex, "web", "BlkioDeviceReadBps"), "[]");
}

#[test]
fn v1_alone_has_swappiness() {
    let (conex, alpine) = alpine!();
    let output = conex.run(&[
        "run",
        "-d",
        "--name",
        "web",
        "-m",
        "64m",
        "--memory-swappiness",
        "10",
        "--oom-kill-disable",
        alpine,
        "sleep",
        "1000",
    ]);
    if std::path::Path::new("/sys/fs/cgroup/memory/memory.swappiness").exists() {
        assert_eq!(output.code, 0, "{}", output.stderr);
        assert_eq!(limit(&conex, "web", "memory.swappiness", ""), "10");
        assert!(limit(&conex, "web", "memory.oom_control", "").contains("oom_kill_disable 1"));
        assert_eq!(config(&conex, "web", "MemorySwappiness"), "10");
    } else {
        assert_eq!(output.code, 125, "{}", output.stderr);
        assert!(output.stderr.contains("memory") && output.stderr.contains("v1 only"), "{}", output.stderr);
    }
    let output = conex.run(&["run", "--rm", "--kernel-memory", "10m", alpine, "true"]);
    assert!(
        output.code == 0 && output.stderr.contains("WARNING: --kernel-memory is ignored"),
        "{}",
        output.stderr
    );
}

#[test]
fn the_restart_policy_is_told_to_what_watches() {
    let (conex, alpine) = alpine!();
    conex.ok(&["run", "-d", "--name", "web", alpine, "sleep", "1000"]);
    let pid = || conex.ok(&["inspect", "-f", "{{.State.Pid}}", "web"]).trim().parse::<i32>().expect("a pid");
    conex.ok(&["update", "--restart", "always", "web"]);
    assert!(config(&conex, "web", "RestartPolicy").contains("\"always\""));
    let first = pid();
    kill(first);
    eventually("another process", || Some(pid()).filter(|pid| *pid != 0 && *pid != first));
    conex.ok(&["update", "--restart", "no", "web"]);
    kill(pid());
    eventually("the end", || {
        (conex.ok(&["inspect", "-f", "{{.State.Status}}", "web"]) == "exited\n").then_some(())
    });
    // One that is to be removed is never started again.
    conex.ok(&["run", "-d", "--rm", "--name", "once", alpine, "sleep", "1000"]);
    let error = conex.fails(1, &["update", "--restart", "always", "once"]);
    assert!(error.contains("AutoRemove is enabled"), "{error}");
}

#[test]
fn sudden_death_leaves_the_truth() {
    let (conex, alpine) = alpine!();
    let mut dice = Dice::from_env("CONEX_TEST_SEED");
    conex.ok(&["run", "-d", "--name", "web", "-m", "64m", "--memory-swap", "-1", alpine, "sleep", "1000"]);
    let says_the_same = || {
        let config = config(&conex, "web", "Memory");
        // A supervisor goes on with what the killed client has asked.
        eventually("the truth", || (memory(&conex, "web") == config).then_some(()));
    };
    for round in 0..25u64 {
        let size = format!("{}m", 40 + round);
        let mut update = conex.background(&["update", "-m", &size, "web"]);
        std::thread::sleep(Duration::from_micros(dice.roll(12_000)));
        update.kill();
        drop(update);
        let settled = conex.ok(&["update", "--pids-limit", "50", "web"]);
        assert_eq!(settled, "web\n");
        says_the_same();
    }
    for round in 0..6u64 {
        let supervisor = std::fs::read_to_string(conex.state_file("web")).expect("its state");
        let state: serde_json::Value = serde_json::from_str(&supervisor).expect("JSON");
        let supervisor = i32::try_from(state["supervisor"].as_i64().expect("a pid")).expect("a pid");
        let mut update = conex.background(&["update", "-m", &format!("{}m", 100 + round), "web"]);
        std::thread::sleep(Duration::from_micros(dice.roll(12_000)));
        kill(supervisor);
        update.kill();
        drop(update);
        let ended = || conex.ok(&["inspect", "-f", "{{.State.Status}}", "web"]) == "exited\n";
        eventually("the end", || ended().then_some(()));
        conex.ok(&["start", "web"]);
        says_the_same();
    }
}
