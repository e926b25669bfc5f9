//! Devices by name: what CDI specifications have for a container, found anew at each start, as Docker and podman do: a driver that was
//! updated in between has other files.
//!
//! `spec.json` is without them. A container with such devices has a bundle (`containers/<id>/bundle`) from start to end: the spec that
//! runs, which `exec` takes up, and the place where its root filesystem stands when createContainer hooks run; vendors' hooks look for
//! both. Who finds a bundle whose container has ended runs the poststop hooks in it that are owed, and removes it.

use std::path::{Path, PathBuf};

use conex_cdi::{Edits, Nodes, QualifiedName, Registry};
use conex_oci::ContainerId;
use conex_oci::runtime::{Mount, Spec, State, Status};
use conex_runtime::hooks::{self, HookKind};

use crate::engine::Parts;
use crate::options::{GpuCount, GpuRequest, StorageOptions};
use crate::spec::IdRange;
use crate::store::{Record, Store, write};
use crate::{Engine, Error, Result, idmap};

const BUNDLE: &str = "bundle";
/// Of those that can be meant by `--gpus` without a driver, the first that is there.
const GPU_KINDS: [(&str, &str); 2] = [("nvidia", "nvidia.com/gpu"), ("amd", "amd.com/gpu")];

impl StorageOptions {
    /// Whether specifications of CDI have to be looked at.
    pub(crate) fn has_cdi(&self) -> bool {
        !self.cdi.is_empty() || !self.gpus.is_empty()
    }
}

impl Engine {
    /// The devices that specifications name, and the files that could not be used.
    pub fn cdi(&self) -> Registry {
        Registry::read(&self.parts.cdi)
    }
}

impl Parts {
    /// Makes the edits of a container's devices in its spec, and its bundle.
    pub(crate) fn equip(&self, record: &Record, spec: &mut Spec) -> Result<()> {
        if !record.options.storage.has_cdi() {
            return Ok(());
        }
        self.edit(record, spec)?;
        let bundle = bundle(&self.store, &record.id);
        write::make_directory(&bundle.join("rootfs"))?;
        if let Some(root) = &mut spec.root {
            root.path = bundle.join("rootfs");
        }
        let path = bundle.join("config.json");
        write::new_file(&path, &write::to_json(spec))?;
        // Hooks in the container's user namespace read it as its root; nobody else: it has the environment.
        match record.id_range {
            Some(range) => std::os::unix::fs::chown(&path, Some(range.base), Some(range.base))
                .map_err(|source| Error::Write { path, source }),
            None => Ok(()),
        }
    }

    /// The same without the bundle, to see whether it can be done.
    pub(crate) fn edit(&self, record: &Record, spec: &mut Spec) -> Result<()> {
        let registry = Registry::read(&self.cdi);
        let names = wanted(&record.options.storage, &registry, &self.cdi)?;
        let found = registry.resolve(&names)?;
        // The runtime makes nodes for containers in user namespaces where it may: outside of an ordinary user's.
        let nodes = if crate::rootless::is_rootless() { Nodes::Bound } else { Nodes::Made };
        let before = spec.mounts.clone();
        Edits::apply(&found, spec, nodes)?;
        match record.id_range {
            Some(range) => show(spec.mounts.iter_mut().filter(|mount| !before.contains(mount)), range),
            None => Ok(()),
        }
    }

    /// The spec that a container runs by, or will.
    pub(crate) fn spec_that_runs(&self, record: &Record) -> Result<Spec> {
        if record.options.storage.has_cdi()
            && let Some(spec) = write::read_json(&bundle(&self.store, &record.id).join("config.json"))?
        {
            return Ok(spec);
        }
        self.spec(&record.id)
    }
}

/// Lets a container in a user namespace see what a vendor mounts with the owners that it has, as what the user mounts; what cannot be
/// shown so stays nobody's.
fn show<'a>(mounts: impl Iterator<Item = &'a mut Mount>, range: IdRange) -> Result<()> {
    let mut idmap = None;
    for mount in mounts {
        let deep = mount.options.iter().any(|option| option == "rbind");
        let is_bind = deep || mount.options.iter().any(|option| option == "bind");
        let Some(source) = mount.source.as_deref().filter(|_| is_bind) else { continue };
        let idmap = match &idmap {
            Some(idmap) => idmap,
            None => idmap.insert(idmap::namespace(range)?),
        };
        if idmap::try_map(source, deep, idmap).is_ok() {
            mount.options.push(if deep { "ridmap" } else { "idmap" }.to_owned());
        }
    }
    Ok(())
}

fn bundle(store: &Store, id: &ContainerId) -> PathBuf {
    store.directory(id).join(BUNDLE)
}

/// What hooks read (runtime.md#state).
pub(crate) fn state(store: &Store, id: &ContainerId, spec: &Spec, status: Status, pid: u32) -> Vec<u8> {
    write::to_json(&State {
        oci_version: spec.oci_version.clone(),
        id: id.to_string(),
        status,
        pid,
        bundle: bundle(store, id),
        annotations: spec.annotations.clone(),
    })
}

/// After the end of a container, or the failure of a start: runs what hooks are owed. What fails is told of in the log.
pub(crate) fn take_back(store: &Store, id: &ContainerId) {
    let bundle = bundle(store, id);
    if !bundle.exists() {
        return;
    }
    match write::read_json::<Spec>(&bundle.join("config.json")) {
        Ok(Some(spec)) => {
            let state = state(store, id, &spec, Status::Stopped, 0);
            let poststop = spec.hooks.map(|hooks| hooks.poststop).unwrap_or_default();
            hooks::run_all(HookKind::Poststop, &poststop, &state, |error| log::warn!("{error}"));
        }
        Ok(None) => {}
        Err(error) => log::warn!("{error}"),
    }
    let removed = write::unlink(&bundle.join("config.json"));
    for directory in [bundle.join("rootfs"), bundle] {
        let _ = std::fs::remove_dir(directory);
    }
    if let Err(error) = removed {
        log::warn!("{error}");
    }
}

/// The names of all devices asked for, each once.
fn wanted(
    storage: &StorageOptions,
    registry: &Registry,
    directories: &[PathBuf],
) -> Result<Vec<QualifiedName>> {
    let mut names = storage.cdi.clone();
    for request in &storage.gpus {
        names.extend(gpus(request, registry, directories)?);
    }
    let mut seen = std::collections::BTreeSet::new();
    names.retain(|name| seen.insert(name.clone()));
    Ok(names)
}

/// The devices that `--gpus` means.
fn gpus(request: &GpuRequest, registry: &Registry, directories: &[PathBuf]) -> Result<Vec<QualifiedName>> {
    if request.driver.as_deref() == Some("cdi") {
        return Ok(request.devices.iter().map(|name| name.parse()).collect::<Result<_, _>>()?);
    }
    let known = |kind: &str| registry.devices().any(|(name, _)| name.kind.to_string() == kind);
    let chosen = |(driver, kind): &(&str, &str)| match &request.driver {
        Some(asked) => asked == driver,
        None => known(kind),
    };
    let kind = GPU_KINDS.iter().find(|pair| chosen(pair)).filter(|(_, kind)| known(kind));
    let Some((_, kind)) = kind else {
        return Err(Error::NoGpu { why: no_specification(request, registry, directories) });
    };
    let name = |device: &str| format!("{kind}={device}").parse();
    if !request.devices.is_empty() {
        return Ok(request.devices.iter().map(|device| name(device)).collect::<Result<_, _>>()?);
    }
    let all: Vec<&QualifiedName> =
        registry.devices().map(|(name, _)| name).filter(|name| name.kind.to_string() == *kind).collect();
    // One device may stand under several names; those that are numbers count them.
    let mut numbered: Vec<(u32, &QualifiedName)> =
        all.iter().filter_map(|name| Some((name.name.parse().ok()?, *name))).collect();
    numbered.sort_unstable();
    match request.count {
        Some(GpuCount::Number(count)) => {
            let there = numbered.len();
            let taken: Vec<_> =
                numbered.into_iter().take(count as usize).map(|(_, name)| name.clone()).collect();
            if taken.len() < count as usize {
                let why = format!("{count} were asked for, and {kind} has {there} by number");
                return Err(Error::NoGpu { why });
            }
            Ok(taken)
        }
        _ => match all.iter().find(|name| name.name == "all") {
            Some(name) => Ok(vec![(*name).clone()]),
            None if numbered.is_empty() => Ok(all.into_iter().cloned().collect()),
            None => Ok(numbered.into_iter().map(|(_, name)| name.clone()).collect()),
        },
    }
}

fn no_specification(request: &GpuRequest, registry: &Registry, directories: &[PathBuf]) -> String {
    let kinds: Vec<&str> = GPU_KINDS
        .iter()
        .filter(|(driver, _)| request.driver.as_deref().is_none_or(|asked| asked == *driver))
        .map(|(_, kind)| *kind)
        .collect();
    let place = directories.first().map_or(Path::new("/etc/cdi"), PathBuf::as_path).display();
    let tool = match request.driver.as_deref() {
        Some("amd") => "amd-ctk cdi generate".to_owned(),
        _ => format!("nvidia-ctk cdi generate --output={place}/nvidia.yaml"),
    };
    let directories: Vec<_> = directories.iter().map(|path| path.display().to_string()).collect();
    let mut why = format!(
        "no CDI specification of {} is in {}; the vendor's toolkit makes one: {tool}",
        kinds.join(" or "),
        directories.join(" or ")
    );
    if let Some(fault) = registry.faults().first() {
        why += &format!("; not usable: {fault}");
    }
    why
}
