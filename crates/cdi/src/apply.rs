//! Edits made in an OCI runtime spec (SPEC.md, "OCI Edits").

use std::path::Path;

use conex_oci::runtime::{self as oci, DeviceRule, Spec};
use rustix::fs::FileType;

use crate::specification::{DeviceNode, Edits, Hook, HookName, Mount};
use crate::{Error, Found};

/// How device nodes come into the container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Nodes {
    /// mknod(2)
    Made,
    /// The host's are bound: in a user namespace mknod(2) is refused.
    Bound,
}

impl Edits {
    /// Makes `found` in a spec, in order.
    ///
    /// # Errors
    /// [`Error::Apply`]: a device node that is not on the host, or what cannot be done here.
    pub fn apply(found: &[Found<'_>], spec: &mut Spec, nodes: Nodes) -> Result<(), Error> {
        for Found { name, path, edits } in found {
            edits.apply_one(spec, nodes).map_err(|why| Error::Apply {
                name: (*name).to_owned(),
                path: path.to_path_buf(),
                why,
            })?;
        }
        // By depth, so that a mount never covers one made before.
        spec.mounts.sort_by_key(|mount| mount.destination.components().count());
        Ok(())
    }

    fn apply_one(&self, spec: &mut Spec, nodes: Nodes) -> Result<(), String> {
        if self.intel_rdt.is_some() {
            return Err(
                "it asks for intelRdt (cache and memory bandwidth), which containers cannot be given"
                    .to_owned(),
            );
        }
        let process = spec.process.get_or_insert_default();
        for variable in &self.env {
            let name = variable.split('=').next().unwrap_or_default();
            let same = |text: &String| text.split('=').next() == Some(name);
            match process.env.iter_mut().find(|text| same(text)) {
                Some(text) => text.clone_from(variable),
                None => process.env.push(variable.clone()),
            }
        }
        let groups = &mut process.user.additional_gids;
        for gid in self.additional_gids.iter().filter(|gid| **gid != 0) {
            if !groups.contains(gid) {
                groups.push(*gid);
            }
        }
        for node in &self.device_nodes {
            node.apply(spec, nodes)?;
        }
        let linux = spec.linux.get_or_insert_default();
        for device in &self.net_devices {
            let inside = oci::NetDevice { name: Some(device.name.clone()) };
            linux.net_devices.insert(device.host_interface_name.clone(), inside);
        }
        for mount in &self.mounts {
            put(&mut spec.mounts, mount.to_oci());
        }
        let hooks = spec.hooks.get_or_insert_default();
        for hook in &self.hooks {
            let list = match hook.hook_name {
                HookName::Prestart => &mut hooks.prestart,
                HookName::CreateRuntime => &mut hooks.create_runtime,
                HookName::CreateContainer => &mut hooks.create_container,
                HookName::StartContainer => &mut hooks.start_container,
                HookName::Poststart => &mut hooks.poststart,
                HookName::Poststop => &mut hooks.poststop,
            };
            list.push(hook.to_oci());
        }
        Ok(())
    }
}

/// One mount at a place.
fn put(mounts: &mut Vec<oci::Mount>, mount: oci::Mount) {
    mounts.retain(|other| other.destination != mount.destination);
    mounts.push(mount);
}

impl Mount {
    fn to_oci(&self) -> oci::Mount {
        let mut options = self.options.clone();
        let bound = options.iter().any(|option| option == "bind" || option == "rbind");
        // Without a type and options it can only be meant as a bind.
        if self.kind.is_none() && !bound {
            options.insert(0, "rbind".to_owned());
        }
        let kind = if bound || self.kind.is_none() { Some("bind".to_owned()) } else { self.kind.clone() };
        oci::Mount {
            destination: self.container_path.clone(),
            kind,
            source: Some(self.host_path.clone()),
            options,
            ..oci::Mount::default()
        }
    }
}

impl Hook {
    fn to_oci(&self) -> oci::Hook {
        oci::Hook {
            path: self.path.clone(),
            args: self.args.clone(),
            env: self.env.clone(),
            timeout: self.timeout,
        }
    }
}

/// A node of the host's.
struct OnHost {
    kind: &'static str,
    major: i64,
    minor: i64,
    mode: u32,
}

fn on_host(path: &Path) -> Result<OnHost, String> {
    let about = rustix::fs::stat(path).map_err(|errno| std::io::Error::from(errno).to_string())?;
    let kind = match FileType::from_raw_mode(about.st_mode) {
        FileType::CharacterDevice => "c",
        FileType::BlockDevice => "b",
        FileType::Fifo => "p",
        _ => return Err("it is not a device node".to_owned()),
    };
    let (major, minor) = (rustix::fs::major(about.st_rdev), rustix::fs::minor(about.st_rdev));
    Ok(OnHost { kind, major: major.into(), minor: minor.into(), mode: about.st_mode & 0o7777 })
}

impl DeviceNode {
    /// The node with what the file leaves to the host.
    fn complete(&self) -> Result<oci::Device, String> {
        let host = self.host_path.as_deref().unwrap_or(&self.path);
        let named = self.kind.as_deref().filter(|kind| !kind.is_empty());
        let said = named.filter(|kind| *kind == "p" || self.major.is_some_and(|major| major != 0));
        let found = match (on_host(host), said) {
            (Err(why), None) => return Err(format!("the device node {}: {why}", host.display())),
            (found, _) => found.ok(),
        };
        let mode = self.file_mode.or(found.as_ref().map(|found| found.mode));
        let (kind, major, minor) = match (said, &found) {
            (Some(kind), _) => (kind, self.major.unwrap_or(0), self.minor.unwrap_or(0)),
            (None, Some(found)) => {
                if let Some(kind) = named
                    && kind != found.kind
                    && !(kind == "u" && found.kind == "c")
                {
                    return Err(format!(
                        "the device node {} is of type {}, not {kind}",
                        host.display(),
                        found.kind
                    ));
                }
                (found.kind, found.major, found.minor)
            }
            (None, None) => return Err(format!("the device node {} is not there", host.display())),
        };
        Ok(oci::Device {
            path: self.path.clone(),
            kind: if kind == "u" { "c".to_owned() } else { kind.to_owned() },
            major,
            minor,
            file_mode: mode.map(|mode| mode & 0o7777),
            uid: self.uid,
            gid: self.gid,
        })
    }

    fn apply(&self, spec: &mut Spec, nodes: Nodes) -> Result<(), String> {
        let mut device = self.complete()?;
        let user =
            spec.process.as_ref().map(|process| (process.user.uid, process.user.gid)).unwrap_or_default();
        device.uid.get_or_insert(user.0);
        device.gid.get_or_insert(user.1);
        let linux = spec.linux.get_or_insert_default();
        if device.kind != "p" {
            linux.resources.get_or_insert_default().devices.push(DeviceRule {
                allow: true,
                kind: Some(device.kind.clone()),
                major: Some(device.major),
                minor: Some(device.minor),
                access: Some(self.permissions.access().to_owned()),
            });
        }
        linux.devices.retain(|other| other.path != device.path);
        // Elsewhere than on the container's own /dev a node would be made in the writable layer.
        if nodes == Nodes::Made && self.path.starts_with("/dev") {
            linux.devices.push(device);
            return Ok(());
        }
        let host = self.host_path.as_deref().unwrap_or(&self.path);
        on_host(host).map_err(|why| {
            format!(
                "the device node {} has to be bound into the container, and cannot be: {why}",
                host.display()
            )
        })?;
        let options = ["bind", "rprivate", "nosuid", "noexec"].map(str::to_owned).to_vec();
        put(
            &mut spec.mounts,
            oci::Mount {
                destination: self.path.clone(),
                kind: Some("bind".to_owned()),
                source: Some(host.to_owned()),
                options,
                ..oci::Mount::default()
            },
        );
        Ok(())
    }
}
