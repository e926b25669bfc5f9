//! Its file systems: `-v --mount --tmpfs --read-only --shm-size --device --device-cgroup-rule --gpus`.

use clap::Arg;
use conex_engine::options::{Bind, DeviceOption, MountOption, StorageOptions, Tmpfs, parse_size};

use super::under;
use crate::cli::Given;
use crate::cli::args::{flag, list, value};
use crate::config::Config;
use crate::errors::Error;

pub(super) fn define() -> Vec<Arg> {
    under(
        "Storage",
        vec![
            list("volume", "list").short('v').help("Bind mount a host path (source:target[:options])"),
            list("mount", "mount").help("Attach a filesystem mount (type=bind|tmpfs,source=…,target=…)"),
            list("tmpfs", "list").help("Mount a tmpfs directory (target[:options])"),
            flag("read-only").help("Mount the container's root filesystem as read only"),
            value("shm-size", "bytes").help("Size of /dev/shm"),
            list("device", "list").help(
                "Add a host device to the container (host[:container[:rwm]]), or one of CDI's (vendor.com/class=name)",
            ),
            list("device-cgroup-rule", "list")
                .help("Add a rule to the cgroup allowed devices list (\"c 189:* rwm\")"),
            list("gpus", "gpu-request").help(
                "GPU devices to add to the container ('all' to pass all GPUs, a number, device=0,1), by CDI",
            ),
        ],
    )
}

pub(super) fn read(given: &Given<'_>, config: &Config) -> Result<StorageOptions, Error> {
    let mut binds: Vec<Bind> = given.texts("volume").map(str::parse).collect::<Result<_, _>>()?;
    let mut tmpfs: Vec<Tmpfs> = given.texts("tmpfs").map(str::parse).collect::<Result<_, _>>()?;
    for text in given.texts("mount") {
        match text.parse()? {
            MountOption::Bind(bind) => binds.push(bind),
            MountOption::Tmpfs(mount) => tmpfs.push(mount),
        }
    }
    if binds.iter().any(|bind| bind.source.is_relative()) {
        let cwd = std::env::current_dir().map_err(|source| Error::File {
            action: "look up",
            path: ".".into(),
            source,
        })?;
        binds = binds.into_iter().map(|bind| bind.resolve(&cwd)).collect();
    }
    let (mut devices, mut cdi) = (Vec::new(), Vec::new());
    for text in given.texts("device") {
        match text.parse()? {
            DeviceOption::Host(map) => devices.push(map),
            DeviceOption::Cdi(name) => cdi.push(name),
        }
    }
    Ok(StorageOptions {
        binds,
        tmpfs,
        read_only: given.on("read-only"),
        shm_size: given
            .parsed("shm-size", |text| parse_size("--shm-size", text))?
            .or(config.run.shm_size.map(|size| size.0)),
        devices,
        cdi,
        gpus: given.texts("gpus").map(str::parse).collect::<Result<_, _>>()?,
        device_rules: given.texts("device-cgroup-rule").map(str::parse).collect::<Result<_, _>>()?,
    })
}
