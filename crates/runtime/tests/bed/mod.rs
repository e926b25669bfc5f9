//! A container to try things in, and what runs such tests one after the other.

#![allow(dead_code, reason = "each test program uses a part")]

use std::fs;
use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::symlink;
use std::path::PathBuf;

use conex_oci::runtime::{Capabilities, Linux, Mount, Namespace, NamespaceKind, Process, Root, Spec};
use conex_runtime::{Create, Error, Rootfs, Running, Stdio, create};
use rustix::process::{WaitId, WaitIdOptions, waitid};

/// clone3 wants a process of one thread, which the usual harness is not.
pub(crate) fn run(cases: &[(&str, fn())]) {
    if !rustix::process::geteuid().is_root() {
        println!("skipped: making containers as root needs root");
        return;
    }
    if !std::path::Path::new("/usr/bin/busybox").exists() && !std::path::Path::new("/bin/busybox").exists() {
        println!("skipped: no static busybox on this machine (Debian package busybox-static)");
        return;
    }
    let only: Vec<_> = std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    let (mut passed, mut failed) = (0, 0);
    for (name, case) in cases {
        if !only.is_empty() && !only.iter().any(|word| name.contains(word.as_str())) {
            continue;
        }
        let outcome = std::panic::catch_unwind(case);
        println!("test {name} ... {}", if outcome.is_ok() { "ok" } else { "FAILED" });
        if outcome.is_ok() { passed += 1 } else { failed += 1 }
    }
    let verdict = if failed == 0 { "ok" } else { "FAILED" };
    println!(
        "\ntest result: {verdict}. {passed} passed; {failed} failed; 0 ignored; 0 measured; 0 filtered out"
    );
    std::process::exit(i32::from(failed != 0));
}

/// A root filesystem with a shell, and the spec of a container on it.
pub(crate) struct Bed {
    pub(crate) rootfs: tempfile::TempDir,
    pub(crate) spec: Spec,
}

impl Bed {
    pub(crate) fn new(script: &str) -> Self {
        let rootfs = tempfile::tempdir().unwrap();
        let path = rootfs.path();
        for directory in ["bin", "proc", "sys", "dev", "etc", "tmp"] {
            fs::create_dir(path.join(directory)).unwrap();
        }
        let busybox = ["/usr/bin/busybox", "/bin/busybox"].map(PathBuf::from);
        fs::copy(busybox.iter().find(|path| path.exists()).unwrap(), path.join("bin/busybox")).unwrap();
        let list = std::process::Command::new(path.join("bin/busybox")).arg("--list").output().unwrap();
        for applet in String::from_utf8(list.stdout).unwrap().lines() {
            symlink("busybox", path.join("bin").join(applet)).unwrap_or_default();
        }
        let mount = |destination: &str, kind: &str, options: &str| Mount {
            destination: destination.into(),
            kind: Some(kind.to_owned()),
            source: Some(kind.into()),
            options: options.split(',').map(str::to_owned).collect(),
            ..Mount::default()
        };
        let kinds = [
            NamespaceKind::Pid,
            NamespaceKind::Mount,
            NamespaceKind::Network,
            NamespaceKind::Ipc,
            NamespaceKind::Uts,
            NamespaceKind::Cgroup,
        ];
        let spec = Spec {
            oci_version: "1.2.0".to_owned(),
            root: Some(Root { path: path.into(), readonly: false }),
            hostname: Some("bed".to_owned()),
            mounts: vec![
                mount("/proc", "proc", "nosuid,noexec,nodev"),
                mount("/dev", "tmpfs", "nosuid,strictatime,mode=755,size=65536k"),
                mount("/dev/pts", "devpts", "nosuid,noexec,newinstance,ptmxmode=0666,mode=0620,gid=5"),
                mount("/sys", "sysfs", "nosuid,noexec,nodev,ro"),
                mount("/dev/mqueue", "mqueue", "nosuid,noexec,nodev"),
                mount("/dev/shm", "tmpfs", "nosuid,noexec,nodev,mode=1777,size=65536k"),
            ],
            process: Some(Process {
                args: vec!["/bin/sh".to_owned(), "-c".to_owned(), script.to_owned()],
                env: vec!["PATH=/bin".to_owned()],
                cwd: "/".into(),
                capabilities: Some(Capabilities {
                    bounding: vec!["CAP_CHOWN".to_owned(), "CAP_KILL".to_owned()],
                    effective: vec!["CAP_CHOWN".to_owned()],
                    permitted: vec!["CAP_CHOWN".to_owned()],
                    ..Capabilities::default()
                }),
                ..Process::default()
            }),
            linux: Some(Linux {
                namespaces: kinds.map(|kind| Namespace { kind, path: None }).to_vec(),
                ..Linux::default()
            }),
            ..Spec::default()
        };
        Self { rootfs, spec }
    }

    pub(crate) fn linux(&mut self) -> &mut Linux {
        self.spec.linux.as_mut().unwrap()
    }

    pub(crate) fn start(&self, stdio: Stdio) -> Result<(Running, Option<OwnedFd>), Error> {
        let created = create(Create {
            spec: &self.spec,
            rootfs: Rootfs::Path(self.rootfs.path().into()),
            cgroup: None,
            stdio,
            seccomp: None,
            init: None,
            terms: conex_runtime::Terms::default(),
        })?;
        let terminal = created.terminal;
        Ok((created.process.start()?, terminal))
    }

    /// Standard output and the exit status.
    pub(crate) fn run(&self) -> Result<(String, i32), Error> {
        let (stdio, output) = pipes();
        let (running, _) = self.start(stdio)?;
        Ok((read(output), wait(&running)))
    }

    pub(crate) fn output(&self) -> String {
        let (output, status) = self.run().unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(status, 0, "{output}");
        output
    }
}

pub(crate) fn pipes() -> (Stdio, OwnedFd) {
    let (output, stdout) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).unwrap();
    let null = || fs::File::options().read(true).write(true).open("/dev/null").unwrap().into();
    let stderr = stdout.try_clone().unwrap();
    (Stdio::Pipes { stdin: null(), stdout, stderr }, output)
}

pub(crate) fn read(fd: OwnedFd) -> String {
    let mut text = String::new();
    fs::File::from(fd).read_to_string(&mut text).unwrap();
    text
}

pub(crate) fn wait(running: &Running) -> i32 {
    let status = waitid(WaitId::PidFd(running.pidfd.as_fd()), WaitIdOptions::EXITED).unwrap().unwrap();
    status.exit_status().or(status.terminating_signal().map(|signal| 128 + signal)).unwrap()
}
