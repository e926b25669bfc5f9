//! The systemd driver against a real systemd, as root against the machine's, as an ordinary user against his own
//! (`cargo xtask test --vm` has both). One thread: a scope is made with a clone3.

#[path = "support/serial.rs"]
mod serial;

use std::collections::BTreeMap;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use conex_cgroup::{Cgroup, CgroupPath, Driver, Error, Host, Properties, Version};
use conex_oci::runtime::{Cpu, DeviceRule, Memory, Pids, Resources};
use conex_sys::process::{Cloned, clone3, exit_now};
use serial::Outcome;

const MIB: i64 = 1 << 20;

fn main() {
    serial::run(&[
        ("a_scope_has_the_limits_in_its_files_and_its_properties", limits),
        ("a_process_is_born_in_the_scope_and_keeps_it", born),
        ("an_update_is_in_both_and_stays_over_a_reload", update),
        ("the_device_filter_survives_a_reload", devices),
        ("deleting_ends_the_scope_and_is_idempotent", delete),
        ("a_name_in_use_is_refused_and_a_failed_one_taken_over", names),
        ("a_crash_leaves_no_scope", crash),
        ("what_systemd_refuses_leaves_nothing", refused),
        ("a_process_from_elsewhere_is_attached", attached),
        ("without_limits_or_rights_a_user_goes_without", without),
    ]);
}

/// The machine's groups, where a systemd runs that this process may ask.
fn host() -> Result<Host, String> {
    if !Path::new("/run/systemd/system").is_dir() {
        return Err("systemd does not run here".to_owned());
    }
    let host = Host::detect().expect("a machine with control groups");
    if host.version() != Version::V2 {
        return Err("this wants a pure cgroup v2 machine".to_owned());
    }
    Ok(host)
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// A scope that goes away with its test.
struct Scope {
    host: Host,
    cgroup: Cgroup,
    unit: String,
}

impl Scope {
    fn create(host: &Host, resources: &Resources) -> Self {
        Self::create_as(host, &unique(), resources, &[]).expect("create")
    }

    fn create_as(
        host: &Host,
        id: &str,
        resources: &Resources,
        annotations: &[(&str, &str)],
    ) -> Result<Self, Error> {
        let path = host.bundle_path(Driver::Systemd, Some(&format!("conextest-unit.slice:p:{id}")), id)?;
        let annotations: BTreeMap<String, String> = annotations
            .iter()
            .map(|(key, value)| (format!("org.systemd.property.{key}"), (*value).to_owned()))
            .collect();
        let properties = Properties::from_annotations(&annotations)?;
        let cgroup = Cgroup::create_with(host, &path, resources, &properties)?;
        Ok(Self { host: host.clone(), cgroup, unit: format!("p-{id}.scope") })
    }

    fn directory(&self) -> PathBuf {
        let mount = &self.host.unified().expect("v2").mount;
        mount.join(self.cgroup.path().name().trim_start_matches('/'))
    }

    fn read(&self, file: &str) -> String {
        let path = self.directory().join(file);
        let text =
            std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        text.trim().to_owned()
    }

    fn property(&self, name: &str) -> String {
        let text = systemctl(&["show", "--value", "--property", name, &self.unit]);
        text.trim().to_owned()
    }

    /// Starts a process in it that sleeps until it is killed.
    fn populate(&self) -> u32 {
        let Cloned::Parent { pid, .. } = clone3(0, self.cgroup.clone_into(), false).expect("clone3") else {
            loop {
                rustix::event::pause();
            }
        };
        self.cgroup.settled();
        pid
    }
}

impl Drop for Scope {
    fn drop(&mut self) {
        let _dead = self.cgroup.kill();
        let deleted = self.cgroup.delete();
        reap();
        assert!(std::thread::panicking() || deleted.is_ok() && !self.directory().exists(), "{deleted:?}");
    }
}

fn reap() {
    while let Ok(Some(_)) = rustix::process::wait(rustix::process::WaitOptions::NOHANG) {}
}

fn unique() -> String {
    static COUNT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
    format!("{}-{}", std::process::id(), COUNT.fetch_add(1, std::sync::atomic::Ordering::Relaxed))
}

fn systemctl(arguments: &[&str]) -> String {
    let user: &[&str] = if is_root() { &[] } else { &["--user"] };
    let output = Command::new("systemctl").args(user).args(arguments).output().expect("systemctl");
    assert!(output.status.success(), "systemctl {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !is_so() {
        assert!(Instant::now() < deadline, "not in a minute: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// What an ordinary user's systemd delegates as well.
fn common() -> Resources {
    Resources {
        memory: Some(Memory {
            limit: Some(64 * MIB),
            swap: Some(96 * MIB),
            reservation: Some(32 * MIB),
            ..Memory::default()
        }),
        pids: Some(Pids { limit: Some(50) }),
        ..Resources::default()
    }
}

fn limits() -> Outcome {
    let host = host()?;
    let mut resources = common();
    if is_root() {
        resources.cpu = Some(Cpu {
            shares: Some(512),
            // 20.5 %, of which systemd makes 21.
            quota: Some(41_000),
            period: Some(200_000),
            cpus: Some("0".to_owned()),
            ..Cpu::default()
        });
        resources.unified =
            [("memory.high", "60000000"), ("memory.oom.group", "1"), ("hugetlb.2MB.max", "4194304")]
                .map(|(file, value)| (file.to_owned(), value.to_owned()))
                .into();
    }
    let annotations = [
        ("TimeoutStopSec", "uint64 7"),
        ("CollectMode", "'inactive-or-failed'"),
        ("Description", "'a test'"),
    ];
    let scope = Scope::create_as(&host, &unique(), &resources, &annotations).expect("create");
    let mut expected = vec![
        ("memory.max", "67108864", "MemoryMax", "67108864"),
        ("memory.swap.max", "33554432", "MemorySwapMax", "33554432"),
        ("memory.low", "33554432", "MemoryLow", "33554432"),
        ("pids.max", "50", "TasksMax", "50"),
    ];
    if is_root() {
        expected.extend([
            ("cpu.weight", "59", "CPUWeight", "59"),
            ("cpu.max", "42000 200000", "CPUQuotaPerSecUSec", "210ms"),
            ("cpu.max", "42000 200000", "CPUQuotaPeriodUSec", "200ms"),
            ("cpuset.cpus", "0", "AllowedCPUs", "0"),
            ("memory.high", "59998208", "MemoryHigh", "60000000"),
            ("memory.oom.group", "1", "Delegate", "yes"),
            ("hugetlb.2MB.max", "4194304", "Slice", "conextest-unit.slice"),
        ]);
    }
    for (file, value, property, shown) in expected {
        assert_eq!(scope.read(file), value, "{file}");
        // A memory limit may be rounded to whole pages.
        assert_eq!(scope.property(property).trim(), shown, "{property}");
    }
    assert_eq!(scope.property("TimeoutStopUSec"), "7s");
    assert_eq!(scope.property("CollectMode"), "inactive-or-failed");
    assert_eq!(scope.property("ControlGroup"), scope.cgroup.path().name());
    assert_eq!(scope.property("ActiveState"), "active");
    // systemd takes the last of two descriptions.
    assert_eq!(scope.property("Description"), "a test");
    assert_eq!(
        scope.cgroup.procs().expect("procs"),
        Vec::<u32>::new(),
        "what stands in is not the container's"
    );
    Ok(())
}

fn born() -> Outcome {
    let host = host()?;
    let scope = Scope::create(&host, &common());
    let pid = scope.populate();
    let groups = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).expect("the child lives");
    assert_eq!(groups.trim(), format!("0::{}", scope.cgroup.path().name()));
    assert_eq!(scope.property("ActiveState"), "active");
    // A later command finds it by what was recorded, and may put another process there.
    let recorded: CgroupPath = scope.cgroup.path().to_string().parse().expect("parses");
    assert_eq!(recorded.driver(), Driver::Systemd);
    let again = Cgroup::open(&host, &recorded).expect("open");
    assert_eq!(again.procs().expect("procs"), [pid]);
    again.freeze().expect("freeze");
    assert!(again.is_frozen().expect("state"));
    again.thaw().expect("thaw");
    // When the last process ends by itself, systemd ends the scope.
    let unit = scope.unit.clone();
    again.kill().expect("kill");
    reap();
    until("the scope is gone", || {
        systemctl(&["show", "--value", "--property", "ActiveState", &unit]).trim() == "inactive"
    });
    Ok(())
}

fn update() -> Outcome {
    let host = host()?;
    let mut scope = Scope::create(&host, &common());
    let _pid = scope.populate();
    let memory = |memory| Resources { memory: Some(memory), ..Resources::default() };
    scope
        .cgroup
        .update(&memory(Memory { limit: Some(128 * MIB), swap: Some(160 * MIB), ..Memory::default() }))
        .expect("update");
    scope.cgroup.update(&memory(Memory { swap: Some(192 * MIB), ..Memory::default() })).expect("swap alone");
    scope
        .cgroup
        .update(&Resources { pids: Some(Pids { limit: Some(-1) }), ..Resources::default() })
        .expect("pids");
    let mut expected =
        vec![("memory.max", "134217728", "MemoryMax"), ("memory.swap.max", "67108864", "MemorySwapMax")];
    if is_root() {
        let cpu = |cpu| Resources { cpu: Some(cpu), ..Resources::default() };
        let quota = Cpu { quota: Some(50_000), period: Some(200_000), ..Cpu::default() };
        scope.cgroup.update(&cpu(quota)).expect("quota and period");
        scope.cgroup.update(&cpu(Cpu { quota: Some(100_000), ..Cpu::default() })).expect("quota alone");
        scope.cgroup.update(&cpu(Cpu { shares: Some(2048), ..Cpu::default() })).expect("shares");
        assert_eq!(scope.property("CPUQuotaPerSecUSec"), "500ms");
        expected.push(("cpu.weight", "174", "CPUWeight"));
    }
    for round in ["updated", "reloaded"] {
        for (file, value, property) in &expected {
            assert_eq!(scope.read(file), *value, "{file} {round}");
            assert_eq!(scope.property(property), *value, "{property} {round}");
        }
        if is_root() {
            assert_eq!(scope.read("cpu.max"), "100000 200000", "{round}");
        }
        assert_eq!(scope.read("pids.max"), "max", "{round}");
        assert_eq!(scope.property("TasksMax"), "infinity", "{round}");
        systemctl(&["daemon-reload"]);
    }
    // What fails leaves the files as they were.
    let bad = Resources {
        pids: Some(Pids { limit: Some(7) }),
        unified: [("memory.high".to_owned(), "nonsense".to_owned())].into(),
        ..Resources::default()
    };
    assert!(scope.cgroup.update(&bad).is_err());
    assert_eq!(scope.read("pids.max"), "max");
    Ok(())
}

fn rule(allow: bool, kind: &str, major: Option<i64>, minor: Option<i64>, access: &str) -> DeviceRule {
    DeviceRule { allow, kind: Some(kind.to_owned()), major, minor, access: Some(access.to_owned()) }
}

/// Whether a process in the scope can open a device.
fn opens(scope: &Scope, device: &str) -> bool {
    let path = PathBuf::from(device);
    match clone3(0, scope.cgroup.clone_into(), false).expect("clone3") {
        Cloned::Child => exit_now(i32::from(std::fs::File::open(&path).is_err())),
        Cloned::Parent { pidfd, .. } => {
            let id = rustix::process::WaitId::PidFd(pidfd.as_fd());
            let status = rustix::process::waitid(id, rustix::process::WaitIdOptions::EXITED).expect("wait");
            status.and_then(|status| status.exit_status()) == Some(0)
        }
    }
}

fn devices() -> Outcome {
    let host = host()?;
    if !is_root() {
        return Err("an ordinary user has no device filter".to_owned());
    }
    let with = |more: &[DeviceRule]| Resources {
        devices: [&[rule(false, "a", None, None, "rwm"), rule(true, "c", Some(1), Some(3), "rwm")], more]
            .concat(),
        ..common()
    };
    let mut scope = Scope::create(&host, &with(&[]));
    let _pid = scope.populate();
    let see = |scope: &Scope| ["/dev/null", "/dev/zero", "/dev/urandom"].map(|device| opens(scope, device));
    assert_eq!(see(&scope), [true, false, false]);
    assert_eq!(scope.property("DevicePolicy"), "strict");
    systemctl(&["daemon-reload"]);
    assert_eq!(see(&scope), [true, false, false]);
    scope.cgroup.update(&with(&[rule(true, "c", Some(1), Some(5), "r")])).expect("update");
    assert_eq!(see(&scope), [true, true, false]);
    systemctl(&["daemon-reload"]);
    assert_eq!(see(&scope), [true, true, false]);
    // A hole in what is allowed: systemd's filter cannot say it, ours does.
    let hole = [rule(true, "c", Some(1), None, "rwm"), rule(false, "c", Some(1), Some(5), "rwm")];
    scope.cgroup.update(&with(&hole)).expect("update");
    assert_eq!(see(&scope), [true, false, true]);
    systemctl(&["daemon-reload"]);
    assert_eq!(see(&scope), [true, false, true]);
    let all = Resources { devices: vec![rule(true, "a", None, None, "rwm")], ..Resources::default() };
    scope.cgroup.update(&all).expect("update");
    assert_eq!(see(&scope), [true, true, true]);
    Ok(())
}

fn delete() -> Outcome {
    let host = host()?;
    let scope = Scope::create(&host, &common());
    let _pid = scope.populate();
    scope.cgroup.kill().expect("kill");
    scope.cgroup.delete().expect("delete");
    assert!(!scope.directory().exists());
    assert_eq!(scope.property("LoadState"), "not-found");
    scope.cgroup.delete().expect("twice");
    Ok(())
}

fn names() -> Outcome {
    let host = host()?;
    let id = unique();
    let scope = Scope::create_as(&host, &id, &common(), &[]).expect("create");
    let pid = scope.populate();
    let error = Scope::create_as(&host, &id, &common(), &[]).map(|_| ()).expect_err("in use");
    assert!(matches!(&error, Error::Unit { doing: "start", .. }), "{error}");
    assert_eq!(scope.cgroup.procs().expect("procs"), [pid], "the first is untouched");
    drop(scope);
    let failing =
        Scope::create_as(&host, &id, &common(), &[("RuntimeMaxUSec", "uint64 200000")]).expect("create");
    let _pid = failing.populate();
    until("the scope has failed", || failing.property("ActiveState") == "failed");
    let again = Scope::create_as(&host, &id, &common(), &[]).expect("the failed one is reset");
    assert_eq!(again.property("ActiveState"), "active");
    Ok(())
}

fn crash() -> Outcome {
    let host = host()?;
    let id = unique();
    match clone3(0, None, false).expect("clone3") {
        Cloned::Child => {
            let made = Scope::create_as(&host, &id, &common(), &[]);
            let is_made = made.is_ok();
            // As if it was killed here: nothing is dropped.
            std::mem::forget(made);
            exit_now(i32::from(!is_made));
        }
        Cloned::Parent { pidfd, .. } => {
            let wait = rustix::process::WaitId::PidFd(pidfd.as_fd());
            let status = rustix::process::waitid(wait, rustix::process::WaitIdOptions::EXITED).expect("wait");
            assert_eq!(status.and_then(|status| status.exit_status()), Some(0), "made");
        }
    }
    let unit = format!("p-{id}.scope");
    until("the scope is gone", || {
        systemctl(&["show", "--value", "--property", "ActiveState", &unit]).trim() == "inactive"
    });
    Ok(())
}

fn refused() -> Outcome {
    let host = host()?;
    let id = unique();
    let error = Scope::create_as(&host, &id, &common(), &[("NoSuchProperty", "'x'")])
        .map(|_| ())
        .expect_err("refused");
    let text = error.to_string();
    assert!(text.contains("NoSuchProperty") && text.contains(&id) && !text.contains('\n'), "{text}");
    let mut bad = common();
    bad.unified = [("memory.high".to_owned(), "12x".to_owned())].into();
    assert!(Scope::create_as(&host, &id, &bad, &[]).is_err());
    // systemd took it, the group's file does not.
    let mut bad = common();
    bad.unified = [("memory.nosuch".to_owned(), "1".to_owned())].into();
    assert!(Scope::create_as(&host, &id, &bad, &[]).is_err());
    let unit = format!("p-{id}.scope");
    until("nothing is left", || {
        systemctl(&["show", "--value", "--property", "ActiveState", &unit]).trim() == "inactive"
    });
    reap();
    Ok(())
}

fn attached() -> Outcome {
    let host = host()?;
    let scope = Scope::create(&host, &common());
    let Cloned::Parent { pid, .. } = clone3(0, None, false).expect("clone3") else {
        loop {
            rustix::event::pause();
        }
    };
    // An ordinary user outside his own systemd's groups (in a login session) may not move it himself.
    scope.cgroup.add(pid).expect("add");
    scope.cgroup.settled();
    assert_eq!(scope.cgroup.procs().expect("procs"), [pid]);
    Ok(())
}

fn without() -> Outcome {
    let host = host()?;
    if is_root() {
        return Err("root may make groups".to_owned());
    }
    // From the root: nobody delegated that.
    let path = host.container_path(None, &unique()).expect("path");
    let none = Properties::default();
    let create = |is_explicit, resources: &Resources| {
        Cgroup::create_if_allowed(&host, &path, is_explicit, resources, &none).map(|made| made.is_some())
    };
    assert!(!create(false, &Resources::default()).expect("goes without"));
    assert!(create(true, &Resources::default()).is_err(), "a path that was asked for");
    assert!(create(false, &common()).is_err(), "limits that were asked for");
    Ok(())
}
