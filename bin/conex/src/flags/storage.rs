//! Its file systems: `-v --mount --tmpfs --volumes-from --volume-driver --read-only --shm-size --storage-opt --device
//! --device-cgroup-rule --gpus`.

use std::collections::BTreeMap;

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
            list("volume", "list")
                .short('v')
                .help("Mount a volume or a host path ([source:]target[:options])"),
            list("mount", "mount")
                .help("Attach a filesystem mount (type=volume|bind|tmpfs|image,source=…,target=…)"),
            list("volumes-from", "list")
                .help("Mount volumes from the specified container(s) (container[:ro])"),
            value("volume-driver", "string").help("Optional volume driver for the container"),
            list("storage-opt", "list").help("Storage driver options for the container (size=)"),
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
    let mut binds: Vec<Bind> = Vec::new();
    let mut tmpfs: Vec<Tmpfs> = given.texts("tmpfs").map(str::parse).collect::<Result<_, _>>()?;
    let (mut volumes, mut images) = (Vec::new(), Vec::new());
    let short = given.texts("volume").map(MountOption::from_volume_flag);
    for mount in short.chain(given.texts("mount").map(str::parse)) {
        match mount? {
            MountOption::Bind(bind) => binds.push(bind),
            MountOption::Tmpfs(mount) => tmpfs.push(mount),
            MountOption::Volume(volume) => volumes.push(volume),
            MountOption::Image(image) => images.push(image),
        }
    }
    let (mut size, mut driver_options) = (None, BTreeMap::new());
    for text in given.texts("storage-opt") {
        match text.split_once('=') {
            Some(("size", value)) => {
                size = Some(parse_size("--storage-opt size", value)?).filter(|size| *size > 0);
                driver_options.insert("size".to_owned(), value.to_owned());
            }
            _ => return Err(Error::usage(format!("unknown --storage-opt {text:?}: there is size="))),
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
        volumes,
        images,
        volumes_from: given.texts("volumes-from").map(str::parse).collect::<Result<_, _>>()?,
        volume_driver: given.filled("volume-driver").map(str::to_owned),
        size,
        driver_options,
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
