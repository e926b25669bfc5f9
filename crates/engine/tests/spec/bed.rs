//! Where a spec is run: a root filesystem of BusyBox, the options, and what is asked of the container.

use std::fs;
use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::symlink;
use std::path::PathBuf;

use conex_engine::options::CreateOptions;
use conex_engine::spec::{IdRange, Joined, LiveHost, Plan, RootfsFiles, SpecError, SpecRequest, build};
use conex_oci::ContainerId;
use conex_oci::image::ImageConfig;
use conex_runtime::{Create, Rootfs, Running, Stdio, create};
use rustix::fs::{Gid, Uid};
use rustix::process::{WaitId, WaitIdOptions, waitid};

pub(crate) fn busybox() -> Option<PathBuf> {
    ["/usr/bin/busybox", "/bin/busybox"].map(PathBuf::from).into_iter().find(|path| path.exists())
}

/// An image's root filesystem, and the container's directory around it.
pub(crate) struct Bed {
    pub(crate) home: tempfile::TempDir,
    pub(crate) options: CreateOptions,
    pub(crate) joined: Joined,
    pub(crate) id_range: Option<IdRange>,
}

pub(crate) const RANGE: IdRange = IdRange { base: 0x8000_0000, size: 65_536 };

impl Bed {
    pub(crate) fn new(script: &str) -> Self {
        let home = tempfile::tempdir().unwrap();
        let root = home.path().join("rootfs");
        for directory in ["bin", "etc", "tmp", "root"] {
            fs::create_dir_all(root.join(directory)).unwrap();
        }
        let busybox = busybox().unwrap();
        fs::copy(&busybox, root.join("bin/busybox")).unwrap();
        let applets = std::process::Command::new(&busybox).arg("--list").output().unwrap().stdout;
        for applet in String::from_utf8(applets).unwrap().lines().filter(|name| *name != "busybox") {
            symlink("busybox", root.join("bin").join(applet)).unwrap();
        }
        let passwd = "root:x:0:0::/root:/bin/sh\napp:x:1000:1000::/home/app:/bin/sh\n";
        fs::write(root.join("etc/passwd"), passwd).unwrap();
        fs::write(root.join("etc/group"), "root:x:0:root\nwheel:x:10:root,app\napp:x:1000:\n").unwrap();
        let mut options = CreateOptions::default();
        options.process.command = ["/bin/sh", "-c", script].map(str::to_owned).to_vec();
        Self { home, options, joined: Joined::default(), id_range: None }
    }

    pub(crate) fn with(script: &str, change: impl FnOnce(&mut Self)) -> Self {
        let mut bed = Self::new(script);
        change(&mut bed);
        bed
    }

    pub(crate) fn root(&self) -> PathBuf {
        self.home.path().join("rootfs")
    }

    /// As the engine does it.
    pub(crate) fn plan(&self) -> Result<Plan, SpecError> {
        self.options.validate().unwrap();
        let root = fs::File::open(self.root()).unwrap();
        build(&SpecRequest {
            volumes: &[],
            images: &[],
            options: &self.options,
            image: &ImageConfig::default(),
            id: &ContainerId::from_random([0xc0; 32]),
            host: &LiveHost,
            files: &RootfsFiles(root.as_fd()),
            joined: &self.joined,
            directory: self.home.path(),
            id_range: self.id_range,
            cgroups_path: "/conex-test",
            rootfs: &self.root(),
        })
    }

    pub(crate) fn start(&self) -> Result<(Running, OwnedFd), String> {
        let plan = self.plan().map_err(|error| error.to_string())?;
        let own = |path: PathBuf| {
            rustix::fs::chown(path, Some(Uid::from_raw(plan.owner)), Some(Gid::from_raw(plan.owner)))
                .unwrap();
        };
        for (name, content) in &plan.files {
            fs::write(self.home.path().join(name), content).unwrap();
            own(self.home.path().join(name));
        }
        if plan.owner != 0 {
            // Instead of an idmapped mount: the container's root owns the directories it enters.
            own(self.home.path().to_owned());
            own(self.root());
            own(self.root().join("etc"));
        }
        let filter = plan.spec.linux.as_ref().unwrap().seccomp.as_ref();
        let program = filter.map(|filter| conex_seccomp::compile(&filter.rules().unwrap()).unwrap());
        let (output, stdio) = pipes();
        let created = create(Create {
            spec: &plan.spec,
            rootfs: Rootfs::Path(self.root()),
            cgroup: None,
            stdio,
            seccomp: program.as_ref(),
            init: None,
            terms: conex_runtime::Terms::default(),
        })
        .map_err(|error| error.to_string())?;
        let running = created.process.start().map_err(|error| error.to_string())?;
        Ok((running, output))
    }

    /// Both outputs; the script must end with 0.
    pub(crate) fn output(&self) -> String {
        let (running, output) = self.start().unwrap_or_else(|error| panic!("{error}"));
        let text = read(output);
        assert_eq!(status(&running), Some(0), "{text}");
        text
    }
}

pub(crate) fn pipes() -> (OwnedFd, Stdio) {
    let (output, stdout) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).unwrap();
    let stdin = fs::File::open("/dev/null").unwrap().into();
    let stderr = stdout.try_clone().unwrap();
    (output, Stdio::Pipes { stdin, stdout, stderr })
}

pub(crate) fn read(output: OwnedFd) -> String {
    let mut text = String::new();
    fs::File::from(output).read_to_string(&mut text).unwrap();
    text
}

pub(crate) fn status(running: &Running) -> Option<i32> {
    let status = waitid(WaitId::PidFd(running.pidfd.as_fd()), WaitIdOptions::EXITED).unwrap();
    status.and_then(|status| status.exit_status())
}

/// A container that lives until this is dropped.
pub(crate) struct Waiting(pub(crate) Running);

impl Waiting {
    /// The script prints "ready" when it is.
    pub(crate) fn start(bed: &Bed) -> Self {
        let (running, output) = bed.start().unwrap_or_else(|error| panic!("{error}"));
        let mut ready = [0; 6];
        fs::File::from(output).read_exact(&mut ready).unwrap();
        Self(running)
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let _ = rustix::process::pidfd_send_signal(&self.0.pidfd, rustix::process::Signal::KILL);
        status(&self.0);
    }
}
