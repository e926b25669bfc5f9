//! `run`: its budget, read back inside (v2's file or v1's) and felt.

use conex_tests::{Conex, alpine};

/// A file of the container's own control group: v2's name, else v1's.
fn limit(conex: &Conex, image: &str, flags: &[&str], v2: &str, v1: &str) -> String {
    let script = format!("cat /sys/fs/cgroup/{v2} 2>/dev/null || cat /sys/fs/cgroup/{v1}");
    let output = conex.run(&[&["run", "--rm"][..], flags, &[image, "sh", "-c", &script]].concat());
    assert_eq!(output.code, 0, "{flags:?}: {}", output.stderr);
    output.stdout.trim().to_owned()
}

#[test]
fn memory() {
    let (conex, alpine) = alpine!();
    assert_eq!(
        limit(&conex, alpine, &["--memory=50m"], "memory.max", "memory/memory.limit_in_bytes"),
        "52428800"
    );
    assert_eq!(
        limit(
            &conex,
            alpine,
            &["-m", "64m", "--memory-reservation", "32m"],
            "memory.low",
            "memory/memory.soft_limit_in_bytes"
        ),
        "33554432"
    );
    let error = conex.fails(125, &["run", "--rm", "-m", "1m", alpine, "true"]);
    assert!(
        error.contains("6m") || error.contains("6 MiB") || error.contains("6MB") || error.contains("inimum"),
        "{error}"
    );
    for flags in [
        &["--memory-swap", "64m"][..],
        &["-m", "64m", "--memory-swap", "32m"],
        &["-m", "64m", "--memory-reservation", "128m"],
    ] {
        let error = conex.fails(125, &[&["run", "--rm"][..], flags, &[alpine, "true"]].concat());
        assert_eq!(error.lines().count(), 1, "{error}");
    }
}

#[test]
fn an_oom_kill_is_told_apart() {
    let (conex, alpine) = alpine!();
    let hog = ["sh", "-c", "x=$(head -c 100000000 /dev/zero | tr '\\0' x); echo ${#x}"];
    let output = conex
        .run(&[&["run", "--name", "hog", "-m", "16m", "--memory-swap", "16m", alpine][..], &hog].concat());
    assert_eq!(output.code, 137, "{} {}", output.stdout, output.stderr);
    assert_eq!(conex.ok(&["inspect", "-f", "{{.State.OOMKilled}} {{.State.ExitCode}}", "hog"]), "true 137\n");
    conex.ok(&["run", "-d", "--name", "killed", alpine, "sleep", "1000"]);
    conex.ok(&["kill", "killed"]);
    conex.ok(&["wait", "killed"]);
    assert_eq!(
        conex.ok(&["inspect", "-f", "{{.State.OOMKilled}} {{.State.ExitCode}}", "killed"]),
        "false 137\n"
    );
}

#[test]
fn processors() {
    let (conex, alpine) = alpine!();
    let quota = limit(&conex, alpine, &["--cpus", "0.5"], "cpu.max", "cpu/cpu.cfs_quota_us");
    assert!(quota == "50000 100000" || quota == "50000", "{quota}");
    let quota = limit(
        &conex,
        alpine,
        &["--cpu-period", "20000", "--cpu-quota", "10000"],
        "cpu.max",
        "cpu/cpu.cfs_quota_us",
    );
    assert!(quota == "10000 20000" || quota == "10000", "{quota}");
    let shares = limit(&conex, alpine, &["-c", "512"], "cpu.weight", "cpu/cpu.shares");
    assert!(
        shares == "512" || shares.parse::<u32>().is_ok_and(|weight| (1..100).contains(&weight)),
        "{shares}"
    );
    assert_eq!(limit(&conex, alpine, &["--cpuset-cpus", "0"], "cpuset.cpus", "cpuset/cpuset.cpus"), "0");
    assert_eq!(conex.ok(&["run", "--rm", "--cpuset-cpus", "0", alpine, "nproc"]), "1\n");
    assert_eq!(limit(&conex, alpine, &["--cpuset-mems", "0"], "cpuset.mems", "cpuset/cpuset.mems"), "0");
    for flags in
        [&["--cpus", "1", "--cpu-quota", "1000"][..], &["--cpuset-cpus", "4000"], &["--cpus", "5000"]]
    {
        let error = conex.fails(125, &[&["run", "--rm"][..], flags, &[alpine, "true"]].concat());
        assert_eq!(error.lines().count(), 1, "{error}");
    }
}

#[test]
fn processes() {
    let (conex, alpine) = alpine!();
    assert_eq!(limit(&conex, alpine, &["--pids-limit", "20"], "pids.max", "pids/pids.max"), "20");
    let bomb = "for i in 1 2 3 4 5 6 7 8 9 10 11 12; do sleep 3 & done 2>/dev/null; echo made";
    let output = conex.run(&["run", "--rm", "--pids-limit", "5", alpine, "sh", "-c", bomb]);
    assert!(output.code != 0 || output.stderr.contains("fork"), "{} {}", output.stdout, output.stderr);
    assert_eq!(conex.run(&["run", "--rm", "--pids-limit", "-1", alpine, "true"]).code, 0);
}

#[test]
fn block_weight_works_or_names_the_controller() {
    let (conex, alpine) = alpine!();
    let output = conex.run(&["run", "--rm", "--blkio-weight", "300", alpine, "true"]);
    assert!(
        output.code == 0
            || (output.code == 125 && (output.stderr.contains("blkio") || output.stderr.contains("io."))),
        "{} {}",
        output.code,
        output.stderr
    );
}

#[test]
fn a_parent_group_of_ones_own() {
    let (conex, alpine) = alpine!();
    let parent = format!("conex-test-{}", std::process::id());
    conex.ok(&[
        "run",
        "-d",
        "--name",
        "child",
        "--cgroup-parent",
        &parent,
        "--cgroupns",
        "host",
        "-m",
        "64m",
        alpine,
        "sleep",
        "1000",
    ]);
    let groups = conex.ok(&["exec", "child", "cat", "/proc/1/cgroup"]);
    assert!(groups.contains(&parent), "{groups}");
    conex.ok(&["rm", "-f", "child"]);
    // The parent is the caller's to remove; nothing of the container is left in it.
    for directory in glob(&parent) {
        let _ = std::fs::remove_dir(&directory);
        assert!(!directory.exists(), "{directory:?} is not empty");
    }
}

fn glob(name: &str) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    let mut stack = vec![(std::path::PathBuf::from("/sys/fs/cgroup"), 0)];
    while let Some((directory, depth)) = stack.pop() {
        for entry in std::fs::read_dir(&directory).into_iter().flatten().flatten() {
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                if entry.file_name().to_string_lossy() == name {
                    found.push(entry.path());
                } else if depth < 4 {
                    stack.push((entry.path(), depth + 1));
                }
            }
        }
    }
    found
}
