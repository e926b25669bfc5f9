//! The container's mounts: the kernel's file systems, the engine's files, the user's binds and tmpfs, in an order in which none
//! hides another.

use std::io;
use std::path::{Path, PathBuf};

use conex_oci::runtime::Mount;

use super::etc::Etc;
use super::{SpecError, SpecRequest};
use crate::options::{Bind, IpcMode, Propagation, Recursion, SHM_SIZE, Tmpfs, tmpfs_kernel_option};
use crate::volumes::{ImageUse, VolumeUse};

pub(super) struct Mounts {
    pub(super) list: Vec<Mount>,
    pub(super) rootfs_propagation: Option<String>,
    /// Sources that `-v` makes.
    pub(super) directories: Vec<PathBuf>,
}

pub(super) fn build(request: &SpecRequest<'_>, etc: &Etc, devices: Vec<Mount>) -> Result<Mounts, SpecError> {
    let storage = &request.options.storage;
    let mut directories = Vec::new();
    let mut rootfs_propagation = None;
    let mut users = Vec::new();
    let has_users = request.id_range()?.is_some();
    for bind in &storage.binds {
        check_source(request, bind, &mut directories)?;
        check_label(request, bind)?;
        raise(&mut rootfs_propagation, check_propagation(request, bind)?);
        users.push(bind_mount(bind, has_users));
    }
    users.extend(storage.tmpfs.iter().map(tmpfs_mount));
    for volume in request.volumes {
        if volume.relabel.is_some() && request.host.selinux() {
            return Err(no_label(&volume.name));
        }
    }
    users.extend(request.volumes.iter().map(|volume| volume_mount(volume, has_users)));
    users.extend(request.images.iter().map(image_mount));
    // Where the user mounts something himself, that is what he gets.
    let free = |mount: &Mount| !users.iter().any(|other: &Mount| other.destination == mount.destination);
    let devices: Vec<_> = devices.into_iter().filter(free).collect();
    users.extend(devices);
    for (source, place) in &etc.binds {
        if users.iter().any(|mount| mount.destination == Path::new(place)) {
            continue;
        }
        let mut options = vec!["rbind".to_owned(), "rprivate".to_owned()];
        if storage.read_only {
            options.push("ro".to_owned());
        }
        users.push(mount(place, "bind", source, options));
    }
    // By depth, so that a mount never covers one made before; equal ones as the user gave them.
    users.sort_by_key(|mount| mount.destination.components().count());
    let covered = |own: &Mount| users.iter().any(|mount| own.destination.starts_with(&mount.destination));
    let mut list: Vec<Mount> = kernel_mounts(request)?.into_iter().filter(|own| !covered(own)).collect();
    list.extend(users);
    Ok(Mounts { list, rootfs_propagation, directories })
}

fn mount(place: &str, kind: &str, source: impl Into<PathBuf>, options: Vec<String>) -> Mount {
    Mount {
        destination: place.into(),
        kind: Some(kind.to_owned()),
        source: Some(source.into()),
        options,
        ..Mount::default()
    }
}

fn words(text: &str) -> Vec<String> {
    text.split(',').map(str::to_owned).collect()
}

/// Docker's own.
fn kernel_mounts(request: &SpecRequest<'_>) -> Result<Vec<Mount>, SpecError> {
    let privileged = request.options.security.privileged;
    let access = if privileged { "rw" } else { "ro" };
    let mut list = vec![
        mount("/proc", "proc", "proc", words("nosuid,noexec,nodev")),
        mount("/dev", "tmpfs", "tmpfs", words("nosuid,strictatime,mode=755,size=65536k")),
        mount(
            "/dev/pts",
            "devpts",
            "devpts",
            words("nosuid,noexec,newinstance,ptmxmode=0666,mode=0620,gid=5"),
        ),
        mount("/sys", "sysfs", "sysfs", words(&format!("nosuid,noexec,nodev,{access}"))),
        mount("/sys/fs/cgroup", "cgroup", "cgroup", words(&format!("{access},nosuid,noexec,nodev"))),
        mount("/dev/mqueue", "mqueue", "mqueue", words("nosuid,noexec,nodev")),
    ];
    list.extend(shm(request)?);
    Ok(list)
}

/// /dev/shm belongs to the IPC namespace.
fn shm(request: &SpecRequest<'_>) -> Result<Option<Mount>, SpecError> {
    const PLACE: &str = "/dev/shm";
    let shared =
        |source: PathBuf| Some(mount(PLACE, "bind", source, words("rbind,rprivate,nosuid,noexec,nodev")));
    Ok(match &request.options.namespaces.ipc {
        IpcMode::None => None,
        IpcMode::Private | IpcMode::Shareable => {
            let size = request.options.storage.shm_size.filter(|size| *size != 0).unwrap_or(SHM_SIZE);
            Some(mount(PLACE, "tmpfs", "shm", words(&format!("nosuid,noexec,nodev,mode=1777,size={size}"))))
        }
        IpcMode::Host => {
            if !request.host.exists(Path::new(PLACE)).unwrap_or(false) {
                return Err(SpecError::Unavailable {
                    option: "--ipc host".to_owned(),
                    why: "/dev/shm is not mounted on the host".to_owned(),
                });
            }
            shared(PLACE.into())
        }
        IpcMode::Container(name) => {
            let of = request.joined("--ipc", name, request.joined.ipc.as_ref())?;
            // A path in another container's mount namespace: the runtime takes it by a handle, resolved in that root.
            shared(PathBuf::from(format!("/proc/{}/root{PLACE}", of.pid)))
        }
    })
}

/// Points a shared /dev/shm at the process that its container has now.
pub(crate) fn point_shm_at(mounts: &mut [Mount], pid: u32) {
    let foreign = |source: &Path| {
        let rest = source.to_str()?.strip_prefix("/proc/")?;
        rest.split_once('/').is_some_and(|(_, path)| path == "root/dev/shm").then_some(())
    };
    for mount in mounts.iter_mut().filter(|mount| mount.destination == Path::new("/dev/shm")) {
        if mount.source.as_deref().and_then(foreign).is_some() {
            mount.source = Some(format!("/proc/{pid}/root/dev/shm").into());
        }
    }
}

fn check_source(
    request: &SpecRequest<'_>,
    bind: &Bind,
    directories: &mut Vec<PathBuf>,
) -> Result<(), SpecError> {
    let failed = |source| SpecError::HostFile { what: "bind source", path: bind.source.clone(), source };
    if !bind.source.is_absolute() {
        return Err(SpecError::Invalid {
            what: "bind source",
            text: bind.source.display().to_string(),
            why: "it must be absolute".to_owned(),
        });
    }
    match request.host.exists(&bind.source) {
        Ok(true) => Ok(()),
        Ok(false) if bind.create_source => {
            if !directories.contains(&bind.source) {
                directories.push(bind.source.clone());
            }
            Ok(())
        }
        Ok(false) => Err(failed(io::Error::new(io::ErrorKind::NotFound, "path does not exist"))),
        Err(error) => Err(failed(error)),
    }
}

/// A host without SELinux has no label to change: Docker takes `z` and `Z` there too.
fn check_label(request: &SpecRequest<'_>, bind: &Bind) -> Result<(), SpecError> {
    if bind.relabel.is_none() || !request.host.selinux() {
        return Ok(());
    }
    Err(no_label(&bind.source.display()))
}

fn no_label(source: &dyn std::fmt::Display) -> SpecError {
    SpecError::Unavailable {
        option: format!("z or Z on --volume {source}"),
        why: "Conex does not relabel files; label them with chcon -t container_file_t and leave it out"
            .to_owned(),
    }
}

/// What the root mount must be for a bind's propagation to work; an error when its source does not pass mounts on.
fn check_propagation(request: &SpecRequest<'_>, bind: &Bind) -> Result<Option<&'static str>, SpecError> {
    let need = match bind.propagation {
        Propagation::Private | Propagation::Rprivate => return Ok(None),
        Propagation::Shared | Propagation::Rshared => "shared",
        Propagation::Slave | Propagation::Rslave => "rslave",
    };
    let failed = |source| SpecError::HostFile { what: "bind source", path: bind.source.clone(), source };
    // A directory still to be made lies in the mount of the nearest one that is there.
    let there = bind.source.ancestors().find(|path| request.host.exists(path).unwrap_or(false));
    let found = request.host.propagation(there.unwrap_or(Path::new("/"))).map_err(failed)?;
    if found.shared || (found.slave && need == "rslave") {
        return Ok(Some(need));
    }
    let expected = if need == "shared" { "a shared mount" } else { "a shared or slave mount" };
    Err(SpecError::Invalid {
        what: "bind propagation",
        text: bind.propagation.as_str().to_owned(),
        why: format!("{} is not on {expected} of the host", bind.source.display()),
    })
}

fn raise(held: &mut Option<String>, need: Option<&'static str>) {
    match need {
        Some("shared") => *held = Some("shared".to_owned()),
        Some(need) if held.is_none() => *held = Some(need.to_owned()),
        _ => {}
    }
}

/// In a user namespace a file's owner is the same number inside and outside, as without one: `idmap` is what happens anyway.
fn bind_mount(bind: &Bind, has_users: bool) -> Mount {
    let mut options = vec![if bind.recursion == Recursion::Disabled { "bind" } else { "rbind" }.to_owned()];
    if bind.read_only {
        // `rro` reaches the mounts below too (mount_setattr with AT_RECURSIVE, Linux 5.12).
        let deep = matches!(bind.recursion, Recursion::Enabled | Recursion::Readonly);
        options.push(if deep { "rro" } else { "ro" }.to_owned());
    }
    options.push(bind.propagation.as_str().to_owned());
    if has_users {
        options.push(if bind.recursion == Recursion::Disabled { "idmap" } else { "ridmap" }.to_owned());
    }
    Mount {
        destination: bind.target.clone(),
        kind: Some("bind".to_owned()),
        source: Some(bind.source.clone()),
        options,
        ..Mount::default()
    }
}

/// Where a volume becomes a mount. In a user namespace it is idmapped: its owners on the disk are those that the container sees, so
/// that root's files are root's and any container may have it.
fn volume_mount(volume: &VolumeUse, has_users: bool) -> Mount {
    let mut options = words("rbind,rprivate");
    options.extend(volume.read_only.then(|| "ro".to_owned()));
    options.extend(has_users.then(|| "idmap".to_owned()));
    Mount {
        destination: volume.target.clone(),
        kind: Some("bind".to_owned()),
        source: Some(volume.source.clone()),
        options,
        ..Mount::default()
    }
}

/// The source is given by descriptor when the container starts; the text is for people.
fn image_mount(image: &ImageUse) -> Mount {
    mount(&image.target.to_string_lossy(), "bind", &image.source, words("bind,rprivate,ro,nosuid,nodev"))
}

/// Docker's defaults, each taken back by its opposite.
fn tmpfs_mount(tmpfs: &Tmpfs) -> Mount {
    let mut options = words("noexec,nosuid,nodev");
    for option in &tmpfs.options {
        let key = option.split('=').next().unwrap_or_default();
        let opposite = match key {
            "ro" => Some("rw"),
            "rw" => Some("ro"),
            "async" => Some("sync"),
            "sync" => Some("async"),
            key => key.strip_prefix("no"),
        };
        let negated = format!("no{key}");
        options.retain(|other| {
            let other = other.split('=').next().unwrap_or_default();
            other != key && Some(other) != opposite && other != negated
        });
        options.push(tmpfs_kernel_option(option));
    }
    Mount {
        destination: tmpfs.target.clone(),
        kind: Some("tmpfs".to_owned()),
        source: Some("tmpfs".into()),
        options,
        ..Mount::default()
    }
}
