//! `info` and `version`: Docker's documents, filled with what is true here.

use std::os::fd::AsFd;

use conex_cgroup::Version;
use serde_json::{Value, json};

use crate::store::ContainerState;
use crate::{Engine, Result};

impl Engine {
    /// Docker's `info` document.
    ///
    /// # Errors
    /// When the store or the host's cgroups cannot be read.
    pub fn info(&self) -> Result<Value> {
        let (mut running, mut paused, mut stopped) = (0, 0, 0);
        for id in self.parts.store.ids()? {
            match self.parts.store.state(&id) {
                Ok(Some(ContainerState::Running(_) | ContainerState::Restarting(_))) => running += 1,
                Ok(Some(ContainerState::Paused(_))) => paused += 1,
                Ok(Some(ContainerState::Created | ContainerState::Exited(_))) => stopped += 1,
                Ok(None) | Err(_) => {}
            }
        }
        let host = self.parts.host()?;
        let version = host.version();
        let controllers = host.controllers();
        let has = |name: &str| controllers.iter().any(|controller| controller == name);
        let images = self.parts.images.list(&conex_image::Filter::default())?.len();
        let uname = rustix::system::uname();
        let text = |text: &std::ffi::CStr| text.to_string_lossy().into_owned();
        let (memory, processors) =
            (memory_total(), std::thread::available_parallelism().map_or(1, usize::from));
        let mut security = vec!["name=seccomp,profile=builtin".to_owned()];
        if std::fs::read_to_string("/sys/module/apparmor/parameters/enabled")
            .is_ok_and(|on| on.starts_with('Y'))
        {
            security.insert(0, "name=apparmor".to_owned());
        }
        if crate::rootless::is_rootless() {
            security.push("name=rootless".to_owned());
        }
        let registry = self.cdi();
        let discovered: Vec<Value> =
            registry.devices().map(|(name, _)| json!({ "Source": "cdi", "ID": name })).collect();
        Ok(json!({
            "ID": machine_id(),
            "Containers": running + paused + stopped,
            "ContainersRunning": running,
            "ContainersPaused": paused,
            "ContainersStopped": stopped,
            "Images": images,
            "Driver": "overlay",
            "DriverStatus": [["Backing Filesystem", self.file_system()], ["Layers", self.parts.images.backend().to_string()]],
            "Plugins": { "Volume": ["local"], "Network": ["bridge", "host", "ipvlan", "macvlan", "none", "overlay"], "Authorization": null,
                         "Log": ["json-file", "journald", "none"] },
            "MemoryLimit": has("memory"),
            "SwapLimit": host.swap_limit(),
            "CpuCfsPeriod": has("cpu"),
            "CpuCfsQuota": has("cpu"),
            "CPUShares": has("cpu"),
            "CPUSet": has("cpuset"),
            "PidsLimit": has("pids"),
            "OomKillDisable": false,
            "IPv4Forwarding": enabled("/proc/sys/net/ipv4/ip_forward"),
            "Debug": false,
            "SystemTime": crate::time::Time::now().to_string(),
            "LoggingDriver": "json-file",
            "CgroupDriver": "cgroupfs",
            "CgroupVersion": match version { Version::V2 => "2", Version::V1 | Version::Hybrid => "1" },
            "CgroupMode": match version { Version::V2 => "unified", Version::Hybrid => "hybrid", Version::V1 => "legacy" },
            "CgroupControllers": controllers,
            "KernelVersion": text(uname.release()),
            "OperatingSystem": os_release("PRETTY_NAME").unwrap_or_else(|| "Linux".to_owned()),
            "OSVersion": os_release("VERSION_ID").unwrap_or_default(),
            "OSType": "linux",
            "Architecture": text(uname.machine()),
            "NCPU": processors,
            "MemTotal": memory,
            "DockerRootDir": self.parts.paths.root,
            "RunRoot": self.parts.paths.run,
            "Name": text(uname.nodename()),
            "Labels": [],
            "ServerVersion": env!("CARGO_PKG_VERSION"),
            "DefaultRuntime": "conex",
            "Runtimes": { "conex": { "path": "" } },
            "InitBinary": if self.parts.init.is_some() { "conex-init" } else { "" },
            "SecurityOptions": security,
            "Warnings": [],
            "CDISpecDirs": self.parts.cdi,
            "DiscoveredDevices": discovered,
        }))
    }

    /// Docker's `version` document (`Client` and `Server` alike: there is no daemon).
    pub fn version(&self) -> Value {
        let uname = rustix::system::uname();
        let platform = conex_oci::Platform::host();
        let version = env!("CARGO_PKG_VERSION");
        let component = |extra: Value| {
            let mut document = json!({
                "Version": version,
                "ApiVersion": "1.44",
                "Os": platform.os,
                "Arch": platform.architecture,
            });
            if let (Some(document), Value::Object(extra)) = (document.as_object_mut(), extra) {
                document.extend(extra);
            }
            document
        };
        json!({
            "Client": component(json!({ "Platform": { "Name": "Conex" }, "Context": "default" })),
            "Server": component(json!({
                "Platform": { "Name": "Conex (no daemon: the engine is part of the command)" },
                "MinAPIVersion": "1.24",
                "KernelVersion": uname.release().to_string_lossy(),
                "Experimental": false,
            })),
        })
    }

    /// The name of the file system under ROOT.
    fn file_system(&self) -> String {
        let magic = std::fs::File::open(&self.parts.paths.root)
            .ok()
            .and_then(|root| rustix::fs::fstatfs(root.as_fd()).ok())
            .map_or(0, |stat| stat.f_type);
        match magic {
            0xef53 => "extfs".to_owned(),
            0x5846_5342 => "xfs".to_owned(),
            0x9123_683e => "btrfs".to_owned(),
            0x0102_1994 => "tmpfs".to_owned(),
            0x794c_7630 => "overlayfs".to_owned(),
            other => format!("0x{other:x}"),
        }
    }
}

fn memory_total() -> u64 {
    let info = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let total =
        info.lines().find_map(|line| line.strip_prefix("MemTotal:")?.split_whitespace().next()?.parse().ok());
    total.unwrap_or(0) * 1024
}

fn machine_id() -> String {
    std::fs::read_to_string("/etc/machine-id").unwrap_or_default().trim().to_owned()
}

fn enabled(path: &str) -> bool {
    std::fs::read_to_string(path).is_ok_and(|value| value.trim() == "1")
}

fn os_release(key: &str) -> Option<String> {
    let text = std::fs::read_to_string("/etc/os-release")
        .or_else(|_| std::fs::read_to_string("/usr/lib/os-release"));
    text.ok()?.lines().find_map(|line| {
        let (name, value) = line.split_once('=')?;
        (name == key).then(|| value.trim_matches('"').to_owned())
    })
}
