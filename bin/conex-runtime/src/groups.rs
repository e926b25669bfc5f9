//! A container's cgroup: where it is, and when it is done without.

use std::path::Path;

use conex_cgroup::{Cgroup, CgroupPath, Driver, Host, Properties, Version};
use conex_oci::runtime::{NamespaceKind, Resources, Spec};
use conex_runtime::state::Record;
use conex_runtime::with_default_devices;

use crate::context::Context;
use crate::error::Error;

/// Where the groups are going to be, and with which limits.
pub(crate) struct Groups {
    /// None for an ordinary user on a host without any.
    place: Option<(Host, CgroupPath)>,
    /// Whether the spec names the path: then there is no going without.
    is_explicit: bool,
    rootless: bool,
    resources: Resources,
    properties: Properties,
    /// Whose the v2 group becomes, as a user of the host.
    owner: Option<u32>,
}

impl Groups {
    /// By the spec's `cgroupsPath`, else by the container's name.
    pub(crate) fn find(context: &Context, spec: &Spec, id: &str) -> Result<Self, Error> {
        let linux = spec.linux.as_ref();
        let rootless = context.is_rootless();
        let wanted = linux.and_then(|linux| linux.cgroups_path.as_deref()).filter(|path| !path.is_empty());
        let driver = if context.systemd { Driver::Systemd } else { Driver::Cgroupfs };
        let place = match Host::detect() {
            Ok(host) => {
                let path = host.bundle_path(driver, wanted, id)?;
                Some((host, path))
            }
            Err(_) if rootless && wanted.is_none() => None,
            Err(error) => return Err(error.into()),
        };
        let mut resources = linux.and_then(|linux| linux.resources.clone()).unwrap_or_default();
        if rootless {
            // Who has no right to a device has none in a container either, and may load no filter.
            resources.devices.clear();
        } else {
            resources = with_default_devices(resources);
        }
        let properties = match driver {
            Driver::Systemd => Properties::from_annotations(&spec.annotations)?,
            Driver::Cgroupfs => Properties::default(),
        };
        let owner = owner(spec).filter(|_| !rootless);
        Ok(Self { place, is_explicit: wanted.is_some(), rootless, resources, properties, owner })
    }

    pub(crate) fn path(&self) -> Option<&CgroupPath> {
        self.place.as_ref().map(|(_, path)| path)
    }

    /// Makes them; the limits may be left to [`Groups::enforce`].
    pub(crate) fn make(&self) -> Result<Option<Cgroup>, Error> {
        let Some((host, path)) = &self.place else { return Ok(None) };
        let (resources, properties) = (&self.resources, &self.properties);
        if self.rootless {
            return Ok(Cgroup::create_if_allowed(host, path, self.is_explicit, resources, properties)?);
        }
        let cgroup = Cgroup::create_unlimited(host, path, resources, properties)?;
        if let Some(owner) = self.owner.filter(|_| host.version() == Version::V2) {
            cgroup.delegate(owner)?;
        }
        // Who names the path reads there what is counted; the others have `events`.
        Ok(Some(if self.is_explicit { cgroup.counting()? } else { cgroup }))
    }

    /// Puts the limits in force that are not yet.
    pub(crate) fn enforce(&self, cgroup: Option<&Cgroup>) -> Result<(), conex_runtime::Error> {
        Ok(cgroup.map_or(Ok(()), |cgroup| cgroup.enforce(&self.resources))?)
    }
}

/// Who is to own the group (runtime-spec config-linux.md#cgroup-ownership): the user that the process runs as, when the container
/// has a cgroup namespace of its own and may write to what is mounted of it. Nobody where that is root, who does already.
fn owner(spec: &Spec) -> Option<u32> {
    let linux = spec.linux.as_ref()?;
    let is_own =
        linux.namespaces.iter().any(|space| space.kind == NamespaceKind::Cgroup && space.path.is_none());
    let mut mounts = spec.mounts.iter().rev();
    let mount = mounts.find(|mount| mount.destination == Path::new("/sys/fs/cgroup"))?;
    let is_cgroup = matches!(mount.kind.as_deref(), Some("cgroup" | "cgroup2"));
    if !is_own || !is_cgroup || mount.options.iter().any(|option| option == "ro" || option == "rro") {
        return None;
    }
    let user = spec.process.as_ref()?.user.uid;
    let host = if linux.uid_mappings.is_empty() {
        Some(user)
    } else {
        linux.uid_mappings.iter().find_map(|map| {
            let offset = user.checked_sub(map.container_id).filter(|offset| *offset < map.size)?;
            map.host_id.checked_add(offset)
        })
    };
    host.filter(|uid| *uid != 0)
}

/// A container's groups as the record tells of them; `None` for a container without any.
pub(crate) fn open(record: &Record) -> Result<Option<Cgroup>, Error> {
    let Some(path) = &record.cgroup else { return Ok(None) };
    let cgroup = Cgroup::open(&Host::detect()?, path)?;
    Ok(cgroup.exists().then_some(cgroup))
}

/// The groups that an exec runs in: the container's, or for `--cgroup` existing ones below them (`GROUP` of v2,
/// `CONTROLLER[,CONTROLLER]:GROUP` of v1).
pub(crate) fn below(cgroup: Option<Cgroup>, below: &[String]) -> Result<Option<Cgroup>, Error> {
    if below.is_empty() {
        return Ok(cgroup);
    }
    let Some(mut cgroup) = cgroup else {
        return Err(Error::refused("--cgroup: the container has no cgroup"));
    };
    let mut seen = Vec::new();
    for argument in below {
        let Some((controllers, group)) = argument.split_once(':') else {
            if below.len() > 1 {
                let why = format!("invalid --cgroup argument: {argument} (missing <controller>: prefix)");
                return Err(Error::Refused(why));
            }
            return Ok(Some(cgroup.below(None, argument)?));
        };
        for controller in controllers.split(',') {
            if controller.is_empty() {
                let why = format!("invalid --cgroup argument: {argument} (empty <controller> prefix)");
                return Err(Error::Refused(why));
            }
            if seen.contains(&controller) {
                let why =
                    format!("invalid --cgroup argument(s): controller {controller} specified multiple times");
                return Err(Error::Refused(why));
            }
            seen.push(controller);
            cgroup = cgroup.below(Some(controller), group)?;
        }
    }
    Ok(Some(cgroup))
}
