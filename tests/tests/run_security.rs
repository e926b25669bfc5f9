//! `run`: its rights. `--cap-add --cap-drop --privileged --security-opt`.

use conex_tests::{Conex, alpine};

/// A field of /proc/self/status in the container.
fn status(conex: &Conex, flags: &[&str], image: &str, field: &str) -> String {
    let shown = conex.ok(&[&["run", "--rm"][..], flags, &[image, "cat", "/proc/self/status"]].concat());
    let prefix = format!("{field}:");
    let line =
        shown.lines().find(|line| line.starts_with(&prefix)).unwrap_or_else(|| panic!("{field}: {shown}"));
    line[prefix.len()..].trim().to_owned()
}

fn bits(conex: &Conex, flags: &[&str], image: &str, field: &str) -> u64 {
    u64::from_str_radix(&status(conex, flags, image, field), 16).expect("a mask")
}

const CHOWN: u64 = 1;
const NET_ADMIN: u64 = 1 << 12;
const SYS_ADMIN: u64 = 1 << 21;
/// Docker's fourteen.
const DEFAULT: u64 = 0xa804_25fb;

#[test]
fn capabilities() {
    let (conex, alpine) = alpine!();
    let caps = |flags: &[&str]| bits(&conex, flags, alpine, "CapEff");
    assert_eq!(caps(&[]) & !DEFAULT, 0, "more than Docker's default");
    assert_ne!(caps(&[]) & CHOWN, 0);
    assert_eq!(caps(&["--cap-drop", "ALL"]), 0);
    assert_eq!(caps(&["--cap-drop", "all", "--cap-add", "chown"]), CHOWN);
    assert_ne!(caps(&["--cap-add", "NET_ADMIN"]) & NET_ADMIN, 0);
    assert_eq!(caps(&["--cap-drop=CAP_CHOWN"]) & CHOWN, 0);
    assert_ne!(caps(&["--cap-add=ALL"]) & SYS_ADMIN, 0);
    for field in ["CapInh", "CapAmb"] {
        assert_eq!(bits(&conex, &[], alpine, field), 0, "{field}");
    }
    // Nobody but root has any.
    assert_eq!(bits(&conex, &["-u", "1000"], alpine, "CapEff"), 0);
    assert_eq!(conex.run(&["run", "--rm", "--cap-drop", "CHOWN", alpine, "chown", "1", "/tmp"]).code, 1);
}

#[test]
fn seccomp() {
    let (conex, alpine) = alpine!();
    assert_eq!(status(&conex, &[], alpine, "Seccomp"), "2");
    assert_eq!(status(&conex, &["--security-opt", "seccomp=unconfined"], alpine, "Seccomp"), "0");
    // A namespace cannot be made, even with the capability for it missing anyway: EPERM by the filter.
    let output = conex.run(&["run", "--rm", alpine, "unshare", "-U", "true"]);
    assert!(output.code != 0 && output.stderr.contains("not permitted"), "{}", output.stderr);
    let profile = conex.scratch().join("profile.json");
    std::fs::write(
        &profile,
        r#"{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["mkdir","mkdirat"],"action":"SCMP_ACT_ERRNO","errnoRet":95}]}"#,
    )
    .expect("a file");
    let option = format!("seccomp={}", profile.display());
    let output = conex.run(&["run", "--rm", "--security-opt", &option, alpine, "mkdir", "/x"]);
    assert!(output.code == 1 && output.stderr.contains("ot supported"), "{}", output.stderr);
    std::fs::write(&profile, "{ not json").expect("a file");
    let error = conex.fails(125, &["run", "--rm", "--security-opt", &option, alpine, "true"]);
    assert!(error.lines().count() == 1 && error.contains("profile.json"), "{error}");
    std::fs::write(&profile, r#"{"defaultAction":"SCMP_ACT_NONSENSE"}"#).expect("a file");
    let error = conex.fails(125, &["run", "--rm", "--security-opt", &option, alpine, "true"]);
    assert_eq!(error.lines().count(), 1, "{error}");
}

#[test]
fn no_new_privileges() {
    let (conex, alpine) = alpine!();
    assert_eq!(status(&conex, &[], alpine, "NoNewPrivs"), "0");
    assert_eq!(status(&conex, &["--security-opt", "no-new-privileges"], alpine, "NoNewPrivs"), "1");
    assert_eq!(status(&conex, &["--security-opt", "no-new-privileges=false"], alpine, "NoNewPrivs"), "0");
}

#[test]
fn masks() {
    let (conex, alpine) = alpine!();
    let size = |flags: &[&str]| {
        conex.ok(&[
            &["run", "--rm"][..],
            flags,
            &[alpine, "sh", "-c", "head -c 10 /proc/timer_list 2>/dev/null | wc -c"],
        ]
        .concat())
    };
    assert_eq!(size(&[]).trim(), "0");
    for path in ["/proc/kcore", "/proc/keys", "/sys/firmware"] {
        let script = format!("test ! -s {path} || test -z \"$(ls -A {path} 2>/dev/null)\"");
        conex.ok(&["run", "--rm", alpine, "sh", "-c", &script]);
    }
    for path in ["/proc/sys/kernel/hostname", "/proc/sysrq-trigger", "/proc/irq/x"] {
        let script = format!("echo x > {path}");
        assert_ne!(conex.run(&["run", "--rm", alpine, "sh", "-c", &script]).code, 0, "{path} can be written");
    }
    assert_eq!(
        conex.ok(&["run", "--rm", "--security-opt", "mask=/etc/passwd:/root", alpine, "cat", "/etc/passwd"]),
        ""
    );
    let mounts = conex.ok(&["run", "--rm", "--security-opt", "unmask=ALL", alpine, "cat", "/proc/mounts"]);
    assert!(!mounts.contains(" /proc/kcore "), "{mounts}");
    let mounts =
        conex.ok(&["run", "--rm", "--security-opt", "unmask=/proc/kcore", alpine, "cat", "/proc/mounts"]);
    assert!(!mounts.contains(" /proc/kcore ") && mounts.contains(" /proc/keys "), "{mounts}");
    conex.fails(125, &["run", "--rm", "--security-opt", "mask=relative", alpine, "true"]);
}

#[test]
fn privileged() {
    let (conex, alpine) = alpine!();
    let flags = &["--privileged"][..];
    assert_ne!(bits(&conex, flags, alpine, "CapEff") & SYS_ADMIN, 0);
    assert_eq!(status(&conex, flags, alpine, "Seccomp"), "0");
    let mounts = conex.ok(&["run", "--rm", "--privileged", alpine, "cat", "/proc/mounts"]);
    assert!(!mounts.contains(" /proc/kcore "), "{mounts}");
    assert!(mounts.lines().any(|line| line.starts_with("sysfs /sys sysfs rw")), "{mounts}");
    // Without it sysfs cannot be written.
    let mounts = conex.ok(&["run", "--rm", alpine, "cat", "/proc/mounts"]);
    assert!(mounts.lines().any(|line| line.starts_with("sysfs /sys sysfs ro")), "{mounts}");
    assert_eq!(
        conex.ok(&[
            "run",
            "--rm",
            "--privileged",
            alpine,
            "sh",
            "-c",
            "mount -t tmpfs x /mnt && echo mounted"
        ]),
        "mounted\n"
    );
    assert_ne!(conex.run(&["run", "--rm", alpine, "mount", "-t", "tmpfs", "x", "/mnt"]).code, 0);
}

#[test]
fn modules_that_the_kernel_lacks_are_an_error() {
    let (conex, alpine) = alpine!();
    let active = std::fs::read_to_string("/sys/kernel/security/lsm").unwrap_or_default();
    conex.ok(&[
        "run",
        "--rm",
        "--security-opt",
        "apparmor=unconfined",
        "--security-opt",
        "label=disable",
        alpine,
        "true",
    ]);
    if !active.contains("apparmor") {
        let error =
            conex.fails(125, &["run", "--rm", "--security-opt", "apparmor=my-profile", alpine, "true"]);
        assert!(error.to_lowercase().contains("apparmor") && error.lines().count() == 1, "{error}");
    }
    if !active.contains("selinux") {
        let error = conex.fails(125, &["run", "--rm", "--security-opt", "label=type:x_t", alpine, "true"]);
        assert!(error.to_lowercase().contains("selinux") && error.lines().count() == 1, "{error}");
    }
}
