//! `process`: how it is scheduled, what it is limited to, where its memory lies; and the rest of the document.

use conex_tests::{Bed, needs_root, skip};
use serde_json::{Value, json};

macro_rules! bed {
    ($script:expr) => {{
        needs_root!();
        match Bed::new($script) {
            Some(bed) => bed,
            None => skip!("no busybox image"),
        }
    }};
}

/// Niceness, real-time priority and policy, proc_pid_stat(5); by the shell itself, since a child may begin anew.
const SCHEDULING: &str = "read -r stat < /proc/self/stat; echo $stat | cut -d' ' -f19,40,41; ";

#[test]
fn scheduler_and_io_priority() {
    let mut bed = bed!(&format!("{SCHEDULING} ionice -p $$"));
    bed.config["process"]["scheduler"] =
        json!({"policy": "SCHED_RR", "priority": 7, "flags": ["SCHED_FLAG_RESET_ON_FORK"]});
    bed.config["process"]["ioPriority"] = json!({"class": "IOPRIO_CLASS_BE", "priority": 2});
    let output = bed.run();
    // A new group of the v1 cpu controller has no share of real time, and none can be had below the test's own.
    if std::fs::exists("/sys/fs/cgroup/cpu/cpu.rt_runtime_us").unwrap() {
        assert!(output.stderr.contains("cpu.rt_runtime_us"), "{output:?}");
    } else {
        let lines: Vec<_> = output.stdout.lines().collect();
        assert!(lines[0].ends_with(" 7 2") && lines[1] == "best-effort: prio 2", "{output:?}");
    }
    bed.config["process"]["scheduler"] = json!({"policy": "SCHED_OTHER", "nice": 3});
    assert_eq!(bed.output(), "3 0 0\nbest-effort: prio 2\n");
    bed.config["process"]["scheduler"] = json!({"policy": "SCHED_BATCH", "nice": 5});
    bed.config["process"]["ioPriority"] = json!({"class": "IOPRIO_CLASS_IDLE", "priority": 7});
    let output = bed.output();
    assert!(output.starts_with("5 0 3\nidle"), "{output}");
    bed.config["process"]["scheduler"] = json!({"policy": "SCHED_DEADLINE", "runtime": 1_000_000,
        "deadline": 10_000_000, "period": 10_000_000, "flags": ["SCHED_FLAG_RESET_ON_FORK"]});
    let output = bed.run();
    // Where a cpuset of the test's own leaves no bandwidth for it, the kernel says so.
    assert!(output.stdout.contains(" 6\n") || output.stderr.contains("set the scheduler"), "{output:?}");
    for (scheduler, words) in [
        (json!({"policy": "SCHED_MOON"}), "process.scheduler.policy: unknown variant `SCHED_MOON`"),
        (json!({"policy": "SCHED_FIFO"}), "process.scheduler.priority"),
        (json!({"policy": "SCHED_OTHER", "nice": 20}), "process.scheduler.nice"),
        (json!({"policy": "SCHED_OTHER", "runtime": 1}), "process.scheduler"),
        (json!({"policy": "SCHED_OTHER", "flags": ["X"]}), "process.scheduler.flags[0]"),
        (json!({}), "process.scheduler: missing field `policy`"),
    ] {
        bed.config["process"]["scheduler"] = scheduler;
        assert!(bed.refusal().contains(words), "{words}");
    }
    bed.config["process"]["scheduler"] = Value::Null;
    bed.config["process"]["ioPriority"] = json!({"class": "IOPRIO_CLASS_BE", "priority": 8});
    assert!(bed.refusal().contains("process.ioPriority.priority"));
}

#[test]
fn personality() {
    let mut bed = bed!("uname -m");
    if !cfg!(target_arch = "x86_64") {
        skip!("only x86_64 shows its 32-bit name");
    }
    bed.linux()["personality"] = json!({"domain": "LINUX32"});
    assert_eq!(bed.output(), "i686\n");
    // A process put into it has the same.
    bed.script("sleep 1000");
    bed.start();
    assert_eq!(bed.runtime.ok(&["exec", "bed", "uname", "-m"]), "i686\n");
    bed.runtime.ok(&["delete", "--force", "bed"]);
    bed.script("uname -m");
    bed.linux()["personality"] = json!({"domain": "LINUX", "flags": []});
    assert_eq!(bed.output(), "x86_64\n");
    bed.linux()["personality"] = json!({"domain": "LINUX", "flags": ["ADDR_NO_RANDOMIZE"]});
    assert!(bed.refusal().contains("linux.personality.flags"));
    bed.linux()["personality"] = json!({"domain": "PLAN9"});
    assert!(bed.refusal().contains("linux.personality.domain"));
}

#[test]
fn memory_policy() {
    let mut bed = bed!("head -1 /proc/self/numa_maps");
    if !std::fs::exists("/proc/self/numa_maps").unwrap() {
        skip!("this kernel has no NUMA");
    }
    bed.linux()["memoryPolicy"] =
        json!({"mode": "MPOL_BIND", "nodes": "0", "flags": ["MPOL_F_STATIC_NODES"]});
    let output = bed.output();
    assert!(output.contains("bind=static:0"), "{output}");
    bed.linux()["memoryPolicy"] = json!({"mode": "MPOL_LOCAL"});
    let output = bed.output();
    assert!(output.contains(" local "), "{output}");
    for (policy, words) in [
        (json!({"mode": "MPOL_BIND"}), "linux.memoryPolicy.nodes"),
        (json!({"mode": "MPOL_LOCAL", "nodes": "0"}), "linux.memoryPolicy.nodes"),
        (json!({"mode": "MPOL_BIND", "nodes": "0-"}), "linux.memoryPolicy.nodes"),
        (json!({"mode": "MPOL_BIND", "nodes": "1000"}), "set the memory policy"),
        (json!({"mode": "MPOL_MOON"}), "linux.memoryPolicy.mode"),
    ] {
        bed.linux()["memoryPolicy"] = policy;
        assert!(bed.refusal().contains(words), "{words}");
    }
}

#[test]
fn processors_of_an_exec() {
    let mut bed = bed!("grep Cpus_allowed_list /proc/self/status; sleep 1000");
    let allowed = |bed: &Bed| {
        let output = bed.runtime.ok(&["exec", "bed", "grep", "Cpus_allowed_list", "/proc/self/status"]);
        output.split_whitespace().nth(1).unwrap().to_owned()
    };
    bed.start();
    let all = allowed(&bed);
    bed.runtime.ok(&["delete", "--force", "bed"]);
    // Not the first process's (config.md#linux-process).
    bed.config["process"]["execCPUAffinity"] = json!({"initial": "0"});
    let pid = bed.start();
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    assert!(status.contains(&format!("Cpus_allowed_list:\t{all}\n")), "{status}");
    assert_eq!(allowed(&bed), "0");
    bed.runtime.ok(&["delete", "--force", "bed"]);
    if all.starts_with("0-") {
        bed.config["process"]["execCPUAffinity"] = json!({"initial": "0", "final": "1"});
        bed.start();
        assert_eq!(allowed(&bed), "1");
        bed.runtime.ok(&["delete", "--force", "bed"]);
    }
    bed.config["process"]["execCPUAffinity"] = json!({"initial": "0-"});
    bed.start();
    let error = bed.runtime.run(&["exec", "bed", "true"]);
    assert!(error.code != 0 && error.stderr.contains("process.execCPUAffinity.initial"), "{error:?}");
}

#[test]
fn limits_and_masks() {
    let mut bed = bed!("ulimit -n; ulimit -H -n; ulimit -c; cat /proc/self/oom_score_adj; umask");
    bed.config["process"]["rlimits"] = json!([
        {"type": "RLIMIT_NOFILE", "soft": 100, "hard": 200},
        {"type": "RLIMIT_CORE", "soft": u64::MAX, "hard": u64::MAX},
    ]);
    bed.config["process"]["oomScoreAdj"] = json!(300);
    bed.config["process"]["user"]["umask"] = json!(0o077);
    assert_eq!(bed.output(), "100\n200\nunlimited\n300\n0077\n");
    let limit = |kind: &str, soft: u64, hard: u64| json!({"type": kind, "soft": soft, "hard": hard});
    for (limits, words) in [
        (json!([limit("RLIMIT_CORE", 0, 0), limit("RLIMIT_CORE", 1, 1)]), "process.rlimits[1].type"),
        (json!([limit("RLIMIT_MOON", 0, 0)]), "process.rlimits[0].type"),
        (json!([limit("RLIMIT_CORE", 2, 1)]), "process.rlimits[0]"),
        (json!([{"type": "RLIMIT_CORE", "soft": -1, "hard": 1}]), "process.rlimits[0].soft"),
        (json!([{"type": "RLIMIT_CORE", "soft": 1}]), "process.rlimits[0]: missing field `hard`"),
    ] {
        bed.config["process"]["rlimits"] = limits;
        assert!(bed.refusal().contains(words), "{words}");
    }
    bed.config["process"]["rlimits"] = json!([]);
    bed.config["process"]["oomScoreAdj"] = json!(1001);
    assert!(bed.refusal().contains("process.oomScoreAdj"));
    bed.config["process"]["oomScoreAdj"] = Value::Null;
    bed.config["process"]["user"]["umask"] = json!(0o1000);
    assert!(bed.refusal().contains("process.user.umask"));
}

#[test]
fn user_groups_and_directory() {
    let mut bed = bed!("id; pwd; env | sort");
    bed.config["process"]["user"] =
        json!({"uid": 12, "gid": 34, "additionalGids": [56, 78], "username": "ignored"});
    bed.config["process"]["cwd"] = json!("/made/for/it");
    bed.config["process"]["env"] = json!(["A=1", "B=2"]);
    let output = bed.output();
    assert!(output.contains("uid=12 gid=34 groups=56,78"), "{output}");
    assert!(output.contains("/made/for/it\nA=1\nB=2\n"), "{output}");
}

#[test]
fn unknown_capabilities_are_a_warning() {
    let mut bed = bed!("grep CapBnd /proc/self/status");
    let caps = json!(["CAP_CHOWN", "CAP_MAGIC"]);
    bed.config["process"]["capabilities"] = json!({"bounding": caps, "effective": caps, "permitted": caps});
    let output = bed.run();
    assert!(output.stdout.ends_with("0000000000000001\n"), "{output:?}");
    assert!(output.stderr.contains("warn") && output.stderr.contains("CAP_MAGIC"), "{output:?}");
}

#[test]
fn nulls_unknown_fields_and_other_platforms_are_passed_over() {
    let mut bed = bed!("echo ran");
    for field in ["hooks", "annotations", "domainname", "solaris", "vm"] {
        bed.config[field] = Value::Null;
    }
    for field in ["devices", "sysctl", "seccomp", "resources", "rootfsPropagation", "intelRdt", "netDevices"]
    {
        bed.linux()[field] = Value::Null;
    }
    bed.config["process"]["rlimits"] = Value::Null;
    bed.config["process"]["commandLine"] = json!("cmd /c dir");
    bed.config["windows"] = json!({"layerFolders": ["C:\\"]});
    bed.config["zos"] = json!({"namespaces": []});
    bed.config["freebsd"] = json!({"jail": {}});
    bed.config["later"] = json!({"than": ["this", 1.3]});
    assert_eq!(bed.output(), "ran\n");
}

#[test]
fn the_document_itself() {
    let bed = bed!("true");
    let refuse = |change: &dyn Fn(&mut Value), words: &str| {
        let mut other = Bed { config: bed.config.clone(), runtime: conex_tests::Runtime::new().unwrap() };
        change(&mut other.config);
        let refusal = other.refusal();
        assert!(refusal.contains(words), "{words}: {refusal}");
    };
    refuse(&|config| config["ociVersion"] = json!("2.0.0"), "ociVersion: \"2.0.0\" is not supported");
    refuse(&|config| config["ociVersion"] = json!("one"), "ociVersion: \"one\" is no version");
    refuse(&|config| config["ociVersion"] = Value::Null, "ociVersion: it is missing");
    refuse(&|config| config["root"] = Value::Null, "root: it is missing");
    refuse(&|config| config["root"]["path"] = json!("not-there"), "not-there");
    // An array is no object, whatever order its values stand in.
    refuse(&|config| config["root"] = json!(["rootfs"]), "root: invalid type: sequence");
    refuse(&|config| config["process"]["user"] = json!([0, 0]), "process.user: invalid type: sequence");
    refuse(
        &|config| config["mounts"][0] = json!(["/proc", "proc", "proc"]),
        "mounts[0]: invalid type: sequence",
    );
    refuse(
        &|config| config["linux"]["namespaces"][0] = json!(["pid"]),
        "linux.namespaces[0]: invalid type: sequence",
    );
    refuse(&|config| config["process"]["args"] = json!([]), "args");
    refuse(&|config| config["process"]["cwd"] = json!("relative"), "absolute");
    refuse(
        &|config| config["process"]["user"]["uid"] = json!(1_u64 << 40),
        "process.user.uid: invalid value",
    );
    refuse(
        &|config| config["linux"]["resources"] = json!({"pids": {"limit": "many"}}),
        "linux.resources.pids.limit",
    );
    let mut fine = Bed { config: bed.config.clone(), runtime: conex_tests::Runtime::new().unwrap() };
    for version in ["1.0.0", "1.0.2-dev", "1.2.1", "1.3.0+dev"] {
        fine.config["ociVersion"] = json!(version);
        fine.output();
    }
}

#[test]
fn intel_rdt_needs_resctrl() {
    let mut bed = bed!("true");
    if std::fs::read_to_string("/proc/mounts").unwrap().contains(" resctrl ") {
        skip!("this machine has resctrl");
    }
    bed.linux()["intelRdt"] = json!({"closID": "gold"});
    assert!(bed.refusal().contains("no resctrl is mounted"));
    bed.linux()["intelRdt"] = json!({"closID": "a/b"});
    assert!(bed.refusal().contains("linux.intelRdt.closID"));
}
