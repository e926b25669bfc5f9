//! Its file systems: `-v --mount --tmpfs --read-only --shm-size --device`.

use clap::Arg;
use conex_engine::options::{Bind, DeviceMap, MountOption, StorageOptions, Tmpfs, parse_size};

use super::under;
use crate::cli::Given;
use crate::cli::args::{flag, list, value};
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
            list("device", "list").help("Add a host device to the container (host[:container[:rwm]])"),
        ],
    )
}

pub(super) fn read(given: &Given<'_>) -> Result<StorageOptions, Error> {
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
    let devices: Vec<DeviceMap> = given.texts("device").map(str::parse).collect::<Result<_, _>>()?;
    Ok(StorageOptions {
        binds,
        tmpfs,
        read_only: given.on("read-only"),
        shm_size: given.parsed("shm-size", |text| parse_size("--shm-size", text))?,
        devices,
    })
}
