//! Devices of the host's in the container, and the rules of the device filter.

use std::path::{Path, PathBuf};

use conex_oci::runtime::{Device, DeviceRule, Mount};

use super::{HostDevice, SpecError, SpecRequest};
use crate::options::DeviceMap;

/// What every container may use, besides making nodes: null, zero, full, random, urandom, tty, console, its terminals.
const ALLOWED: [(i64, Option<i64>); 9] = [
    (1, Some(3)),
    (1, Some(5)),
    (1, Some(7)),
    (1, Some(8)),
    (1, Some(9)),
    (5, Some(0)),
    (5, Some(1)),
    (5, Some(2)),
    (136, None),
];

pub(super) struct Devices {
    /// Nodes to make in /dev, beside the runtime's default ones.
    pub(super) nodes: Vec<Device>,
    /// The filter's rules, of which the last match wins.
    pub(super) rules: Vec<DeviceRule>,
    /// Devices whose node cannot be made in the container: the host's is bound there.
    pub(super) binds: Vec<Mount>,
}

pub(super) fn build(
    request: &SpecRequest<'_>,
    has_users: bool,
    warnings: &mut Vec<String>,
) -> Result<Devices, SpecError> {
    let privileged = request.options.security.privileged;
    let rules = if privileged { vec![rule(true, None, None, None, "rwm")] } else { default_rules() };
    let mut devices = Devices { nodes: Vec::new(), rules, binds: Vec::new() };
    if privileged {
        let failed =
            |source| SpecError::HostFile { what: "cannot list the devices of", path: "/dev".into(), source };
        for device in request.host.all_devices().map_err(failed)? {
            let path = device.path.clone();
            put(&mut devices.nodes, node(&device, path));
        }
    }
    for map in &request.options.storage.devices {
        if privileged && map.access != "rwm" {
            warnings.push(format!(
                "--device {}: a privileged container has all rights on devices, not only {:?}",
                map.host.display(),
                map.access
            ));
        }
        for (device, path) in mapped(request, map)? {
            if !privileged {
                let kind = device.kind.to_string();
                let (major, minor) = (Some(device.major.into()), Some(device.minor.into()));
                devices.rules.push(rule(true, Some(&kind), major, minor, &map.access));
            }
            // Elsewhere than on the container's own /dev it would write to the writable layer. In a user namespace nodes are mounts anyway.
            if !path.starts_with("/dev") && !has_users {
                devices.binds.retain(|other| other.destination != path);
                devices.binds.push(bind(&device, path));
            } else {
                put(&mut devices.nodes, node(&device, path));
            }
        }
    }
    if !privileged {
        for asked in &request.options.storage.device_rules {
            // The kernel takes "a" for all devices whatever the numbers: both kinds are meant.
            let kinds: &[&str] = if asked.kind == 'a' { &["b", "c"] } else { &[] };
            let own = asked.kind.to_string();
            for kind in kinds.iter().copied().chain(Some(own.as_str()).filter(|kind| *kind != "a")) {
                let (major, minor) = (asked.major.map(Into::into), asked.minor.map(Into::into));
                devices.rules.push(rule(true, Some(kind), major, minor, &asked.access));
            }
        }
    }
    Ok(devices)
}

fn bind(device: &HostDevice, path: PathBuf) -> Mount {
    Mount {
        destination: path,
        kind: Some("bind".to_owned()),
        source: Some(device.path.clone()),
        options: ["bind", "rprivate", "nosuid", "noexec"].map(str::to_owned).to_vec(),
        ..Mount::default()
    }
}

/// A later node takes the place of an earlier one.
fn put(nodes: &mut Vec<Device>, node: Device) {
    nodes.retain(|other| other.path != node.path);
    nodes.push(node);
}

/// The devices that one `--device` names, each with its path in the container.
fn mapped(request: &SpecRequest<'_>, map: &DeviceMap) -> Result<Vec<(HostDevice, PathBuf)>, SpecError> {
    let failed = |source| SpecError::HostFile { what: "cannot add device", path: map.host.clone(), source };
    let found = request.host.devices(&map.host).map_err(failed)?;
    if found.is_empty() {
        return Err(failed(std::io::Error::other("there is no device in that directory")));
    }
    let place = |device: &HostDevice| match device.path.strip_prefix(&map.host) {
        Ok(below) if below != Path::new("") => map.container.join(below),
        _ => map.container.clone(),
    };
    Ok(found
        .into_iter()
        .map(|device| {
            let path = place(&device);
            (device, path)
        })
        .collect())
}

fn node(device: &HostDevice, path: PathBuf) -> Device {
    Device {
        path,
        kind: device.kind.to_string(),
        major: device.major.into(),
        minor: device.minor.into(),
        file_mode: Some(device.mode),
        uid: Some(device.uid),
        gid: Some(device.gid),
    }
}

fn default_rules() -> Vec<DeviceRule> {
    let mut rules = vec![
        rule(false, None, None, None, "rwm"),
        // Making a node is harmless: using it needs a rule of its own.
        rule(true, Some("c"), None, None, "m"),
        rule(true, Some("b"), None, None, "m"),
    ];
    rules.extend(ALLOWED.into_iter().map(|(major, minor)| rule(true, Some("c"), Some(major), minor, "rwm")));
    rules
}

fn rule(allow: bool, kind: Option<&str>, major: Option<i64>, minor: Option<i64>, access: &str) -> DeviceRule {
    DeviceRule { allow, kind: kind.map(str::to_owned), major, minor, access: Some(access.to_owned()) }
}
