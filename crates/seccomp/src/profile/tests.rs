//! What resolves to what.

use super::*;

fn caps(names: &[&str]) -> Vec<String> {
    names.iter().map(|&name| name.to_owned()).collect()
}

/// The actions of the unconditional rules that name a call.
fn says<'a>(seccomp: &'a Seccomp, name: &str) -> Vec<&'a str> {
    let names = |rule: &&SyscallRule| rule.args.is_empty() && rule.names.iter().any(|n| n == name);
    seccomp.syscalls.iter().filter(names).map(|rule| rule.action.as_str()).collect()
}

const TEXT: &str = r#"{
    "defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 2, "comment": "ignored",
    "archMap": [{"architecture": "SCMP_ARCH_X86_64", "subArchitectures": ["SCMP_ARCH_X86"]},
                {"architecture": "SCMP_ARCH_S390X", "subArchitectures": null}],
    "syscalls": [
        {"names": ["read", "write"], "action": "SCMP_ACT_ALLOW", "args": [], "includes": {}, "excludes": {}},
        {"names": ["ptrace"], "action": "SCMP_ACT_ALLOW", "includes": {"minKernel": "4.8"}},
        {"name": "mount", "action": "SCMP_ACT_ALLOW", "args": null, "includes": {"caps": ["CAP_SYS_ADMIN", "CAP_BPF"]}},
        {"names": ["arch_prctl"], "action": "SCMP_ACT_ALLOW", "includes": {"arches": ["amd64", "x32"]}},
        {"names": ["clone"], "action": "SCMP_ACT_ALLOW",
         "args": [{"index": 0, "value": 2114060288, "valueTwo": 0, "op": "SCMP_CMP_MASKED_EQ"}],
         "excludes": {"caps": ["CAP_SYS_ADMIN"], "arches": ["s390"]}},
        {"names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38, "excludes": {"caps": ["CAP_SYS_ADMIN"]}}
    ]}"#;

#[test]
fn conditions_are_dockers() {
    let profile = Profile::parse(TEXT).unwrap();
    let plain = profile.resolve_for(&[], Arch::X86_64, (4, 8));
    assert_eq!(plain.default_errno_ret, Some(2));
    assert_eq!(plain.architectures, ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"]);
    assert_eq!(plain.syscalls[0].names, ["read", "write", "ptrace", "arch_prctl"], "alike rules are joined");
    assert_eq!(plain.syscalls[1].names, ["clone"]);
    let mask =
        ArgumentRule { index: 0, value: 2114060288, value_two: 0, op: "SCMP_CMP_MASKED_EQ".to_owned() };
    assert_eq!(plain.syscalls[1].args, [mask]);
    assert_eq!(plain.syscalls[2].errno_ret, Some(38));
    assert_eq!(plain.syscalls.len(), 3);

    let one = profile.resolve_for(&caps(&["CAP_SYS_ADMIN"]), Arch::Aarch64, (4, 7));
    assert_eq!(one.syscalls.len(), 1);
    assert_eq!(
        one.syscalls[0].names,
        ["read", "write"],
        "all the capabilities, the kernel, the architecture"
    );
    assert!(one.architectures.is_empty(), "the map does not have this machine");
    let both = profile.resolve_for(&caps(&["CAP_BPF", "CAP_SYS_ADMIN"]), Arch::Aarch64, (5, 0));
    assert_eq!(says(&both, "mount"), ["SCMP_ACT_ALLOW"]);
}

#[test]
fn a_bad_profile_is_one_line_with_its_place() {
    for (text, place, why) in [
        ("", "line 1 column 0", "EOF"),
        ("{\"defaultAction\": \"SCMP_ACT_ALLOW\",}", "line 1 column", "trailing comma"),
        ("{}", "line 1 column 2", "defaultAction"),
        ("{\"defaultAction\":\n \"ALLOW\"}", "line 2 column", "seccomp action \"ALLOW\" is unknown"),
        (
            "{\"defaultAction\": \"SCMP_ACT_ALLOW\",\n\"syscalls\": [{\"names\": [], \"action\": \"SCMP_ACT_X\"}]}",
            "line 2 column",
            "SCMP_ACT_X",
        ),
        (
            "{\"defaultAction\": \"SCMP_ACT_ALLOW\",\n\"syscalls\": [\n{\"name\": \"a\", \"names\": [], \"action\": \"SCMP_ACT_LOG\"}]}",
            "line 3 column",
            "both `name` and `names`",
        ),
        (
            "{\"defaultAction\": \"SCMP_ACT_ALLOW\", \"syscalls\": [{\"action\": \"SCMP_ACT_LOG\"}]}",
            "line 1",
            "neither `name` nor `names`",
        ),
        ("{\"defaultAction\": \"SCMP_ACT_ERRNO\", \"defaultErrnoRet\": 5000}", "", "5000"),
        (
            "{\"defaultAction\": \"SCMP_ACT_ALLOW\", \"architectures\": [\"SCMP_ARCH_PDP11\"]}",
            "line 1",
            "SCMP_ARCH_PDP11",
        ),
        (
            "{\"defaultAction\": \"SCMP_ACT_ALLOW\", \"architectures\": [\"SCMP_ARCH_ARM\"], \"archMap\": [{\"architecture\": \"SCMP_ARCH_X86\"}]}",
            "",
            "both `architectures` and `archMap`",
        ),
        (
            "{\"defaultAction\": \"SCMP_ACT_ALLOW\", \"syscalls\": [{\"names\": [\"a\"], \"action\": \"SCMP_ACT_LOG\", \"args\": [{\"index\": 6, \"value\": 0, \"op\": \"SCMP_CMP_EQ\"}]}]}",
            "line 1",
            "out of range (0 to 5)",
        ),
        (
            "{\"defaultAction\": \"SCMP_ACT_ALLOW\", \"syscalls\": [{\"names\": [\"a\"], \"action\": \"SCMP_ACT_LOG\", \"includes\": {\"minKernel\": \"new\"}}]}",
            "line 1",
            "minKernel \"new\"",
        ),
    ] {
        let error = Profile::parse(text).unwrap_err().to_string();
        assert!(error.contains(place) && error.contains(why), "{error}");
        assert!(error.starts_with("seccomp profile is malformed: ") && !error.contains('\n'), "{error}");
    }
}

#[test]
fn the_default_profile_follows_capabilities() {
    let profile = Profile::builtin();
    let plain = profile.resolve_for(&[], Arch::X86_64, (6, 1));
    assert_eq!(plain.default_action, "SCMP_ACT_ERRNO");
    assert_eq!(plain.default_errno_ret, Some(1));
    assert_eq!(plain.architectures, ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"]);
    for refused in [
        "mount",
        "bpf",
        "setns",
        "reboot",
        "init_module",
        "syslog",
        "chroot",
        "acct",
        "keyctl",
        "kexec_load",
        "io_uring_setup",
        "userfaultfd",
        "open_by_handle_at",
        "perf_event_open",
        "clone",
        "unshare",
        "socket",
        "personality",
        "pivot_root",
        "iopl",
        "settimeofday",
        "mbind",
    ] {
        assert!(says(&plain, refused).is_empty(), "{refused}");
    }
    assert_eq!(says(&plain, "clone3"), ["SCMP_ACT_ERRNO"]);
    assert_eq!(says(&plain, "ptrace"), ["SCMP_ACT_ALLOW"]);
    assert!(says(&profile.resolve_for(&[], Arch::X86_64, (4, 7)), "ptrace").is_empty());

    let admin = profile.resolve_for(&caps(&["CAP_SYS_ADMIN"]), Arch::Aarch64, (6, 1));
    for allowed in ["mount", "clone", "clone3", "unshare", "setns", "bpf"] {
        assert_eq!(says(&admin, allowed), ["SCMP_ACT_ALLOW"], "{allowed}");
    }
    assert_eq!(admin.architectures, ["SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"]);
    for (capability, call) in [
        ("CAP_SYS_CHROOT", "chroot"),
        ("CAP_SYS_MODULE", "finit_module"),
        ("CAP_SYS_TIME", "clock_settime"),
        ("CAP_SYS_NICE", "mbind"),
        ("CAP_SYSLOG", "syslog"),
        ("CAP_BPF", "bpf"),
        ("CAP_PERFMON", "perf_event_open"),
        ("CAP_DAC_READ_SEARCH", "open_by_handle_at"),
        ("CAP_SYS_PACCT", "acct"),
        ("CAP_SYS_RAWIO", "iopl"),
        ("CAP_SYS_TTY_CONFIG", "vhangup"),
        ("CAP_SYS_BOOT", "reboot"),
        ("CAP_SYS_PTRACE", "kcmp"),
    ] {
        let with = profile.resolve_for(&caps(&[capability]), Arch::X86_64, (6, 1));
        assert_eq!(says(&with, call), ["SCMP_ACT_ALLOW"], "{capability}");
    }
}

#[test]
fn kernel_versions() {
    assert_eq!(kernel_version("6.18.44-fc"), Some((6, 18)));
    assert_eq!(kernel_version("4.8"), Some((4, 8)));
    assert_eq!(kernel_version("5.10+"), Some((5, 10)));
    assert_eq!(kernel_version("six"), None);
    assert_ne!(running_kernel(), (0, 0));
}
